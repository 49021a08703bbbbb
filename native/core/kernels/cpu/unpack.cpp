#include "core/kernels/cpu/unpack.h"

#include <string_view>
#include <type_traits>

#include "core/kernels/cpu/row_ops.h"

namespace ft::kernels::cpu {

#define FT_DECLARE(isa)                       \
  namespace isa {                             \
  const UnpackOps<float>& UnpackF32();        \
  const UnpackOps<uint16_t>& UnpackBf16();    \
  }
FT_DECLARE(unpack_default)
#if defined(__x86_64__) && defined(__GNUC__)
FT_DECLARE(unpack_avx2)
FT_DECLARE(unpack_avx512)
#define FT_HAS_X86_UNPACK 1
#endif
#undef FT_DECLARE

namespace {

template <typename T>
struct Tables {
  const UnpackOps<T>* all[3];
  int count = 0;
};

template <typename T>
Tables<T> MakeTables() {
  const auto table = [](const UnpackOps<float>& (*f32)(), const UnpackOps<uint16_t>& (*bf16)()) -> const UnpackOps<T>* {
    if constexpr (std::is_same_v<T, float>) return &f32();
    else return &bf16();
  };
  Tables<T> tables;
#ifdef FT_HAS_X86_UNPACK
  const std::string_view isa = RowOpsName();
  if (isa == "avx512") tables.all[tables.count++] = table(unpack_avx512::UnpackF32, unpack_avx512::UnpackBf16);
  if (isa != "baseline") tables.all[tables.count++] = table(unpack_avx2::UnpackF32, unpack_avx2::UnpackBf16);
#endif
  tables.all[tables.count++] = table(unpack_default::UnpackF32, unpack_default::UnpackBf16);
  return tables;
}

template <typename T>
const Tables<T>& TablesOf() {
  static const Tables<T> tables = MakeTables<T>();
  return tables;
}

}  // namespace

template <typename T>
const UnpackOps<T>& UnpackOpsFor() {
  return *TablesOf<T>().all[0];
}
template const UnpackOps<float>& UnpackOpsFor<float>();
template const UnpackOps<uint16_t>& UnpackOpsFor<uint16_t>();

template <typename T>
int AllUnpackOps(const UnpackOps<T>** out) {
  const Tables<T>& tables = TablesOf<T>();
  for (int i = 0; i < tables.count; ++i) out[i] = tables.all[i];
  return tables.count;
}
template int AllUnpackOps<float>(const UnpackOps<float>** out);
template int AllUnpackOps<uint16_t>(const UnpackOps<uint16_t>** out);

}  // namespace ft::kernels::cpu
