// unpack.h for avx512; see unpack_impl.h. Empty where the compiler has no such target.
#ifdef __AVX512F__
#define FT_UNPACK_ISA unpack_avx512
#include "core/kernels/cpu/unpack_impl.h"
#endif
