#include "core/kernels/cpu/bf16_tiles.h"

namespace ft::kernels::cpu {

#if defined(__x86_64__) && defined(__GNUC__)

const Bf16Tiles& Bf16TilesAvx512();

const Bf16Tiles* BestBf16Tiles() {
  static const bool supported = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
  return supported ? &Bf16TilesAvx512() : nullptr;
}

#else

const Bf16Tiles* BestBf16Tiles() { return nullptr; }

#endif

}  // namespace ft::kernels::cpu
