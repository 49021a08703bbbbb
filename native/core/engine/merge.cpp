#include "core/engine/merge.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
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

// What is added to one tensor of the base. Of experts, an adapter holds the matrices of all in one pair: A [experts · r, in], B
// [out, r · experts], of which a tensor of one expert takes a part, a fused tensor [experts, in, out] all.
struct Delta {
  const TensorEntry* a;
  const TensorEntry* b;
  double scale;
  int64_t r;
  int64_t experts = 0;  // 0: a pair of its own
  int64_t expert = -1;  // -1: all
  int64_t row_begin = 0, rows = 0;
  bool transposed = false;  // of an embedding: A [r, out], B [in, r]
};

class Deltas {
 public:
  Deltas(const SafetensorsFile& adapter, const std::vector<LoraTarget>& targets, const DecoderSpec& spec) : adapter_(adapter) {
    for (const LoraTarget& target : targets) wanted_[target.module] = &target;
    for (const ModuleLayout& module : DecoderLayout(spec)) {
      if (module.kind == ModuleKind::kExperts) {
        AddExperts(module);
      } else if (module.kind == ModuleKind::kLinear) {
        for (const ModuleLayout::Part& part : module.parts) AddLinear(part);
      } else if (module.slot == Slot::kEmbedding) {
        AddEmbedding(module.parts.at(0));
      }
    }
    FT_CHECK(wanted_.empty(), kAdapterMismatch, "the model has no module {} that {} adapts", wanted_.begin()->first, adapter.path());
    for (const TensorEntry& entry : adapter.entries()) {
      // PEFT may repeat an adapted head's own weight as ".base_layer.weight"; everything else must be accounted for.
      const bool repeated = entry.name.find(".base_layer.") != std::string::npos && entry.name.find(".lora_") == std::string::npos;
      FT_CHECK(repeated || used_.count(entry.name) > 0, kAdapterMismatch, "{} holds a tensor {} that its {} target modules do not account for",
               adapter.path(), entry.name, targets.size());
    }
  }

  const std::map<std::string, Delta>& all() const { return deltas_; }

 private:
  const LoraTarget* Take(const std::string& module) {
    const auto found = wanted_.find(module);
    if (found == wanted_.end()) return nullptr;
    const LoraTarget* target = found->second;
    wanted_.erase(found);
    return target;
  }

  bool Has(const std::string& prefix) const { return adapter_.Find("base_model.model." + prefix + ".lora_A.weight") != nullptr; }

  // The pair of `prefix`, checked to have `a_rows` and `b_columns`.
  Delta Pair(const std::string& prefix, const LoraTarget& target, int64_t a_rows, int64_t b_columns, bool embedding = false) {
    const std::string name = "base_model.model." + prefix;
    const TensorEntry* a = adapter_.Find(name + (embedding ? ".lora_embedding_A" : ".lora_A.weight"));
    const TensorEntry* b = adapter_.Find(name + (embedding ? ".lora_embedding_B" : ".lora_B.weight"));
    FT_CHECK(a != nullptr && b != nullptr, kAdapterMismatch, "{} holds no LoRA matrices for {}", adapter_.path(), prefix);
    FT_CHECK(a->shape.size() == 2 && b->shape.size() == 2 && a->shape[0] == a_rows && b->shape[1] == b_columns, kAdapterMismatch,
             "the LoRA matrices of {} in {} do not have rank {}", prefix, adapter_.path(), target.r);
    used_.insert({a->name, b->name});
    Delta delta;
    delta.a = a, delta.b = b, delta.scale = target.scale, delta.r = target.r;
    return delta;
  }

  void AddLinear(const ModuleLayout::Part& part) {
    const LoraTarget* target = Take(part.name);
    if (target == nullptr) return;
    deltas_[part.stored() + ".weight"] = Pair(Has(part.name) ? part.name : part.stored(), *target, target->r, target->r);
  }

  // Its change is the transposed one: A becomes B, and B becomes A.
  void AddEmbedding(const ModuleLayout::Part& part) {
    const LoraTarget* target = Take(part.name);
    if (target == nullptr) return;
    Delta& delta = deltas_[part.stored() + ".weight"] = Pair(part.name, *target, target->r, target->r, /*embedding=*/true);
    delta.transposed = true;
  }

