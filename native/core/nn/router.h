// Which experts a token goes to and how much each counts: the arithmetic between a router's logits and the weights, with its
// gradient, and the load-balancing loss over all routers of a model (https://arxiv.org/abs/2101.03961, equations 4 to 6).
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "core/nn/moe_spec.h"

namespace ft {

struct Routing {
  at::Tensor experts;  // int64 [tokens, k]
  at::Tensor weights;  // fp32 [tokens, k]
};

/// logits fp32 [tokens, experts]; correction_bias fp32 [experts] where the spec has one.
Routing Route(const at::Tensor& logits, const at::Tensor& correction_bias, const RouterSpec& spec);

/// d logits fp32 [tokens, experts] from d weights fp32 [tokens, k]. The choice itself has no gradient.
at::Tensor RouteBackward(const at::Tensor& dweights, const at::Tensor& logits, const Routing& routing, const RouterSpec& spec);

/// Rows of a forward pass by the expert they go to.
struct Dispatch {
  std::vector<int64_t> offsets;  // [experts + 1]: rows of expert e
  at::Tensor slots;              // int64 [rows]: index into [tokens · k] of each row; rows of one expert in token order
  at::Tensor tokens;             // int64 [rows]
  at::Tensor position;           // int64 [tokens, k]: the row of each slot
};

Dispatch DispatchOf(const at::Tensor& experts, int64_t num_experts);
/// The same from the slots of an earlier call.
Dispatch DispatchAgain(const at::Tensor& slots, std::vector<int64_t> offsets, int64_t experts_per_token);

/// The load-balancing loss of one forward pass: E · Σₑ fₑ · Pₑ, fₑ the share of rows that go to expert e (times k) and Pₑ its mean
/// probability, over the tokens of all layers. Layers report in the forward pass; the gradient is there once all have.
class LoadBalance {
 public:
  /// `coefficient` multiplies the loss, `gradient_scale` what Gradient gives besides.
  LoadBalance(int64_t layers, double coefficient, double gradient_scale);
  /// What a layer's router said; a second report of a layer (its recomputation) replaces the first.
  void Report(int64_t layer, const at::Tensor& logits, const at::Tensor& experts);
  /// coefficient · loss.
  double Loss() const;
  /// What is added to d logits of these logits (any layer's), fp32.
  at::Tensor Gradient(const at::Tensor& logits) const;

 private:
  struct Sums {
    at::Tensor rows, probability;  // fp32 [experts]
    double tokens = 0;
  };
  Sums Total() const;

  double coefficient_, gradient_scale_;
  std::vector<Sums> layers_;
};

}  // namespace ft
