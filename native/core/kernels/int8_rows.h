// Inputs of int8 weights (LLM.int8, https://arxiv.org/abs/2208.07339): each row becomes multiples of its largest magnitude
// / 127. Columns that hold a value of at least `threshold` in any row are left as they are, and such values do not
// count for the largest magnitude. With weights of code · scale this is the product of integers plus the product of
// the outlier columns, but for the rounding of sums.
#pragma once

#include <ATen/core/Tensor.h>

namespace ft::kernels {

/// x [rows, n] -> the same shape and type; one rounding to it. threshold 0: no outliers.
at::Tensor RoundToInt8Rows(const at::Tensor& x, double threshold);

namespace composite {
at::Tensor RoundToInt8Rows(const at::Tensor& x, double threshold);
}  // namespace composite

}  // namespace ft::kernels
