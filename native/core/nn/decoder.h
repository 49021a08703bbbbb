// The one decoder, described by a DecoderSpec: pre-norm attention and gated MLP blocks over packed rows.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "core/nn/context.h"
#include "core/nn/decoder_spec.h"
#include "core/nn/linear.h"
#include "core/nn/norm.h"
#include "core/nn/rope.h"

namespace ft {

struct DecoderLayer {
  NormWeight input_layernorm;
  LinearGroup qkv;
  NormWeight q_norm, k_norm;  // undefined unless spec.qk_norm
  LinearGroup o_proj;
  NormWeight post_attention_layernorm;
  LinearGroup gate_up;
  LinearGroup down_proj;
};

class Decoder {
 public:
  /// Allocates every weight (uninitialised) in `dtype` on `device`.
  Decoder(const DecoderSpec& spec, at::ScalarType dtype, at::Device device);

  /// Hidden states before the final norm, [tokens, hidden].
  at::Tensor Hidden(const Batch& batch, const ForwardContext& context);
  /// Final norm of some rows, [n, hidden] -> [n, hidden]. Differentiable.
  at::Tensor FinalNorm(const at::Tensor& hidden, const ForwardContext& context) { return norm_.Forward(hidden, context); }

  /// Every weight as (Hugging Face tensor name, memory of it), in module order. q, k and v are views of one buffer.
  struct NamedTensor {
    std::string name;
    at::Tensor tensor;
  };
  std::vector<NamedTensor> NamedTensors() const;
  /// Every group an adapter can attach to.
  std::vector<LinearGroup*> Groups();

  /// Full fine-tuning: makes one block a weight and points the gradients at them.
  std::vector<ParameterBlock> MakeTrainable();
  bool weights_trainable() const { return weights_trainable_; }

  const DecoderSpec& spec() const { return spec_; }
  at::ScalarType dtype() const { return dtype_; }
  const at::Device& device() const { return device_; }
  LinearGroup& lm_head() { return lm_head_; }  // shares memory with the embedding when tied

 private:
  at::Tensor Embed(const Batch& batch, const ForwardContext& context);
  at::Tensor Layer(DecoderLayer& layer, int64_t index, const at::Tensor& x, const ForwardContext& context);
  at::Tensor Attention(DecoderLayer& layer, int64_t index, const at::Tensor& x, const ForwardContext& context);

  DecoderSpec spec_;
  at::ScalarType dtype_;
  at::Device device_;
  at::Tensor embed_tokens_;  // [vocab, hidden]
  at::Tensor embed_grad_;
  std::vector<DecoderLayer> layers_;
  NormWeight norm_;
  LinearGroup lm_head_;
  Rope rope_;
  bool weights_trainable_ = false;
};

}  // namespace ft
