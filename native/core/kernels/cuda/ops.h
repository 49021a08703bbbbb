// The kernels of this folder by tensors, each with the contract of ../<op>.h. A build without nvcc has none of the functions:
// callers ask kBuilt first, so that no CUDA symbol is needed there.
//   if constexpr (cuda::kBuilt) { if (cuda::Serves(x)) return cuda::RmsNorm(x, weight, eps); }
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

#include "core/base/activation.h"
#include "core/kernels/adamw.h"
#include "core/kernels/cross_entropy.h"
#include "core/kernels/dropout.h"
#include "core/kernels/layer_norm.h"

namespace ft::kernels::cuda {

#ifdef FT_WITH_CUDA_KERNELS
constexpr bool kBuilt = true;
#else
constexpr bool kBuilt = false;
#endif

/// On a CUDA device, in bf16, fp16 or fp32.
inline bool Serves(const at::Tensor& x) {
  return x.is_cuda() && (x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kHalf || x.scalar_type() == at::kFloat);
}

std::tuple<at::Tensor, at::Tensor> RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps);
at::Tensor RmsNormApply(const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight);
at::Tensor RmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& weight, at::Tensor weight_grad,
                           at::Tensor* y);

LayerNormOutput LayerNorm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps);
at::Tensor LayerNormApply(const at::Tensor& x, const at::Tensor& mean, const at::Tensor& rstd, const at::Tensor& weight, const at::Tensor& bias);
at::Tensor LayerNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& mean, const at::Tensor& rstd, const at::Tensor& weight,
                             at::Tensor weight_grad, at::Tensor bias_grad);

at::Tensor Rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, bool inverse);

at::Tensor Gate(const at::Tensor& gate_up, Activation activation);
at::Tensor GateBackward(const at::Tensor& dy, const at::Tensor& gate_up, Activation activation, at::Tensor* y);

at::Tensor Dropout(const at::Tensor& x, double p, const DropoutKey& key, const at::Tensor& row_keys, const at::Tensor& positions);

CrossEntropyRows CrossEntropy(at::Tensor& logits, const at::Tensor& targets, const CrossEntropyGradient* gradient);

/// Weights of few bits; `out` [rows, columns] as kernels::WeightSource::ReadAll's.
void UnpackNibbles(const at::Tensor& codes, const at::Tensor& table, const at::Tensor& scales, int64_t block, at::Tensor& out);
void UnpackSignedBytes(const at::Tensor& codes, const at::Tensor& scales, at::Tensor& out);
/// As kernels::WeightSource::FewRows: undefined for more rows, or other sizes, than the kernel takes.
at::Tensor FewRowsOfNibbles(const at::Tensor& x, const at::Tensor& codes, const at::Tensor& table, const at::Tensor& scales, int64_t block, int64_t rows);

void AdamW(at::Tensor& master, at::Tensor& compute, at::Tensor& grad, at::Tensor& exp_avg, at::Tensor& exp_avg_sq, const AdamWStep& step);

}  // namespace ft::kernels::cuda
