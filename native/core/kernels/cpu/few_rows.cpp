// Few rows against a weight that is made row by row: a row of it stays in a core's nearest cache while all of x meets it.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "core/kernels/cpu/row_ops_tensor.h"
#include "core/kernels/cpu/unpack.h"
#include "core/kernels/linear.h"

namespace ft::kernels {
namespace {

constexpr int64_t kMost = 32;  // above, a matrix product with all of w made is faster

template <typename T>
at::Tensor Products(const WeightSource& w, const at::Tensor& x) {
  const int64_t few = x.size(0), n = w.rows(), k = w.columns();
  const T* in = cpu::In<T>(x);
  at::Tensor sums = at::zeros({few, n}, at::kFloat);
  auto* out = sums.mutable_data_ptr<float>();
  at::parallel_for(0, n, std::max<int64_t>(1, 32768 / std::max<int64_t>(k, 1)), [&](int64_t begin, int64_t end) {
    std::vector<T> row(static_cast<size_t>(k));
    for (int64_t r = begin; r < end; ++r) {
      w.Read(r, 1, 0, k, row.data(), k);
      cpu::UnpackOpsFor<T>().dot_rows(row.data(), k, in, k, few, out + r, n);
    }
  });
  return sums.to(x.scalar_type());
}

}  // namespace

at::Tensor FewRows(const WeightSource& w, const at::Tensor& x) {
  if (!x.device().is_cpu()) return w.FewRows(x);
  if (!cpu::HasRowOps(x) || x.size(0) >= kMost) return {};
  const at::Tensor in = x.contiguous();
  return in.scalar_type() == at::kFloat ? Products<float>(w, in) : Products<uint16_t>(w, in);
}

}  // namespace ft::kernels
