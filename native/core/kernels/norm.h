// RMSNorm: y = x / sqrt(mean(x²) + eps) · weight over the last dimension (https://arxiv.org/abs/1910.07467).
// fp32 inside, one rounding to x's dtype at the end. x [..., n] contiguous in its last dimension.
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

namespace ft::kernels {

/// Returns y and rstd = 1 / sqrt(mean(x²) + eps), fp32 [..., 1].
std::tuple<at::Tensor, at::Tensor> RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// y again, from rstd.
at::Tensor RmsNormApply(const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight);

/// dx; adds d weight to `weight_grad` unless that is undefined. With `y`, *y becomes RmsNormApply(x, rstd, weight) in the same
/// pass over memory.
at::Tensor RmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight,
                           at::Tensor weight_grad, at::Tensor* y = nullptr);

namespace composite {  // ATen operations, any device: the reference of the CPU version
std::tuple<at::Tensor, at::Tensor> RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);
at::Tensor RmsNormApply(const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight);
at::Tensor RmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight,
                           at::Tensor weight_grad, at::Tensor* y = nullptr);
}  // namespace composite

}  // namespace ft::kernels
