// Which version of attention serves a device.
#include "core/kernels/attention.h"

#include <ATen/ATen.h>
#include <c10/util/StringUtil.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/kernels/attention_runs.h"
#include "core/kernels/cpu/attention_bf16.h"
#include "core/kernels/cuda/attention.h"

namespace ft::kernels {
namespace {

enum class Version { kComposite, kFlash, kTiles, kCuda };

Version VersionFor(const at::Tensor& q, int64_t kv_heads, const AttentionOptions& options) {
  if (options.eager || !HasFlashAttention(q.device(), q.scalar_type(), q.size(-1))) return Version::kComposite;
  const bool biased = options.key_bias.defined();
  if (!q.device().is_cpu()) return options.softcap > 0 || biased ? Version::kComposite : Version::kCuda;
  if (cpu_bf16::Supports(q)) return Version::kTiles;
  if (biased && !cpu::TakesKeyBias(q, kv_heads)) return Version::kComposite;
  return options.softcap > 0 ? Version::kComposite : Version::kFlash;
}

// [Hq, positions] for every position of the longest row.
void CheckKeyBias(const at::Tensor& q, int64_t longest, const AttentionOptions& options) {
  const at::Tensor& bias = options.key_bias;
  if (!bias.defined()) return;
  FT_CHECK(bias.dim() == 2 && bias.size(0) == q.size(1) && bias.size(1) >= longest && bias.scalar_type() == at::kFloat && options.softcap == 0, kInternal,
           "attention of {} heads and rows of {} with a bias {} and a cap of {}", q.size(1), longest, c10::str(bias.sizes()), options.softcap);
}

int64_t Longest(const std::vector<int64_t>& offsets) {
  int64_t longest = 0;
  for (size_t r = 0; r + 1 < offsets.size(); ++r) longest = std::max(longest, offsets[r + 1] - offsets[r]);
  return longest;
}

// The log-sum-exp of a run of tokens as a version saved it: fp32 [rows, length, Hq], a view.
struct RunLse {
  AttentionRun run;
  at::Tensor lse;
};

std::vector<RunLse> LseOf(Version version, const AttentionResult& result, const std::vector<int64_t>& offsets) {
  if (version == Version::kFlash) {
    std::vector<RunLse> all;
    for (const AttentionRun& run : EqualRuns(offsets)) all.push_back({run, result.saved.at(all.size()).transpose(1, 2)});
    return all;
  }
  const at::Tensor lse = version == Version::kCuda ? result.saved.at(0).t() : result.saved.at(0);  // [tokens, Hq]
  return {{{0, 1, offsets.back()}, lse.unsqueeze(0)}};
}

// A sink takes its share of what was divided among the keys: out · exp(lse − lse'), lse' = log(exp(lse) + exp(sink)). With lse'
// in place of lse the versions' backward is that of the softmax with sinks.
void AddSinks(Version version, AttentionResult& result, const std::vector<int64_t>& offsets, const AttentionOptions& options) {
  for (RunLse& part : LseOf(version, result, offsets)) {
    const at::Tensor with_sink = at::logaddexp(part.lse, options.sinks);
    at::Tensor out = part.run.Heads(result.out);  // [rows, Hq, length, d]
    out.mul_((part.lse - with_sink).exp_().transpose(1, 2).unsqueeze(-1));
    part.lse.copy_(with_sink);
  }
}

AttentionResult AttentionWithout(Version version, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const std::vector<int64_t>& offsets,
                                 const AttentionOptions& options) {
  switch (version) {
    case Version::kTiles: return cpu_bf16::Attention(q, k, v, offsets, options);
    case Version::kFlash: return cpu::Attention(q, k, v, offsets, options);
    case Version::kCuda:
      if constexpr (cuda::kDevices) return cuda::Attention(q, k, v, offsets, options);
      break;
    case Version::kComposite: break;
  }
  return composite::Attention(q, k, v, offsets, options);
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
  CheckKeyBias(q, Longest(offsets), options);
  const Version version = VersionFor(q, k.size(1), options);
  AttentionResult result = AttentionWithout(version, q, k, v, offsets, options);
  if (options.sinks.defined() && version != Version::kComposite) AddSinks(version, result, offsets, options);  // the composite version knows them
  return result;
}

at::Tensor SinkGradient(const at::Tensor& dout, const AttentionResult& forward, const std::vector<int64_t>& offsets, const AttentionOptions& options) {
  at::Tensor gradient = at::zeros_like(options.sinks);
  for (const RunLse& part : LseOf(VersionFor(forward.out, forward.out.size(1), options), forward, offsets)) {
    const at::Tensor d = part.run.Heads(dout).to(at::kFloat).mul_(part.run.Heads(forward.out)).sum(-1);  // [rows, Hq, length]
    gradient.sub_((options.sinks - part.lse).exp_().transpose(1, 2).mul_(d).sum({0, 2}));
  }
  return gradient;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> AttentionBackward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                                                                 const at::Tensor& v, const AttentionResult& forward,
                                                                 const std::vector<int64_t>& offsets, const AttentionOptions& options) {
  switch (VersionFor(q, k.size(1), options)) {
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
  CheckKeyBias(q, lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end()), options);
  return VersionFor(q, keys.size(1), options) == Version::kTiles ? cpu_bf16::AttentionDecode(q, keys, values, lengths, options)
                                                                 : composite::AttentionDecode(q, keys, values, lengths, options);
}

}  // namespace ft::kernels
