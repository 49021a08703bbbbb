#include "core/kernels/adamw.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/kernels/cpu/row_ops_tensor.h"
#include "core/kernels/cuda/ops.h"

namespace ft::kernels {
namespace {

constexpr int64_t kPiece = 16384;  // elements of one task and of one partial sum

}  // namespace

void AdamW(at::Tensor& master, at::Tensor& compute, at::Tensor& grad, at::Tensor& exp_avg, at::Tensor& exp_avg_sq, const AdamWStep& step) {
  if constexpr (cuda::kBuilt) {
    if (cuda::Serves(grad)) return cuda::AdamW(master, compute, grad, exp_avg, exp_avg_sq, step);
  }
  const bool shared = compute.is_same(master);
  if (!cpu::HasRowOps(grad) || !(shared || compute.scalar_type() == at::kBFloat16)) {
    return composite::AdamW(master, compute, grad, exp_avg, exp_avg_sq, step);
  }
  const AdamWFactors factors = FactorsOf(step);
  cpu::ForElementType(grad, [&]<typename T>() {
    const cpu::RowOps<T>& ops = cpu::RowOpsFor<T>();
    auto *parameter = cpu::Out<float>(master), *first = cpu::Out<float>(exp_avg), *second = cpu::Out<float>(exp_avg_sq);
    auto* rounded = shared ? nullptr : cpu::Out<cpu::Bf16>(compute);
    T* gradient = cpu::Out<T>(grad);
    at::parallel_for(0, master.numel(), kPiece, [&](int64_t begin, int64_t end) {
      ops.adamw(parameter + begin, rounded == nullptr ? nullptr : rounded + begin, gradient + begin, first + begin, second + begin, end - begin, factors);
    });
  });
}

double SumOfSquares(const std::vector<at::Tensor>& tensors) {
  if (!std::all_of(tensors.begin(), tensors.end(), cpu::HasRowOps)) return composite::SumOfSquares(tensors);
  double sum = 0.0;
  for (const at::Tensor& x : tensors) {
    const int64_t n = x.numel(), pieces = (n + kPiece - 1) / kPiece;
    std::vector<double> partial(static_cast<size_t>(pieces));
    cpu::ForElementType(x, [&]<typename T>() {
      const cpu::RowOps<T>& ops = cpu::RowOpsFor<T>();
      const T* data = cpu::In<T>(x);
      at::parallel_for(0, pieces, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) partial[static_cast<size_t>(i)] = ops.sum_of_squares(data + i * kPiece, std::min(kPiece, n - i * kPiece));
      });
    });
    sum = std::accumulate(partial.begin(), partial.end(), sum);
  }
  return sum;
}

}  // namespace ft::kernels
