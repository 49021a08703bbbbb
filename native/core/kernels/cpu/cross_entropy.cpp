#include "core/kernels/cross_entropy.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "core/kernels/cpu/row_ops_tensor.h"
#include "core/kernels/cuda/ops.h"

namespace ft::kernels {

CrossEntropyRows CrossEntropy(at::Tensor& logits, const at::Tensor& targets, const CrossEntropyGradient* gradient) {
  if constexpr (cuda::kBuilt) {
    if (cuda::Serves(logits)) return cuda::CrossEntropy(logits, targets, gradient);
  }
  if (!cpu::HasRowOps(logits)) return composite::CrossEntropy(logits, targets, gradient);
  const int64_t rows = logits.size(0), vocab = logits.size(1);
  CrossEntropyRows result{at::empty({rows}, logits.options().dtype(at::kFloat)), at::empty({rows}, logits.options().dtype(at::kFloat))};
  auto *loss = cpu::Out<float>(result.loss), *lse = cpu::Out<float>(result.lse);
  const auto* target = cpu::In<int64_t>(targets);
  const bool scaled = gradient != nullptr && gradient->row_scale.defined();
  const at::Tensor row_scale = scaled ? gradient->row_scale.contiguous() : at::Tensor();
  cpu::ForElementType(logits, [&]<typename T>() {
    const cpu::RowOps<T>& ops = cpu::RowOpsFor<T>();
    T* data = cpu::Out<T>(logits);
    at::parallel_for(0, rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        T* row = data + r * vocab;
        lse[r] = ops.log_sum_exp(row, vocab);
        const double scale = gradient == nullptr ? 0.0 : gradient->scale * (scaled ? cpu::In<float>(row_scale)[r] : 1.0f);
        loss[r] = ops.cross_entropy(row, vocab, target[r], lse[r], gradient == nullptr ? nullptr : &scale);
      }
    });
  });
  return result;
}

}  // namespace ft::kernels
