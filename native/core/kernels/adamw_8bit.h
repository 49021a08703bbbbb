// AdamW (kernels/adamw.h) whose moments are stored in the dynamic 8-bit code, block by block: a block is decoded, updated in
// fp32 and encoded again in one pass. The parameter is updated from the moments before they are rounded, as in bitsandbytes.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/kernels/adamw_factors.h"

namespace ft::kernels {

/// The moments of n parameters: codes uint8 [n], maxima fp32 [blocks of kDynamicBlock]. Zeros everywhere are moments of 0.
struct Moments8bit {
  at::Tensor exp_avg, exp_avg_max;        // signed code
  at::Tensor exp_avg_sq, exp_avg_sq_max;  // unsigned code
};

/// As AdamW: master fp32, compute perhaps the same tensor, grad any floating dtype and 0 afterwards; all [n], contiguous.
void AdamW8bit(at::Tensor& master, at::Tensor& compute, at::Tensor& grad, Moments8bit& moments, const AdamWStep& step);

namespace composite {  // ATen operations, any device
void AdamW8bit(at::Tensor& master, at::Tensor& compute, at::Tensor& grad, Moments8bit& moments, const AdamWStep& step);
}  // namespace composite

}  // namespace ft::kernels
