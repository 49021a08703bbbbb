#include "core/kernels/cuda/attention.h"

#include <ATen/ATen.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <c10/cuda/CUDAException.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <optional>

#include "core/base/error.h"

namespace ft::kernels::cuda {
namespace {

// The offsets of a batch on the device, int32. Every layer of a step asks for the same ones, so the last are kept: a copy
// from the host would make it wait for the queue. Never freed: at exit the CUDA context may be gone before it.
at::Tensor OffsetsOnDevice(const std::vector<int64_t>& offsets, const at::Device& device) {
  struct Last {
    std::vector<int64_t> offsets;
    at::Tensor tensor;
  };
  static auto* mutex = new std::mutex;  // forward runs on the engine's thread, a recomputation on autograd's
  static auto* last_of = new std::map<int, Last>;
  const std::lock_guard<std::mutex> lock(*mutex);
  Last& last = (*last_of)[device.index()];
  if (!last.tensor.defined() || last.offsets != offsets) {
    const at::Tensor host = at::empty({static_cast<int64_t>(offsets.size())}, at::kInt);
    std::transform(offsets.begin(), offsets.end(), host.mutable_data_ptr<int32_t>(), [](int64_t offset) { return static_cast<int32_t>(offset); });
    last = {offsets, host.to(device)};
  }
  return last.tensor;
}

struct Geometry {
  int64_t longest = 0;
  std::optional<int64_t> left, right;  // keys that a query sees on either side; none: all earlier ones

  Geometry(const std::vector<int64_t>& offsets, int64_t window) {
    for (size_t r = 0; r + 1 < offsets.size(); ++r) longest = std::max(longest, offsets[r + 1] - offsets[r]);
    // Rows of one token get a window of one: without it the kernel takes another path, whose log-sum-exp is laid out differently.
    if (longest == 1) window = 1;
    if (window > 0 && (window < longest || longest == 1)) left = window - 1, right = 0;
  }
};

void Check(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<int64_t>& offsets) {
  FT_CHECK(q.dim() == 3 && k.dim() == 3 && v.sizes() == k.sizes() && k.size(0) == q.size(0) && k.size(2) == q.size(2) && k.size(1) > 0 &&
               q.size(1) % k.size(1) == 0,
           kInternal, "attention of q {}, k {}, v {}", c10::str(q.sizes()), c10::str(k.sizes()), c10::str(v.sizes()));
  FT_CHECK(offsets.size() > 1 && offsets.front() == 0 && offsets.back() == q.size(0) && q.size(0) <= std::numeric_limits<int32_t>::max(), kInternal,
           "attention of {} tokens in rows up to {}", q.size(0), offsets.empty() ? 0 : offsets.back());
}

// The kernel reads 16 bytes at once.
at::Tensor Readable(const at::Tensor& x) {
  const bool aligned = reinterpret_cast<uintptr_t>(x.const_data_ptr()) % 16 == 0 && x.stride(0) % 8 == 0 && x.stride(1) % 8 == 0 && x.stride(2) == 1;
  return aligned ? x : x.clone(at::MemoryFormat::Contiguous);
}

int Attribute(cudaDeviceAttr attribute, const at::Device& device) {
  int value = 0;
  C10_CUDA_CHECK(cudaDeviceGetAttribute(&value, attribute, device.index()));
  return value;
}

}  // namespace

bool HasFlashAttention(const at::Device& device, at::ScalarType dtype, int64_t head_dim) {
  if (!device.is_cuda() || (dtype != at::kBFloat16 && dtype != at::kHalf) || head_dim <= 0 || head_dim % 8 != 0 || head_dim > 256) return false;
  const int major = Attribute(cudaDevAttrComputeCapabilityMajor, device), minor = Attribute(cudaDevAttrComputeCapabilityMinor, device);
  // The backward of heads above 192 does not fit the shared memory of consumer chips.
  const bool roomy = (major == 8 && minor == 0) || major == 9 || major == 10;
  return major >= 8 && (head_dim <= 192 || roomy);
}

// The arguments that LibTorch 2.13 added come last and have defaults, so these calls compile from 2.11 on.
AttentionResult Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<int64_t>& offsets, const AttentionOptions& options) {
  Check(q, k, v, offsets);
  const Geometry rows(offsets, options.window);
  const at::Tensor cu_seqlens = OffsetsOnDevice(offsets, q.device());
  const auto [out, lse, rng_state, unused, debug] =
      at::_flash_attention_forward(Readable(q), Readable(k), Readable(v), cu_seqlens, cu_seqlens, rows.longest, rows.longest, /*dropout_p=*/0.0,
                                   /*is_causal=*/true, /*return_debug_mask=*/false, options.scale, rows.left, rows.right);
  return {out.contiguous(), {lse, rng_state, unused, cu_seqlens}};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> AttentionBackward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                                                 const AttentionResult& forward, const std::vector<int64_t>& offsets, const AttentionOptions& options) {
  Check(q, k, v, offsets);
  FT_CHECK(forward.saved.size() == 4, kInternal, "attention's backward got {} saved tensors", forward.saved.size());
  const Geometry rows(offsets, options.window);
  const at::Tensor &lse = forward.saved[0], &rng_state = forward.saved[1], &unused = forward.saved[2], &cu_seqlens = forward.saved[3];
  return at::_flash_attention_backward(Readable(dout), Readable(q), Readable(k), Readable(v), forward.out, lse, cu_seqlens, cu_seqlens, rows.longest,
                                       rows.longest, /*dropout_p=*/0.0, /*is_causal=*/true, rng_state, unused, options.scale, rows.left, rows.right);
}

}  // namespace ft::kernels::cuda
