// Softmax cross-entropy of rows of logits, with the gradient made in place, so that a chunk of logits exists once.
// fp32 inside: loss = log Σ e^logit − logit[target]; d logit = (softmax − onehot) · scale, rounded once to the logits' dtype.
// A logit that is not finite makes its row's loss not finite.
#pragma once

#include <ATen/core/Tensor.h>

namespace ft::kernels {

struct CrossEntropyRows {
  at::Tensor loss;  // fp32 [rows]
  at::Tensor lse;   // fp32 [rows], log-sum-exp
};

/// What the gradient is multiplied with: `scale`, and fp32 [rows] where `row_scale` is defined.
struct CrossEntropyGradient {
  double scale = 1.0;
  at::Tensor row_scale;
};

/// logits [rows, vocab], contiguous; targets int64 [rows] in [0, vocab), REQUIRED. With `gradient` the logits are
/// overwritten by their gradient.
CrossEntropyRows CrossEntropy(at::Tensor& logits, const at::Tensor& targets, const CrossEntropyGradient* gradient);

namespace composite {  // ATen operations, any device: the reference of the others
CrossEntropyRows CrossEntropy(at::Tensor& logits, const at::Tensor& targets, const CrossEntropyGradient* gradient);
}  // namespace composite

}  // namespace ft::kernels
