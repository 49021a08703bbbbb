// unpack.h for every CPU; see unpack_impl.h.
#define FT_UNPACK_ISA unpack_default
#include "core/kernels/cpu/unpack_impl.h"
