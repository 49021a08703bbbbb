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
              "ask for no other bits: the weights are used as they are stored; or make them plain first (ft-native export --format plain)");
}

const PackedTensors* FindPacked(const CheckedTensors& checked, const std::string& tensor) {
  const auto found = checked.packed.find(tensor);
  return found == checked.packed.end() ? nullptr : &found->second;
}

const WeightFolder::Location& PlainOf(const CheckedTensors& checked, const std::string& tensor) {
  const auto found = checked.locations.find(tensor);
  FT_CHECK(found != checked.locations.end(), kMissingTensor, "the weights hold no tensor {}", tensor);
  return found->second;
}

// The matrix [in, out] that begins `offset` bytes into a tensor, as [out, in].
at::Tensor ReadTurned(const WeightFolder::Location& found, int64_t offset, int64_t in, int64_t out, PlainTensor& place) {
  const auto& [file, entry] = found;
  const at::ScalarType type = ScalarTypeOf(entry->dtype, entry->name);
  const int64_t row_bytes = out * static_cast<int64_t>(DTypeSize(entry->dtype));
  at::Tensor w = place.Make({out, in}, type);
  const int64_t rows = std::clamp<int64_t>(kTurnedBytes / std::max<int64_t>(row_bytes, 1), 1, std::max<int64_t>(in, 1));
  const at::Tensor piece = at::empty({rows, out}, type);
  for (int64_t begin = 0; begin < in; begin += rows) {
    const int64_t count = std::min(rows, in - begin);
    file->Read(*entry, static_cast<uint64_t>(offset + begin * row_bytes), piece.mutable_data_ptr(), static_cast<uint64_t>(count * row_bytes));
    w.narrow(1, begin, count).copy_(piece.narrow(0, 0, count).t());
  }
  return w;
}

// Bytes that one part has in files: its share of what experts have in one tensor.
uint64_t FileBytes(const CheckedTensors& checked, const Decoder::PackedPart& part) {
  const PackedTensors* packed = FindPacked(checked, part.tensor);
  const uint64_t bytes = packed != nullptr ? packed->bytes() : PlainOf(checked, part.tensor).entry->nbytes;
  return part.expert < 0 ? bytes : bytes / static_cast<uint64_t>(part.experts);
}

// Where all weights that belong to it are stored quantized, a parameter of experts is kept so.
std::set<std::string> StoredModules(const DecoderSpec& spec, const CheckedTensors& checked) {
  std::set<std::string> modules, plain;
  for (const ExpectedTensor& tensor : ExpectedTensors(spec)) {
    if (tensor.matrix()) (!tensor.router && checked.packed.count(tensor.name) > 0 ? modules : plain).insert(tensor.linear);
  }
  for (const std::string& name : plain) modules.erase(name);
  return modules;
}

}  // namespace

bool IsQuantized(const ExpectedTensor& tensor, const std::set<std::string>& skipped) {
  return tensor.matrix() && !tensor.output_head && !tensor.router && skipped.count(tensor.linear) == 0;
}

std::set<std::string> PackedModules(const DecoderSpec& spec, const CheckedTensors* checked, const LoadQuantization& wanted) {
  std::set<std::string> modules;
  if (checked != nullptr) CheckWanted(*checked, wanted);
  if (checked != nullptr && !checked->packed.empty() && !Requantizes(checked->stored, wanted)) return StoredModules(spec, *checked);
  if (wanted.scheme.empty()) return modules;
  quant::FindScheme(wanted.scheme);
  const std::set<std::string> skipped(wanted.skip_modules.begin(), wanted.skip_modules.end());
  for (const ExpectedTensor& tensor : ExpectedTensors(spec)) {
    if (IsQuantized(tensor, skipped)) modules.insert(tensor.linear);
  }
  return modules;
}

uint64_t PackedFileBytes(Decoder& decoder, const CheckedTensors& checked) {
  uint64_t bytes = 0;
  for (const Decoder::PackedPart& part : decoder.PackedParts()) bytes += FileBytes(checked, part);
  return bytes;
}

at::Tensor PlainTensor::Make(at::IntArrayRef shape, at::ScalarType type) {
  const int64_t numel = c10::multiply_integers(shape);
  return at::from_blob(pages_.Reserve(static_cast<size_t>(numel) * c10::elementSize(type)), shape, at::TensorOptions(type));
}

