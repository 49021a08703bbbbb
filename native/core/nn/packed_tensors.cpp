#include "core/nn/packed_tensors.h"

#include <fmt/ranges.h>

#include <cmath>
#include <initializer_list>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/io/safetensors_header.h"

namespace ft {
namespace {

constexpr size_t kMaxStateBytes = 1 << 16;
constexpr const char* kFetchAgain = "Fetch the model again; config.json (quantization_config) and weights must belong together.";

using Shape = std::vector<int64_t>;

int64_t Blocks(int64_t n, int64_t block) { return (n + block - 1) / block; }

// Adds tensors of one module to what was found.
class Finder {
 public:
  Finder(const TensorFinder& find, PackedTensors* packed) : find_(find), packed_(packed) {}

  bool Has(const std::string& suffix) const { return Locate(suffix).entry != nullptr; }
  WeightFolder::Location Locate(const std::string& suffix) const { return find_(packed_->NameOf(suffix)); }

  const WeightFolder::Location& Need(const std::string& suffix) {
    const WeightFolder::Location found = Locate(suffix);
    if (found.entry == nullptr) {
      throw Error(ErrorCode::kMissingTensor, fmt::format("the quantized weight of {} lacks its tensor {}", packed_->module, packed_->NameOf(suffix)), kFetchAgain)
          .With("tensor", packed_->NameOf(suffix));
    }
    return packed_->tensors[suffix] = found;
  }

  void Need(const std::string& suffix, std::initializer_list<DType> types, const Shape& shape) {
    const WeightFolder::Location& found = Need(suffix);
    CheckType(found, types);
    if (found.entry->shape != shape) FailShape(found, ShapeText(shape));
  }

  void NeedCount(const std::string& suffix, std::initializer_list<DType> types, int64_t count) {
    const WeightFolder::Location& found = Need(suffix);
    CheckType(found, types);
    if (CountOf(*found.entry) != count) FailShape(found, fmt::format("{} values", count));
  }

  static int64_t CountOf(const TensorEntry& entry) { return static_cast<int64_t>(entry.nbytes / DTypeSize(entry.dtype)); }

  [[noreturn]] void FailShape(const WeightFolder::Location& found, const std::string& expected) const {
    throw Error(ErrorCode::kTensorShape,
                fmt::format("tensor \"{}\" in {}: a quantized weight of [{}, {}] calls for {}, got shape {}", found.entry->name, found.file->path(), packed_->rows,
                            packed_->columns, expected, ShapeText(found.entry->shape)),
                kFetchAgain)
        .With("tensor", found.entry->name)
        .With("expected", expected)
        .With("got", ShapeText(found.entry->shape))
        .With("path", found.file->path());
  }

 private:
  static void CheckType(const WeightFolder::Location& found, std::initializer_list<DType> types) {
    std::vector<std::string> names;
    for (const DType type : types) {
      if (found.entry->dtype == type) return;
      names.emplace_back(SafetensorsName(type));
    }
    const std::string expected = fmt::format("{}", fmt::join(names, " or "));
    throw Error(ErrorCode::kTensorDtype,
                fmt::format("tensor \"{}\" in {}: expected {}, got {}", found.entry->name, found.file->path(), expected, SafetensorsName(found.entry->dtype)),
                kFetchAgain)
        .With("tensor", found.entry->name)
        .With("expected", expected)
        .With("got", SafetensorsName(found.entry->dtype))
        .With("path", found.file->path());
  }

  const TensorFinder& find_;
  PackedTensors* packed_;
};

// The JSON that bitsandbytes keeps as bytes beside a 4-bit weight.
class State {
 public:
  explicit State(const WeightFolder::Location& found) : where_(fmt::format("{}: tensor \"{}\"", found.file->path(), found.entry->name)) {
    if (found.entry->dtype != DType::kU8 || found.entry->nbytes > kMaxStateBytes) Fail("a JSON text of bytes");
    std::string text(found.entry->nbytes, '\0');
    found.file->Read(*found.entry, 0, text.data(), text.size());
    JsonOptions options;
    options.where = where_;
    options.code = ErrorCode::kSafetensors;
    json_ = Json::Parse(text, options);
    if (json_.kind() != JsonKind::kObject) Fail("a JSON object");
  }

