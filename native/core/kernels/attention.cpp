// Which version of attention serves a device.
#include "core/kernels/attention.h"

#include <ATen/core/Tensor.h>

namespace ft::kernels {

AttentionResult Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<int64_t>& offsets,
                          const AttentionOptions& options) {
  return q.device().is_cpu() ? cpu::Attention(q, k, v, offsets, options) : composite::Attention(q, k, v, offsets, options);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> AttentionBackward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                                                 const at::Tensor& v, const AttentionResult& forward,
                                                                 const std::vector<int64_t>& offsets, const AttentionOptions& options) {
  return q.device().is_cpu() ? cpu::AttentionBackward(dout, q, k, v, forward, offsets, options)
                             : composite::AttentionBackward(dout, q, k, v, forward, offsets, options);
}

}  // namespace ft::kernels
