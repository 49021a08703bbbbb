// Which version of attention serves a device.
#include "core/kernels/attention.h"

#include <ATen/core/Tensor.h>

#include "core/kernels/cpu/attention_bf16.h"
#include "core/kernels/cuda/attention.h"

namespace ft::kernels {
namespace {

enum class Version { kComposite, kFlash, kTiles, kCuda };

Version VersionFor(const at::Tensor& q, const AttentionOptions& options) {
  if (options.eager || !HasFlashAttention(q.device(), q.scalar_type(), q.size(-1))) return Version::kComposite;
  if (!q.device().is_cpu()) return options.softcap > 0 ? Version::kComposite : Version::kCuda;
  if (cpu_bf16::Supports(q)) return Version::kTiles;
  return options.softcap > 0 ? Version::kComposite : Version::kFlash;
}

}  // namespace

bool HasFlashAttention(const at::Device& device, at::ScalarType dtype, int64_t head_dim) {
  if constexpr (cuda::kDevices) {
    if (device.is_cuda()) return cuda::HasFlashAttention(device, dtype, head_dim);
  }
  return device.is_cpu();
}

AttentionResult Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<int64_t>& offsets,
                          const AttentionOptions& options) {
  switch (VersionFor(q, options)) {
    case Version::kTiles: return cpu_bf16::Attention(q, k, v, offsets, options);
    case Version::kFlash: return cpu::Attention(q, k, v, offsets, options);
    case Version::kCuda:
      if constexpr (cuda::kDevices) return cuda::Attention(q, k, v, offsets, options);
      break;
    case Version::kComposite: break;
  }
  return composite::Attention(q, k, v, offsets, options);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> AttentionBackward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                                                 const at::Tensor& v, const AttentionResult& forward,
                                                                 const std::vector<int64_t>& offsets, const AttentionOptions& options) {
  switch (VersionFor(q, options)) {
    case Version::kTiles: return cpu_bf16::AttentionBackward(dout, q, k, v, forward, offsets, options);
    case Version::kFlash: return cpu::AttentionBackward(dout, q, k, v, forward, offsets, options);
    case Version::kCuda:
      if constexpr (cuda::kDevices) return cuda::AttentionBackward(dout, q, k, v, forward, offsets, options);
      break;
    case Version::kComposite: break;
  }
  return composite::AttentionBackward(dout, q, k, v, forward, offsets, options);
}

at::Tensor AttentionDecode(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values, const std::vector<int64_t>& lengths,
                           const AttentionOptions& options) {
  return VersionFor(q, options) == Version::kTiles ? cpu_bf16::AttentionDecode(q, keys, values, lengths, options)
                                                   : composite::AttentionDecode(q, keys, values, lengths, options);
}

}  // namespace ft::kernels
