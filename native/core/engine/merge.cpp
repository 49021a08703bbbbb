#include "core/engine/merge.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "core/arch/arch.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/engine/device.h"
#include "core/engine/weights.h"
#include "core/io/safetensors.h"
#include "core/nn/expected_tensors.h"
#include "core/nn/layout.h"

namespace ft {
namespace {

struct Delta {
  const TensorEntry* a;
  const TensorEntry* b;
  double scale;
  int64_t r;
  bool transposed;  // the weight is stored as [in, out]
};

// The tensor of a module's weight, under the name that the base's files have for it.
const std::string& WeightOf(const DecoderSpec& spec, const CheckedTensors& base, const std::string& module) {
  const auto found = base.locations.find(StoredName(spec, module + ".weight"));
  FT_CHECK(found != base.locations.end(), kAdapterMismatch, "the base model holds no tensor {}.weight", module);
  return found->second.entry->name;
}

// Name of a weight in the base's files -> its adapter matrices, each checked against the other and against the target's rank.
std::map<std::string, Delta> FindDeltas(const SafetensorsFile& adapter, const std::vector<LoraTarget>& targets, const DecoderSpec& spec,
                                        const CheckedTensors& base) {
  std::set<std::string> transposed;
  for (const LinearModule& module : LinearModules(spec)) {
    if (module.transposed) transposed.insert(module.name);
  }
  std::map<std::string, Delta> deltas;
  for (const LoraTarget& target : targets) {
    const std::string prefix = "base_model.model." + target.module;
    const TensorEntry* a = adapter.Find(prefix + ".lora_A.weight");
    const TensorEntry* b = adapter.Find(prefix + ".lora_B.weight");
    FT_CHECK(a != nullptr && b != nullptr, kAdapterMismatch, "{} holds no LoRA matrices for {}", adapter.path(), target.module);
    FT_CHECK(a->shape.size() == 2 && b->shape.size() == 2 && a->shape[0] == target.r && b->shape[1] == target.r, kAdapterMismatch,
             "the LoRA matrices of {} in {} do not have rank {}", target.module, adapter.path(), target.r);
    deltas[WeightOf(spec, base, target.module)] = {a, b, target.scale, target.r, transposed.count(target.module) > 0};
  }
  // PEFT may repeat an adapted head's own weight as ".base_layer.weight"; everything else must be accounted for.
  const auto matrices = std::count_if(adapter.entries().begin(), adapter.entries().end(), [](const TensorEntry& entry) {
    return entry.name.find(".base_layer.") == std::string::npos;
  });
  FT_CHECK(static_cast<size_t>(matrices) == 2 * targets.size(), kAdapterMismatch, "{} holds {} tensors, but its {} target modules account for {}",
           adapter.path(), matrices, targets.size(), 2 * targets.size());
  return deltas;
}

at::Tensor ReadTensor(const SafetensorsFile& file, const TensorEntry& entry, at::ScalarType dtype, const at::Device& device) {
  at::Tensor tensor = at::empty(entry.shape, at::TensorOptions(dtype));
  ReadInto(file, entry, tensor);
  return tensor.to(device);
}

at::Tensor Merged(const SafetensorsFile& base, const TensorEntry& entry, const SafetensorsFile& adapter, const Delta& delta,
                  at::ScalarType dtype, const at::Device& device) {
  std::vector<int64_t> shape = {delta.b->shape[0], delta.a->shape[1]};
  if (delta.transposed) std::swap(shape[0], shape[1]);
  FT_CHECK(entry.shape == shape, kAdapterMismatch,
           "{} does not fit the LoRA matrices: the adapter belongs to another base model", entry.name);
  at::Tensor weight = ReadTensor(base, entry, at::kFloat, device);
  const at::Tensor a = ReadTensor(adapter, *delta.a, at::kFloat, device), b = ReadTensor(adapter, *delta.b, at::kFloat, device);
  (delta.transposed ? weight.t() : weight).addmm_(b, a, 1.0, delta.scale);
  return weight.to(at::kCPU, dtype).contiguous();
}

std::string BaseName(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

bool IsFloat(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF64; }

}  // namespace

void MergeAdapter(const MergeOptions& options, const ProgressFn& progress, const CancelToken* cancel) {
  at::NoGradGuard no_grad;
  const at::Device device = ParseDevice(options.device);
  const WeightFolder base = WeightFolder::Open(options.model);
  const auto adapter = SafetensorsFile::Open(JoinPath(options.adapter, "adapter_model.safetensors"));
  const DecoderSpec spec = ReadDecoderSpec(options.model);
  const std::map<std::string, Delta> deltas = FindDeltas(*adapter, options.targets, spec, CheckTensors(spec, base));

  uint64_t done = 0, written = 0;
  Json::Object map;
  for (const auto& file : base.files()) {
    std::vector<TensorHeader> headers;
    for (const TensorEntry& entry : file->entries()) {
      const bool convert = !options.dtype.empty() && IsFloat(entry.dtype);
      headers.push_back({entry.name, convert ? DTypeOf(ParseDtype(options.dtype)) : entry.dtype, entry.shape});
      map.push_back({entry.name, BaseName(file->path())});
    }
    SafetensorsWriter writer(JoinPath(options.output, BaseName(file->path())), headers, {{"format", "pt"}});
    for (size_t i = 0; i < headers.size(); ++i) {
      ThrowIfCancelled(cancel);
      const TensorEntry& entry = file->entries()[i];
      const auto delta = deltas.find(entry.name);
      if (delta != deltas.end()) {
        const at::Tensor merged = Merged(*file, entry, *adapter, delta->second, ScalarTypeOf(headers[i].dtype, entry.name), device);
        writer.Append(merged.const_data_ptr(), merged.nbytes());
        written += merged.nbytes();
      } else if (headers[i].dtype != entry.dtype) {
        const at::Tensor tensor = ReadTensor(*file, entry, ScalarTypeOf(headers[i].dtype, entry.name), at::kCPU);
        writer.Append(tensor.const_data_ptr(), tensor.nbytes());
        written += tensor.nbytes();
      } else {
        std::vector<char> bytes(entry.nbytes);
        file->Read(entry, 0, bytes.data(), bytes.size());
        writer.Append(bytes.data(), bytes.size());
        written += bytes.size();
      }
      done += entry.nbytes;
      if (progress) progress(done, base.total_bytes());
    }
    writer.Finish();
  }
  if (base.files().size() > 1) {
    Json::Object metadata = {{"total_size", static_cast<int64_t>(written)}};
    Json::Object index;
    index.push_back({"metadata", std::move(metadata)});
    index.push_back({"weight_map", std::move(map)});
    WriteFileAtomically(JoinPath(options.output, "model.safetensors.index.json"), Json(std::move(index)).Dump(2) + "\n");
  }
}

}  // namespace ft
