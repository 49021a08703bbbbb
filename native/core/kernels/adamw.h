// AdamW (https://arxiv.org/abs/1711.05101, as torch.optim.AdamW(fused=True)) over flat memory in one pass: reads the
// gradient, updates moments and fp32 master, refreshes the compute copy and clears the gradient. fp32 inside.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "core/kernels/adamw_factors.h"

namespace ft::kernels {

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
