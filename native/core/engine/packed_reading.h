// From the tensors of a quantized checkpoint to a PackedWeight, and to plain numbers.
#pragma once

#include <memory>

#include "core/nn/packed_tensors.h"
#include "core/quant/packed_weight.h"

namespace ft {

/// Reads one weight as it is stored, one tensor at a time; of weights that share their tensors that of `expert`.
/// Errors: kTensorShape, kSafetensors.
std::shared_ptr<quant::PackedWeight> ReadPacked(const PackedTensors& packed, const StoredQuantization& stored, const at::Device& device, int64_t expert = -1);

/// The numbers as a plain file would have them: [rows, columns], or transposed; of experts [experts, columns, rows].
at::Tensor ReadDense(const PackedTensors& packed, const StoredQuantization& stored, const at::Device& device, at::ScalarType dtype);

}  // namespace ft
