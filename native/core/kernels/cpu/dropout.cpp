#include "core/kernels/dropout.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>

#include "core/kernels/cuda/ops.h"

namespace ft::kernels {

std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> c, uint64_t key) {
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = 0xD2511F53ull * c[0], p1 = 0xCD9E8D57ull * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return c;
}

// splitmix64 of seed and step: neighbouring steps get unrelated keys.
uint64_t MixKey(uint64_t seed, uint64_t step) {
  uint64_t z = seed + 0x9E3779B97F4A7C15ull * (step + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

namespace {

template <typename scalar_t>
void DropoutRows(const at::Tensor& x, at::Tensor& y, double p, const DropoutKey& key, const int64_t* rows, const int64_t* positions) {
  const int64_t width = x.size(1);
  const scalar_t* in = x.const_data_ptr<scalar_t>();
  scalar_t* out = y.mutable_data_ptr<scalar_t>();
  const uint64_t mixed = MixKey(key.seed, key.step);
  const auto threshold = static_cast<uint64_t>(p * 4294967296.0);
  const auto keep = static_cast<at::opmath_type<scalar_t>>(1.0 / (1.0 - p));
  at::parallel_for(0, x.size(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t c = 0; c < width; c += 4) {
        const auto random = Philox({static_cast<uint32_t>(c / 4), static_cast<uint32_t>(positions[t]),
                                    static_cast<uint32_t>(rows[t]), key.site}, mixed);
        for (int64_t i = 0; i < 4 && c + i < width; ++i) {
          const int64_t at = t * width + c + i;
          out[at] = random[i] >= threshold ? static_cast<scalar_t>(in[at] * keep) : static_cast<scalar_t>(0);
        }
      }
    }
  });
}

}  // namespace

at::Tensor Dropout(const at::Tensor& x, double p, const DropoutKey& key, const at::Tensor& row_keys, const at::Tensor& positions) {
  if constexpr (cuda::kBuilt) {
    if (cuda::Serves(x)) return cuda::Dropout(x, p, key, row_keys, positions);
  }
  if (!x.device().is_cpu()) return composite::Dropout(x, p, key, row_keys, positions);
  const at::Tensor in = x.contiguous();
  at::Tensor out = at::empty_like(in);
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kBFloat16, at::kHalf, in.scalar_type(), "ft_dropout", [&] {
    DropoutRows<scalar_t>(in, out, p, key, row_keys.const_data_ptr<int64_t>(), positions.const_data_ptr<int64_t>());
  });
  return out;
}

}  // namespace ft::kernels
