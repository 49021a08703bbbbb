// Rotary embedding, half-split layout: (a, b) of the first `2·half` dimensions of each head become
// (a·cos − b·sin, b·cos + a·sin); the dimensions beyond stay. fp32 inside, one rounding.
#pragma once

#include <ATen/core/Tensor.h>

namespace ft::kernels {

/// x [tokens, heads, head_dim]; cos, sin fp32 [tokens, half]. `inverse` rotates back, which is the backward pass.
at::Tensor Rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, bool inverse);

/// The same for pairs that lie side by side: (a, b) are dimensions 2i and 2i + 1. Plain ATen operations on every device.
at::Tensor RotatePairs(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, bool inverse);

namespace composite {  // ATen operations, any device: the reference of the CPU version
at::Tensor Rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, bool inverse);
}  // namespace composite

}  // namespace ft::kernels
