// Multi-head latent attention (DeepSeek V2, https://arxiv.org/abs/2405.04434): keys and values come from one small latent a token,
// queries perhaps too; part of each head turns with the position, and its key is shared by all heads. Between the projections there
// is one node of the graph: it keeps the raw products and assembles the heads again. The cache holds assembled keys and values.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "core/kernels/attention.h"
#include "core/nn/block.h"
#include "core/nn/decoder_spec.h"
#include "core/nn/norm.h"

namespace ft {

class LatentAttention : public AttentionBlock {
 public:
  /// `modules`: the layer's layout.
  LatentAttention(const DecoderSpec& spec, int64_t layer, const std::vector<ModuleLayout>& modules, const at::TensorOptions& options);

  at::Tensor Forward(const BlockInput& input, const ForwardContext& context) override;
  std::vector<LinearGroup*> Groups() override;
  void AppendWeights(std::vector<WeightRef>* refs) override;
  CacheShape cache_shape() const override { return {heads_, qk_dim(), latent_.v_dim}; }
  void UseEager() override { options_.eager = true; }

  // The core, as its node of the graph calls it.
  struct Products {
    at::Tensor q;       // [tokens, heads · (nope + rope)]
    at::Tensor k_rope;  // [tokens, rope]
    at::Tensor kv;      // [tokens, heads · (nope + v)]
  };
  struct Heads {
    at::Tensor q, k, v;  // [tokens, heads, max(nope + rope, v)]: what is shorter ends in zeros, as the kernels take one size
  };
  Heads Assemble(const Products& products, const RopeTables& rope) const;
  /// Gradients of the products from those of the heads.
  Products TakeApart(const Heads& gradient, const RopeTables& rope) const;
  /// [tokens, heads, max] -> [tokens, heads · v], and back.
  at::Tensor Values(const at::Tensor& attended) const;
  at::Tensor ValuesBackward(const at::Tensor& dvalues) const;
  const kernels::AttentionOptions& options() const { return options_; }

 private:
  int64_t qk_dim() const { return latent_.nope_dim + latent_.rope_dim; }
  int64_t head_size() const { return std::max(qk_dim(), latent_.v_dim); }
  at::Tensor Core(const Products& products, const RopeTables& rope, const ForwardContext& context) const;
  at::Tensor CoreCached(const Products& products, const RopeTables& rope, const ForwardContext& context) const;
  at::Tensor Turned(const at::Tensor& heads, const RopeTables& rope, bool inverse) const;

  LatentSpec latent_;
  int64_t heads_;
  int64_t layer_;
  bool interleaved_;
  kernels::AttentionOptions options_;
  LinearGroup q_in_;                   // to the queries, or to their latent
  std::optional<NormWeight> q_norm_;   // of that latent
  std::optional<LinearGroup> q_up_;
  LinearGroup kv_in_;                  // to the latent of keys and values, and to the key that turns
  NormWeight kv_norm_;
  LinearGroup kv_up_;
  LinearGroup out_;
};

}  // namespace ft
