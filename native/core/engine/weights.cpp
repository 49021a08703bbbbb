#include "core/engine/weights.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/engine/packed_weights.h"
#include "core/kernels/dropout.h"
#include "core/nn/expected_tensors.h"

namespace ft {
namespace {

constexpr int64_t kPieceElements = 1 << 18;  // what exists beside a tensor that is converted

bool EndsWith(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

void AppendTensor(SafetensorsWriter& writer, const at::Tensor& tensor, at::ScalarType dtype) {
  const at::Tensor flat = tensor.contiguous().view({-1});
  for (int64_t begin = 0; begin < flat.numel(); begin += kPieceElements) {
    const at::Tensor piece = flat.narrow(0, begin, std::min(kPieceElements, flat.numel() - begin)).to(at::kCPU, dtype).contiguous();
    writer.Append(piece.const_data_ptr(), piece.nbytes());
  }
}

// A tensor as a file is to have it.
struct Saved {
  std::string name;
  at::Tensor tensor;
  at::ScalarType dtype;
  uint64_t bytes() const { return static_cast<uint64_t>(tensor.numel()) * c10::elementSize(dtype); }
};

std::vector<Saved> SavedTensors(Decoder& decoder, at::ScalarType dtype) {
  std::vector<Saved> saved;
  for (const Decoder::NamedTensor& named : decoder.NamedTensors()) {
    saved.push_back({named.name, named.tensor, named.buffer ? named.tensor.scalar_type() : dtype});
  }
  for (const auto& [name, tensor] : PackedFileTensors(decoder)) saved.push_back({name, tensor, tensor.scalar_type()});
  if (decoder.spec().text_part_of.empty()) return saved;
  // The text part becomes a model by itself: its names lose what the wrapper put in front.
  const std::string& prefix = decoder.spec().names.base_prefix;
  for (Saved& tensor : saved) {
    if (tensor.name.rfind(prefix, 0) == 0) tensor.name = "model." + tensor.name.substr(prefix.size());
  }
  return saved;
}

struct Shard {
  std::vector<const Saved*> tensors;
  uint64_t bytes = 0;
};

std::vector<Shard> SplitShards(const std::vector<Saved>& tensors, uint64_t max_bytes) {
  std::vector<Shard> shards(1);
  for (const Saved& saved : tensors) {
    if (!shards.back().tensors.empty() && shards.back().bytes + saved.bytes() > max_bytes) shards.emplace_back();
    shards.back().tensors.push_back(&saved);
    shards.back().bytes += saved.bytes();
  }
  return shards;
}

void WriteShard(const std::string& path, const Shard& shard) {
  std::vector<TensorHeader> headers;
  for (const Saved* saved : shard.tensors) headers.push_back({saved->name, DTypeOf(saved->dtype), saved->tensor.sizes().vec()});
  SafetensorsWriter writer(path, headers, {{"format", "pt"}});
  for (const Saved* saved : shard.tensors) AppendTensor(writer, saved->tensor, saved->dtype);
  writer.Finish();
}

// Elements 4q … 4q + 3 from one Philox counter, Box and Muller's way (https://doi.org/10.1214/aoms/1177706645).
std::array<float, 4> FourNormals(uint64_t key, uint64_t quad, uint32_t tensor) {
  const auto random = kernels::Philox({static_cast<uint32_t>(quad), static_cast<uint32_t>(quad >> 32), tensor, 0}, key);
  std::array<float, 4> normals;
  for (size_t i = 0; i < 4; i += 2) {
    const float uniform = (static_cast<float>(random[i]) + 0.5f) * 0x1p-32f;  // in (0, 1]
    const float radius = std::sqrt(-2.0f * std::log(uniform)), angle = static_cast<float>(random[i + 1]) * (0x1p-31f * 3.14159265f);
    normals[i] = radius * std::cos(angle), normals[i + 1] = radius * std::sin(angle);
  }
  return normals;
}

// flat ~ N(0, deviation): elements first, first + 1 … of a tensor, of which element i is a function of (seed, number, i) alone, so that
// threads and pieces do not change it.
void FillNormal(const at::Tensor& flat, double deviation, uint64_t seed, uint32_t number, int64_t first = 0) {
  const uint64_t key = kernels::MixKey(seed, ~uint64_t{0});  // of no training step: unrelated to every dropout mask
  const auto scale = static_cast<float>(deviation);
  at::Tensor piece = at::empty({std::min(flat.numel(), kPieceElements)}, at::kFloat);  // bounds the fp32 copy
  for (int64_t begin = 0; begin < flat.numel(); begin += kPieceElements) {
    const int64_t count = std::min(kPieceElements, flat.numel() - begin);
    float* out = piece.mutable_data_ptr<float>();
    const int64_t start = first + begin, end = start + count;
    at::parallel_for(start / 4, (end + 3) / 4, 4096, [&](int64_t from, int64_t to) {
      for (int64_t quad = from; quad < to; ++quad) {
        const auto normals = FourNormals(key, static_cast<uint64_t>(quad), number);
        for (int64_t i = std::max(start, quad * 4); i < std::min(end, quad * 4 + 4); ++i) out[i - start] = scale * normals[static_cast<size_t>(i % 4)];
      }
    });
    flat.narrow(0, begin, count).copy_(piece.narrow(0, 0, count));
  }
}

}  // namespace

DType DTypeOf(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return DType::kF32;
    case at::kHalf:
      return DType::kF16;
    case at::kBFloat16:
      return DType::kBF16;
    case at::kDouble:
      return DType::kF64;
    case at::kLong:
      return DType::kI64;
    case at::kByte:
      return DType::kU8;
    case at::kChar:
      return DType::kI8;
    default:
      FT_THROW(kInternal, "no safetensors name for dtype {}", c10::toString(type));
  }
}

at::ScalarType ScalarTypeOf(DType dtype, const std::string& tensor_name) {
  switch (dtype) {
    case DType::kF32:
      return at::kFloat;
    case DType::kF16:
      return at::kHalf;
    case DType::kBF16:
      return at::kBFloat16;
    case DType::kF64:
      return at::kDouble;
    default:
      FT_THROW(kTensorDtype, "tensor {} has dtype {}: expected F32, F16, BF16 or F64", tensor_name, SafetensorsName(dtype));
  }
}

void ReadInto(const SafetensorsFile& file, const TensorEntry& entry, at::Tensor destination) {
  // Bytes are codes: they are read as they are, or not at all.
  const bool codes = destination.scalar_type() == at::kByte && entry.dtype == DType::kU8;
  const at::ScalarType stored = codes ? at::kByte : ScalarTypeOf(entry.dtype, entry.name);
  if (stored == destination.scalar_type() && destination.device().is_cpu() && destination.is_contiguous()) {
    file.Read(entry, 0, destination.mutable_data_ptr(), entry.nbytes);
    return;
  }
  if (!destination.is_contiguous()) {  // fused experts lie transposed: one after another
    FT_CHECK(destination.dim() > 1 && destination.size(0) > 0, kInternal, "tensor {} has no place that could be filled piece by piece", entry.name);
    const int64_t step = destination.numel() / destination.size(0), bytes = step * static_cast<int64_t>(DTypeSize(entry.dtype));
    at::Tensor piece = at::empty(destination.sizes().slice(1), stored);
    for (int64_t i = 0; i < destination.size(0); ++i) {
      file.Read(entry, i * bytes, piece.mutable_data_ptr(), bytes);
      destination[i].copy_(piece);
    }
    return;
  }
  const int64_t numel = destination.numel(), size = static_cast<int64_t>(DTypeSize(entry.dtype));
  at::Tensor flat = destination.view({-1});
  at::Tensor piece = at::empty({std::min(numel, kPieceElements)}, stored);
  for (int64_t begin = 0; begin < numel; begin += kPieceElements) {
    const int64_t count = std::min(kPieceElements, numel - begin);
    file.Read(entry, begin * size, piece.mutable_data_ptr(), count * size);
    flat.narrow(0, begin, count).copy_(piece.narrow(0, 0, count));
  }
}

void LoadWeightsInto(Decoder& decoder, const CheckedTensors& checked, const LoadQuantization& wanted, const ProgressFn& report, const CancelToken* cancel) {
  const std::vector<Decoder::NamedTensor> tensors = decoder.NamedTensors();
  uint64_t total = PackedFileBytes(decoder, checked);
  for (const auto& named : tensors) total += named.tensor.nbytes();
  LoadProgress progress(report, total);
  for (const auto& named : tensors) {
    ThrowIfCancelled(cancel);
    const auto found = checked.locations.find(named.name);
    if (found == checked.locations.end()) {
      FT_CHECK(LoadPlainFromPacked(checked, named.name, named.tensor), kMissingTensor, "the weights hold no tensor {}", named.name);
    } else {
      const auto& [file, entry] = found->second;
      FT_CHECK(entry->shape == named.tensor.sizes().vec(), kTensorShape, "tensor {} of {} has shape [{}], expected [{}]", named.name, file->path(),
               fmt::join(entry->shape, ", "), fmt::join(named.tensor.sizes(), ", "));
      ReadInto(*file, *entry, named.tensor);
    }
    progress.Add(named.tensor.nbytes());
  }
  LoadPackedInto(decoder, checked, wanted, progress, cancel);
}

void RandomiseWeights(Decoder& decoder, uint64_t seed, const LoadQuantization& quantization) {
  std::map<std::string, uint32_t> numbers;  // of every weight, however it is kept
  std::set<std::string> norms;
  for (const ExpectedTensor& tensor : ExpectedTensors(decoder.spec())) {
    numbers.emplace(tensor.name, static_cast<uint32_t>(numbers.size()));
    if (tensor.kind == TensorKind::kNorm) norms.insert(tensor.name);
  }
  const double deviation = decoder.spec().initializer_range;
  for (const Decoder::NamedTensor& named : decoder.NamedTensors()) {
    at::Tensor tensor = named.tensor;
    if (EndsWith(named.name, "bias")) {
      tensor.zero_();
    } else if (norms.count(named.name) > 0) {
      tensor.fill_(decoder.spec().norm.unit_offset ? 0.0 : 1.0);
    } else {
      const at::Tensor flat = tensor.is_contiguous() ? tensor.view({-1}) : at::empty({tensor.numel()}, tensor.options());
      FillNormal(flat, deviation, seed, numbers.at(named.name));
      if (!tensor.is_contiguous()) tensor.copy_(flat.view(tensor.sizes()));
    }
  }
  PlainTensor place;
  for (const Decoder::PackedPart& part : decoder.PackedParts()) {
    const int64_t count = part.rows * part.columns;
    at::Tensor plain = place.Make({count}, decoder.dtype());
    FillNormal(plain, deviation, seed, numbers.at(part.tensor), std::max<int64_t>(part.expert, 0) * count);
    const bool turned = part.transposed || part.expert >= 0;
    plain = turned ? plain.view({part.columns, part.rows}).t().contiguous() : plain.view({part.rows, part.columns});
    part.weights->SetPart(part.part, Quantize(plain.to(decoder.device()), quantization, part.tensor));
    TrimTensorArena();
  }
}

void SaveWeightsOf(Decoder& decoder, const std::string& folder, uint64_t max_shard_bytes, at::ScalarType dtype) {
  const std::vector<Saved> tensors = SavedTensors(decoder, dtype);
  const std::vector<Shard> shards = SplitShards(tensors, max_shard_bytes);
  if (shards.size() == 1) {
    WriteShard(JoinPath(folder, "model.safetensors"), shards[0]);
    return;
  }
  Json::Object map;
  uint64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    WriteShard(JoinPath(folder, name), shards[i]);
    for (const Saved* saved : shards[i].tensors) map.push_back({saved->name, name});
    total += shards[i].bytes;
  }
  Json::Object metadata = {{"total_size", static_cast<int64_t>(total)}};
  Json::Object index;
  index.push_back({"metadata", std::move(metadata)});
  index.push_back({"weight_map", std::move(map)});
  WriteFileAtomically(JoinPath(folder, "model.safetensors.index.json"), Json(std::move(index)).Dump(2) + "\n");
}

void SaveTensors(const std::string& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                 const std::map<std::string, std::string>& metadata) {
  std::vector<TensorHeader> headers;
  for (const auto& [name, tensor] : tensors) headers.push_back({name, DTypeOf(tensor.scalar_type()), tensor.sizes().vec()});
  SafetensorsWriter writer(path, headers, metadata);
  for (const auto& [name, tensor] : tensors) AppendTensor(writer, tensor, tensor.scalar_type());
  writer.Finish();
}

}  // namespace ft
