#include "core/kernels/cpu/bf16_products.h"

#include <ATen/ATen.h>

#include <exception>

#include "core/kernels/cpu/bf16_tiles.h"

namespace ft::kernels::cpu {
namespace {

bool TryOne() {
  alignas(64) uint16_t zeros[32 * 32] = {};
  alignas(64) float out[16 * 16];
  try {
    Multiply(16, 16, 32, zeros, 32, zeros, 16, out, 16, false);
    at::native::cpublas::brgemm_release();
    return true;
  } catch (const std::exception&) {  // oneDNN off, or told to use less than this CPU has
    return false;
  }
}

}  // namespace

bool HasBf16Products() {
  static const bool works = BestBf16Tiles() != nullptr && TryOne();
  return works;
}

}  // namespace ft::kernels::cpu
