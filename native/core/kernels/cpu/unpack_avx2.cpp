// unpack.h for avx2; see unpack_impl.h. Empty where the compiler has no such target.
#ifdef __AVX2__
#define FT_UNPACK_ISA unpack_avx2
#include "core/kernels/cpu/unpack_impl.h"
#endif
