// Blocks of 32 floats of 4 bits (e2m1) that share a power of two (OCP microscaling formats, MXFP4), as gpt_oss keeps its
// experts: `blocks` uint8 [.., rows, groups, 16] with the low nibble first, `scales` uint8 [.., rows, groups], 2^(scale − 127).
#pragma once

#include "core/quant/packed_weight.h"

namespace ft::quant {

struct Mxfp4Parts {
  at::Tensor blocks;  // uint8 [.., rows, groups, 16]
  at::Tensor scales;  // uint8 [.., rows, groups]
};
/// One matrix [everything before groups, 32 · groups]: expert e of [experts, rows, …] is rows [e · rows, (e + 1) · rows).
/// Errors: kTensorShape.
std::shared_ptr<PackedWeight> MakeMxfp4(const Mxfp4Parts& parts, const std::string& name);

}  // namespace ft::quant
