#include "core/engine/weights.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/base/file.h"
#include "core/base/json.h"

namespace ft {
namespace {

constexpr int64_t kPieceElements = 1 << 20;

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

struct Shard {
  std::vector<const Decoder::NamedTensor*> tensors;
  uint64_t bytes = 0;
};

std::vector<Shard> SplitShards(const std::vector<Decoder::NamedTensor>& tensors, uint64_t max_bytes, at::ScalarType dtype) {
  std::vector<Shard> shards(1);
  for (const Decoder::NamedTensor& named : tensors) {
    const uint64_t bytes = named.tensor.numel() * c10::elementSize(dtype);
    if (!shards.back().tensors.empty() && shards.back().bytes + bytes > max_bytes) shards.emplace_back();
    shards.back().tensors.push_back(&named);
    shards.back().bytes += bytes;
  }
  return shards;
}

void WriteShard(const std::string& path, const Shard& shard, at::ScalarType dtype) {
  std::vector<TensorHeader> headers;
  for (const auto* named : shard.tensors) headers.push_back({named->name, DTypeOf(dtype), named->tensor.sizes().vec()});
  SafetensorsWriter writer(path, headers, {{"format", "pt"}});
  for (const auto* named : shard.tensors) AppendTensor(writer, named->tensor, dtype);
  writer.Finish();
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
  const at::ScalarType stored = ScalarTypeOf(entry.dtype, entry.name);
  if (stored == destination.scalar_type() && destination.device().is_cpu() && destination.is_contiguous()) {
    file.Read(entry, 0, destination.mutable_data_ptr(), entry.nbytes);
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

void LoadWeightsInto(Decoder& decoder, const CheckedTensors& checked, const ProgressFn& progress, const CancelToken* cancel) {
  const std::vector<Decoder::NamedTensor> tensors = decoder.NamedTensors();
  uint64_t total = 0, done = 0;
  for (const auto& named : tensors) total += named.tensor.nbytes();
  for (const auto& named : tensors) {
    ThrowIfCancelled(cancel);
    const auto found = checked.locations.find(named.name);
    FT_CHECK(found != checked.locations.end(), kMissingTensor, "the weights hold no tensor {}", named.name);
    const auto& [file, entry] = found->second;
    FT_CHECK(entry->shape == named.tensor.sizes().vec(), kTensorShape, "tensor {} of {} has shape [{}], expected [{}]", named.name,
             file->path(), fmt::join(entry->shape, ", "), fmt::join(named.tensor.sizes(), ", "));
    ReadInto(*file, *entry, named.tensor);
    done += named.tensor.nbytes();
    if (progress) progress(done, total);
  }
}

void RandomiseWeights(Decoder& decoder, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  for (const auto& named : decoder.NamedTensors()) {
    at::Tensor tensor = named.tensor;
    if (EndsWith(named.name, ".bias")) {
      tensor.zero_();
    } else if (tensor.dim() == 1) {
      tensor.fill_(1.0);
    } else {
      for (int64_t row = 0; row < tensor.size(0); row += 4096) {  // bounds the fp32 copy
        at::Tensor rows = tensor.narrow(0, row, std::min<int64_t>(4096, tensor.size(0) - row));
        rows.copy_(at::empty(rows.sizes(), at::kFloat).normal_(0.0, decoder.spec().initializer_range, generator));
      }
    }
  }
}

void SaveWeightsOf(const Decoder& decoder, const std::string& folder, uint64_t max_shard_bytes, at::ScalarType dtype) {
  const std::vector<Decoder::NamedTensor> tensors = decoder.NamedTensors();
  const std::vector<Shard> shards = SplitShards(tensors, max_shard_bytes, dtype);
  if (shards.size() == 1) {
    WriteShard(JoinPath(folder, "model.safetensors"), shards[0], dtype);
    return;
  }
  Json::Object map;
  uint64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    WriteShard(JoinPath(folder, name), shards[i], dtype);
    for (const auto* named : shards[i].tensors) map.push_back({named->name, name});
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
