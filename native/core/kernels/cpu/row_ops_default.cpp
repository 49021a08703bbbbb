// row_ops.h for any CPU; see row_ops_impl.h.
#define FT_ROW_OPS_ISA isa_default
#include "core/kernels/cpu/row_ops_impl.h"
