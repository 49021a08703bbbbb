#include "core/engine/packed_weights.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/engine/packed_reading.h"
#include "core/engine/weights.h"
#include "core/quant/scheme_table.h"

namespace ft {
namespace {

constexpr int64_t kTurnedBytes = 1 << 20;  // rows of a transposed matrix are turned so many at a time

// True when what is stored quantized becomes plain first: fewer bits are wanted than the files hold.
bool Requantizes(const StoredQuantization& stored, const LoadQuantization& wanted) {
  return !wanted.scheme.empty() && stored.packed() && quant::FindScheme(wanted.scheme).bits < stored.bits;
}

void CheckWanted(const CheckedTensors& checked, const LoadQuantization& wanted) {
  if (wanted.scheme.empty() || checked.packed.empty()) return;
  const quant::Scheme& scheme = quant::FindScheme(wanted.scheme);
  if (scheme.bits <= checked.stored.bits) return;
  throw Error(ErrorCode::kIncompatibleConfig,
              fmt::format("the files hold weights of {} bits ({}), and {} bits are asked for", checked.stored.bits, checked.stored.name(), scheme.bits),
              "leave load_in_8bit out: the weights are used as they are stored");
}

const PackedTensors* FindPacked(const CheckedTensors& checked, const std::string& module) {
  const auto found = checked.packed.find(module);
  return found == checked.packed.end() ? nullptr : &found->second;
}

const WeightFolder::Location& PlainOf(const CheckedTensors& checked, const std::string& module) {
  const auto found = checked.locations.find(module + ".weight");
  FT_CHECK(found != checked.locations.end(), kMissingTensor, "the weights hold no tensor {}.weight", module);
  return found->second;
}

}  // namespace

bool IsTransposed(const DecoderSpec& spec, const std::string& tensor) {
  const std::vector<ExpectedTensor> expected = ExpectedTensors(spec);
  const auto found = std::find_if(expected.begin(), expected.end(), [&](const ExpectedTensor& one) { return one.name == tensor; });
  return found != expected.end() && found->transposed;
}

std::set<std::string> PackedModules(const DecoderSpec& spec, const CheckedTensors* checked, const LoadQuantization& wanted) {
  std::set<std::string> modules;
  if (checked != nullptr) CheckWanted(*checked, wanted);
  if (checked != nullptr && !checked->packed.empty() && !Requantizes(checked->stored, wanted)) {
    for (const ExpectedTensor& tensor : ExpectedTensors(spec)) {
      if (tensor.kind == TensorKind::kLinearWeight && checked->packed.count(tensor.stored_module()) > 0) modules.insert(tensor.module());
    }
    return modules;
  }
  if (wanted.scheme.empty()) return modules;
  quant::FindScheme(wanted.scheme);
  for (const LinearModule& module : LinearModules(spec)) {
    // Routers and experts are of no linear class in transformers, and stay plain.
    if (!module.output_head && !module.router && module.experts == 0) modules.insert(module.name);
  }
  for (const std::string& name : wanted.skip_modules) modules.erase(name);
  return modules;
}

uint64_t PackedFileBytes(Decoder& decoder, const CheckedTensors& checked) {
  uint64_t bytes = 0;
  for (const Decoder::PackedPart& part : decoder.PackedParts()) {
    const PackedTensors* packed = FindPacked(checked, part.stored);
    bytes += packed != nullptr ? packed->bytes() : PlainOf(checked, part.stored).entry->nbytes;
  }
  return bytes;
}

at::Tensor PlainTensor::Make(at::IntArrayRef shape, at::ScalarType type) {
  const int64_t numel = c10::multiply_integers(shape);
  return at::from_blob(pages_.Reserve(static_cast<size_t>(numel) * c10::elementSize(type)), shape, at::TensorOptions(type));
}

at::Tensor ReadLinearWeight(const WeightFolder::Location& found, bool transposed, PlainTensor& place) {
  const auto& [file, entry] = found;
  const at::ScalarType type = ScalarTypeOf(entry->dtype, entry->name);
  if (!transposed) {
    at::Tensor w = place.Make(entry->shape, type);
    ReadInto(*file, *entry, w);
    return w;
  }
  FT_CHECK(entry->shape.size() == 2, kTensorShape, "tensor {} of {} is no matrix", entry->name, file->path());
  const int64_t in = entry->shape[0], out = entry->shape[1], row_bytes = out * static_cast<int64_t>(DTypeSize(entry->dtype));
  at::Tensor w = place.Make({out, in}, type);
  const int64_t rows = std::clamp<int64_t>(kTurnedBytes / std::max<int64_t>(row_bytes, 1), 1, std::max<int64_t>(in, 1));
  const at::Tensor piece = at::empty({rows, out}, type);
  for (int64_t begin = 0; begin < in; begin += rows) {
    const int64_t count = std::min(rows, in - begin);
    file->Read(*entry, static_cast<uint64_t>(begin * row_bytes), piece.mutable_data_ptr(), static_cast<uint64_t>(count * row_bytes));
    w.narrow(1, begin, count).copy_(piece.narrow(0, 0, count).t());
  }
  return w;
}

std::shared_ptr<quant::PackedWeight> Quantize(const at::Tensor& w, const LoadQuantization& wanted, const std::string& name) {
  return quant::FindScheme(wanted.scheme).quantize(w, {wanted.double_quant, wanted.int8_threshold}, name);
}

void LoadPackedInto(Decoder& decoder, const CheckedTensors& checked, const LoadQuantization& wanted, LoadProgress& progress, const CancelToken* cancel) {
  const DecoderSpec& spec = decoder.spec();
  const bool again = Requantizes(checked.stored, wanted);
  PlainTensor plain_tensor;
  for (const Decoder::PackedPart& part : decoder.PackedParts()) {
    ThrowIfCancelled(cancel);
    const PackedTensors* packed = FindPacked(checked, part.stored);
    if (packed != nullptr) {
      std::shared_ptr<quant::PackedWeight> stored = ReadPacked(*packed, checked.stored, again ? at::Device(at::kCPU) : decoder.device());
      part.weights->SetPart(part.part, again ? Quantize(stored->Dense(at::kFloat).to(decoder.device()), wanted, part.module) : std::move(stored));
      progress.Add(packed->bytes());
    } else {
      const WeightFolder::Location& plain = PlainOf(checked, part.stored);
      part.weights->SetPart(part.part, Quantize(ReadLinearWeight(plain, IsTransposed(spec, part.stored + ".weight"), plain_tensor).to(decoder.device()), wanted, part.module));
      progress.Add(plain.entry->nbytes);
    }
    TrimTensorArena();  // what making it took goes before the next one comes
  }
}

bool LoadPlainFromPacked(const Decoder& decoder, const CheckedTensors& checked, const std::string& name, at::Tensor destination) {
  const PackedTensors* packed = FindPacked(checked, name.substr(0, name.rfind('.')));
  if (packed == nullptr) return false;
  const auto weight = ReadPacked(*packed, checked.stored, at::kCPU);
  const at::Tensor dense = weight->Dense(destination.scalar_type());
  destination.copy_(IsTransposed(decoder.spec(), name) ? dense.t() : dense);
  return true;
}

std::vector<std::pair<std::string, at::Tensor>> PackedFileTensors(Decoder& decoder) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const Decoder::PackedPart& part : decoder.PackedParts()) {
    const auto& weight = part.weights->part(part.part);
    auto own = weight->FileTensors();
    if (own.empty()) {
      throw Error(ErrorCode::kIncompatibleConfig, fmt::format("weights kept as {} cannot be written ({})", weight->scheme(), part.module),
                  "write the model in 16 bits (ft-native export --format plain), or quantize that to nf4 (--format bnb-4bit)");
    }
    for (auto& [suffix, tensor] : own) tensors.emplace_back(part.stored + "." + suffix, std::move(tensor));
  }
  return tensors;
}

std::string PackedScheme(Decoder& decoder) {
  const std::vector<Decoder::PackedPart> parts = decoder.PackedParts();
  return parts.empty() ? "" : parts.front().weights->part(parts.front().part)->scheme();
}

}  // namespace ft
