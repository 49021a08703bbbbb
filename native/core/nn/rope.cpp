// Frequencies follow transformers' modeling_rope_utils operation by operation in fp32: at position 10,000 one ulp of an
// inverse frequency already turns the angle by 1e-3.
#include "core/nn/rope.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace ft {
namespace {

at::Tensor Exponents(int64_t dim) { return at::arange(0, dim, 2, at::kFloat).div_(static_cast<double>(dim)); }

at::Tensor Llama3(const at::Tensor& inv_freq, const RopeSpec& spec) {
  const auto length = static_cast<double>(spec.original_max_position_embeddings);
  const double low_wavelength = length / spec.low_freq_factor;
  const double high_wavelength = length / spec.high_freq_factor;
  const at::Tensor wavelength = inv_freq.reciprocal().mul(2 * std::numbers::pi);
  const at::Tensor slow = at::where(wavelength.gt(low_wavelength), inv_freq.div(spec.factor), inv_freq);
  const at::Tensor smooth = wavelength.reciprocal().mul(length).sub(spec.low_freq_factor).div(spec.high_freq_factor - spec.low_freq_factor);
  const at::Tensor smoothed = smooth.neg().add(1).mul(slow).div(spec.factor).add(smooth.mul(slow));
  const at::Tensor medium = wavelength.lt(high_wavelength).logical_not().logical_and(wavelength.gt(low_wavelength).logical_not());
  return at::where(medium, smoothed, slow);
}

at::Tensor Yarn(const RopeSpec& spec, int64_t dim) {
  const auto correction = [&](double rotations) {
    return dim * std::log(spec.original_max_position_embeddings / (rotations * 2 * std::numbers::pi)) / (2 * std::log(spec.rope_theta));
  };
  double low = correction(spec.beta_fast), high = correction(spec.beta_slow);
  if (spec.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;
  const at::Tensor positions = at::pow(spec.rope_theta, Exponents(dim));
  const at::Tensor extrapolation = positions.reciprocal();
  const at::Tensor interpolation = positions.mul(spec.factor).reciprocal();
  const at::Tensor ramp = at::arange(dim / 2, at::kFloat).sub(low).div(high - low).clamp(0, 1);
  const at::Tensor keep = ramp.neg().add(1);  // share of extrapolation
  return interpolation.mul(keep.neg().add(1)).add(extrapolation.mul(keep));
}

double YarnAttentionFactor(const RopeSpec& spec) {
  if (spec.attention_factor > 0) return spec.attention_factor;
  const auto mscale = [](double scale, double m) { return scale <= 1 ? 1.0 : 0.1 * m * std::log(scale) + 1.0; };
  if (spec.mscale != 0 && spec.mscale_all_dim != 0) return mscale(spec.factor, spec.mscale) / mscale(spec.factor, spec.mscale_all_dim);
  return mscale(spec.factor, 1.0);
}

// https://arxiv.org/abs/2402.13753: a factor for each frequency, one set for rows within the original length, one beyond.
at::Tensor LongRope(const RopeSpec& spec, bool stretched) {
  const at::Tensor factors = at::tensor(stretched ? spec.long_factor : spec.short_factor, at::kFloat);
  return factors.mul(at::pow(spec.rope_theta, Exponents(spec.dim))).reciprocal();
}

double LongRopeAttentionFactor(const RopeSpec& spec) {
  if (spec.attention_factor > 0) return spec.attention_factor;
  return spec.factor <= 1 ? 1.0 : std::sqrt(1 + std::log(spec.factor) / std::log(static_cast<double>(spec.original_max_position_embeddings)));
}

double AttentionFactor(const RopeSpec& spec) {
  if (spec.type == RopeType::kYarn) return YarnAttentionFactor(spec);
  return spec.type == RopeType::kLongRope ? LongRopeAttentionFactor(spec) : 1.0;
}

RopeSpec WithOriginalLength(RopeSpec spec, int64_t max_position_embeddings) {
  if (spec.original_max_position_embeddings <= 0) spec.original_max_position_embeddings = max_position_embeddings;
  return spec;
}

int64_t StretchedBeyond(const RopeSpec& spec, int64_t max_position_embeddings) {
  if (spec.type == RopeType::kDynamic) return max_position_embeddings;
  return spec.type == RopeType::kLongRope ? spec.original_max_position_embeddings : std::numeric_limits<int64_t>::max();
}

}  // namespace

Rope::Rope(const RopeSpec& rope, int64_t max_position_embeddings, at::Device device)
    : spec_(WithOriginalLength(rope, max_position_embeddings)),
      max_position_embeddings_(max_position_embeddings),
      stretched_beyond_(StretchedBeyond(spec_, max_position_embeddings)),
      attention_scaling_(AttentionFactor(spec_)),
      device_(device),
      inv_freq_(InverseFrequencies(0).to(device)) {}

at::Tensor Rope::InverseFrequencies(int64_t length) const {
  const int64_t dim = spec_.dim;
  if (spec_.type == RopeType::kYarn) return Yarn(spec_, dim);
  if (spec_.type == RopeType::kLongRope) return LongRope(spec_, length > stretched_beyond_);
  if (spec_.type == RopeType::kDynamic && length > stretched_beyond_) {
    const at::Tensor grown = at::scalar_tensor(static_cast<double>(length), at::kFloat)
                                 .mul(spec_.factor)
                                 .div(static_cast<double>(max_position_embeddings_))
                                 .sub(spec_.factor - 1);
    const at::Tensor base = at::pow(grown, static_cast<double>(dim) / static_cast<double>(dim - 2)).mul(spec_.rope_theta);
    return at::pow(base, Exponents(dim)).reciprocal();
  }
  const at::Tensor inv_freq = at::pow(spec_.rope_theta, Exponents(dim)).reciprocal();
  if (spec_.type == RopeType::kLinear) return inv_freq.div(spec_.factor);
  if (spec_.type == RopeType::kLlama3) return Llama3(inv_freq, spec_);
  return inv_freq;
}

int64_t Rope::cache_valid_to() const {
  return spec_.type == RopeType::kLongRope ? stretched_beyond_ : std::numeric_limits<int64_t>::max();
}

std::pair<at::Tensor, at::Tensor> Rope::Tables(const at::Tensor& positions, const std::vector<int64_t>& offsets,
                                               const std::vector<int64_t>& lengths) const {
  at::Tensor angles = positions.to(at::kFloat).unsqueeze(1) * inv_freq_.unsqueeze(0);  // [tokens, dim / 2]
  for (size_t r = 0; r < lengths.size(); ++r) {
    if (lengths[r] <= stretched_beyond_) continue;
    const int64_t begin = offsets[r], count = offsets[r + 1] - begin;
    angles.narrow(0, begin, count)
        .copy_(positions.narrow(0, begin, count).to(at::kFloat).unsqueeze(1) * InverseFrequencies(lengths[r]).to(device_).unsqueeze(0));
  }
  return {angles.cos().mul_(attention_scaling_), angles.sin().mul_(attention_scaling_)};
}

}  // namespace ft
