#include "core/nn/layout.h"

#include "core/base/error.h"

namespace ft {
namespace {

using Modules = std::vector<ModuleLayout>;
using Parts = std::vector<ModuleLayout::Part>;

// `pattern` empty: there is no such norm.
void AddNorm(Modules& modules, Slot slot, const std::string& pattern, int64_t layer, int64_t width, const NormSpec& norm) {
  if (pattern.empty()) return;
  modules.push_back({slot, ModuleKind::kNorm, {{LayerName(pattern, layer), width}}, 0, norm.bias, false, norm});
}

void AddHeadNorm(const DecoderSpec& spec, Modules& modules, Slot slot, const std::string& pattern, int64_t layer, int64_t heads) {
  const std::string name = LayerName(pattern, layer);
  const NormSpec& norm = spec.qk_norm_spec;
  Parts parts;
  int64_t own = 0;  // heads with a weight each
  switch (spec.qk_norm) {
    case QkNorm::kNone:
      return;
    case QkNorm::kHead:
      parts = {{name, spec.head_dim}};
      break;
    case QkNorm::kHeads:
      own = heads;
      [[fallthrough]];
    case QkNorm::kWidth:
      parts = {{name, heads * spec.head_dim}};
      break;
    case QkNorm::kHeadList:
      for (int64_t head = 0; head < heads; ++head) parts.push_back({LayerName(name, head), spec.head_dim});
      break;
  }
  modules.push_back({slot, ModuleKind::kNorm, std::move(parts), 0, norm.bias, false, norm, own});
}

void AddLinear(const DecoderSpec& spec, Modules& modules, Slot slot, Parts parts, int64_t in, bool bias) {
  modules.push_back({slot, ModuleKind::kLinear, std::move(parts), in, bias, spec.transposed, {}});
}

void AddAttention(const DecoderSpec& spec, int64_t layer, Modules& modules) {
  const DecoderSpec::Names& names = spec.names;
  const int64_t q_rows = spec.num_attention_heads * spec.head_dim, kv_rows = spec.num_key_value_heads * spec.head_dim;
  const auto name = [layer](const std::string& pattern) { return LayerName(pattern, layer); };
  Parts qkv = {{name(names.q_proj), q_rows}, {name(names.k_proj), kv_rows}, {name(names.v_proj), kv_rows}};
  if (!names.qkv_proj.empty()) qkv = {{name(names.qkv_proj), q_rows + 2 * kv_rows}};
  AddLinear(spec, modules, Slot::kQkv, std::move(qkv), spec.hidden_size, spec.qkv_bias);
  AddHeadNorm(spec, modules, Slot::kQNorm, names.q_norm, layer, spec.num_attention_heads);
  AddHeadNorm(spec, modules, Slot::kKNorm, names.k_norm, layer, spec.num_key_value_heads);
  if (spec.attention_sinks) modules.push_back({Slot::kSinks, ModuleKind::kVector, {{name(names.sinks), spec.num_attention_heads}}, 0, false, false, {}});
  AddLinear(spec, modules, Slot::kAttentionOut, {{name(names.o_proj), spec.hidden_size}}, q_rows, spec.o_bias);
}

void AddMlp(const DecoderSpec& spec, int64_t layer, Modules& modules) {
  const DecoderSpec::Names& names = spec.names;
  const int64_t width = spec.intermediate_size;
  const auto name = [layer](const std::string& pattern) { return LayerName(pattern, layer); };
  Parts in = {{name(names.up_proj), width}};
  if (spec.gated_mlp) {
    in = names.gate_up_proj.empty() ? Parts{{name(names.gate_proj), width}, {name(names.up_proj), width}} : Parts{{name(names.gate_up_proj), 2 * width}};
  }
  AddLinear(spec, modules, Slot::kMlpIn, std::move(in), spec.hidden_size, spec.mlp_bias);
  AddLinear(spec, modules, Slot::kMlpDown, {{name(names.down_proj), spec.hidden_size}}, width, spec.mlp_bias);
}

void AddLatentAttention(const DecoderSpec& spec, int64_t layer, Modules& modules) {
  const DecoderSpec::Names& names = spec.names;
  const LatentSpec& latent = spec.latent;
  const int64_t heads = spec.num_attention_heads, q_rows = heads * (latent.nope_dim + latent.rope_dim);
  const auto add = [&](Slot slot, const std::string& pattern, int64_t in, int64_t rows, bool bias) {
    AddLinear(spec, modules, slot, {{LayerName(pattern, layer), rows}}, in, bias);
  };
  if (latent.q_rank > 0) {
    add(Slot::kQueryIn, names.q_proj, spec.hidden_size, latent.q_rank, spec.qkv_bias);
    AddNorm(modules, Slot::kQueryNorm, names.q_norm, layer, latent.q_rank, latent.norm);
    add(Slot::kQueryUp, names.q_up_proj, latent.q_rank, q_rows, false);
  } else {
    add(Slot::kQueryIn, names.q_proj, spec.hidden_size, q_rows, false);
  }
  add(Slot::kKeyValueIn, names.kv_proj, spec.hidden_size, latent.kv_rank + latent.rope_dim, spec.qkv_bias);
  AddNorm(modules, Slot::kKeyValueNorm, names.kv_norm, layer, latent.kv_rank, latent.norm);
  add(Slot::kKeyValueUp, names.kv_up_proj, latent.kv_rank, heads * (latent.nope_dim + latent.v_dim), false);
  add(Slot::kAttentionOut, names.o_proj, heads * latent.v_dim, spec.hidden_size, spec.o_bias);
}

// One projection of every expert; `patterns`: its parts in files.
void AddExperts(const DecoderSpec& spec, int64_t layer, Modules& modules, Slot slot, const std::string& parameter,
                const std::vector<std::string>& patterns, int64_t in, int64_t rows) {
  const MoeSpec& moe = spec.moe;
  ModuleLayout module{slot, ModuleKind::kExperts, {}, in, moe.expert_bias, false, {}};
  module.experts = moe.router.num_experts;
  module.fused = moe.storage == ExpertStorage::kFused;
  module.parameter = LayerName(spec.names.experts, layer) + "." + parameter;
  if (module.fused) {
    module.parts = {{module.parameter, rows * static_cast<int64_t>(patterns.size())}};
  } else {
    for (int64_t expert = 0; expert < module.experts; ++expert) {
      for (const std::string& pattern : patterns) module.parts.push_back({LayerName(LayerName(pattern, layer), expert), rows});
    }
  }
  modules.push_back(std::move(module));
}

void AddMoe(const DecoderSpec& spec, int64_t layer, Modules& modules) {
  const DecoderSpec::Names& names = spec.names;
  const MoeSpec& moe = spec.moe;
  const auto name = [layer](const std::string& pattern) { return LayerName(pattern, layer); };
  AddLinear(spec, modules, Slot::kRouter, {{name(names.router), moe.router.num_experts, name(names.stored_router)}}, spec.hidden_size, moe.router_bias);
  if (moe.router.correction_bias) {
    const std::string bias = modules.back().parts[0].stored() + ".e_score_correction_bias";
    modules.push_back({Slot::kCorrectionBias, ModuleKind::kBuffer, {{bias, moe.router.num_experts}}, 0, false, false, {}});
  }
  AddExperts(spec, layer, modules, Slot::kExpertsIn, "gate_up_proj", {names.expert_gate, names.expert_up}, spec.hidden_size, moe.expert_width);
  AddExperts(spec, layer, modules, Slot::kExpertsDown, "down_proj", {names.expert_down}, moe.expert_width, spec.hidden_size);
  if (moe.shared_width == 0) return;
  const std::string shared = name(names.shared_expert);
  AddLinear(spec, modules, Slot::kSharedIn, {{shared + ".gate_proj", moe.shared_width}, {shared + ".up_proj", moe.shared_width}}, spec.hidden_size, spec.mlp_bias);
  AddLinear(spec, modules, Slot::kSharedDown, {{shared + ".down_proj", spec.hidden_size}}, moe.shared_width, spec.mlp_bias);
  if (moe.shared_gate) AddLinear(spec, modules, Slot::kSharedGate, {{name(names.shared_gate), 1}}, spec.hidden_size, false);
}

}  // namespace

int64_t ModuleLayout::rows() const {
  int64_t rows = 0;
  for (const Part& part : parts) rows += part.rows;
  return rows;
}

std::vector<int64_t> ModuleLayout::WeightShape(const Part& part) const {
  if (kind == ModuleKind::kVector || kind == ModuleKind::kBuffer) return {part.rows};
  if (kind == ModuleKind::kExperts && fused) return {experts, width, part.rows};
  if (kind == ModuleKind::kNorm) return heads > 0 ? std::vector<int64_t>{heads, part.rows / heads} : std::vector<int64_t>{part.rows};
  return transposed ? std::vector<int64_t>{width, part.rows} : std::vector<int64_t>{part.rows, width};
}

std::vector<ModuleLayout> LayerLayout(const DecoderSpec& spec, int64_t layer) {
  const DecoderSpec::Names& names = spec.names;
  Modules modules;
  AddNorm(modules, Slot::kAttentionNorm, names.attention_norm, layer, spec.hidden_size, spec.norm);
  (spec.latent.present() ? AddLatentAttention : AddAttention)(spec, layer, modules);
  AddNorm(modules, Slot::kAttentionPostNorm, names.attention_post_norm, layer, spec.hidden_size, spec.norm);
  AddNorm(modules, Slot::kMlpNorm, names.mlp_norm, layer, spec.hidden_size, spec.norm);
  (spec.layers.at(static_cast<size_t>(layer)).experts ? AddMoe : AddMlp)(spec, layer, modules);
  AddNorm(modules, Slot::kMlpPostNorm, names.mlp_post_norm, layer, spec.hidden_size, spec.norm);
  return modules;
}

int64_t EmbeddingSize(const DecoderSpec& spec) { return spec.embedding_size > 0 ? spec.embedding_size : spec.hidden_size; }

std::string StoredName(const DecoderSpec& spec, const std::string& tensor) {
  const std::string& module = spec.names.lm_head;
  if (spec.names.lm_head_in_files.empty() || tensor.rfind(module + ".", 0) != 0) return tensor;
  return spec.names.lm_head_in_files + tensor.substr(module.size());
}

std::vector<ModuleLayout> StemLayout(const DecoderSpec& spec) {
  const DecoderSpec::Names& names = spec.names;
  const int64_t embedding = EmbeddingSize(spec);
  Modules modules = {{Slot::kEmbedding, ModuleKind::kEmbedding, {{names.embed_tokens, spec.vocab_size}}, embedding, false, false, {}}};
  if (!names.position_embeddings.empty()) {
    const int64_t rows = spec.max_position_embeddings + spec.position_offset;
    modules.push_back({Slot::kPositions, ModuleKind::kEmbedding, {{names.position_embeddings, rows}}, spec.hidden_size, false, false, {}});
  }
  if (!names.project_in.empty()) {
    modules.push_back({Slot::kProjectIn, ModuleKind::kLinear, {{names.project_in, spec.hidden_size}}, embedding, false, false, {}});
  }
  AddNorm(modules, Slot::kEmbeddingNorm, names.embedding_norm, 0, spec.hidden_size, spec.norm);
  return modules;
}

std::vector<ModuleLayout> TopLayout(const DecoderSpec& spec) {
  Modules modules;
  const DecoderSpec::Names& names = spec.names;
  const int64_t embedding = EmbeddingSize(spec);
  AddNorm(modules, Slot::kFinalNorm, names.norm, 0, spec.hidden_size, spec.norm);
  if (!names.project_out.empty()) {
    modules.push_back({Slot::kProjectOut, ModuleKind::kLinear, {{names.project_out, embedding}}, spec.hidden_size, false, false, {}});
  }
  modules.push_back({Slot::kHead, ModuleKind::kLinear, {{names.lm_head, spec.vocab_size, names.lm_head_in_files}}, embedding, spec.head_bias, false, {}});
  return modules;
}

std::vector<ModuleLayout> DecoderLayout(const DecoderSpec& spec) {
  Modules modules = StemLayout(spec);
  const auto append = [&modules](const Modules& more) { modules.insert(modules.end(), more.begin(), more.end()); };
  for (int64_t layer = 0; layer < spec.num_hidden_layers; ++layer) append(LayerLayout(spec, layer));
  append(TopLayout(spec));
  return modules;
}

void MarkPacked(const std::set<std::string>& packed, std::vector<ModuleLayout>* modules) {
  for (ModuleLayout& module : *modules) {
    const bool experts = module.kind == ModuleKind::kExperts && packed.count(module.parameter) > 0;
    for (ModuleLayout::Part& part : module.parts) part.packed = experts || packed.count(part.name) > 0;
  }
}

void MarkOffloaded(std::vector<ModuleLayout>* modules) {
  for (ModuleLayout& module : *modules) {
    module.offloaded = (module.kind == ModuleKind::kLinear && module.slot != Slot::kRouter) || module.kind == ModuleKind::kExperts;
  }
}

const ModuleLayout* FindSlot(const std::vector<ModuleLayout>& modules, Slot slot) {
  for (const ModuleLayout& module : modules) {
    if (module.slot == slot) return &module;
  }
  return nullptr;
}

const ModuleLayout& LayoutOf(const std::vector<ModuleLayout>& modules, Slot slot) {
  const ModuleLayout* found = FindSlot(modules, slot);
  FT_CHECK(found != nullptr, kInternal, "the layer has no module in slot {}", static_cast<int>(slot));
  return *found;
}

std::string LayerName(const std::string& pattern, int64_t number) {
  const size_t at = pattern.find("{}");
  if (at == std::string::npos) return pattern;
  return pattern.substr(0, at) + std::to_string(number) + pattern.substr(at + 2);
}

}  // namespace ft