at::Tensor ReadLinearWeight(const WeightFolder::Location& found, bool transposed, PlainTensor& place) {
  const auto& [file, entry] = found;
  if (!transposed) {
    at::Tensor w = place.Make(entry->shape, ScalarTypeOf(entry->dtype, entry->name));
    ReadInto(*file, *entry, w);
    return w;
  }
  FT_CHECK(entry->shape.size() == 2, kTensorShape, "tensor {} of {} is no matrix", entry->name, file->path());
  return ReadTurned(found, 0, entry->shape[0], entry->shape[1], place);
}

at::Tensor ReadExpertWeight(const WeightFolder::Location& found, int64_t expert, PlainTensor& place) {
  const auto& [file, entry] = found;
  FT_CHECK(entry->shape.size() == 3 && expert >= 0 && expert < entry->shape[0], kTensorShape, "tensor {} of {} has no matrix of expert {}", entry->name, file->path(), expert);
  const int64_t in = entry->shape[1], out = entry->shape[2];
  return ReadTurned(found, expert * in * out * static_cast<int64_t>(DTypeSize(entry->dtype)), in, out, place);
}

std::shared_ptr<quant::PackedWeight> Quantize(const at::Tensor& w, const LoadQuantization& wanted, const std::string& name) {
  return quant::FindScheme(wanted.scheme).quantize(w, {wanted.double_quant, wanted.int8_threshold}, name);
}

void LoadPackedInto(Decoder& decoder, const CheckedTensors& checked, const LoadQuantization& wanted, LoadProgress& progress, const CancelToken* cancel) {
  const bool again = Requantizes(checked.stored, wanted);
  PlainTensor plain_tensor;
  for (const Decoder::PackedPart& part : decoder.PackedParts()) {
    ThrowIfCancelled(cancel);
    if (const PackedTensors* packed = FindPacked(checked, part.tensor)) {
      std::shared_ptr<quant::PackedWeight> stored = ReadPacked(*packed, checked.stored, again ? at::Device(at::kCPU) : decoder.device(), part.expert);
      part.weights->SetPart(part.part, again ? Quantize(stored->Dense(at::kFloat).to(decoder.device()), wanted, part.module) : std::move(stored));
    } else {
      const WeightFolder::Location& plain = PlainOf(checked, part.tensor);
      const at::Tensor w = part.expert < 0 ? ReadLinearWeight(plain, part.transposed, plain_tensor) : ReadExpertWeight(plain, part.expert, plain_tensor);
      part.weights->SetPart(part.part, Quantize(w.to(decoder.device()), wanted, part.module));
    }
    progress.Add(FileBytes(checked, part));
    TrimTensorArena();  // what making it took goes before the next one comes
  }
}

bool LoadPlainFromPacked(const CheckedTensors& checked, const std::string& name, at::Tensor destination) {
  const PackedTensors* packed = FindPacked(checked, name);
  if (packed == nullptr) return false;
  destination.copy_(ReadDense(*packed, checked.stored, at::kCPU, destination.scalar_type()));
  return true;
}

std::vector<std::pair<std::string, at::Tensor>> PackedFileTensors(Decoder& decoder) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const Decoder::PackedPart& part : decoder.PackedParts()) {
    const auto& weight = part.weights->part(part.part);
    if (part.experts > 0) {
      throw Error(ErrorCode::kIncompatibleConfig, fmt::format("experts kept as {} cannot be written ({})", weight->scheme(), part.module),
                  "write the model in 16 bits (ft-native export --format plain), or with plain experts (ft-native export --format bnb-4bit)");
    }
    auto own = weight->FileTensors();
    if (own.empty()) {
      throw Error(ErrorCode::kIncompatibleConfig, fmt::format("weights kept as {} cannot be written ({})", weight->scheme(), part.module),
                  "write the model in 16 bits (ft-native export --format plain), or quantize that to nf4 (--format bnb-4bit)");
    }
    const std::string stored = part.tensor.substr(0, part.tensor.rfind('.') + 1);
    for (auto& [suffix, tensor] : own) tensors.emplace_back(stored + suffix, std::move(tensor));
  }
  return tensors;
}

std::string PackedScheme(Decoder& decoder) {
  const std::vector<Decoder::PackedPart> parts = decoder.PackedParts();
  return parts.empty() ? "" : parts.front().weights->part(parts.front().part)->scheme();
}

}  // namespace ft
