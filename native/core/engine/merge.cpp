#include "core/engine/merge.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "core/arch/arch.h"
#include "core/arch/stored_quantization.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/engine/device.h"
#include "core/engine/packed_reading.h"
#include "core/engine/packed_weights.h"
#include "core/engine/weights.h"
#include "core/io/safetensors.h"
#include "core/nn/expected_tensors.h"

namespace ft {
namespace {

struct Delta {
  const TensorEntry* a;
  const TensorEntry* b;
  double scale;
  int64_t r;
};

// Module -> its adapter matrices, each checked against the other and against the target's rank.
std::map<std::string, Delta> FindDeltas(const SafetensorsFile& adapter, const std::vector<LoraTarget>& targets) {
  std::map<std::string, Delta> deltas;
  for (const LoraTarget& target : targets) {
    const std::string prefix = "base_model.model." + target.module;
    const TensorEntry* a = adapter.Find(prefix + ".lora_A.weight");
    const TensorEntry* b = adapter.Find(prefix + ".lora_B.weight");
    FT_CHECK(a != nullptr && b != nullptr, kAdapterMismatch, "{} holds no LoRA matrices for {}", adapter.path(), target.module);
    FT_CHECK(a->shape.size() == 2 && b->shape.size() == 2 && a->shape[0] == target.r && b->shape[1] == target.r, kAdapterMismatch,
             "the LoRA matrices of {} in {} do not have rank {}", target.module, adapter.path(), target.r);
    deltas[target.module] = {a, b, target.scale, target.r};
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

bool IsFloat(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF64; }

// One tensor of the result.
struct Planned {
  TensorHeader header;
  std::string name;                        // as the model calls it
  WeightFolder::Location source;           // its bytes, where it is stored plain
  const PackedTensors* packed = nullptr;   // else what stands for it
  const ExpectedTensor* expected = nullptr;  // nullptr: the model has no place for it, and it is copied
};

// What the model expects of a base, and which entries of its files that is.
class Base {
 public:
  Base(const std::string& path, const std::string& arch)
      : folder_(WeightFolder::Open(path)), spec_(ReadDecoderSpec(path, arch)), checked_(CheckTensors(spec_, folder_, ReadStoredQuantization(path))) {
    spec_.tie_word_embeddings = checked_.tie_word_embeddings;
    expected_ = ExpectedTensors(spec_);
    for (const ExpectedTensor& tensor : expected_) {
      by_name_[tensor.name] = &tensor;
      const auto found = checked_.locations.find(tensor.name);
      if (found != checked_.locations.end()) plain_[found->second.entry] = &tensor;
    }
    for (const auto& [module, packed] : checked_.packed) {
      for (const auto& [suffix, location] : packed.tensors) packed_[location.entry] = &packed;
      packed_expected_[&packed] = by_name_.at(module + ".weight");
    }
  }

  const WeightFolder& folder() const { return folder_; }
  const StoredQuantization& stored() const { return checked_.stored; }
  bool HasLinear(const std::string& module) const {
    return std::any_of(expected_.begin(), expected_.end(), [&](const ExpectedTensor& tensor) { return tensor.kind == TensorKind::kLinearWeight && tensor.module() == module; });
  }

  /// The tensors that one file of the base becomes. Of a quantized weight one remains, where its largest tensor is.
  std::vector<Planned> PlanFile(const SafetensorsFile& file, const std::string& dtype) const {
    std::vector<Planned> plan;
    for (const TensorEntry& entry : file.entries()) {
      const auto packed = packed_.find(&entry);
      if (packed != packed_.end()) {
        if (packed->second->tensors.at(packed->second->main).entry == &entry) plan.push_back(PlanPacked(entry, *packed->second, dtype));
        continue;
      }
      const auto plain = plain_.find(&entry);
      const bool convert = !dtype.empty() && IsFloat(entry.dtype);
      plan.push_back({{entry.name, convert ? DTypeOf(ParseDtype(dtype)) : entry.dtype, entry.shape}, plain == plain_.end() ? entry.name : plain->second->name,
                      {&file, &entry}, nullptr, plain == plain_.end() ? nullptr : plain->second});
    }
    return plan;
  }

 private:
  Planned PlanPacked(const TensorEntry& entry, const PackedTensors& packed, const std::string& dtype) const {
    const ExpectedTensor* expected = packed_expected_.at(&packed);
    const std::string in_file = entry.name.substr(0, entry.name.size() - std::strlen(packed.main)) + "weight";
    const DType kept = (packed.format == StoredFormat::kBnb4 ? packed.source_dtype : spec_.torch_dtype) == "float16" ? DType::kF16 : DType::kBF16;
    return {{in_file, dtype.empty() ? kept : DTypeOf(ParseDtype(dtype)), expected->shape}, expected->name, {}, &packed, expected};
  }

  WeightFolder folder_;
  DecoderSpec spec_;
  CheckedTensors checked_;
  std::vector<ExpectedTensor> expected_;
  std::map<std::string, const ExpectedTensor*> by_name_;
  std::map<const TensorEntry*, const ExpectedTensor*> plain_;
  std::map<const TensorEntry*, const PackedTensors*> packed_;
  std::map<const PackedTensors*, const ExpectedTensor*> packed_expected_;
};

class Merge {
 public:
  Merge(const MergeOptions& options, const Base& base)
      : options_(options), base_(base), device_(ParseDevice(options.device)), skipped_(options.quantization.skip_modules.begin(), options.quantization.skip_modules.end()) {
    if (options.adapter.empty()) return;
    adapter_ = SafetensorsFile::Open(JoinPath(options.adapter, "adapter_model.safetensors"));
    deltas_ = FindDeltas(*adapter_, options.targets);
    for (const auto& [module, delta] : deltas_) FT_CHECK(base.HasLinear(module), kAdapterMismatch, "the base model holds no tensor {}.weight", module);
  }

  /// The bytes of one tensor of the result, on the CPU.
  at::Tensor Make(const Planned& tensor) const {
    const auto delta = FindDelta(tensor);
    const at::ScalarType dtype = ScalarTypeOf(tensor.header.dtype, tensor.name);
    if (delta == deltas_.end() && tensor.packed == nullptr && !Rounded(tensor)) return ReadTensor(*tensor.source.file, *tensor.source.entry, dtype, at::kCPU);
    at::Tensor w = Linear(tensor);  // [out, in]
    if (delta != deltas_.end()) Add(w, tensor, delta->second);
    return (tensor.expected->transposed ? w.t() : w).to(at::kCPU, dtype).contiguous();
  }

  /// True where the tensor's bytes are the base's.
  bool Copies(const Planned& tensor) const {
    return tensor.packed == nullptr && FindDelta(tensor) == deltas_.end() && !Rounded(tensor) && tensor.header.dtype == tensor.source.entry->dtype;
  }

 private:
  std::map<std::string, Delta>::const_iterator FindDelta(const Planned& tensor) const {
    const bool linear = tensor.expected != nullptr && tensor.expected->kind == TensorKind::kLinearWeight;
    return linear ? deltas_.find(tensor.expected->module()) : deltas_.end();
  }

  bool Rounded(const Planned& tensor) const {
    if (options_.quantization.scheme.empty() || tensor.packed != nullptr || tensor.expected == nullptr) return false;
    return tensor.expected->kind == TensorKind::kLinearWeight && !tensor.expected->output_head && skipped_.count(tensor.expected->module()) == 0 && !base_.stored().packed();
  }

  // fp32 [out, in] on the device, as the model that the adapter was trained on has it.
  at::Tensor Linear(const Planned& tensor) const {
    if (tensor.packed != nullptr) return ReadPacked(*tensor.packed, base_.stored(), device_)->Dense(at::kFloat);
    const at::Tensor w = ReadLinearWeight(tensor.source, tensor.expected->transposed, plain_).to(device_);
    return Rounded(tensor) ? Quantize(w, options_.quantization, tensor.name)->Dense(at::kFloat) : w.to(at::kFloat);
  }

  void Add(at::Tensor& w, const Planned& tensor, const Delta& delta) const {
    FT_CHECK(w.size(0) == delta.b->shape[0] && w.size(1) == delta.a->shape[1], kAdapterMismatch,
             "{} does not fit the LoRA matrices: the adapter belongs to another base model", tensor.name);
    const at::Tensor a = ReadTensor(*adapter_, *delta.a, at::kFloat, device_), b = ReadTensor(*adapter_, *delta.b, at::kFloat, device_);
    w.addmm_(b, a, 1.0, delta.scale);
  }

  const MergeOptions& options_;
  const Base& base_;
  at::Device device_;
  std::set<std::string> skipped_;
  std::shared_ptr<SafetensorsFile> adapter_;
  mutable PlainTensor plain_;
  std::map<std::string, Delta> deltas_;
};

std::string BaseName(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

uint64_t WriteTensor(SafetensorsWriter& writer, const Merge& merge, const Planned& tensor) {
  if (merge.Copies(tensor)) {
    std::vector<char> bytes(tensor.source.entry->nbytes);
    tensor.source.file->Read(*tensor.source.entry, 0, bytes.data(), bytes.size());
    writer.Append(bytes.data(), bytes.size());
    return bytes.size();
  }
  const at::Tensor made = merge.Make(tensor);
  writer.Append(made.const_data_ptr(), made.nbytes());
  return made.nbytes();
}

}  // namespace

void MergeAdapter(const MergeOptions& options, const ProgressFn& progress, const CancelToken* cancel) {
  at::NoGradGuard no_grad;
  const Base base(options.model, options.arch);
  const Merge merge(options, base);
  uint64_t done = 0, written = 0;
  Json::Object map;
  for (const auto& file : base.folder().files()) {
    const std::vector<Planned> plan = base.PlanFile(*file, options.dtype);
    std::vector<TensorHeader> headers;
    for (const Planned& tensor : plan) {
      headers.push_back(tensor.header);
      map.push_back({tensor.header.name, BaseName(file->path())});
    }
    SafetensorsWriter writer(JoinPath(options.output, BaseName(file->path())), headers, {{"format", "pt"}});
    for (const Planned& tensor : plan) {
      ThrowIfCancelled(cancel);
      written += WriteTensor(writer, merge, tensor);
      done += tensor.packed != nullptr ? tensor.packed->bytes() : tensor.source.entry->nbytes;
      if (progress) progress(done, base.folder().total_bytes());
    }
    writer.Finish();
  }
  if (base.folder().files().size() > 1) {
    Json::Object metadata = {{"total_size", static_cast<int64_t>(written)}};
    Json::Object index;
    index.push_back({"metadata", std::move(metadata)});
    index.push_back({"weight_map", std::move(map)});
    WriteFileAtomically(JoinPath(options.output, "model.safetensors.index.json"), Json(std::move(index)).Dump(2) + "\n");
  }
}

}  // namespace ft
