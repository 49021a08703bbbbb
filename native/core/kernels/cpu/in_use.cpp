#include "core/kernels/cpu/in_use.h"

#include <ATen/native/CPUBlas.h>

#include "core/kernels/cpu/bf16_products.h"
#include "core/kernels/cpu/row_ops.h"

namespace ft::kernels::cpu {

std::string KernelsInUse() {
  const std::string rows = std::string("row operations ") + RowOpsName();
  if (!HasBf16Products()) return rows + "; products and attention by LibTorch";
  // ATen packs operands for AMX alone.
  return rows + "; bf16 products and attention in tiles on " + (at::native::cpublas::could_pack(at::kBFloat16) ? "amx" : "avx512_bf16") + ", others by LibTorch";
}

}  // namespace ft::kernels::cpu
