// Gated activations on CUDA: the contract of kernels/gate.h on raw device memory. Everything contiguous.
#pragma once

#include "core/base/activation.h"
#include "core/kernels/cuda/element.h"

namespace ft::kernels::cuda {

/// y [rows, n] = act(gate) · up of gate_up [rows, 2·n].
void LaunchGate(Element type, Activation activation, const void* gate_up, int64_t rows, int64_t n, void* y, Stream stream);
/// d gate_up [rows, 2·n] from dy [rows, n]; y [rows, n] as LaunchGate's, to the same bits, or null.
void LaunchGateBackward(Element type, Activation activation, const void* dy, const void* gate_up, int64_t rows, int64_t n, void* d_gate_up, void* y,
                        Stream stream);

}  // namespace ft::kernels::cuda
