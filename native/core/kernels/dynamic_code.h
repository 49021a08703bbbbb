// The dynamic 8-bit code: 256 values whose spacing grows with their magnitude, over seven decades (Dettmers et al., "8-bit
// Optimizers via Block-wise Quantization", https://arxiv.org/abs/2110.02861, section 2.2), with the values bitsandbytes publishes.
// A block of 256 numbers is stored as codes of x / max|x| and that maximum. Free of LibTorch.
#pragma once

#include <array>
#include <cstdint>

namespace ft::kernels {

/// Numbers that share a maximum.
inline constexpr int64_t kDynamicBlock = 256;

class DynamicCode {
 public:
  /// Values of both signs, −0.993 … 1; for first moments.
  static const DynamicCode& Signed();
  /// 0 … 1, twice as fine; for second moments.
  static const DynamicCode& Unsigned();

  float value(uint8_t code) const { return values_[code]; }
  const std::array<float, 256>& values() const { return values_; }
  /// The nearest value's code, for any x (beyond the ends: the end; NaN: 0); the lower one of two that are equally near.
  /// A negative x never becomes 0, so that it keeps its sign.
  uint8_t Encode(float x) const;

  /// out[i] = value(codes[i]) · absmax, n <= kDynamicBlock.
  void DecodeBlock(const uint8_t* codes, float absmax, int64_t n, float* out) const;
  /// Returns max |x|, at most the largest finite number; a block of zeros gets the code of 0.
  float EncodeBlock(const float* x, int64_t n, uint8_t* codes) const;

 private:
  explicit DynamicCode(bool with_sign);

  std::array<float, 256> values_;    // ascending
  std::array<float, 257> midpoint_;  // midpoint_[c] lies between the values of c and c + 1; +∞ behind the last
  // By sign and the top bits of |x|: the code at the cell's lower end, counted in the direction of +∞. Cells are finer than the
  // values, so that at most one midpoint lies in a cell.
  static constexpr int kMantissaBits = 7, kShift = 23 - kMantissaBits, kLeastExponent = -25;
  static constexpr int kCells = -kLeastExponent << kMantissaBits;
  std::array<uint8_t, 2 * kCells> lower_;
  uint8_t zero_ = 0;
};

}  // namespace ft::kernels
