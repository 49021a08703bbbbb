// Multi-head attention with grouped keys and values: the fused q,k,v product, q/k norm, rotary embedding, causal
// attention inside rows, output projection. Between the two projections there is one node of the graph: it keeps the raw
// product and recomputes the rest.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "core/kernels/attention.h"
#include "core/nn/block.h"
#include "core/nn/decoder_spec.h"
#include "core/nn/head_views.h"
#include "core/nn/norm.h"

namespace ft {

class SelfAttention : public AttentionBlock {
 public:
  /// `modules`: the layer's layout.
  SelfAttention(const DecoderSpec& spec, int64_t layer, const std::vector<ModuleLayout>& modules, const at::TensorOptions& options);

  at::Tensor Forward(const BlockInput& input, const ForwardContext& context) override;
  std::vector<LinearGroup*> Groups() override { return {&qkv_, &out_}; }
  void AppendWeights(std::vector<WeightRef>* refs) override;
  CacheShape cache_shape() const override { return {counts_.num_kv_heads, counts_.head_dim, counts_.head_dim}; }
  void UseEager() override { options_.eager = true; }

  // The core, qkv [tokens, (Hq + 2·Hk)·d] -> [tokens, Hq·d], as its node of the graph calls it.
  struct Heads {
    at::Tensor q, k, v;         // [tokens, heads, d]: normed and rotated (q, k)
    at::Tensor q_raw, k_raw;    // as the norms saw them
    at::Tensor q_aux, k_aux;    // with q/k norm
  };
  Heads SplitAndRotate(const at::Tensor& qkv, const RopeTables* rope) const;
  /// d qkv from the gradients of SplitAndRotate's q, k and v.
  at::Tensor Join(const at::Tensor& qkv, const Heads& heads, at::Tensor dq, at::Tensor dk, const at::Tensor& dv, const RopeTables* rope) const;
  /// With the sinks as they are now; key_bias may be undefined.
  kernels::AttentionOptions OptionsWith(const at::Tensor& key_bias) const;
  /// Adds to the gradient of the sinks, where they are trained.
  void SinksBackward(const at::Tensor& dout, const kernels::AttentionResult& forward, const std::vector<int64_t>& offsets) const;
  int64_t width() const { return counts_.num_heads * counts_.head_dim; }

 private:
  at::Tensor Core(const at::Tensor& qkv, const BlockInput& input, const ForwardContext& context) const;
  at::Tensor CoreCached(const at::Tensor& qkv, const BlockInput& input, const ForwardContext& context) const;
  at::Tensor Turned(const at::Tensor& heads, const RopeTables* rope, bool inverse) const;
  at::Tensor Normed(const std::optional<NormWeight>& norm, const at::Tensor& heads, at::Tensor& aux) const;
  at::Tensor NormBackward(const std::optional<NormWeight>& norm, const at::Tensor& d, const at::Tensor& raw, const at::Tensor& aux) const;

  LinearGroup qkv_, out_;
  std::optional<NormWeight> q_norm_, k_norm_;
  at::Tensor sinks_, sinks_grad_;  // [heads] compute dtype, or undefined
  std::string sinks_name_;
  HeadCounts counts_;
  kernels::AttentionOptions options_;
  int64_t layer_;
  bool norm_over_width_;
  bool interleaved_ = false;
  double clip_;
};

}  // namespace ft
