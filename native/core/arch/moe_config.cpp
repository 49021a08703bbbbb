#include "core/arch/moe_config.h"

#include <cmath>

#include "core/arch/families.h"
#include "core/base/error.h"

namespace ft {
namespace {

constexpr int64_t kMaxExperts = 1 << 14;

int64_t Size(const ConfigReader& config, const char* key, int64_t otherwise, int64_t max) {
  if (otherwise == 0 && !config.Has(key)) config.Bad(key, "a value (this family needs it)");
  return config.Int(key, otherwise, 1, max);
}

}  // namespace

void ReadExperts(const ConfigReader& config, const ExpertKeys& keys, MoeSpec* moe) {
  RouterSpec& router = moe->router;
  router.num_experts = Size(config, keys.num_experts, keys.experts, kMaxExperts);
  router.experts_per_token = Size(config, "num_experts_per_tok", keys.experts_per_token, kMaxExperts);
  if (router.experts_per_token > router.num_experts) {
    config.Bad("num_experts_per_tok", fmt::format("at most {} ({})", keys.num_experts, router.num_experts), std::to_string(router.experts_per_token));
  }
  moe->expert_width = Size(config, keys.expert_width, keys.width, kMaxWidth);
}

void ReadExpertGroups(const ConfigReader& config, int64_t groups, int64_t groups_per_token, GroupScore score, RouterSpec* router) {
  router->group_score = score;
  router->groups = Size(config, "n_group", groups, kMaxExperts);
  router->groups_per_token = Size(config, "topk_group", groups_per_token, kMaxExperts);
  if (router->num_experts % router->groups != 0) {
    config.Bad("n_group", fmt::format("a divisor of n_routed_experts ({})", router->num_experts), std::to_string(router->groups));
  }
  const int64_t size = router->num_experts / router->groups;
  if (score == GroupScore::kBestTwo && size < 2) config.Bad("n_group", "groups of at least two experts", fmt::format("groups of {}", size));
  if (router->groups_per_token > router->groups) {
    config.Bad("topk_group", fmt::format("at most n_group ({})", router->groups), std::to_string(router->groups_per_token));
  }
  if (router->experts_per_token > router->groups_per_token * size) {
    config.Bad("num_experts_per_tok", fmt::format("at most the {} experts of topk_group groups", router->groups_per_token * size),
               std::to_string(router->experts_per_token));
  }
}

double AuxLossCoef(const ConfigReader& config) {
  const double coefficient = config.Number("router_aux_loss_coef", 0.001, 0, 1e6);
  return config.Bool("output_router_logits", false) ? coefficient : 0.0;
}

void MarkSparseLayers(const ConfigReader& config, DecoderSpec* spec) {
  const int64_t step = config.Int("decoder_sparse_step", 1, 1, kMaxLayers);
  for (int64_t i = 0; i < spec->num_hidden_layers; ++i) spec->layers[static_cast<size_t>(i)].experts = (i + 1) % step == 0;
  // Indices beyond the layers are of no consequence to transformers either.
  for (const int64_t layer : config.IntList("mlp_only_layers").value_or(std::vector<int64_t>{})) {
    if (layer >= 0 && layer < spec->num_hidden_layers) spec->layers[static_cast<size_t>(layer)].experts = false;
  }
}

void MarkLayersAfter(int64_t dense, DecoderSpec* spec) {
  for (int64_t i = dense; i < spec->num_hidden_layers; ++i) spec->layers[static_cast<size_t>(i)].experts = true;
}

void ReadSharedExperts(const ConfigReader& config, const SharedExpertDefaults& defaults, DecoderSpec* spec) {
  spec->moe.shared_width = spec->moe.expert_width * config.Int("n_shared_experts", defaults.experts, 1, 1024);
  spec->names.shared_expert = "model.layers.{}.mlp.shared_experts";
  spec->moe.renamed_targets = true;
  MarkLayersAfter(config.Int("first_k_dense_replace", defaults.dense_layers, 0, kMaxLayers), spec);
}

void ReadLatentAttention(const ConfigReader& config, bool interleaved, DecoderSpec* spec) {
  if (spec->num_key_value_heads != spec->num_attention_heads) {
    config.Bad("num_key_value_heads", fmt::format("num_attention_heads ({})", spec->num_attention_heads), std::to_string(spec->num_key_value_heads));
  }
  LatentSpec& latent = spec->latent;
  latent.q_rank = config.Find("q_lora_rank") == nullptr ? 1536 : config.OptionalInt("q_lora_rank", 1, kMaxWidth).value_or(0);
  latent.kv_rank = config.Int("kv_lora_rank", 512, 1, kMaxWidth);
  latent.nope_dim = config.Int("qk_nope_head_dim", 128, 1, kMaxHeadDim);
  latent.rope_dim = config.Int("qk_rope_head_dim", 64, 1, kMaxHeadDim);
  latent.v_dim = config.Int("v_head_dim", 128, 1, kMaxHeadDim);
  latent.norm.eps = 1e-6;  // whatever rms_norm_eps is
  spec->head_dim = latent.rope_dim;
  RopeSpec rope = ParseRope(config, *spec, {});
  rope.interleaved = interleaved;
  // The scale of the scores grows with the context that yarn stretches to.
  const double m = rope.mscale_all_dim, mscale = rope.factor > 1 && m > 0 ? 0.1 * m * std::log(rope.factor) + 1.0 : 1.0;
  spec->attention_scale = mscale * mscale / std::sqrt(static_cast<double>(latent.nope_dim + latent.rope_dim));
  spec->ropes = {std::move(rope)};

  DecoderSpec::Names& names = spec->names;
  const std::string attention = "model.layers.{}.self_attn.";
  names.q_proj = attention + (latent.q_rank > 0 ? "q_a_proj" : "q_proj");
  names.q_norm = attention + "q_a_layernorm";
  names.q_up_proj = attention + "q_b_proj";
  names.kv_proj = attention + "kv_a_proj_with_mqa";
  names.kv_norm = attention + "kv_a_layernorm";
  names.kv_up_proj = attention + "kv_b_proj";
}

}  // namespace ft
