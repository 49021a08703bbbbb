#include "core/kernels/cuda/unpack.h"

#include <ATen/ATen.h>

#include "core/kernels/cuda/ops.h"
#include "core/kernels/cuda/tensors.h"

namespace ft::kernels::cuda {
namespace {

constexpr int64_t kFewestABlock = 256;  // values: one for each of a block's threads (kThreads of device.h, which is for .cu files)

void CheckNibbles(const at::Tensor& beside, const at::Tensor& codes, const at::Tensor& table, const at::Tensor& scales, int64_t block, int64_t count) {
  CheckBeside(beside, codes, at::kByte, "codes");
  CheckBeside(beside, table, at::kFloat, "a table of codes");
  CheckBeside(beside, scales, at::kFloat, "scales");
  FT_CHECK(codes.is_contiguous() && codes.numel() == (count + 1) / 2 && table.numel() == 16 && scales.numel() == (count + block - 1) / block, kInternal,
           "{} codes and {} scales for {} values", codes.numel(), scales.numel(), count);
}

}  // namespace

void UnpackNibbles(const at::Tensor& codes, const at::Tensor& table, const at::Tensor& scales, int64_t block, at::Tensor& out) {
  const int64_t count = out.numel();
  CheckNibbles(out, codes, table, scales, block, count);
  CheckBlocks(count / kFewestABlock + 1);
  at::Tensor whole = out.is_contiguous() ? out : at::empty(out.sizes(), out.options());
  const at::Tensor plain = scales.contiguous();
  LaunchOn(out, [&](Stream stream) {
    LaunchUnpackNibbles(ElementOf(out), codes.const_data_ptr<uint8_t>(), table.const_data_ptr<float>(), plain.const_data_ptr<float>(), block, count,
                        whole.mutable_data_ptr(), stream);
  });
  if (!whole.is_same(out)) out.copy_(whole);
}

void UnpackSignedBytes(const at::Tensor& codes, const at::Tensor& scales, at::Tensor& out) {
  CheckBeside(out, codes, at::kChar, "codes");
  CheckBeside(out, scales, at::kFloat, "scales");
  FT_CHECK(codes.is_contiguous() && codes.sizes() == out.sizes() && scales.numel() == out.size(0), kInternal, "codes of shape {} for {}", c10::str(codes.sizes()),
           c10::str(out.sizes()));
  CheckBlocks(out.size(0));
  at::Tensor whole = out.is_contiguous() ? out : at::empty(out.sizes(), out.options());
  LaunchOn(out, [&](Stream stream) {
    LaunchUnpackSignedBytes(ElementOf(out), codes.const_data_ptr<int8_t>(), scales.const_data_ptr<float>(), out.size(0), out.size(1), whole.mutable_data_ptr(),
                            stream);
  });
  if (!whole.is_same(out)) out.copy_(whole);
}

at::Tensor FewRowsOfNibbles(const at::Tensor& x, const at::Tensor& codes, const at::Tensor& table, const at::Tensor& scales, int64_t block, int64_t rows) {
  const int64_t few = x.size(0), columns = x.size(1);
  if (few == 0 || few > kMaxFewRows || columns % 2 != 0 || block % 2 != 0) return {};
  CheckNibbles(x, codes, table, scales, block, rows * columns);
  CheckBlocks(rows);
  const at::Tensor in = x.contiguous(), plain = scales.contiguous();
  at::Tensor y = at::empty({few, rows}, x.options());
  LaunchOn(x, [&](Stream stream) {
    LaunchFewRowsOfNibbles(ElementOf(x), in.const_data_ptr(), static_cast<int>(few), codes.const_data_ptr<uint8_t>(), table.const_data_ptr<float>(),
                           plain.const_data_ptr<float>(), block, rows, columns, y.mutable_data_ptr(), stream);
  });
  return y;
}

}  // namespace ft::kernels::cuda
