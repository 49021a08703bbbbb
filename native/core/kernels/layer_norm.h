// LayerNorm: y = (x − mean) / sqrt(variance + eps) · weight + bias over the last dimension (https://arxiv.org/abs/1607.06450).
// fp32 inside, one rounding to x's dtype at the end. x [..., n] contiguous in its last dimension; weight, bias [n] of x's dtype,
// either may be undefined (1 and 0).
#pragma once

#include <ATen/core/Tensor.h>

namespace ft::kernels {

struct LayerNormOutput {
  at::Tensor y;
  at::Tensor mean, rstd;  // rstd = 1 / sqrt(variance + eps); both fp32 [..., 1]
};
LayerNormOutput LayerNorm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps);

/// y again, from mean and rstd, to the same bits.
at::Tensor LayerNormApply(const at::Tensor& x, const at::Tensor& mean, const at::Tensor& rstd, const at::Tensor& weight, const at::Tensor& bias);

/// dx; adds d weight and d bias to the gradients that are defined, from sums over blocks of rows in a fixed order.
at::Tensor LayerNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& mean, const at::Tensor& rstd, const at::Tensor& weight,
                             at::Tensor weight_grad, at::Tensor bias_grad);

namespace composite {  // ATen operations, any device: the reference of the CPU version
LayerNormOutput LayerNorm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps);
at::Tensor LayerNormApply(const at::Tensor& x, const at::Tensor& mean, const at::Tensor& rstd, const at::Tensor& weight, const at::Tensor& bias);
at::Tensor LayerNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& mean, const at::Tensor& rstd, const at::Tensor& weight,
                             at::Tensor weight_grad, at::Tensor bias_grad);
}  // namespace composite

}  // namespace ft::kernels
