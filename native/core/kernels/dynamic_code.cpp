#include "core/kernels/dynamic_code.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>
#include <vector>

namespace ft::kernels {
namespace {

constexpr int kDecades = 7;

// torch.linspace(0.1, 1, n) in fp32, as its CPU kernel rounds.
std::vector<float> Boundaries(int n) {
  const float start = 0.1f, end = 1.0f, step = (end - start) / static_cast<float>(n - 1);
  std::vector<float> out;
  for (int i = 0; i < n; ++i) {
    out.push_back(i < n / 2 ? std::fma(step, static_cast<float>(i), start) : std::fma(-step, static_cast<float>(n - i - 1), end));
  }
  return out;
}

// Every decade has twice as many values as the one below, in the middle between evenly spaced boundaries.
std::array<float, 256> ValuesOf(bool with_sign) {
  std::vector<float> all = {0.0f, 1.0f};
  for (int decade = 0; decade < kDecades; ++decade) {
    const std::vector<float> boundaries = Boundaries((1 << (with_sign ? decade : decade + 1)) + 1);
    const auto scale = static_cast<float>(std::pow(10.0, decade - (kDecades - 1)));
    for (size_t i = 0; i + 1 < boundaries.size(); ++i) {
      const float value = scale * ((boundaries[i] + boundaries[i + 1]) / 2.0f);
      all.push_back(value);
      if (with_sign) all.push_back(-value);
    }
  }
  std::sort(all.begin(), all.end());
  std::array<float, 256> values{};
  std::copy(all.begin(), all.end(), values.begin());
  return values;
}

}  // namespace

const DynamicCode& DynamicCode::Signed() {
  static const DynamicCode code(true);
  return code;
}

const DynamicCode& DynamicCode::Unsigned() {
  static const DynamicCode code(false);
  return code;
}

DynamicCode::DynamicCode(bool with_sign) : values_(ValuesOf(with_sign)) {
  for (size_t c = 0; c + 1 < values_.size(); ++c) midpoint_[c] = 0.5f * (values_[c] + values_[c + 1]);
  midpoint_[255] = midpoint_[256] = std::numeric_limits<float>::infinity();
  zero_ = static_cast<uint8_t>(std::lower_bound(values_.begin(), values_.end(), 0.0f) - values_.begin());
  const auto nearest = [this](float x) { return static_cast<uint8_t>(std::lower_bound(midpoint_.begin(), midpoint_.begin() + 255, x) - midpoint_.begin()); };
  for (int cell = 0; cell < kCells; ++cell) {
    const uint32_t bits = static_cast<uint32_t>(((127 + kLeastExponent) << kMantissaBits) + cell) << kShift;
    const float least = std::bit_cast<float>(bits), most = std::bit_cast<float>(bits | ((1u << kShift) - 1));
    lower_[static_cast<size_t>(cell)] = nearest(least);
    lower_[static_cast<size_t>(kCells + cell)] = nearest(-most);
  }
}

uint8_t DynamicCode::Encode(float x) const {
  const float magnitude = std::fabs(x);
  if (!(magnitude < 1.0f)) return magnitude >= 1.0f ? (x > 0.0f ? 255 : 0) : zero_;
  const uint32_t bits = std::bit_cast<uint32_t>(magnitude);
  const int cell = static_cast<int>(bits >> kShift) - ((127 + kLeastExponent) << kMantissaBits);
  if (cell < 0) return x < 0.0f && zero_ > 0 ? zero_ - 1 : zero_;
  uint8_t code = lower_[static_cast<size_t>((x < 0.0f ? kCells : 0) + cell)];
  code += x > midpoint_[code];
  if (x < 0.0f && code == zero_ && zero_ > 0) --code;
  return code;
}

void DynamicCode::DecodeBlock(const uint8_t* codes, float absmax, int64_t n, float* out) const {
  for (int64_t i = 0; i < n; ++i) out[i] = values_[codes[i]] * absmax;
}

float DynamicCode::EncodeBlock(const float* x, int64_t n, uint8_t* codes) const {
  float absmax = 0.0f;
  for (int64_t i = 0; i < n; ++i) absmax = std::max(absmax, std::fabs(x[i]));
  absmax = std::min(absmax, FLT_MAX);
  if (absmax == 0.0f) {
    std::fill_n(codes, n, zero_);
    return 0.0f;
  }
  for (int64_t i = 0; i < n; ++i) codes[i] = Encode(x[i] / absmax);
  return absmax;
}

}  // namespace ft::kernels
