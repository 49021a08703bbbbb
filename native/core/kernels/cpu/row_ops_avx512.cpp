// row_ops.h for avx512; see row_ops_impl.h. Empty where the compiler has no such target.
#ifdef __AVX512F__
#define FT_ROW_OPS_ISA isa_avx512
#include "core/kernels/cpu/row_ops_impl.h"
#endif
