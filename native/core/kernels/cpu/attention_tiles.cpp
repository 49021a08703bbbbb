#include "core/kernels/cpu/attention_tiles.h"

namespace ft::kernels::cpu {

#if defined(__x86_64__) && defined(__GNUC__)

const AttentionTiles& AttentionTilesAvx512Bf16();

const AttentionTiles* BestAttentionTiles() {
  static const bool supported = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
  return supported ? &AttentionTilesAvx512Bf16() : nullptr;
}

#else

const AttentionTiles* BestAttentionTiles() { return nullptr; }

#endif

}  // namespace ft::kernels::cpu
