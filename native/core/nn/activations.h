// The activation of an MLP, gated or plain, as the input transform of its down projection.
#pragma once

#include <memory>

#include "core/base/activation.h"
#include "core/nn/input_transform.h"

namespace ft {

/// Gated: act(a) · b of u = [a | b]; else act(u).
std::unique_ptr<InputTransform> MakeActivation(Activation activation, bool gated);

}  // namespace ft
