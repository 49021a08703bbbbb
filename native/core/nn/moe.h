// The routed part of a mixture of experts: y = residual + Σⱼ wⱼ · expertⱼ(x) over the experts a token's router chose. One node of the
// graph: it keeps its input and the first product of the rows; activations are made again. Only chosen experts' weights are touched.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/base/activation.h"
#include "core/nn/context.h"
#include "core/nn/experts.h"
#include "core/nn/linear.h"
#include "core/nn/moe_spec.h"
#include "core/nn/router.h"

namespace ft {

struct RoutedExperts {
  MoeSpec spec;
  Activation hidden_act = Activation::kSilu;
  int64_t layer = 0;
  LinearGroup router;           // one part; logits are computed in fp32
  at::Tensor correction_bias;   // fp32 [experts] or undefined
  std::string correction_bias_name;
  ExpertLinear gate_up;         // [experts, 2 · width, hidden]: gate above up; with a clamped gate, their rows take turns
  ExpertLinear down;            // [experts, hidden, width]

  bool trainable() const { return router.trainable() || gate_up.trainable() || down.trainable(); }

  /// x [tokens, hidden], residual [tokens, hidden] or undefined. Differentiable. `value_wanted` as in LinearGroup::Forward.
  at::Tensor Forward(const at::Tensor& x, const at::Tensor& residual, const ForwardContext& context, bool value_wanted = true);

  void AppendWeights(std::vector<WeightRef>* refs);
};

}  // namespace ft
