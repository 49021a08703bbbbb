#include "core/nn/expected_tensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "core/base/error.h"
#include "core/base/json.h"
#include "core/io/safetensors_header.h"

namespace ft {
namespace {

constexpr const char* kBasePrefix = "model.";

// Calls visit(module name, in, out, bias) for the linear modules of one layer, in module order.
template <typename Visit>
void ForEachLayerLinear(const DecoderSpec& spec, int64_t layer, Visit visit) {
  const DecoderSpec::Names& names = spec.names;
  const int64_t q_width = spec.num_attention_heads * spec.head_dim;
  const int64_t kv_width = spec.num_key_value_heads * spec.head_dim;
  visit(LayerName(names.q_proj, layer), spec.hidden_size, q_width, spec.qkv_bias);
  visit(LayerName(names.k_proj, layer), spec.hidden_size, kv_width, spec.qkv_bias);
  visit(LayerName(names.v_proj, layer), spec.hidden_size, kv_width, spec.qkv_bias);
  visit(LayerName(names.o_proj, layer), q_width, spec.hidden_size, spec.o_bias);
  visit(LayerName(names.gate_proj, layer), spec.hidden_size, spec.intermediate_size, spec.mlp_bias);
  visit(LayerName(names.up_proj, layer), spec.hidden_size, spec.intermediate_size, spec.mlp_bias);
  visit(LayerName(names.down_proj, layer), spec.intermediate_size, spec.hidden_size, spec.mlp_bias);
}

const char* ConfigKeysOf(TensorKind kind) {
  switch (kind) {
    case TensorKind::kEmbedding:
      return "vocab_size and hidden_size";
    case TensorKind::kNorm:
      return "hidden_size and head_dim";
    default:
      return "hidden_size, intermediate_size, num_attention_heads, num_key_value_heads and head_dim";
  }
}

// The tensor under its own name, without the base prefix, or with one more: transformers loads all three.
WeightFolder::Location FindRenamed(const WeightFolder& weights, const std::string& name) {
  if (const auto exact = weights.Find(name); exact.entry != nullptr) return exact;
  if (name.rfind(kBasePrefix, 0) == 0) {
    if (const auto bare = weights.Find(name.substr(std::strlen(kBasePrefix))); bare.entry != nullptr) return bare;
  }
  return weights.Find(kBasePrefix + name);
}

void CheckOne(const ExpectedTensor& expected, const WeightFolder::Location& found) {
  const TensorEntry& entry = *found.entry;
  if (entry.shape != expected.shape) {
    throw Error(ErrorCode::kTensorShape,
                fmt::format("tensor \"{}\" in {}: expected shape {} by config.json, got {}", entry.name,
                            found.file->path(), ShapeText(expected.shape), ShapeText(entry.shape)),
                fmt::format("config.json and weights do not belong together: check {}, or fetch both again.",
                            ConfigKeysOf(expected.kind)))
        .With("tensor", entry.name)
        .With("expected", ShapeText(expected.shape))
        .With("got", ShapeText(entry.shape))
        .With("path", found.file->path());
  }
  if (entry.dtype != DType::kBF16 && entry.dtype != DType::kF16 && entry.dtype != DType::kF32) {
    throw Error(ErrorCode::kTensorDtype,
                fmt::format("tensor \"{}\" in {}: expected BF16, F16 or F32, got {}", entry.name, found.file->path(),
                            SafetensorsName(entry.dtype)),
                "Use the bf16, fp16 or fp32 release of the model (quantized weights are not read).")
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

bool IsRotaryBuffer(const std::string& name) {
  constexpr std::string_view kSuffix = "rotary_emb.inv_freq";
  return name.size() >= kSuffix.size() && name.compare(name.size() - kSuffix.size(), kSuffix.size(), kSuffix) == 0;
}

}  // namespace

std::string LayerName(const std::string& pattern, int64_t layer) {
  const size_t at = pattern.find("{}");
  if (at == std::string::npos) return pattern;
  return pattern.substr(0, at) + std::to_string(layer) + pattern.substr(at + 2);
}

std::vector<ExpectedTensor> ExpectedTensors(const DecoderSpec& spec) {
  std::vector<ExpectedTensor> out;
  const auto norm = [&](const std::string& module, int64_t width) {
    out.push_back({module + ".weight", {width}, TensorKind::kNorm});
  };
  out.push_back({spec.names.embed_tokens + ".weight", {spec.vocab_size, spec.hidden_size}, TensorKind::kEmbedding});
  for (int64_t layer = 0; layer < spec.num_hidden_layers; ++layer) {
    norm(LayerName(spec.names.input_layernorm, layer), spec.hidden_size);
    ForEachLayerLinear(spec, layer, [&](const std::string& module, int64_t in, int64_t width, bool bias) {
      out.push_back({module + ".weight", {width, in}, TensorKind::kLinearWeight});
      if (bias) out.push_back({module + ".bias", {width}, TensorKind::kLinearBias});
    });
    if (spec.qk_norm) {
      norm(LayerName(spec.names.q_norm, layer), spec.head_dim);
      norm(LayerName(spec.names.k_norm, layer), spec.head_dim);
    }
    norm(LayerName(spec.names.post_attention_layernorm, layer), spec.hidden_size);
  }
  norm(spec.names.norm, spec.hidden_size);
  if (!spec.tie_word_embeddings) {
    out.push_back({spec.names.lm_head + ".weight", {spec.vocab_size, spec.hidden_size}, TensorKind::kLinearWeight});
  }
  return out;
}

std::vector<LinearModule> LinearModules(const DecoderSpec& spec) {
  std::vector<LinearModule> out;
  for (int64_t layer = 0; layer < spec.num_hidden_layers; ++layer) {
    ForEachLayerLinear(spec, layer, [&](std::string module, int64_t in, int64_t width, bool bias) {
      out.push_back({std::move(module), in, width, bias, false});
    });
  }
  out.push_back({spec.names.lm_head, spec.hidden_size, spec.vocab_size, false, true});
  return out;
}

int64_t CountParameters(const DecoderSpec& spec) {
  int64_t total = 0;
  for (const ExpectedTensor& tensor : ExpectedTensors(spec)) {
    int64_t count = 1;
    for (const int64_t dimension : tensor.shape) count *= dimension;
    total += count;
  }
  return total;
}

CheckedTensors CheckTensors(const DecoderSpec& spec, const WeightFolder& weights) {
  CheckedTensors checked;
  checked.tie_word_embeddings = spec.tie_word_embeddings;
  checked.files = weights.files();
  const std::string embed_name = spec.names.embed_tokens + ".weight";
  const std::string head_name = spec.names.lm_head + ".weight";
  const std::vector<ExpectedTensor> expected = ExpectedTensors(spec);

  std::vector<std::string> missing;
  std::set<std::string> used;  // names in the files
  for (const ExpectedTensor& tensor : expected) {
    WeightFolder::Location found = FindRenamed(weights, tensor.name);
    if (found.entry == nullptr && spec.tie_word_embeddings && tensor.name == embed_name) {
      found = FindRenamed(weights, head_name);  // tying works both ways
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
    const WeightFolder::Location head = FindRenamed(weights, head_name);
    const WeightFolder::Location& embed = checked.locations[embed_name];
    if (head.entry != nullptr && head.entry != embed.entry) {
      CheckOne({head_name, {spec.vocab_size, spec.hidden_size}, TensorKind::kLinearWeight}, head);
      used.insert(head.entry->name);
      if (!SameBytes(head, embed)) {
        checked.tie_word_embeddings = false;
        checked.locations[head_name] = head;
      }
    }
  }
  for (std::string& name : weights.names()) {
    if (used.count(name) == 0 && !IsRotaryBuffer(name)) checked.unused.push_back(std::move(name));
  }
  return checked;
}

}  // namespace ft
