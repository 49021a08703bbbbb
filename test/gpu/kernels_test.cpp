// The kernels on a CUDA device against formulas in float64 (kernel_checks.h), through the dispatch that training uses.
// at::empty fills with NaN here, so an output element that a kernel leaves out shows.
#include <ATen/ATen.h>

#include "core/engine/device.h"
#include "core/kernels/attention.h"
#include "core/kernels/cross_entropy.h"
#include "core/kernels/cuda/ops.h"
#include "core/kernels/norm.h"
#include "core/kernels/rope.h"
#include "kernel_checks.h"
#include "nn_reference.h"
#include "test.h"

namespace ft::test {
namespace {

at::Tensor OnDevice(const at::Tensor& x) {
  if (!x.defined()) return x;
  // The whole storage goes, so that a view of heads inside a product stays one.
  const auto elements = static_cast<int64_t>(x.storage().nbytes() / x.element_size());
  return x.as_strided({elements}, {1}, 0).to(ParseDevice("cuda")).as_strided(x.sizes(), x.strides(), x.storage_offset());
}

KernelSet OfDevice() {
  KernelSet set;
  set.dtypes = {at::kFloat, at::kBFloat16, at::kHalf};
  set.token_counts = {0, 1, 5, 67, 300};
  set.checks_targets = kernels::cuda::kBuilt;
  set.rms_norm = [](const at::Tensor& x, const at::Tensor& w, double eps) {
    const auto [y, rstd] = kernels::RmsNorm(OnDevice(x), OnDevice(w), eps);
    return std::make_tuple(y.cpu(), rstd.cpu());
  };
  set.rms_norm_apply = [](const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& w) {
    return kernels::RmsNormApply(OnDevice(x), OnDevice(rstd), OnDevice(w)).cpu();
  };
  set.rms_norm_backward = [](const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& w, at::Tensor* y) {
    const at::Tensor dw = at::ones({w.numel()}, at::TensorOptions(ParseDevice("cuda")).dtype(at::kFloat)), again = dw.clone();
    const at::Tensor dx = kernels::RmsNormBackward(OnDevice(dy), OnDevice(x), OnDevice(rstd), OnDevice(w), dw, y);
    if (y != nullptr) *y = y->cpu();
    kernels::RmsNormBackward(OnDevice(dy), OnDevice(x), OnDevice(rstd), OnDevice(w), again);
    EXPECT(at::equal(dw, again));
    return std::make_tuple(dx.cpu(), dw.cpu());
  };
  set.layer_norm = [](const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, double eps) {
    const auto forward = kernels::LayerNorm(OnDevice(x), OnDevice(w), OnDevice(b), eps);
    return kernels::LayerNormOutput{forward.y.cpu(), forward.mean.cpu(), forward.rstd.cpu()};
  };
  set.layer_norm_apply = [](const at::Tensor& x, const kernels::LayerNormOutput& forward, const at::Tensor& w, const at::Tensor& b) {
    return kernels::LayerNormApply(OnDevice(x), OnDevice(forward.mean), OnDevice(forward.rstd), OnDevice(w), OnDevice(b)).cpu();
  };
  set.layer_norm_backward = [](const at::Tensor& dy, const at::Tensor& x, const kernels::LayerNormOutput& forward, const at::Tensor& w) {
    const at::Tensor dw = at::ones({x.size(-1)}, at::TensorOptions(ParseDevice("cuda")).dtype(at::kFloat)), db = dw.clone();
    const at::Tensor dx = kernels::LayerNormBackward(OnDevice(dy), OnDevice(x), OnDevice(forward.mean), OnDevice(forward.rstd), OnDevice(w), dw, db);
    return std::make_tuple(dx.cpu(), dw.cpu(), db.cpu());
  };
  set.rotate = [](const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, bool inverse) {
    return kernels::Rotate(OnDevice(x), OnDevice(cos), OnDevice(sin), inverse).cpu();
  };
  set.gate = [](const at::Tensor& u, Activation activation) { return kernels::Gate(OnDevice(u), activation).cpu(); };
  set.gate_backward = [](const at::Tensor& dy, const at::Tensor& u, Activation activation, at::Tensor* y) {
    const at::Tensor d = kernels::GateBackward(OnDevice(dy), OnDevice(u), activation, y).cpu();
    if (y != nullptr) *y = y->cpu();
    return d;
  };
  set.dropout = [](const at::Tensor& x, double p, const kernels::DropoutKey& key, const at::Tensor& rows, const at::Tensor& positions) {
    return kernels::Dropout(OnDevice(x), p, key, OnDevice(rows), OnDevice(positions)).cpu();
  };
  set.cross_entropy = [](const at::Tensor& logits, const at::Tensor& targets, double scale, const at::Tensor& row_scale, bool gradient) {
    at::Tensor d = OnDevice(logits);
    const kernels::CrossEntropyGradient wanted{scale, OnDevice(row_scale)};
    const auto rows = kernels::CrossEntropy(d, OnDevice(targets), gradient ? &wanted : nullptr);
    return std::make_tuple(rows.loss.cpu(), rows.lse.cpu(), d.cpu());
  };
  set.adamw = [](at::Tensor& master, at::Tensor& compute, at::Tensor& grad, at::Tensor& m, at::Tensor& v, const kernels::AdamWStep& step) {
    at::Tensor p = OnDevice(master), g = OnDevice(grad), first = OnDevice(m), second = OnDevice(v), c = compute.is_same(master) ? p : OnDevice(compute);
    kernels::AdamW(p, c, g, first, second, step);
    master.copy_(p), grad.copy_(g), m.copy_(first), v.copy_(second);
    if (!compute.is_same(master)) compute.copy_(c);
  };
  return set;
}

void Check(void (*check)(const KernelSet&)) {
  const PoisonedMemory poisoned;
  check(OfDevice());
}

}  // namespace

TEST(gpu_build_has_its_kernels) { EXPECT(kernels::cuda::kBuilt); }
TEST(gpu_rms_norm) { Check(CheckRmsNorm); }
TEST(gpu_layer_norm) { Check(CheckLayerNorm); }
TEST(gpu_rotate) { Check(CheckRotate); }
TEST(gpu_gate) { Check(CheckGate); }
TEST(gpu_dropout) { Check(CheckDropout); }

TEST(gpu_cross_entropy) { Check(CheckCrossEntropy); }

TEST(gpu_adamw) { Check(CheckAdamW); }

TEST(gpu_attention) {
  const std::vector<std::vector<int64_t>> batches = {{0, 1, 8, 15, 40, 73, 250}, {0, 1, 2, 3}, {0, 300}, {0, 128, 256}};
  for (const auto dtype : {at::kBFloat16, at::kHalf, at::kFloat}) {
    for (const int64_t d : {16, 64, 10, 128}) {
      for (const int64_t window : {0, 1, 5, 100, 1000}) {
        for (const std::vector<int64_t>& offsets : batches) {
          const int64_t tokens = offsets.back();
          const at::Tensor product = at::randn({tokens, 10, d}).to(dtype), dout = at::randn({tokens, 6, d}).to(dtype);
          const at::Tensor on_device = OnDevice(product), dout_on_device = OnDevice(dout);
          const auto part = [](const at::Tensor& x, int64_t begin, int64_t heads) { return x.narrow(1, begin, heads); };
          const kernels::AttentionOptions options{0.2, window};
          const at::Tensor q = part(on_device, 0, 6), k = part(on_device, 6, 2), v = part(on_device, 8, 2);
          const auto forward = kernels::Attention(q, k, v, offsets, options);
          const auto [dq, dk, dv] = kernels::AttentionBackward(dout_on_device, q, k, v, forward, offsets, options);
          const at::Tensor exact = product.to(at::kFloat);
          const at::Tensor eq = part(exact, 0, 6), ek = part(exact, 6, 2), ev = part(exact, 8, 2);
          const auto expected = kernels::composite::Attention(eq, ek, ev, offsets, options);
          const auto [xq, xk, xv] = kernels::composite::AttentionBackward(dout.to(at::kFloat), eq, ek, ev, expected, offsets, options);
          const double tolerance = dtype == at::kFloat ? 1e-5 : dtype == at::kHalf ? 1e-2 : 4e-2;
          EXPECT(RelativeError(forward.out.cpu(), expected.out) < tolerance);
          EXPECT(RelativeError(dv.cpu(), xv) < tolerance);
          // With one key a query the probability is constant, and these are rounding alone.
          const bool constant = window == 1 || offsets.size() == static_cast<size_t>(tokens) + 1;
          EXPECT(constant ? dq.abs().max().item<double>() < tolerance : RelativeError(dq.cpu(), xq) < tolerance);
          EXPECT(constant ? dk.abs().max().item<double>() < tolerance : RelativeError(dk.cpu(), xk) < tolerance);
        }
      }
    }
  }
}

TEST(gpu_flash_attention_is_where_it_should_be) {
  const at::Device device = ParseDevice("cuda");
  for (const auto dtype : {at::kBFloat16, at::kHalf}) {
    for (const int64_t d : {64, 96, 128}) EXPECT(kernels::HasFlashAttention(device, dtype, d));
    EXPECT(!kernels::HasFlashAttention(device, dtype, 20) && !kernels::HasFlashAttention(device, dtype, 264));
  }
  EXPECT(!kernels::HasFlashAttention(device, at::kFloat, 64));
}

}  // namespace ft::test
