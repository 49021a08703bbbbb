// AdamW (https://arxiv.org/abs/1711.05101, as torch.optim.AdamW(fused=True)) over flat memory in one pass: reads the
// gradient, updates moments and fp32 master, refreshes the compute copy and clears the gradient. fp32 inside.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace ft::kernels {

struct AdamWStep {
  double learning_rate = 0.0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
  int64_t count = 1;       // of this update, from 1: bias correction
  double grad_scale = 1.0;  // the gradient is multiplied with it: clipping, loss scale
};

/// All [n] and contiguous. master, exp_avg, exp_avg_sq fp32; grad any floating dtype; compute may be the same tensor as master.
void AdamW(at::Tensor& master, at::Tensor& compute, at::Tensor& grad, at::Tensor& exp_avg, at::Tensor& exp_avg_sq, const AdamWStep& step);

/// Σ x² over all elements of all tensors, in float64 over partial sums of fp32, the same for any number of threads. The tensors
/// are contiguous and on one device, which is waited for once.
double SumOfSquares(const std::vector<at::Tensor>& tensors);

namespace composite {  // ATen operations, any device: the reference of the CPU version
void AdamW(at::Tensor& master, at::Tensor& compute, at::Tensor& grad, at::Tensor& exp_avg, at::Tensor& exp_avg_sq, const AdamWStep& step);
double SumOfSquares(const std::vector<at::Tensor>& tensors);
}  // namespace composite

}  // namespace ft::kernels
