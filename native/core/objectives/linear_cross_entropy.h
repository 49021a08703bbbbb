// The loss head: output projection and cross-entropy over supervised rows only, by chunks, so that the logits of all
// rows never exist at once. Idea: Wijmans et al., "Cut Your Losses" (https://arxiv.org/abs/2411.09009); log-sum-exp in fp32.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/nn/decoder.h"

namespace ft {

struct CrossEntropyResult {
  at::Tensor token_loss;  // fp32 [supervised], −log p(target); no graph
  at::Tensor loss;        // scalar whose backward() gives the gradient of grad_scale · Σ token_loss; undefined without grad mode
};

/// hidden [tokens, hidden]: the decoder's output before its final norm. The gradient is made in the forward pass.
/// REQUIRES: loss.backward() is called with gradient one.
CrossEntropyResult LinearCrossEntropy(const at::Tensor& hidden, Decoder& decoder, const ForwardContext& context);

/// log p(target), fp32 [supervised]. Differentiable; logits are computed again in backward.
at::Tensor LinearLogProbs(const at::Tensor& hidden, Decoder& decoder, const ForwardContext& context);

/// Logits of hidden rows [n, hidden] after the final norm, fp32 [n, vocab]. No graph.
at::Tensor Logits(const at::Tensor& hidden, Decoder& decoder, const ForwardContext& context);

}  // namespace ft