  void AddExperts(const ModuleLayout& module) {
    const std::string container = module.parameter.substr(0, module.parameter.rfind('.'));
    // The projection that comes first is wrapped by what adapts the other.
    const bool inner = module.slot == Slot::kExpertsIn && wanted_.count(container + ".down_proj") > 0;
    const LoraTarget* target = Take(module.parameter);
    if (target == nullptr) return;
    const std::string prefix = container + (inner ? ".base_layer" : "");
    const int64_t experts = module.experts, parts = static_cast<int64_t>(module.parts.size()) / (module.fused ? 1 : experts);
    if (!module.fused && !Has(prefix)) return AddSingleExperts(module, *target, parts);
    Delta delta = Pair(prefix, *target, experts * target->r, target->r * experts);
    delta.experts = experts;
    if (module.fused) {
      deltas_[module.parts[0].name] = delta;
      return;
    }
    for (size_t i = 0; i < module.parts.size(); ++i) {
      delta.expert = static_cast<int64_t>(i) / parts;
      delta.rows = module.parts[i].rows;
      delta.row_begin = static_cast<int64_t>(i) % parts * delta.rows;
      deltas_[module.parts[i].stored() + ".weight"] = delta;
    }
  }

  // As adapters of older versions have it: a pair for each projection of each expert.
  void AddSingleExperts(const ModuleLayout& module, const LoraTarget& target, int64_t parts) {
    for (const ModuleLayout::Part& part : module.parts) {
      const int64_t r = target.r / parts;
      Delta delta = Pair(part.stored(), target, r, r);
      delta.r = r;
      deltas_[part.stored() + ".weight"] = delta;
    }
  }

  const SafetensorsFile& adapter_;
  std::map<std::string, const LoraTarget*> wanted_;
  std::map<std::string, Delta> deltas_;  // by names of ExpectedTensors
  std::set<std::string> used_;
};

at::Tensor ReadTensor(const SafetensorsFile& file, const TensorEntry& entry, at::ScalarType dtype, const at::Device& device) {
  at::Tensor tensor = at::empty(entry.shape, at::TensorOptions(dtype));
  ReadInto(file, entry, tensor);
  return tensor.to(device);
}

// Matrices of the adapter on the device, in fp32; those of experts are asked for once an expert, one after another.
class Matrices {
 public:
  Matrices(const SafetensorsFile& adapter, const at::Device& device) : adapter_(adapter), device_(device) {}
  at::Tensor Read(const TensorEntry& entry) {
    constexpr size_t kKept = 4;
    for (const auto& [kept, tensor] : kept_) {
      if (kept == &entry) return tensor;
    }
    if (kept_.size() == kKept) kept_.erase(kept_.begin());
    kept_.emplace_back(&entry, ReadTensor(adapter_, entry, at::kFloat, device_));
    return kept_.back().second;
  }

 private:
  const SafetensorsFile& adapter_;
  at::Device device_;
  std::vector<std::pair<const TensorEntry*, at::Tensor>> kept_;
};

