#include "core/nn/expected_tensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/io/safetensors_header.h"

namespace ft {
namespace {

// The tensors of one module; a tied head has no weight of its own.
void AppendTensors(const DecoderSpec& spec, const ModuleLayout& module, std::vector<ExpectedTensor>* out) {
  if (module.kind == ModuleKind::kVector || module.kind == ModuleKind::kBuffer) {
    const TensorKind kind = module.kind == ModuleKind::kVector ? TensorKind::kVector : TensorKind::kBuffer;
    for (const ModuleLayout::Part& part : module.parts) out->push_back({part.name, module.WeightShape(part), kind, part.name});
    return;
  }
  if (module.kind == ModuleKind::kExperts && module.fused) {
    for (const ModuleLayout::Part& part : module.parts) {
      ExpectedTensor weight{part.name, module.WeightShape(part), TensorKind::kExpertWeight, part.name, part.rows};
      weight.linear = module.parameter;
      weight.experts = module.experts;
      out->push_back(std::move(weight));
      if (module.bias) out->push_back({part.name + "_bias", {module.experts, part.rows}, TensorKind::kLinearBias, part.name + "_bias"});
    }
    return;
  }
  const bool own_weight = module.kind == ModuleKind::kNorm ? module.norm.weight : module.slot != Slot::kHead || !spec.tie_word_embeddings;
  const bool norm = module.kind == ModuleKind::kNorm;
  TensorKind kind = norm ? TensorKind::kNorm : TensorKind::kLinearWeight;
  if (module.kind == ModuleKind::kEmbedding) kind = TensorKind::kEmbedding;
  if (module.kind == ModuleKind::kExperts) kind = TensorKind::kExpertWeight;
  for (const ModuleLayout::Part& part : module.parts) {
    const std::vector<int64_t> shape = module.WeightShape(part);
    if (own_weight) {
      ExpectedTensor weight{part.stored() + ".weight", shape, kind, part.name + ".weight"};
      if (weight.matrix()) {
        weight.out_features = part.rows;
        weight.transposed = module.transposed;
        weight.output_head = module.slot == Slot::kHead;
        weight.router = module.slot == Slot::kRouter;
        weight.linear = kind == TensorKind::kExpertWeight ? module.parameter : part.name;
      }
      out->push_back(std::move(weight));
    }
    if (module.bias) out->push_back({part.stored() + ".bias", norm ? shape : std::vector<int64_t>{part.rows}, norm ? kind : TensorKind::kLinearBias, part.name + ".bias"});
  }
}

const char* ConfigKeysOf(const ExpectedTensor& tensor) {
  if (tensor.router) return "the number of experts (num_local_experts, num_experts or n_routed_experts) and hidden_size";
  switch (tensor.kind) {
    case TensorKind::kExpertWeight:
      return "the number of experts (num_local_experts, num_experts or n_routed_experts), hidden_size and moe_intermediate_size or intermediate_size";
    case TensorKind::kEmbedding:
      return "vocab_size and hidden_size";
    case TensorKind::kNorm:
      return "hidden_size and head_dim";
    default:
      return "hidden_size, intermediate_size, num_attention_heads, num_key_value_heads and head_dim";
  }
}

// The tensor under its own name, without the base prefix, or with one more: transformers loads all three.
WeightFolder::Location FindRenamed(const DecoderSpec& spec, const WeightFolder& weights, const std::string& name) {
  const std::string& prefix = spec.names.base_prefix;
  if (const auto exact = weights.Find(name); exact.entry != nullptr) return exact;
  if (name.rfind(prefix, 0) == 0) {
    if (const auto bare = weights.Find(name.substr(prefix.size())); bare.entry != nullptr) return bare;
  }
  for (const auto& [ours, theirs] : spec.names.aliases) {
    if (name.rfind(ours, 0) != 0) continue;
    if (const auto renamed = weights.Find(theirs + name.substr(ours.size())); renamed.entry != nullptr) return renamed;
  }
  return weights.Find(prefix + name);
}

// Of the files of a larger model, what is not of its text part is no stranger.
bool IsOfAnotherPart(const DecoderSpec& spec, const std::string& name) {
  return !spec.text_part_of.empty() && name.find("language_model.") == std::string::npos;
}

void CheckOne(const ExpectedTensor& expected, const WeightFolder::Location& found) {
  const TensorEntry& entry = *found.entry;
  if (entry.shape != expected.shape) {
    throw Error(ErrorCode::kTensorShape,
                fmt::format("tensor \"{}\" in {}: expected shape {} by config.json, got {}", entry.name,
                            found.file->path(), ShapeText(expected.shape), ShapeText(entry.shape)),
                fmt::format("config.json and weights do not belong together: check {}, or fetch both again.",
                            ConfigKeysOf(expected)))
        .With("tensor", entry.name)
        .With("expected", ShapeText(expected.shape))
        .With("got", ShapeText(entry.shape))
        .With("path", found.file->path());
  }
  if (entry.dtype != DType::kBF16 && entry.dtype != DType::kF16 && entry.dtype != DType::kF32) {
    throw Error(ErrorCode::kTensorDtype,
                fmt::format("tensor \"{}\" in {}: expected BF16, F16 or F32, got {}", entry.name, found.file->path(),
                            SafetensorsName(entry.dtype)),
                "Use the bf16, fp16 or fp32 release of the model: config.json does not say how such weights are quantized (quantization_config).")
        .With("tensor", entry.name)
        .With("expected", "BF16, F16, F32")
        .With("got", SafetensorsName(entry.dtype))
        .With("path", found.file->path());
  }
}

[[noreturn]] void RefuseMissing(const std::vector<std::string>& missing, size_t expected, const WeightFolder& weights) {
  std::vector<std::string> shown(missing.begin(),
                                 missing.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(missing.size(), 3)));
  const auto names = weights.names();
  const std::string path = weights.files().empty() ? "" : weights.files()[0]->path();
  throw Error(
      ErrorCode::kMissingTensor,
      fmt::format("{} of {} tensors that config.json calls for are not in {}{}: {}{}", missing.size(), expected, path,
                  weights.files().size() > 1 ? fmt::format(" and {} more files", weights.files().size() - 1) : "",
                  fmt::join(shown, ", "), missing.size() > shown.size() ? ", …" : ""),
      names.empty() ? "The files hold no tensors: fetch the model again."
                    : fmt::format("Check that config.json and weights belong together (the files hold {} tensors, for "
                                  "example {}).",
                                  names.size(), Shorten(names[0])))
      .With("tensor", missing[0])
      .With("path", path);
}

// nullopt: the weight is stored plain, or is none.
std::optional<PackedTensors> FindPacked(const StoredQuantization& stored, const TensorFinder& find, const ExpectedTensor& tensor) {
  if (!tensor.matrix() || !stored.packed()) return std::nullopt;
  const int64_t rows = tensor.out_features, columns = tensor.in_features();
  std::optional<PackedTensors> packed;
  if (tensor.experts > 0) {
    packed = FindPackedExperts(stored, find, tensor.name, tensor.experts, rows, columns);
  } else {
    packed = FindPackedTensors(stored, find, tensor.stored_module(), rows, columns);
    if (!packed) packed = FindPackedTensors(stored, find, tensor.module(), rows, columns);
  }
  if (packed) packed->transposed = tensor.transposed;
  return packed;
}

// Byte comparison of two tensors of the same shape, a piece at a time.
bool SameBytes(const WeightFolder::Location& a, const WeightFolder::Location& b) {
  if (a.entry->dtype != b.entry->dtype || a.entry->nbytes != b.entry->nbytes) return false;
  constexpr uint64_t kPiece = uint64_t{4} << 20;
  std::vector<char> left(std::min(kPiece, a.entry->nbytes));
  std::vector<char> right(left.size());
  for (uint64_t at = 0; at < a.entry->nbytes; at += kPiece) {
    const uint64_t size = std::min(kPiece, a.entry->nbytes - at);
    a.file->Read(*a.entry, at, left.data(), size);
    b.file->Read(*b.entry, at, right.data(), size);
    if (std::memcmp(left.data(), right.data(), size) != 0) return false;
  }
  return true;
}

// What older releases of transformers wrote beside the weights: tables that are computed now.
bool IsBuffer(const std::string& name) {
  for (const std::string_view suffix : {"rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias",
                                        ".attn.embed_positions"}) {
    if (name.size() >= suffix.size() && name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0) return true;
  }
  return false;
}

}  // namespace

