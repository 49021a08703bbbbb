// Weights of few bits on CUDA, on raw device memory: made into numbers, or met by few rows without that. Same values as the
// loops of kernels/cpu/unpack.h. Everything contiguous.
#pragma once

#include "core/kernels/cuda/element.h"

namespace ft::kernels::cuda {

/// Flat: out[i] = table[nibble i] · scales[i / block]; nibble 2j is the high half of codes[j].
void LaunchUnpackNibbles(Element type, const uint8_t* codes, const float* table, const float* scales, int64_t block, int64_t count, void* out, Stream stream);
/// out [rows, columns] = codes · scales[row] · (1 / 127)
void LaunchUnpackSignedBytes(Element type, const int8_t* codes, const float* scales, int64_t rows, int64_t columns, void* out, Stream stream);

constexpr int kMaxFewRows = 8;
/// y [few, rows] = x [few, columns] · wᵀ with w [rows, columns] as LaunchUnpackNibbles would make it; sums in fp32.
/// REQUIRES: few <= kMaxFewRows, columns even, block even.
void LaunchFewRowsOfNibbles(Element type, const void* x, int few, const uint8_t* codes, const float* table, const float* scales, int64_t block,
                            int64_t rows, int64_t columns, void* y, Stream stream);

}  // namespace ft::kernels::cuda
