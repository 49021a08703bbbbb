// What happens to rows on their way from a token's experts back to the token. Rows are [rows, n], ordered by expert; a token has k of
// them. fp32 inside, one rounding, sums in a fixed order.
#pragma once

#include <ATen/core/Tensor.h>

namespace ft::kernels {

/// y [tokens, n] = Σⱼ rows[position[t, j]] + addend[t]. position int64 [tokens, k]; addend [tokens, n] may be undefined.
at::Tensor SumOfRows(const at::Tensor& rows, const at::Tensor& position, const at::Tensor& addend);

/// fp32 [rows]: the inner product of each row of a with the same row of b.
at::Tensor RowDots(const at::Tensor& a, const at::Tensor& b);

namespace composite {  // ATen operations, any device: the reference of the CPU version
at::Tensor SumOfRows(const at::Tensor& rows, const at::Tensor& position, const at::Tensor& addend);
at::Tensor RowDots(const at::Tensor& a, const at::Tensor& b);
}  // namespace composite

}  // namespace ft::kernels
