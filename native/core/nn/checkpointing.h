// Gradient checkpointing (https://arxiv.org/abs/1604.06174): keep a layer's input only, run the layer again in backward.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace ft {

/// (x, whether the result's values are wanted) -> y. The second run, in the backward pass, wants the graph alone.
using ForwardFn = std::function<at::Tensor(const at::Tensor&, bool)>;

/// forward(x, true) whose graph keeps x alone. `anchor` requires grad, so that layers with a frozen input are in the graph too.
/// REQUIRES: forward is deterministic and stays callable until the backward pass is over.
at::Tensor Checkpointed(const ForwardFn& forward, const at::Tensor& x, const at::Tensor& anchor);

}  // namespace ft
