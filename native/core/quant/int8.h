// Rows of 8-bit integers with one scale each, as LLM.int8 keeps them (https://arxiv.org/abs/2208.07339): value =
// code · SCB / 127, SCB the largest magnitude of the row. Inputs are rounded to int8 rows too, except for outlier columns.
#pragma once

#include "core/quant/packed_weight.h"

namespace ft::quant {

struct Int8Parts {
  at::Tensor codes;   // int8 [rows, columns]
  at::Tensor scales;  // fp32 [rows], SCB
  double threshold = 6.0;  // of the input's outliers; 0: none
};

/// Errors: kTensorShape.
std::shared_ptr<PackedWeight> MakeInt8(Int8Parts parts, const std::string& name);
/// Through fp16, as bitsandbytes does. Errors: kSafetensors where a value is not finite in fp16.
std::shared_ptr<PackedWeight> QuantizeInt8(const at::Tensor& w, double threshold, const std::string& name);

uint64_t Int8Bytes(int64_t rows, int64_t columns);

}  // namespace ft::quant
