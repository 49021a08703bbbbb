#include "core/kernels/rope.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "core/kernels/cpu/row_ops_tensor.h"
#include "core/kernels/cuda/ops.h"

namespace ft::kernels {

at::Tensor Rotate(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, bool inverse) {
  if constexpr (cuda::kBuilt) {
    if (cuda::Serves(x)) return cuda::Rotate(x, cos, sin, inverse);
  }
  if (!cpu::HasRowOps(x) || x.stride(2) != 1) return composite::Rotate(x, cos, sin, inverse);
  const at::Tensor c = cos.contiguous(), s = sin.contiguous();
  at::Tensor y = at::empty(x.sizes(), x.options());
  const int64_t heads = x.size(1), head_dim = x.size(2);
  cpu::ForElementType(x, [&]<typename T>() {
    const cpu::RowOps<T>& ops = cpu::RowOpsFor<T>();
    const cpu::HeadView<const T> in{cpu::In<T>(x), x.stride(0), x.stride(1)};
    const cpu::HeadView<T> out{cpu::Out<T>(y), y.stride(0), y.stride(1)};
    at::parallel_for(0, x.size(0), cpu::RowGrain(heads * head_dim), [&](int64_t begin, int64_t end) {
      ops.rotate(in, out, cpu::In<float>(c), cpu::In<float>(s), inverse ? -1.0f : 1.0f, begin, end, heads, c.size(1), head_dim);
    });
  });
  return y;
}

}  // namespace ft::kernels
