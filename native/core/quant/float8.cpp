#include "core/quant/float8.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

#include "core/kernels/cpu/unpack.h"

namespace ft::quant {
namespace {

std::array<float, 256> MakeValues() {
  std::array<float, 256> values{};
  for (int code = 0; code < 256; ++code) {
    const int exponent = (code >> 3) & 15, mantissa = code & 7;
    float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9) : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
    if (exponent == 15 && mantissa == 7) value = std::numeric_limits<float>::quiet_NaN();
    values[static_cast<size_t>(code)] = code >= 128 ? -value : value;
  }
  return values;
}

class Float8Weight : public RowReader<Float8Weight> {
 public:
  explicit Float8Weight(Float8Parts parts) : RowReader(parts.codes.size(0), parts.codes.size(1)), parts_(std::move(parts)) {}

  at::Device device() const override { return parts_.codes.device(); }
  const char* scheme() const override { return "fp8"; }
  uint64_t bytes() const override { return BytesOf({parts_.codes, parts_.scales}); }

  template <typename T>
  void Run(int64_t row, int64_t column, int64_t width, T* out) const {
    const auto& ops = kernels::cpu::UnpackOpsFor<T>();
    const uint8_t* codes = parts_.codes.const_data_ptr<uint8_t>() + row * columns_;
    const float* scales = parts_.scales.const_data_ptr<float>() + row / parts_.block_rows * parts_.scales.size(1);
    for (int64_t at = column; at < column + width;) {
      const int64_t block = at / parts_.block_columns, end = std::min(column + width, (block + 1) * parts_.block_columns);
      ops.coded(codes + at, end - at, Float8Values().data(), scales[block], out + (at - column));
      at = end;
    }
  }

  std::shared_ptr<PackedWeight> To(at::Device device) const override {
    return std::make_shared<Float8Weight>(Float8Parts{MovedTo(parts_.codes, device), MovedTo(parts_.scales, device), parts_.block_rows, parts_.block_columns});
  }

  at::Tensor Composite() const override {
    const at::Tensor table = at::tensor(at::ArrayRef<float>(Float8Values().data(), 256)).to(device());
    const at::Tensor values = table.index_select(0, parts_.codes.view({-1}).to(at::kInt)).view({rows_, columns_});
    const at::Tensor scales = parts_.scales.repeat_interleave(parts_.block_rows, 0).narrow(0, 0, rows_).repeat_interleave(parts_.block_columns, 1);
    return values * scales.narrow(1, 0, columns_);
  }

 private:
  Float8Parts parts_;
};

}  // namespace

const std::array<float, 256>& Float8Values() {
  static const std::array<float, 256> values = MakeValues();
  return values;
}

std::shared_ptr<PackedWeight> MakeFloat8(Float8Parts parts, const std::string& name) {
  FT_CHECK(parts.codes.defined() && parts.codes.dim() == 2 && parts.codes.numel() > 0 && parts.codes.scalar_type() == at::kByte && parts.codes.is_contiguous(),
           kTensorShape, "{}: weight must be a matrix of F8_E4M3", name);
  FT_CHECK(parts.block_rows > 0 && parts.block_columns > 0, kTensorShape, "{}: blocks of [{}, {}]", name, parts.block_rows, parts.block_columns);
  const int64_t down = (parts.codes.size(0) + parts.block_rows - 1) / parts.block_rows, across = (parts.codes.size(1) + parts.block_columns - 1) / parts.block_columns;
  FT_CHECK(parts.scales.defined() && parts.scales.dim() == 2 && parts.scales.size(0) == down && parts.scales.size(1) == across && parts.scales.is_contiguous() &&
               parts.scales.scalar_type() == at::kFloat,
           kTensorShape, "{}: weight_scale_inv must have shape [{}, {}], one value a block of [{}, {}], got {}", name, down, across, parts.block_rows,
           parts.block_columns, parts.scales.defined() ? c10::str(parts.scales.sizes()) : "none");
  return std::make_shared<Float8Weight>(std::move(parts));
}

}  // namespace ft::quant
