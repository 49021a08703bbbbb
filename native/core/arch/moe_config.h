// What families with experts and with latent attention share in reading config.json. Every size is checked here.
#pragma once

#include <cstdint>
#include <string>

#include "core/arch/config_reader.h"
#include "core/nn/decoder_spec.h"

namespace ft {

/// Keys and defaults of a family's experts. A default of 0: the key must be there.
struct ExpertKeys {
  const char* num_experts;
  int64_t experts;
  int64_t experts_per_token;
  const char* expert_width;
  int64_t width;
};

/// Number of experts, experts a token, width of an expert. Refuses more experts a token than there are.
void ReadExperts(const ConfigReader& config, const ExpertKeys& keys, MoeSpec* moe);

/// n_group, topk_group: groups that divide the experts and hold enough of them for a token.
void ReadExpertGroups(const ConfigReader& config, int64_t groups, int64_t groups_per_token, GroupScore score, RouterSpec* router);

/// router_aux_loss_coef where output_router_logits asks for the loss, else 0.
double AuxLossCoef(const ConfigReader& config);

/// Marks the layers with experts: every decoder_sparse_step-th but mlp_only_layers (Qwen).
void MarkSparseLayers(const ConfigReader& config, DecoderSpec* spec);

/// The first `dense` layers have a dense MLP, the others experts (DeepSeek).
void MarkLayersAfter(int64_t dense, DecoderSpec* spec);

/// Defaults of n_shared_experts and first_k_dense_replace.
struct SharedExpertDefaults {
  int64_t experts, dense_layers;
};

/// Shared experts beside the routed ones, and which layers have any (DeepSeek). After ReadExperts.
void ReadSharedExperts(const ConfigReader& config, const SharedExpertDefaults& defaults, DecoderSpec* spec);

/// Sizes of multi-head latent attention, its rope and scale (DeepSeek V2 and V3). Sets head_dim to the turning part, as transformers does.
void ReadLatentAttention(const ConfigReader& config, bool interleaved, DecoderSpec* spec);

}  // namespace ft
