// Gradient checkpointing (https://arxiv.org/abs/1604.06174): keep a layer's input only, run the layer again in backward.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace ft {

/// forward(x) whose graph keeps x alone. `anchor` requires grad, so that layers with a frozen input are in the graph too.
/// REQUIRES: forward is deterministic and stays callable until the backward pass is over.
at::Tensor Checkpointed(const std::function<at::Tensor(const at::Tensor&)>& forward, const at::Tensor& x, const at::Tensor& anchor);

}  // namespace ft
