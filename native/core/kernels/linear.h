// Products of activations with weights, with everything that is added to the result: Σ xᵢ · wᵢ + bias + residual.
// Sums in fp32; bf16 on CPUs with bf16 products: one rounding at the end, where every k is even; else one after each term.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "core/kernels/weight_source.h"

namespace ft::kernels {

/// One summand: x [m, k] times w, which is [n, k] (as weights lie: out × in) or, `by_rows`, [k, n].
struct ProductTerm {
  at::Tensor x;
  at::Tensor w;
  bool by_rows = false;
  const WeightSource* source = nullptr;  // in place of w: made into numbers piece by piece, or whole where products are not tiled

  int64_t rows_of_w() const { return source != nullptr ? source->rows() : w.size(0); }
  int64_t columns_of_w() const { return source != nullptr ? source->columns() : w.size(1); }
};

/// y [m, n]. bias [n] and residual [m, n] may be undefined. Rows of every x and w are dense (last stride 1); all one dtype.
at::Tensor SumOfProducts(const std::vector<ProductTerm>& terms, const at::Tensor& bias, const at::Tensor& residual);

/// The same into `y` [m, n], contiguous: some rows of a larger result.
void SumOfProductsInto(const at::Tensor& y, const std::vector<ProductTerm>& terms, const at::Tensor& bias, const at::Tensor& residual);

/// grad [n, k] += scale · dyᵀ · x of dy [m, n] and x [m, k]; grad fp32 or in their dtype.
void AddOuterProduct(at::Tensor& grad, const at::Tensor& dy, const at::Tensor& x, double scale);

/// x [few, k] · wᵀ, w [n, k] made row by row and never kept; undefined where there is no kernel for so many rows.
at::Tensor FewRows(const WeightSource& w, const at::Tensor& x);

namespace composite {  // ATen's matrix products, any device: the reference of the others
at::Tensor SumOfProducts(const std::vector<ProductTerm>& terms, const at::Tensor& bias, const at::Tensor& residual);
void SumOfProductsInto(const at::Tensor& y, const std::vector<ProductTerm>& terms, const at::Tensor& bias, const at::Tensor& residual);
void AddOuterProduct(at::Tensor& grad, const at::Tensor& dy, const at::Tensor& x, double scale);
}  // namespace composite

}  // namespace ft::kernels
