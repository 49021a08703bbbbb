#include "core/quant/packed_weight.h"

#include <ATen/ATen.h>

namespace ft::quant {

void PackedWeight::ReadAll(at::Tensor& out) const {
  FT_CHECK(out.dim() == 2 && out.size(0) == rows_ && out.size(1) == columns_ && out.stride(1) == 1, kInternal, "a place for [{}, {}] expected, got {}", rows_,
           columns_, c10::str(out.sizes()));
  if (!device().is_cpu()) {
    out.copy_(Composite());
    return;
  }
  const int64_t grain = 1 + 32768 / std::max<int64_t>(columns_, 1), stride = out.stride(0);
  at::parallel_for(0, rows_, grain, [&](int64_t begin, int64_t end) {
    if (out.scalar_type() == at::kFloat) {
      Read(begin, end - begin, 0, columns_, out.mutable_data_ptr<float>() + begin * stride, stride);
    } else if (out.scalar_type() == at::kBFloat16) {
      Read(begin, end - begin, 0, columns_, reinterpret_cast<uint16_t*>(out.mutable_data_ptr<at::BFloat16>()) + begin * stride, stride);
    } else {
      std::vector<float> row(static_cast<size_t>(columns_));
      auto* halves = out.mutable_data_ptr<at::Half>();
      for (int64_t r = begin; r < end; ++r) {
        Read(r, 1, 0, columns_, row.data(), columns_);
        std::copy(row.begin(), row.end(), halves + r * stride);
      }
    }
  });
}

}  // namespace ft::quant
