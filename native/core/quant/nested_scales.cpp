// Double quantization: the scales of 4-bit blocks, less their mean, in blocks of 256 as codes of the dynamic map.
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")  // each step is rounded, on every CPU
#endif
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "core/quant/four_bit.h"

namespace ft::quant {
namespace {

// Boundary i of `count` evenly spaced ones from 0.1 to 1, from the nearer end and with one rounding each: ATen's linspace,
// which the published table was made with.
float Boundary(int i, int count) {
  const float step = (1.0f - 0.1f) / static_cast<float>(count - 1);
  return i < count / 2 ? std::fma(step, static_cast<float>(i), 0.1f) : std::fma(-step, static_cast<float>(count - 1 - i), 1.0f);
}

std::array<float, 256> MakeDynamicMap() {
  std::array<float, 256> map{};
  size_t size = 0;
  constexpr int kExponents = 7;
  for (int exponent = 0; exponent < kExponents; ++exponent) {
    const int means = 1 << exponent;
    const auto scale = static_cast<float>(std::pow(10.0, exponent - (kExponents - 1)));
    for (int i = 0; i < means; ++i) {
      const float mean = (Boundary(i, means + 1) + Boundary(i + 1, means + 1)) / 2.0f;
      map[size++] = scale * mean;
      map[size++] = -scale * mean;
    }
  }
  map[size++] = 0.0f;
  map[size++] = 1.0f;
  std::sort(map.begin(), map.end());
  return map;
}

// The nearest value's place; of two as near, the lower.
uint8_t Nearest(const std::array<float, 256>& map, float x) {
  const auto above = std::lower_bound(map.begin(), map.end(), x);
  if (above == map.begin()) return 0;
  if (above == map.end()) return 255;
  const auto at = static_cast<size_t>(above - map.begin());
  return static_cast<uint8_t>(std::fabs(x - map[at - 1]) <= std::fabs(x - map[at]) ? at - 1 : at);
}

}  // namespace

const std::array<float, 256>& DynamicMap() {
  static const std::array<float, 256> map = MakeDynamicMap();
  return map;
}

BlockScales NestScales(const at::Tensor& absmax) {
  const int64_t blocks = absmax.numel();
  const float* in = absmax.const_data_ptr<float>();
  double sum = 0;
  for (int64_t i = 0; i < blocks; ++i) sum += in[i];
  BlockScales scales;
  scales.offset = static_cast<float>(sum / static_cast<double>(std::max<int64_t>(blocks, 1)));
  scales.codes = at::empty({blocks}, at::kByte);
  scales.table = at::empty({256}, at::kFloat);
  std::copy(DynamicMap().begin(), DynamicMap().end(), scales.table.mutable_data_ptr<float>());
  scales.absmax = at::empty({(blocks + scales.block - 1) / scales.block}, at::kFloat);
  auto* codes = scales.codes.mutable_data_ptr<uint8_t>();
  auto* largest = scales.absmax.mutable_data_ptr<float>();
  for (int64_t begin = 0; begin < blocks; begin += scales.block) {
    const int64_t end = std::min(begin + scales.block, blocks);
    float top = 0;
    for (int64_t i = begin; i < end; ++i) top = std::max(top, std::fabs(in[i] - scales.offset));
    largest[begin / scales.block] = top;
    const float inverse = top > 0 ? 1.0f / top : 0.0f;
    for (int64_t i = begin; i < end; ++i) codes[i] = Nearest(DynamicMap(), std::clamp((in[i] - scales.offset) * inverse, -1.0f, 1.0f));
  }
  return scales;
}

void BlockScales::Read(int64_t begin, int64_t count, float* out) const {
  if (!nested()) {
    std::copy_n(plain.const_data_ptr<float>() + begin, count, out);
    return;
  }
  const auto* code = codes.const_data_ptr<uint8_t>();
  const auto *values = table.const_data_ptr<float>(), *largest = absmax.const_data_ptr<float>();
  for (int64_t i = begin; i < begin + count; ++i) {
    *out++ = values[code[i]] * largest[i / block] + offset;
  }
}

at::Tensor BlockScales::All() const {
  if (!nested()) return plain;
  const at::Tensor each = absmax.repeat_interleave(block).narrow(0, 0, codes.numel());
  return table.index_select(0, codes.to(at::kInt)).mul_(each).add_(offset);
}

}  // namespace ft::quant
