// A weight that stays in the memory of the host and visits another device whenever a product wants it there: what does not fit on a
// GPU. Each visit moves its stored bytes, so that 4-bit weights travel as 4 bits.
#pragma once

#include "core/quant/packed_weight.h"

namespace ft::quant {

/// `weight` on the host, as a weight of `device`.
std::shared_ptr<PackedWeight> MakeOffloaded(const std::shared_ptr<PackedWeight>& weight, at::Device device);

}  // namespace ft::quant
