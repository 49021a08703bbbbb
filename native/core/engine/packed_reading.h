// From the tensors of a quantized checkpoint to a PackedWeight, and to plain numbers.
#pragma once

#include <memory>

#include "core/nn/packed_tensors.h"
#include "core/quant/packed_weight.h"

namespace ft {

/// Reads one weight as it is stored, one tensor at a time. Errors: kTensorShape, kSafetensors.
std::shared_ptr<quant::PackedWeight> ReadPacked(const PackedTensors& packed, const StoredQuantization& stored, const at::Device& device);

}  // namespace ft