// A and B of one tensor: [r, in] and [out, r]; of a fused one [experts, r, in] and [experts, out, r].
std::pair<at::Tensor, at::Tensor> Factors(const Delta& delta, Matrices& matrices) {
  at::Tensor a = matrices.Read(*delta.a), b = matrices.Read(*delta.b);
  if (delta.transposed) return {b.t(), a.t()};
  if (delta.experts == 0) return {a, b};
  a = a.view({delta.experts, delta.r, a.size(1)});
  b = b.view({b.size(0), delta.r, delta.experts}).permute({2, 0, 1});
  if (delta.expert < 0) return {a, b};
  return {a[delta.expert], b[delta.expert].narrow(0, delta.row_begin, delta.rows)};
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
    for (const auto& [name, packed] : checked_.packed) {
      for (const auto& [suffix, location] : packed.tensors) packed_[location.entry] = &packed;
      packed_expected_[&packed] = by_name_.at(name);
    }
  }

  const WeightFolder& folder() const { return folder_; }
  const StoredQuantization& stored() const { return checked_.stored; }
  const DecoderSpec& spec() const { return spec_; }
  bool Expects(const std::string& tensor) const { return by_name_.count(tensor) > 0; }

  /// For an adapter that changes the embedding, or a head that shares its weight, or both: what that makes of the two. `apart`: two
  /// weights from now on.
  void AdaptEmbeddings(bool apart) {
    if (!spec_.tie_word_embeddings) return;
    const ExpectedTensor& embedding = *by_name_.at(EmbeddingName());
    DecoderSpec untied = spec_;
    untied.tie_word_embeddings = false;
    for (ExpectedTensor& tensor : ExpectedTensors(untied)) {
      if (tensor.output_head && tensor.kind == TensorKind::kLinearWeight) head_ = std::move(tensor);
    }
    FT_CHECK(!head_.name.empty() && (spec_.text_part_of.empty() || !apart), kAdapterMismatch,
             "the adapter parts the output head from the embedding, which a model inside another ({}) cannot have", spec_.text_part_of);
    const TensorEntry* source = checked_.locations.at(embedding.name).entry;
    for (const auto& file : folder_.files()) {
      for (const TensorEntry& entry : file->entries()) {
        if (IsHead(entry.name)) repeated_head_ = &entry;  // files may hold the shared weight twice, or by the head's name alone
      }
    }
    embedding_entry_ = source;
    apart_ = apart;
    adapted_ = true;
  }
  std::string EmbeddingName() const { return StoredName(spec_, spec_.names.embed_tokens + ".weight"); }
  const std::string& head_name() const { return head_.name; }

  /// The tensors that one file of the base becomes. Of a quantized weight one remains, where its largest tensor is.
  std::vector<Planned> PlanFile(const SafetensorsFile& file, const std::string& dtype) const {
    std::vector<Planned> plan;
    for (const TensorEntry& entry : file.entries()) {
      if (adapted_ && (&entry == embedding_entry_ || &entry == repeated_head_)) {
        if (&entry == embedding_entry_) PlanEmbeddings(file, entry, dtype, &plan);
        continue;
      }
      const auto packed = packed_.find(&entry);
      if (packed != packed_.end()) {
        if (packed->second->tensors.at(packed->second->main).entry == &entry) plan.push_back(PlanPacked(entry, *packed->second, dtype));
        continue;
      }
      const auto plain = plain_.find(&entry);
      const bool buffer = plain != plain_.end() && plain->second->kind == TensorKind::kBuffer;  // keeps its dtype
      const bool convert = !dtype.empty() && IsFloat(entry.dtype) && !buffer;
      plan.push_back({{entry.name, convert ? DTypeOf(ParseDtype(dtype)) : entry.dtype, entry.shape}, plain == plain_.end() ? entry.name : plain->second->name,
                      {&file, &entry}, nullptr, plain == plain_.end() ? nullptr : plain->second});
    }
    return plan;
  }

 private:
  bool IsHead(const std::string& name) const { return name == head_.name || name == head_.module_name; }

  // The embedding and, where it is a weight by itself or the files had it twice, the head.
  void PlanEmbeddings(const SafetensorsFile& file, const TensorEntry& entry, const std::string& dtype, std::vector<Planned>* plan) const {
    const DType kept = dtype.empty() || !IsFloat(entry.dtype) ? entry.dtype : DTypeOf(ParseDtype(dtype));
    const ExpectedTensor* embedding = by_name_.at(EmbeddingName());
    const bool by_head = IsHead(entry.name);
    plan->push_back({{by_head ? embedding->name : entry.name, kept, entry.shape}, embedding->name, {&file, &entry}, nullptr, embedding});
    if (apart_) plan->push_back({{repeated_head_ != nullptr ? repeated_head_->name : head_.name, kept, entry.shape}, head_.name, {&file, &entry}, nullptr, &head_});
  }

  Planned PlanPacked(const TensorEntry& entry, const PackedTensors& packed, const std::string& dtype) const {
    const ExpectedTensor* expected = packed_expected_.at(&packed);
    const std::string module = entry.name.substr(0, entry.name.size() - std::strlen(packed.main) - 1), in_file = packed.experts > 0 ? module : module + ".weight";
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
  bool adapted_ = false, apart_ = false;  // embedding and tied head, by AdaptEmbeddings
  ExpectedTensor head_;                   // of a model whose head is a weight of its own
  const TensorEntry *embedding_entry_ = nullptr, *repeated_head_ = nullptr;
};

class Merge {
 public:
  Merge(const MergeOptions& options, Base& base)
      : options_(options), base_(base), device_(ParseDevice(options.device)), skipped_(options.quantization.skip_modules.begin(), options.quantization.skip_modules.end()) {
    if (options.adapter.empty()) return;
    adapter_ = SafetensorsFile::Open(JoinPath(options.adapter, "adapter_model.safetensors"));
    matrices_ = std::make_unique<Matrices>(*adapter_, device_);
    deltas_ = Deltas(*adapter_, options.targets, base.spec()).all();
    const std::string head = StoredName(base.spec(), base.spec().names.lm_head + ".weight");
    const bool tied_head = base.spec().tie_word_embeddings && deltas_.count(head) > 0;
    const bool tied = std::any_of(options.targets.begin(), options.targets.end(), [](const LoraTarget& target) { return target.tied; });
    if (tied_head || deltas_.count(base.EmbeddingName()) > 0) base.AdaptEmbeddings(/*apart=*/!tied);
    if (tied && tied_head) DropTied(head, base.EmbeddingName());
    for (const auto& [tensor, delta] : deltas_) FT_CHECK((tied_head && tensor == head) || base.Expects(tensor), kAdapterMismatch, "the base model holds no tensor {}", tensor);
  }

