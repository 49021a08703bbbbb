// Unsigned codes of 4 or 8 bits with a scale and a zero point a row and group of columns: value = (code − zero) · scale.
// What GPTQ (https://arxiv.org/abs/2210.17323) and AWQ (https://arxiv.org/abs/2306.00978) checkpoints hold, brought to rows.
#pragma once

#include "core/quant/packed_weight.h"

namespace ft::quant {

struct GroupedParts {
  int bits = 4;
  int64_t rows, columns;
  at::Tensor codes;     // uint8: [rows · columns / 2] with the high nibble first, or [rows · columns]
  at::Tensor scales;    // fp32 [rows, groups]
  at::Tensor zeros;     // uint8 [rows, groups]
  int64_t group_size;   // columns of one group, where group_of is undefined
  at::Tensor group_of;  // int32 [columns]: the group of each column; undefined: column / group_size
};
std::shared_ptr<PackedWeight> MakeGrouped(GroupedParts parts, const std::string& name);

/// A GPTQ module as its files hold it: qweight int32 [in · bits / 32, out] packed along the input, qzeros int32
/// [groups, out · bits / 32], scales [groups, out], g_idx int32 [in] or undefined.
struct GptqFiles {
  int bits;
  int64_t group_size;  // -1: one group
  bool zeros_plus_one; // the first format stores zero − 1
  at::Tensor qweight, qzeros, scales, g_idx;
};
/// Repacked on the CPU, kept on `device`. Errors: kTensorShape, kUnsupportedModel.
std::shared_ptr<PackedWeight> FromGptq(const GptqFiles& files, int64_t rows, int64_t columns, const std::string& name, at::Device device = at::kCPU);

/// An AWQ module ("gemm"): qweight int32 [in, out / 8] packed along the output in the order 0 2 4 6 1 3 5 7, qzeros int32
/// [groups, out / 8] alike, scales [groups, out].
struct AwqFiles {
  int64_t group_size;
  at::Tensor qweight, qzeros, scales;
};
/// Likewise.
std::shared_ptr<PackedWeight> FromAwq(const AwqFiles& files, int64_t rows, int64_t columns, const std::string& name, at::Device device = at::kCPU);

}  // namespace ft::quant
