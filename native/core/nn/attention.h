// The attention core between the fused q,k,v product and the output projection: q/k norm, rotary embedding,
// causal attention inside rows. One node of the graph: it keeps the raw product and recomputes the rest.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/nn/context.h"
#include "core/nn/decoder_spec.h"
#include "core/nn/norm.h"

namespace ft {

struct RopeTables {
  at::Tensor cos, sin;  // fp32 [tokens, dim / 2]
};

struct AttentionCore {
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t window = 0;
  int64_t layer = 0;
  const NormWeight* q_norm = nullptr;  // or nullptr
  const NormWeight* k_norm = nullptr;
  bool eager = false;  // plain matrix products instead of a flash kernel

  /// qkv [tokens, (Hq + 2·Hk)·d] -> [tokens, Hq·d]. Differentiable; with context.cache it decodes instead.
  at::Tensor Forward(const at::Tensor& qkv, const RopeTables& tables, const ForwardContext& context) const;

 private:
  at::Tensor ForwardCached(const at::Tensor& qkv, const RopeTables& tables, const ForwardContext& context) const;
};

}  // namespace ft