std::vector<ExpectedTensor> ExpectedTensors(const DecoderSpec& spec) {
  std::vector<ExpectedTensor> out;
  for (const ModuleLayout& module : DecoderLayout(spec)) AppendTensors(spec, module, &out);
  return out;
}

std::vector<LinearModule> LinearModules(const DecoderSpec& spec) {
  std::vector<LinearModule> out;
  for (const ModuleLayout& module : DecoderLayout(spec)) {
    if (module.kind == ModuleKind::kExperts) {
      const int64_t rows = module.fused ? module.rows() : module.rows() / module.experts;
      const int64_t matrices = module.fused ? 1 : static_cast<int64_t>(module.parts.size()) / module.experts;
      out.push_back({module.parameter, module.width, rows, module.bias, false, false, false, module.experts, matrices, module.slot});
    }
    if (module.kind != ModuleKind::kLinear) continue;
    for (const ModuleLayout::Part& part : module.parts) {
      out.push_back({part.name, module.width, part.rows, module.bias, module.slot == Slot::kHead, module.transposed, module.slot == Slot::kRouter, 0, 1, module.slot});
    }
  }
  return out;
}

int64_t CountParameters(const DecoderSpec& spec) {
  int64_t total = 0;
  for (const ExpectedTensor& tensor : ExpectedTensors(spec)) {
    if (tensor.kind == TensorKind::kBuffer) continue;
    int64_t count = 1;
    for (const int64_t dimension : tensor.shape) count *= dimension;
    total += count;
  }
  return total;
}

