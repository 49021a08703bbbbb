// Cross-entropy over rows of logits on CUDA. The log-sum-exp is made in fp32 in one pass over a row
// (https://arxiv.org/abs/1805.02867); a second pass turns the logits into their gradient in place. Sums have a fixed order.
#pragma once

#include "core/kernels/cuda/element.h"

namespace ft::kernels::cuda {

struct CrossEntropyArguments {
  void* logits;            // [rows, vocab], rows row_stride apart; with `gradient` replaced by (softmax − onehot) · scale
  int64_t row_stride;
  const int64_t* targets;  // [rows]; a target outside the vocabulary makes its row's loss NaN and is not read
  int64_t rows, vocab;
  float scale;             // of every row,
  const float* row_scale;  // [rows], times this one unless null
  bool gradient;
  float *loss, *lse;       // [rows]: lse − logits[target], log Σ e^logits
};

void LaunchCrossEntropy(Element type, const CrossEntropyArguments& arguments, Stream stream);

}  // namespace ft::kernels::cuda
