// Causal attention of packed rows in bf16 by tiles of 64 tokens (https://arxiv.org/abs/2205.14135), with products by
// oneDNN's small-matrix kernels (AMX or AVX512 bf16). Products accumulate in fp32, probabilities are rounded to bf16.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/kernels/attention.h"

namespace ft::kernels::cpu_bf16 {

/// True when this CPU and build run it and the tensors fit: bf16, heads of at most 256.
bool Supports(const at::Tensor& q);

AttentionResult Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<int64_t>& offsets,
                          const AttentionOptions& options);
std::tuple<at::Tensor, at::Tensor, at::Tensor> AttentionBackward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                                                 const at::Tensor& v, const AttentionResult& forward,
                                                                 const std::vector<int64_t>& offsets, const AttentionOptions& options);
/// keys and values [rows, Hk, capacity, d], contiguous.
at::Tensor AttentionDecode(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values, const std::vector<int64_t>& lengths,
                           const AttentionOptions& options);

}  // namespace ft::kernels::cpu_bf16
