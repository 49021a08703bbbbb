#include "core/kernels/int8_rows.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <limits>
#include <mutex>
#include <vector>

#include "core/kernels/cpu/row_ops_tensor.h"
#include "core/kernels/cpu/unpack.h"

namespace ft::kernels {
namespace {

template <typename T>
void RoundRows(const T* x, int64_t rows, int64_t n, float limit, T* out) {
  const auto& ops = cpu::UnpackOpsFor<T>();
  std::vector<uint8_t> outliers(static_cast<size_t>(n));
  std::vector<float> largest(static_cast<size_t>(rows));
  std::mutex mutex;
  at::parallel_for(0, rows, cpu::RowGrain(n), [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> own(static_cast<size_t>(n));
    for (int64_t r = begin; r < end; ++r) largest[static_cast<size_t>(r)] = ops.largest_below(x + r * n, n, limit, own.data());
    const std::lock_guard lock(mutex);
    for (size_t i = 0; i < own.size(); ++i) outliers[i] |= own[i];
  });
  at::parallel_for(0, rows, cpu::RowGrain(n), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) ops.round_to_steps(x + r * n, n, largest[static_cast<size_t>(r)], outliers.data(), out + r * n);
  });
}

}  // namespace

at::Tensor RoundToInt8Rows(const at::Tensor& x, double threshold) {
  if (!cpu::HasRowOps(x) || x.numel() == 0) return composite::RoundToInt8Rows(x, threshold);
  const at::Tensor in = x.contiguous();
  at::Tensor out = at::empty_like(in);
  const int64_t rows = in.size(0), n = in.size(1);
  const float limit = threshold > 0 ? static_cast<float>(threshold) : std::numeric_limits<float>::infinity();
  if (in.scalar_type() == at::kFloat) {
    RoundRows(cpu::In<float>(in), rows, n, limit, cpu::Out<float>(out));
  } else {
    RoundRows(cpu::In<uint16_t>(in), rows, n, limit, cpu::Out<uint16_t>(out));
  }
  return out;
}

}  // namespace ft::kernels
