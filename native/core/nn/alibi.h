// Biases of keys by their position in the row (https://arxiv.org/abs/2108.12409).
#pragma once

#include <ATen/core/Tensor.h>

#include "core/nn/decoder_spec.h"

namespace ft {

/// fp32 [heads, positions]: slope · position · scale. Softmax sees differences alone, so the query's position is left out.
at::Tensor AlibiTable(const AlibiSpec& spec, int64_t positions, at::Device device);

}  // namespace ft
