// DecoderSpec -> NativeModelInfo. See describe.h.
#include "binding/describe.h"

#include <algorithm>
#include <utility>

#include "binding/convert.h"

namespace ft::binding {
namespace {

const char* RopeName(RopeType type) {
  switch (type) {
    case RopeType::kDefault: return "default";
    case RopeType::kLinear: return "linear";
    case RopeType::kDynamic: return "dynamic";
    case RopeType::kLlama3: return "llama3";
    case RopeType::kYarn: return "yarn";
    case RopeType::kLongRope: return "longrope";
  }
  return "default";
}

const char* RoleName(Slot slot) {
  switch (slot) {
    case Slot::kQkv: return "qkv";
    case Slot::kQueryIn: return "query_in";
    case Slot::kQueryUp: return "query_up";
    case Slot::kKeyValueIn: return "key_value_in";
    case Slot::kKeyValueUp: return "key_value_up";
    case Slot::kAttentionOut: return "attention_out";
    case Slot::kMlpIn: return "mlp_in";
    case Slot::kMlpDown: return "mlp_down";
    case Slot::kRouter: return "router";
    case Slot::kExpertsIn: return "experts_in";
    case Slot::kExpertsDown: return "experts_down";
    case Slot::kSharedIn: return "shared_in";
    case Slot::kSharedDown: return "shared_down";
    case Slot::kSharedGate: return "shared_gate";
    default: return "outside";
  }
}

Napi::Value IdOrNull(Napi::Env env, int64_t id) { return id < 0 ? env.Null() : Napi::Value(FromInt(env, id)); }

std::string LastPart(const std::string& name) { return name.substr(name.rfind('.') + 1); }

// In the order of PEFT's table.
Napi::Object RenamedTargets(Napi::Env env, const DecoderSpec& spec) {
  Napi::Object renamed = Napi::Object::New(env);
  if (!spec.moe.renamed_targets) return renamed;
  const DecoderSpec::Names& names = spec.names;
  renamed.Set(LastPart(names.router), Napi::String::New(env, LastPart(names.router) + ".weight"));
  renamed.Set(LastPart(names.expert_gate), Napi::String::New(env, "gate_up_proj"));
  renamed.Set(LastPart(names.expert_up), Napi::String::New(env, "gate_up_proj"));
  renamed.Set(LastPart(names.expert_down), Napi::String::New(env, "down_proj"));
  return renamed;
}

// The embedding and, where it shares the embedding's weights, the head: both are targets of adapters.
Napi::Array EmbeddingModules(Napi::Env env, const DecoderSpec& spec) {
  Napi::Array modules = Napi::Array::New(env);
  const auto add = [&](const std::string& name, const char* kind, int64_t in, int64_t out) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", Napi::String::New(env, name));
    entry.Set("kind", Napi::String::New(env, kind));
    entry.Set("inFeatures", FromInt(env, in));
    entry.Set("outFeatures", FromInt(env, out));
    modules.Set(modules.Length(), entry);
  };
  const int64_t width = EmbeddingSize(spec);
  add(spec.names.embed_tokens, "embedding", spec.vocab_size, width);
  if (spec.tie_word_embeddings) add(spec.names.lm_head, "head", width, spec.vocab_size);
  return modules;
}

}  // namespace

ModelDescription Describe(const DecoderSpec& spec, uint64_t weight_bytes) {
  ModelDescription description{spec, CountParameters(spec), weight_bytes, {}, {}, {}};
  for (LinearModule& module : LinearModules(spec)) {
    if (module.output_head && spec.tie_word_embeddings) continue;  // see embeddingModules
    description.linear_modules.push_back(std::move(module));
  }
  return description;
}

Napi::Object FromDescription(Napi::Env env, const ModelDescription& description) {
  const DecoderSpec& spec = description.spec;
  Napi::Object info = Napi::Object::New(env);
  info.Set("modelType", Napi::String::New(env, spec.model_type));
  info.Set("architecture", Napi::String::New(env, spec.architecture));
  info.Set("textPartOf", Napi::String::New(env, spec.text_part_of));
  info.Set("vocabSize", FromInt(env, spec.vocab_size));
  info.Set("hiddenSize", FromInt(env, spec.hidden_size));
  info.Set("intermediateSize", FromInt(env, spec.intermediate_size));
  info.Set("numHiddenLayers", FromInt(env, spec.num_hidden_layers));
  info.Set("numAttentionHeads", FromInt(env, spec.num_attention_heads));
  info.Set("numKeyValueHeads", FromInt(env, spec.num_key_value_heads));
  info.Set("headDim", FromInt(env, spec.head_dim));
  info.Set("maxPositionEmbeddings", FromInt(env, spec.max_position_embeddings));
  info.Set("tieWordEmbeddings", Napi::Boolean::New(env, spec.tie_word_embeddings));
  info.Set("parallelResidual", Napi::Boolean::New(env, spec.parallel_residual));
  info.Set("postNorms", FromInt(env, !spec.names.attention_post_norm.empty() + !spec.names.mlp_post_norm.empty()));
  int64_t window = 0;
  for (const LayerSpec& layer : spec.layers) window = std::max(window, layer.sliding_window);
  info.Set("slidingWindow", FromInt(env, window));
  info.Set("ropeType", Napi::String::New(env, spec.ropes.empty() ? "none" : RopeName(spec.ropes.front().type)));
  info.Set("eosTokenIds", FromShape(env, spec.eos_token_ids));
  info.Set("bosTokenId", IdOrNull(env, spec.bos_token_id));
  info.Set("padTokenId", IdOrNull(env, spec.pad_token_id));
  info.Set("torchDtype", Napi::String::New(env, spec.torch_dtype));
  info.Set("numParameters", FromInt(env, description.parameters));
  info.Set("weightBytes", FromNumber(env, static_cast<double>(description.weight_bytes)));
  Napi::Array modules = Napi::Array::New(env, description.linear_modules.size());
  for (size_t i = 0; i < description.linear_modules.size(); ++i) {
    const LinearModule& module = description.linear_modules[i];
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", Napi::String::New(env, module.name));
    entry.Set("inFeatures", FromInt(env, module.in_features));
    entry.Set("outFeatures", FromInt(env, module.out_features));
    entry.Set("bias", Napi::Boolean::New(env, module.bias));
    entry.Set("transposed", Napi::Boolean::New(env, module.transposed));
    entry.Set("role", Napi::String::New(env, RoleName(module.slot)));
    if (module.router) entry.Set("kind", Napi::String::New(env, "router"));
    if (module.experts > 0) {
      entry.Set("kind", Napi::String::New(env, "experts"));
      entry.Set("experts", FromInt(env, module.experts));
      entry.Set("expertsPerToken", FromInt(env, spec.moe.router.experts_per_token));
      entry.Set("matrices", FromInt(env, module.matrices));
    }
    modules.Set(static_cast<uint32_t>(i), entry);
  }
  info.Set("linearModules", modules);
  info.Set("embeddingModules", EmbeddingModules(env, spec));
  info.Set("outputHead", Napi::String::New(env, spec.names.lm_head));
  info.Set("quantization", description.quantization.empty() ? env.Null() : Napi::Value(Napi::String::New(env, description.quantization)));
  info.Set("renamedTargets", RenamedTargets(env, spec));
  Napi::Array unused = Napi::Array::New(env, description.unused_tensors.size());
  for (size_t i = 0; i < description.unused_tensors.size(); ++i) {
    unused.Set(static_cast<uint32_t>(i), Napi::String::New(env, description.unused_tensors[i]));
  }
  info.Set("unusedTensors", unused);
  return info;
}

}  // namespace ft::binding
