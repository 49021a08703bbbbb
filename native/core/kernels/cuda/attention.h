// ATen's flash attention on CUDA (https://arxiv.org/abs/2307.08691) over packed rows: one call a batch, grouped heads and
// windows as they are. Its backward adds in an order that varies: the last bits of dq differ from run to run.
// Needs a CUDA build of LibTorch, no nvcc: callers ask kDevices first.
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>
#include <vector>

#include "core/kernels/attention.h"

namespace ft::kernels::cuda {

#ifdef FT_WITH_CUDA
constexpr bool kDevices = true;
#else
constexpr bool kDevices = false;
#endif

/// True when this device has the kernel for this type and head size: bf16 or fp16, multiples of 8 up to 256, compute capability 8.0.
bool HasFlashAttention(const at::Device& device, at::ScalarType dtype, int64_t head_dim);

/// REQUIRES: HasFlashAttention for q; no softcap.
AttentionResult Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<int64_t>& offsets,
                          const AttentionOptions& options);
std::tuple<at::Tensor, at::Tensor, at::Tensor> AttentionBackward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                                                 const at::Tensor& v, const AttentionResult& forward,
                                                                 const std::vector<int64_t>& offsets, const AttentionOptions& options);

}  // namespace ft::kernels::cuda
