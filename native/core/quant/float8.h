// Floats of 8 bits (e4m3) with one scale a block of rows and columns: value = code · scale_inv, as deepseek and qwen
// publish their weights (weight, weight_scale_inv).
#pragma once

#include <array>

#include "core/quant/packed_weight.h"

namespace ft::quant {

struct Float8Parts {
  at::Tensor codes;   // uint8 [rows, columns]: bits of e4m3fn
  at::Tensor scales;  // fp32 [ceil(rows / block_rows), ceil(columns / block_columns)]
  int64_t block_rows = 128, block_columns = 128;
};
/// Errors: kTensorShape.
std::shared_ptr<PackedWeight> MakeFloat8(Float8Parts parts, const std::string& name);

/// The value of each code of e4m3fn (https://arxiv.org/abs/2209.05433): no infinities, NaN at 0x7f and 0xff.
const std::array<float, 256>& Float8Values();

}  // namespace ft::quant
