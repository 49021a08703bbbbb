#include <ATen/ATen.h>

#include "core/kernels/dropout.h"

namespace ft::kernels::composite {
namespace {

constexpr int64_t kMask32 = 0xffffffffLL;

// Low and high half of a 32 x 32 bit product held in int64 lanes. The product wraps into the sign bit, so the shift
// brings down ones that the mask removes.
std::pair<at::Tensor, at::Tensor> MultiplyHalves(const at::Tensor& a, int64_t constant) {
  const at::Tensor product = a * constant;
  return {product.bitwise_and(kMask32), product.__rshift__(32).bitwise_and_(kMask32)};
}

}  // namespace

at::Tensor Dropout(const at::Tensor& x, double p, const DropoutKey& key, const at::Tensor& row_keys, const at::Tensor& positions) {
  const int64_t tokens = x.size(0), width = x.size(1), quads = (width + 3) / 4;
  const auto longs = x.options().dtype(at::kLong);
  at::Tensor c0 = at::arange(quads, longs).unsqueeze(0).expand({tokens, quads}).contiguous();
  at::Tensor c1 = positions.bitwise_and(kMask32).unsqueeze(1).expand({tokens, quads}).contiguous();
  at::Tensor c2 = row_keys.bitwise_and(kMask32).unsqueeze(1).expand({tokens, quads}).contiguous();
  at::Tensor c3 = at::full({tokens, quads}, static_cast<int64_t>(key.site), longs);
  const uint64_t mixed = MixKey(key.seed, key.step);
  uint32_t k0 = static_cast<uint32_t>(mixed), k1 = static_cast<uint32_t>(mixed >> 32);
  for (int round = 0; round < 10; ++round) {
    const auto [low0, high0] = MultiplyHalves(c0, 0xD2511F53LL);
    const auto [low1, high1] = MultiplyHalves(c2, 0xCD9E8D57LL);
    const at::Tensor n0 = high1.bitwise_xor(c1).bitwise_xor(static_cast<int64_t>(k0));
    const at::Tensor n2 = high0.bitwise_xor(c3).bitwise_xor(static_cast<int64_t>(k1));
    c0 = n0, c1 = low1, c2 = n2, c3 = low0;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  const at::Tensor random = at::stack({c0, c1, c2, c3}, -1).view({tokens, quads * 4}).narrow(1, 0, width);
  const auto threshold = static_cast<int64_t>(p * 4294967296.0);
  const at::ScalarType opmath = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return x.to(opmath).mul(1.0 / (1.0 - p)).mul_(random.ge(threshold)).to(x.scalar_type());
}

}  // namespace ft::kernels::composite
