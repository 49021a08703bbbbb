// The one decoder, described by a DecoderSpec: pre-norm attention and gated MLP blocks over packed rows.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "core/nn/attention.h"
#include "core/nn/context.h"
#include "core/nn/decoder_spec.h"
#include "core/nn/gated.h"
#include "core/nn/linear.h"
#include "core/nn/norm.h"
#include "core/nn/rope.h"

namespace ft {

struct DecoderLayer {
  NormWeight input_layernorm;
  LinearGroup qkv;
  NormWeight q_norm, k_norm;  // undefined weights unless spec.qk_norm
  AttentionCore attention;
  LinearGroup o_proj;
  NormWeight post_attention_layernorm;
  LinearGroup gate_up;
  GatedActivation activation;
  LinearGroup down_proj;

  /// x [tokens, hidden] -> [tokens, hidden]. Differentiable. `value_wanted` as in LinearGroup::Forward.
  at::Tensor Forward(const at::Tensor& x, const RopeTables& tables, const ForwardContext& context, bool value_wanted);
};

class Decoder {
 public:
  /// Allocates every weight (uninitialised) in `dtype` on `device`.
  Decoder(const DecoderSpec& spec, at::ScalarType dtype, at::Device device);
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// Hidden states before the final norm, [tokens, hidden].
  at::Tensor Hidden(const ForwardContext& context);
  /// Norm in front of lm_head.
  const NormWeight& norm() const { return norm_; }
  /// Shares memory with the embedding when tied.
  LinearGroup& lm_head() { return lm_head_; }

  struct NamedTensor {
    std::string name;   // Hugging Face tensor name
    at::Tensor tensor;  // its memory; q, k and v are views of one buffer
  };
  /// Every weight once, in module order.
  std::vector<NamedTensor> NamedTensors() const;
  /// Every group that an adapter can attach to, in module order; lm_head last, when it is untied.
  std::vector<LinearGroup*> Groups();

  /// Full fine-tuning: one block a weight; gradients of the layers point into the blocks. Call once.
  std::vector<ParameterBlock> MakeTrainable();

  /// Plain matrix products instead of a flash kernel, in every layer.
  void UseEagerAttention();

  const DecoderSpec& spec() const { return spec_; }
  at::ScalarType dtype() const { return dtype_; }
  const at::Device& device() const { return device_; }

 private:
  at::Tensor Embed(const ForwardContext& context);
  LinearGroup MakeGroup(const std::vector<std::pair<std::string, int64_t>>& parts, int64_t in_features, bool bias) const;
  void BuildLayer(int64_t index);

  // One weight (or fused weights) with the names of its parts, as both NamedTensors and MakeTrainable walk it.
  struct WeightRef {
    at::Tensor weight;
    at::Tensor* grad;  // where the layer looks for it
    bool decay;
    struct Part {
      std::string name;
      int64_t begin, rows;  // of dimension 0
    };
    std::vector<Part> parts;
  };
  std::vector<WeightRef> Weights();

  DecoderSpec spec_;
  at::ScalarType dtype_;
  at::Device device_;
  at::Tensor embed_tokens_;  // [vocab, hidden]
  at::Tensor embed_grad_;    // the head's too when tied
  std::vector<std::unique_ptr<DecoderLayer>> layers_;  // stable addresses: the graph points at them
  NormWeight norm_;
  LinearGroup lm_head_;
  Rope rope_;
};

}  // namespace ft