  /// The bytes of one tensor of the result, on the CPU.
  at::Tensor Make(const Planned& tensor) const {
    const auto delta = FindDelta(tensor);
    const at::ScalarType dtype = ScalarTypeOf(tensor.header.dtype, tensor.name);
    if (delta == deltas_.end() && tensor.packed == nullptr && !Rounded(tensor)) return ReadTensor(*tensor.source.file, *tensor.source.entry, dtype, at::kCPU);
    at::Tensor w = Matrix(tensor);
    if (delta != deltas_.end()) Add(w, tensor, delta->second);
    return (tensor.expected->transposed ? w.t() : w).to(at::kCPU, dtype).contiguous();
  }

  /// True where the tensor's bytes are the base's.
  bool Copies(const Planned& tensor) const {
    return tensor.packed == nullptr && FindDelta(tensor) == deltas_.end() && !Rounded(tensor) && tensor.header.dtype == tensor.source.entry->dtype;
  }

 private:
  // One weight, one change: the head's has to be the embedding's.
  void DropTied(const std::string& head, const std::string& embedding) {
    const auto [a, b] = Factors(deltas_.at(head), *matrices_);
    FT_CHECK(deltas_.count(embedding) > 0, kAdapterMismatch, "{} adapts a tied head without the embedding", adapter_->path());
    const auto [own_a, own_b] = Factors(deltas_.at(embedding), *matrices_);
    FT_CHECK(at::equal(a, own_a) && at::equal(b, own_b) && deltas_.at(head).scale == deltas_.at(embedding).scale, kAdapterMismatch,
             "the matrices of head and embedding in {} differ, though the adapter says ensure_weight_tying", adapter_->path());
    deltas_.erase(head);
  }

  std::map<std::string, Delta>::const_iterator FindDelta(const Planned& tensor) const {
    return tensor.expected != nullptr ? deltas_.find(tensor.expected->name) : deltas_.end();
  }

  bool Rounded(const Planned& tensor) const {
    if (options_.quantization.scheme.empty() || tensor.packed != nullptr || tensor.expected == nullptr) return false;
    return IsQuantized(*tensor.expected, skipped_) && !base_.stored().packed();
  }

  // fp32 on the device, as the model that the adapter was trained on has it: [out, in], of fused experts [experts, in, out].
  at::Tensor Matrix(const Planned& tensor) const {
    if (tensor.expected->experts > 0) return FusedExperts(tensor);
    if (tensor.expected->kind == TensorKind::kEmbedding) return ReadTensor(*tensor.source.file, *tensor.source.entry, at::kFloat, device_);
    if (tensor.packed != nullptr) return ReadPacked(*tensor.packed, base_.stored(), device_)->Dense(at::kFloat);
    const at::Tensor w = ReadLinearWeight(tensor.source, tensor.expected->transposed, plain_).to(device_);
    return Rounded(tensor) ? Quantize(w, options_.quantization, tensor.name)->Dense(at::kFloat) : w.to(at::kFloat);
  }

  at::Tensor FusedExperts(const Planned& tensor) const {
    if (tensor.packed != nullptr) return ReadDense(*tensor.packed, base_.stored(), device_, at::kFloat);
    at::Tensor all = ReadTensor(*tensor.source.file, *tensor.source.entry, at::kFloat, device_);
    if (!Rounded(tensor)) return all;
    for (int64_t e = 0; e < all.size(0); ++e) {
      const at::Tensor w = ReadExpertWeight(tensor.source, e, plain_).to(device_);  // in its own type, of which the model's codes are made
      all[e].copy_(Quantize(w, options_.quantization, tensor.name)->Dense(at::kFloat).t());
    }
    return all;
  }

  void Add(at::Tensor& w, const Planned& tensor, const Delta& delta) const {
    const auto [a, b] = Factors(delta, *matrices_);
    const bool fused = delta.experts > 0 && delta.expert < 0;
    const std::vector<int64_t> expected = fused ? std::vector<int64_t>{a.size(0), a.size(2), b.size(1)} : std::vector<int64_t>{b.size(0), a.size(1)};
    FT_CHECK(w.sizes() == at::IntArrayRef(expected), kAdapterMismatch, "{} does not fit the LoRA matrices: the adapter belongs to another base model", tensor.name);
    if (fused) {
      w.baddbmm_(a.transpose(1, 2), b.transpose(1, 2), 1.0, delta.scale);
    } else {
      w.addmm_(b, a, 1.0, delta.scale);
    }
  }

  const MergeOptions& options_;
  const Base& base_;
  at::Device device_;
  std::set<std::string> skipped_;
  std::shared_ptr<SafetensorsFile> adapter_;
  mutable PlainTensor plain_;
  std::unique_ptr<Matrices> matrices_;
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
  Base base(options.model, options.arch);
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
