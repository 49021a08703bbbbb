// What a decoder layer is made of: an attention block and an MLP block behind one interface. One implementation a kind;
// decoder_layer.cpp chooses by the facts of the layer.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "core/nn/context.h"
#include "core/nn/experts.h"
#include "core/nn/input_transform.h"
#include "core/nn/linear.h"
#include "core/nn/weight_ref.h"

namespace ft {

struct RopeTables {
  at::Tensor cos, sin;  // fp32 [tokens, dim / 2]
};

/// What the positions of a batch's tokens come to.
struct PositionTables {
  std::vector<RopeTables> ropes;  // of each of DecoderSpec::ropes
  at::Tensor key_bias;            // fp32 [heads, longest row], or undefined
};

struct BlockInput {
  at::Tensor x;                        // [tokens, hidden], the residual stream
  const InputTransform* norm = nullptr;  // the block reads norm(x); nullptr: x itself
  at::Tensor residual = {};            // [tokens, hidden], added to the result; may be undefined
  const RopeTables* rope = nullptr;    // of the layer; nullptr: no rotary embedding
  at::Tensor key_bias = {};            // fp32 [heads, positions], as in kernels::AttentionOptions; undefined: none
  bool value_wanted = true;            // as in LinearGroup::Forward
};

class Block {
 public:
  virtual ~Block() = default;
  /// [tokens, hidden]. Differentiable; what the graph points at is this block and the context.
  virtual at::Tensor Forward(const BlockInput& input, const ForwardContext& context) = 0;
  /// Every group that an adapter can attach to, in module order.
  virtual std::vector<LinearGroup*> Groups() = 0;
  /// Its projections of experts, in module order.
  virtual std::vector<ExpertLinear*> Experts() { return {}; }
  /// Every weight, in module order.
  virtual void AppendWeights(std::vector<WeightRef>* refs) = 0;
};

/// What an attention block keeps of each token for later ones: keys [heads, key_dim], values [heads, value_dim].
struct CacheShape {
  int64_t heads, key_dim, value_dim;
};

class AttentionBlock : public Block {
 public:
  virtual CacheShape cache_shape() const = 0;
  /// Plain matrix products instead of a flash kernel.
  virtual void UseEager() = 0;
};

}  // namespace ft
