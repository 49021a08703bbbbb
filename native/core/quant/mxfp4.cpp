#include "core/quant/mxfp4.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>
#include <limits>

#include "core/kernels/cpu/unpack.h"

namespace ft::quant {
namespace {

constexpr int64_t kBlock = 32;
constexpr std::array<float, 16> kValues = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f, -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

// 2^(code − 127); 255 is NaN.
float ScaleOf(uint8_t code) { return code == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, static_cast<int>(code) - 127); }

class Mxfp4Weight : public RowReader<Mxfp4Weight> {
 public:
  Mxfp4Weight(at::Tensor codes, at::Tensor scales, int64_t rows, int64_t columns)
      : RowReader(rows, columns), codes_(std::move(codes)), scales_(std::move(scales)) {}

  at::Device device() const override { return codes_.device(); }
  const char* scheme() const override { return "mxfp4"; }
  uint64_t bytes() const override { return BytesOf({codes_, scales_}); }

  template <typename T>
  void Run(int64_t row, int64_t column, int64_t width, T* out) const {
    const auto* scales = scales_.const_data_ptr<uint8_t>();
    const int64_t begin = row * columns_ + column, end = begin + width;
    for (int64_t at = begin; at < end;) {
      const int64_t stop = std::min(end, (at / kBlock + 1) * kBlock);
      const float scale = ScaleOf(scales[at / kBlock]);
      kernels::cpu::UnpackOpsFor<T>().nibbles(codes_.const_data_ptr<uint8_t>(), at, stop - at, kValues.data(), &scale, kBlock, out + (at - begin));
      at = stop;
    }
  }

  std::shared_ptr<PackedWeight> To(at::Device device) const override {
    return std::make_shared<Mxfp4Weight>(MovedTo(codes_, device), MovedTo(scales_, device), rows_, columns_);
  }

  at::Tensor Composite() const override {
    const at::Tensor table = at::tensor(at::ArrayRef<float>(kValues.data(), kValues.size())).to(device());
    const at::Tensor nibbles = at::stack({codes_.bitwise_right_shift(4), codes_.bitwise_and(15)}, 1).view({-1});
    std::array<float, 256> powers{};
    for (size_t i = 0; i < 256; ++i) powers[i] = ScaleOf(static_cast<uint8_t>(i));
    const at::Tensor scales = at::tensor(at::ArrayRef<float>(powers.data(), 256)).to(device()).index_select(0, scales_.to(at::kInt));
    return table.index_select(0, nibbles.to(at::kInt)).view({-1, kBlock}).mul(scales.unsqueeze(1)).view({rows_, columns_});
  }

 private:
  at::Tensor codes_;   // uint8 [rows · columns / 2], the high nibble first as the loops want it
  at::Tensor scales_;  // uint8 [rows · groups]
};

}  // namespace

std::shared_ptr<PackedWeight> MakeMxfp4(const Mxfp4Parts& parts, const std::string& name) {
  const at::Tensor &blocks = parts.blocks, &scales = parts.scales;
  FT_CHECK(blocks.defined() && blocks.dim() >= 3 && blocks.numel() > 0 && blocks.scalar_type() == at::kByte && blocks.size(-1) == kBlock / 2, kTensorShape,
           "{}: blocks must be bytes of shape [.., rows, groups, 16], got {}", name, blocks.defined() ? c10::str(blocks.sizes()) : "none");
  FT_CHECK(scales.defined() && scales.scalar_type() == at::kByte && scales.sizes() == blocks.sizes().slice(0, static_cast<size_t>(blocks.dim() - 1)), kTensorShape,
           "{}: scales must be bytes of the shape of blocks without its last dimension, got {}", name, scales.defined() ? c10::str(scales.sizes()) : "none");
  const int64_t groups = blocks.size(-2), rows = blocks.numel() / (groups * (kBlock / 2));
  const at::Tensor flat = blocks.contiguous().view({-1});
  const at::Tensor swapped = flat.bitwise_left_shift(4).bitwise_or_(flat.bitwise_right_shift(4));
  return std::make_shared<Mxfp4Weight>(swapped, scales.contiguous().view({-1}), rows, groups * kBlock);
}

}  // namespace ft::quant