  int64_t Int(const char* key, int64_t min, int64_t max) const {
    const Json* value = json_.Find(key);
    if (value == nullptr || value->kind() != JsonKind::kInt || value->AsInt() < min || value->AsInt() > max) Fail(fmt::format("{} from {} to {}", key, min, max));
    return value->AsInt();
  }
  double Number(const char* key) const {
    const Json* value = json_.Find(key);
    if (value == nullptr || (value->kind() != JsonKind::kDouble && value->kind() != JsonKind::kInt)) Fail(fmt::format("{}, a number", key));
    const double number = value->kind() == JsonKind::kInt ? static_cast<double>(value->AsInt()) : value->AsDouble();
    if (!std::isfinite(static_cast<float>(number))) Fail(fmt::format("{}, a number that fp32 holds", key));
    return number;
  }
  std::string Text(const char* key) const {
    const Json* value = json_.Find(key);
    if (value == nullptr || value->kind() != JsonKind::kString) Fail(fmt::format("{}, a text", key));
    return value->AsString();
  }
  Shape Sizes(const char* key) const {
    const Json* value = json_.Find(key);
    Shape shape;
    if (value == nullptr || value->kind() != JsonKind::kArray) Fail(fmt::format("{}, a list of sizes", key));
    for (const Json& size : value->AsArray()) {
      if (size.kind() != JsonKind::kInt) Fail(fmt::format("{}, a list of sizes", key));
      shape.push_back(size.AsInt());
    }
    return shape;
  }
  const std::string& where() const { return where_; }
  [[noreturn]] void Fail(const std::string& expected) const {
    throw Error(ErrorCode::kSafetensors, fmt::format("{}: expected {}", where_, expected), kFetchAgain);
  }

