// Which version of attention serves a device.
#include "core/kernels/attention.h"

#include <ATen/core/Tensor.h>

namespace ft::kernels {
namespace {

bool UseFlash(const at::Tensor& q, const AttentionOptions& options) { return q.device().is_cpu() && !options.eager; }

}  // namespace

AttentionResult Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<int64_t>& offsets,
                          const AttentionOptions& options) {
  return UseFlash(q, options) ? cpu::Attention(q, k, v, offsets, options) : composite::Attention(q, k, v, offsets, options);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> AttentionBackward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                                                 const at::Tensor& v, const AttentionResult& forward,
                                                                 const std::vector<int64_t>& offsets, const AttentionOptions& options) {
  return UseFlash(q, options) ? cpu::AttentionBackward(dout, q, k, v, forward, offsets, options)
                             : composite::AttentionBackward(dout, q, k, v, forward, offsets, options);
}

}  // namespace ft::kernels
