// row_ops.h for avx2; see row_ops_impl.h. Empty where the compiler has no such target.
#ifdef __AVX2__
#define FT_ROW_OPS_ISA isa_avx2
#include "core/kernels/cpu/row_ops_impl.h"
#endif