 private:
  std::string where_;
  Json json_ = Json(nullptr);
};

void FindBnb4(PackedTensors& packed, const std::string& type, Finder& finder) {
  const std::string state_name = "weight.quant_state.bitsandbytes__" + type;
  const State state(finder.Need(state_name));
  packed.quant_type = state.Text("quant_type");
  if (packed.quant_type != type) state.Fail(fmt::format("quant_type {}", type));
  packed.block = state.Int("blocksize", 2, 1 << 20);
  if (packed.block % 2 != 0) state.Fail("an even blocksize");
  packed.source_dtype = state.Text("dtype");
  if (const Shape shape = state.Sizes("shape"); shape != Shape{packed.rows, packed.columns}) {
    throw Error(ErrorCode::kTensorShape,
                fmt::format("{}: it is the state of a weight of shape {}, and config.json calls for [{}, {}]", state.where(), ShapeText(shape), packed.rows, packed.columns),
                kFetchAgain)
        .With("expected", fmt::format("[{}, {}]", packed.rows, packed.columns))
        .With("got", ShapeText(shape));
  }
  const int64_t count = packed.rows * packed.columns, blocks = Blocks(count, packed.block);
  // Its bytes may be stored as another type (bnb_4bit_quant_storage).
  const WeightFolder::Location& weight = finder.Need("weight");
  if (weight.entry->nbytes != static_cast<uint64_t>((count + 1) / 2)) finder.FailShape(weight, fmt::format("{} bytes", (count + 1) / 2));
  finder.NeedCount("weight.quant_map", {DType::kF32}, 16);
  const bool nested = finder.Has("weight.nested_absmax") || finder.Locate("weight.absmax").entry == nullptr || finder.Locate("weight.absmax").entry->dtype == DType::kU8;
  if (!nested) return finder.NeedCount("weight.absmax", {DType::kF32}, blocks);
  packed.nested_block = state.Int("nested_blocksize", 1, 1 << 20);
  packed.nested_offset = state.Number("nested_offset");
  finder.NeedCount("weight.absmax", {DType::kU8}, blocks);
  finder.NeedCount("weight.nested_absmax", {DType::kF32}, Blocks(blocks, packed.nested_block));
  finder.NeedCount("weight.nested_quant_map", {DType::kF32}, 256);
}

bool FindBnb4OfAnyType(PackedTensors& packed, Finder& finder) {
  for (const char* type : {"nf4", "fp4"}) {
    if (finder.Has(std::string("weight.quant_state.bitsandbytes__") + type)) {
      FindBnb4(packed, type, finder);
      return true;
    }
  }
  if (finder.Has("weight.absmax") || finder.Has("weight.quant_map")) finder.Need("weight.quant_state.bitsandbytes__nf4");  // says what is missing
  return false;
}

bool FindBnb8(PackedTensors& packed, Finder& finder) {
  const WeightFolder::Location weight = finder.Locate("weight");
  if (!finder.Has("SCB") && (weight.entry == nullptr || weight.entry->dtype != DType::kI8)) return false;
  finder.Need("weight", {DType::kI8}, {packed.rows, packed.columns});
  finder.NeedCount("SCB", {DType::kF32}, packed.rows);
  if (finder.Has("weight_format")) finder.Need("weight_format");
  return true;
}

bool FindGptq(const StoredQuantization& stored, PackedTensors& packed, Finder& finder) {
  if (!finder.Has("qweight")) return false;
  const int64_t fields = 32 / stored.bits, group = stored.group_size == -1 ? packed.columns : stored.group_size, groups = Blocks(packed.columns, group);
  packed.main = "qweight";
  if (packed.rows % fields != 0 || packed.columns % fields != 0) finder.FailShape(finder.Locate("qweight"), fmt::format("sizes that {} divides", fields));
  finder.Need("qweight", {DType::kI32}, {packed.columns / fields, packed.rows});
  finder.Need("qzeros", {DType::kI32}, {groups, packed.rows / fields});
  finder.Need("scales", {DType::kF16, DType::kBF16, DType::kF32}, {groups, packed.rows});
  if (finder.Has("g_idx")) finder.Need("g_idx", {DType::kI32}, {packed.columns});
  return true;
}

bool FindAwq(const StoredQuantization& stored, PackedTensors& packed, Finder& finder) {
  if (!finder.Has("qweight")) return false;
  const int64_t group = stored.group_size == -1 ? packed.columns : stored.group_size, groups = Blocks(packed.columns, group);
  packed.main = "qweight";
  if (packed.rows % 8 != 0) finder.FailShape(finder.Locate("qweight"), "outputs that 8 divides");
  finder.Need("qweight", {DType::kI32}, {packed.columns, packed.rows / 8});
  finder.Need("qzeros", {DType::kI32}, {groups, packed.rows / 8});
  finder.Need("scales", {DType::kF16, DType::kBF16, DType::kF32}, {groups, packed.rows});
  return true;
}

bool FindFloat8(const StoredQuantization& stored, PackedTensors& packed, Finder& finder) {
  const WeightFolder::Location weight = finder.Locate("weight");
  if (weight.entry == nullptr || (weight.entry->dtype != DType::kF8E4M3 && !finder.Has("weight_scale_inv"))) return false;
  finder.Need("weight", {DType::kF8E4M3}, {packed.rows, packed.columns});
  finder.Need("weight_scale_inv", {DType::kF32, DType::kBF16, DType::kF16}, {Blocks(packed.rows, stored.block_rows), Blocks(packed.columns, stored.block_columns)});
  return true;
}

// The published layout of gpt_oss: blocks of 32 values along the input, an expert after another.
bool FindMxfp4(PackedTensors& packed, Finder& finder) {
  constexpr int64_t kBlock = 32;
  if (!finder.Has("blocks") && !finder.Has("scales")) return false;
  if (packed.columns % kBlock != 0) finder.FailShape(finder.Locate(finder.Has("blocks") ? "blocks" : "scales"), "an input width that 32 divides");
  const int64_t groups = packed.columns / kBlock;
  packed.main = "blocks";
  finder.Need("blocks", {DType::kU8}, {packed.experts, packed.rows, groups, kBlock / 2});
  finder.Need("scales", {DType::kU8}, {packed.experts, packed.rows, groups});
  return true;
}

bool Find(const StoredQuantization& stored, PackedTensors& packed, Finder& finder) {
  switch (stored.format) {
    case StoredFormat::kBnb4: return FindBnb4OfAnyType(packed, finder);
    case StoredFormat::kBnb8: return FindBnb8(packed, finder);
    case StoredFormat::kGptq: return FindGptq(stored, packed, finder);
    case StoredFormat::kAwq: return FindAwq(stored, packed, finder);
    case StoredFormat::kFloat8: return FindFloat8(stored, packed, finder);
    default: return false;
  }
}

}  // namespace

uint64_t PackedTensors::bytes() const {
  uint64_t total = 0;
  for (const auto& [name, found] : tensors) total += found.entry->nbytes;
  return total;
}

std::optional<PackedTensors> FindPackedTensors(const StoredQuantization& stored, const TensorFinder& find, const std::string& module, int64_t rows,
                                               int64_t columns) {
  PackedTensors packed;
  packed.format = stored.format;
  packed.module = module;
  packed.rows = rows, packed.columns = columns;
  Finder finder(find, &packed);
  if (!Find(stored, packed, finder)) return std::nullopt;
  return packed;
}

std::optional<PackedTensors> FindPackedExperts(const StoredQuantization& stored, const TensorFinder& find, const std::string& parameter, int64_t experts,
                                               int64_t rows, int64_t columns) {
  PackedTensors packed;
  packed.format = stored.format;
  packed.module = parameter;
  packed.separator = '_';
  packed.rows = rows, packed.columns = columns, packed.experts = experts;
  Finder finder(find, &packed);
  if (stored.format != StoredFormat::kMxfp4 || !FindMxfp4(packed, finder)) return std::nullopt;
  return packed;
}

}  // namespace ft
