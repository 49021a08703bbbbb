#include "core/kernels/cpu/row_ops.h"

namespace ft::kernels::cpu {

#define FT_DECLARE(isa)              \
  namespace isa {                    \
  const RowOps<float>& TableF32();   \
  const RowOps<Bf16>& TableBf16();   \
  }
FT_DECLARE(isa_default)
#if defined(__x86_64__) && defined(__GNUC__)
FT_DECLARE(isa_avx2)
FT_DECLARE(isa_avx512)
#define FT_HAS_X86_ROW_OPS 1
#endif
#undef FT_DECLARE

namespace {

enum class Isa { kDefault, kAvx2, kAvx512 };

Isa BestIsa() {
#ifdef FT_HAS_X86_ROW_OPS
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return Isa::kAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::kAvx2;
#endif
  return Isa::kDefault;
}

template <typename T>
const RowOps<T>& Choose(const RowOps<T>& fallback, [[maybe_unused]] const RowOps<T>& (*avx2)(), [[maybe_unused]] const RowOps<T>& (*avx512)()) {
  static const Isa isa = BestIsa();
  if (isa == Isa::kAvx512) return avx512();
  if (isa == Isa::kAvx2) return avx2();
  return fallback;
}

}  // namespace

#ifdef FT_HAS_X86_ROW_OPS
template <>
const RowOps<float>& RowOpsFor<float>() {
  return Choose<float>(isa_default::TableF32(), isa_avx2::TableF32, isa_avx512::TableF32);
}
template <>
const RowOps<Bf16>& RowOpsFor<Bf16>() {
  return Choose<Bf16>(isa_default::TableBf16(), isa_avx2::TableBf16, isa_avx512::TableBf16);
}
#else
template <>
const RowOps<float>& RowOpsFor<float>() {
  return isa_default::TableF32();
}
template <>
const RowOps<Bf16>& RowOpsFor<Bf16>() {
  return isa_default::TableBf16();
}
#endif

const char* RowOpsName() {
  switch (BestIsa()) {
    case Isa::kAvx512: return "avx512";
    case Isa::kAvx2: return "avx2";
    case Isa::kDefault: break;
  }
  return "baseline";
}

}  // namespace ft::kernels::cpu