namespace {

// Tensors that only weights of a quantized format have beside them.
constexpr std::array<std::pair<std::string_view, StoredFormat>, 4> kMarks{{{".weight.quant_state.bitsandbytes__nf4", StoredFormat::kBnb4},
                                                                          {".weight.quant_state.bitsandbytes__fp4", StoredFormat::kBnb4},
                                                                          {".SCB", StoredFormat::kBnb8},
                                                                          {".weight_scale_inv", StoredFormat::kFloat8}}};

// A config.json that lost its quantization_config, or has another one, would make shapes look wrong.
void CheckMarks(const WeightFolder& weights, const StoredQuantization& stored) {
  for (const std::string& name : weights.names()) {
    for (const auto& [suffix, format] : kMarks) {
      if (format == stored.format || name.size() < suffix.size() || name.compare(name.size() - suffix.size(), suffix.size(), suffix) != 0) continue;
      StoredQuantization found;
      found.format = format;
      const std::string said = stored.packed() ? fmt::format("quantization_config in config.json says {}", stored.name()) : "config.json has no quantization_config";
      throw Error(ErrorCode::kModelConfig, fmt::format("the weights are quantized ({} has tensor {}), and {}", found.name(), name, said),
                  "fetch config.json again: quantization_config says how the weights are stored")
          .With("tensor", name);
    }
  }
}

}  // namespace

CheckedTensors CheckTensors(const DecoderSpec& spec, const WeightFolder& weights, const StoredQuantization& stored) {
  CheckMarks(weights, stored);
  CheckedTensors checked;
  checked.stored = stored;
  checked.tie_word_embeddings = spec.tie_word_embeddings;
  checked.files = weights.files();
  const std::string embed_name = spec.names.embed_tokens + ".weight";
  const std::string head_name = StoredName(spec, spec.names.lm_head + ".weight");
  const std::vector<ExpectedTensor> expected = ExpectedTensors(spec);

  std::vector<std::string> missing;
  std::set<std::string> used;  // names in the files
  const TensorFinder find = [&](const std::string& name) { return FindRenamed(spec, weights, name); };
  for (const ExpectedTensor& tensor : expected) {
    if (auto packed = FindPacked(stored, find, tensor)) {
      for (const auto& [name, location] : packed->tensors) used.insert(location.entry->name);
      checked.packed[tensor.name] = std::move(*packed);
      continue;
    }
    WeightFolder::Location found = FindRenamed(spec, weights, tensor.name);
    if (found.entry == nullptr) found = FindRenamed(spec, weights, tensor.module_name);
    if (found.entry == nullptr && spec.tie_word_embeddings && tensor.name == embed_name) {
      found = FindRenamed(spec, weights, head_name);  // tying works both ways
    }
    if (found.entry == nullptr) {
      missing.push_back(tensor.name);
      continue;
    }
    CheckOne(tensor, found);
    used.insert(found.entry->name);
    checked.locations[tensor.name] = found;
  }
  if (!missing.empty()) RefuseMissing(missing, expected.size(), weights);

  if (spec.tie_word_embeddings) {
    const WeightFolder::Location head = FindRenamed(spec, weights, head_name);
    const WeightFolder::Location& embed = checked.locations[embed_name];
    if (head.entry != nullptr && head.entry != embed.entry) {
      CheckOne({head_name, {spec.vocab_size, EmbeddingSize(spec)}, TensorKind::kLinearWeight, head_name}, head);
      used.insert(head.entry->name);
      if (!SameBytes(head, embed)) {
        checked.tie_word_embeddings = false;
        checked.locations[head_name] = head;
      }
    }
  }
  for (std::string& name : weights.names()) {
    if (used.count(name) == 0 && !IsBuffer(name) && !IsOfAnotherPart(spec, name)) checked.unused.push_back(std::move(name));
  }
  return checked;
}

}  // namespace ft
