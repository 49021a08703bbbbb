// Dropout whose mask is a pure function of what an element is, not of when it is computed: Philox4x32-10
// (Salmon et al., SC 2011) keyed by (seed, step), counter (column / 4, position, row, site). The same on every device,
// for every split into micro-batches and for every recomputation.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

namespace ft::kernels {

struct DropoutKey {
  uint64_t seed = 0;
  uint64_t step = 0;
  uint32_t site = 0;
};

/// Ten rounds on one counter.
std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> counter, uint64_t key);
/// The Philox key of (seed, step).
uint64_t MixKey(uint64_t seed, uint64_t step);

/// x · mask / (1 − p), where mask keeps an element with probability 1 − p.
/// x [tokens, width]; row_keys, positions int64 [tokens]. Its own backward: apply it to the gradient.
at::Tensor Dropout(const at::Tensor& x, double p, const DropoutKey& key, const at::Tensor& row_keys, const at::Tensor& positions);

namespace composite {
/// The same from ATen operations, for any device; the reference of the CPU version.
at::Tensor Dropout(const at::Tensor& x, double p, const DropoutKey& key, const at::Tensor& row_keys, const at::Tensor& positions);
}  // namespace composite

}  // namespace ft::kernels
