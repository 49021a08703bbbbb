// What autograd functions of linear modules and experts are called with.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "core/nn/context.h"
#include "core/nn/linear.h"

namespace ft {

/// Functions take no undefined tensors, but optional ones.
inline std::optional<at::Tensor> IfDefined(const at::Tensor& tensor) { return tensor.defined() ? std::optional(tensor) : std::nullopt; }

/// Of the tokens of a batch, in order.
inline TokenKeys KeysOf(const ForwardContext& context) { return {context.batch->row_keys, context.batch->positions}; }

}  // namespace ft
