// The CUDA kernels in emulation (cuda_emulator.h): launches, indices, barriers and arithmetic, in both orders of threads,
// on outputs that hold NaN before and are framed by guards. The device's own conversions and expf are not covered.
#include <cstdlib>
#ifdef __GLIBC__  // swapcontext
#include <ATen/ATen.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <limits>

#include "core/kernels/dropout.h"
#include "kernel_checks.h"
#include "test.h"

#include "cuda_emulator.h"

#include "core/kernels/cuda/adamw.cu"
#include "core/kernels/cuda/cross_entropy.cu"
#include "core/kernels/cuda/dropout.cu"
#include "core/kernels/cuda/gate.cu"
#include "core/kernels/cuda/layer_norm.cu"
#include "core/kernels/cuda/rms_norm.cu"
#include "core/kernels/cuda/rotate.cu"

namespace ft::test {
namespace {

namespace device = kernels::cuda;

device::Element ElementOf(const at::Tensor& x) {
  return x.scalar_type() == at::kFloat ? device::Element::kFloat : x.scalar_type() == at::kHalf ? device::Element::kHalf : device::Element::kBf16;
}

// A NaN-filled tensor inside a larger one whose margins a kernel must leave alone. The margin keeps 16-byte alignment.
class Guarded {
 public:
  Guarded(at::IntArrayRef shape, at::ScalarType dtype) {
    int64_t numel = 1;
    for (const int64_t size : shape) numel *= size;
    whole_ = at::full({numel + 2 * kMargin}, std::numeric_limits<double>::quiet_NaN(), dtype);
    whole_.narrow(0, 0, kMargin).fill_(7.0), whole_.narrow(0, numel + kMargin, kMargin).fill_(7.0);
    tensor_ = whole_.narrow(0, kMargin, numel).view(shape);
  }
  explicit Guarded(const at::Tensor& from) : Guarded(from.sizes(), from.scalar_type()) { tensor_.copy_(from); }

  void* data() { return tensor_.mutable_data_ptr(); }
  at::Tensor Checked() const {
    const int64_t numel = tensor_.numel();
    EXPECT(whole_.narrow(0, 0, kMargin).eq(7.0).all().item<bool>() && whole_.narrow(0, numel + kMargin, kMargin).eq(7.0).all().item<bool>());
    return tensor_;
  }

 private:
  static constexpr int64_t kMargin = 32;
  at::Tensor whole_, tensor_;
};

device::StridedRows RowsOf(const at::Tensor& x) {
  if (x.dim() == 2) return {x.const_data_ptr(), x.size(0), x.size(1), 1, x.stride(0), 0};
  return {x.const_data_ptr(), x.size(0) * x.size(1), x.size(2), x.size(1), x.stride(0), x.stride(1)};
}

at::Tensor RstdLike(const at::Tensor& x) {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = 1;
  return at::empty(shape, at::kFloat);
}

const int64_t* Longs(const at::Tensor& x) { return x.const_data_ptr<int64_t>(); }
const float* Floats(const at::Tensor& x) { return x.defined() ? x.const_data_ptr<float>() : nullptr; }

void AddNormTo(KernelSet& set) {
  set.rms_norm = [](const at::Tensor& x, const at::Tensor& w, double eps) {
    Guarded y(x.sizes(), x.scalar_type()), rstd(RstdLike(x).sizes(), at::kFloat);
    device::LaunchRmsNorm(ElementOf(x), RowsOf(x), w.const_data_ptr(), static_cast<float>(eps), y.data(), static_cast<float*>(rstd.data()), nullptr);
    return std::make_tuple(y.Checked(), rstd.Checked());
  };
  set.rms_norm_apply = [](const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& w) {
    Guarded y(x.sizes(), x.scalar_type());
    device::LaunchRmsNormApply(ElementOf(x), RowsOf(x), w.const_data_ptr(), Floats(rstd), y.data(), nullptr);
    return y.Checked();
  };
  set.rms_norm_backward = [](const at::Tensor& dy, const at::Tensor& x, const at::Tensor& rstd, const at::Tensor& w, at::Tensor* y) {
    Guarded dx(x.sizes(), x.scalar_type()), again(x.sizes(), x.scalar_type());
    const device::StridedRows rows = RowsOf(x);
    device::LaunchRmsNormBackward(ElementOf(x), dy.const_data_ptr(), rows, w.const_data_ptr(), Floats(rstd), dx.data(),
                                  y == nullptr ? nullptr : again.data(), nullptr);
    if (y != nullptr) *y = again.Checked();
    at::Tensor dw = at::ones({rows.n});
    if (rows.rows > 0) {
      Guarded partials({device::RowPartials(rows.rows), rows.n}, at::kFloat);
      device::LaunchRmsNormWeightGradient(ElementOf(x), dy.const_data_ptr(), rows, Floats(rstd), static_cast<float*>(partials.data()), nullptr);
      dw.add_(partials.Checked().sum(0));
    }
    return std::make_tuple(dx.Checked(), dw);
  };
}

device::LayerNormArguments LayerNormArgumentsOf(const at::Tensor& w, const at::Tensor& b, const at::Tensor& mean, const at::Tensor& rstd) {
  const auto data = [](const at::Tensor& x) { return x.defined() ? x.const_data_ptr() : nullptr; };
  return {data(w), data(b), const_cast<float*>(Floats(mean)), const_cast<float*>(Floats(rstd))};
}

void AddLayerNormTo(KernelSet& set) {
  set.layer_norm = [](const at::Tensor& x, const at::Tensor& w, const at::Tensor& b, double eps) {
    Guarded y(x.sizes(), x.scalar_type()), mean(RstdLike(x).sizes(), at::kFloat), rstd(RstdLike(x).sizes(), at::kFloat);
    device::LaunchLayerNorm(ElementOf(x), RowsOf(x), LayerNormArgumentsOf(w, b, mean.Checked(), rstd.Checked()), static_cast<float>(eps), y.data(), nullptr);
    return kernels::LayerNormOutput{y.Checked(), mean.Checked(), rstd.Checked()};
  };
  set.layer_norm_apply = [](const at::Tensor& x, const kernels::LayerNormOutput& forward, const at::Tensor& w, const at::Tensor& b) {
    Guarded y(x.sizes(), x.scalar_type());
    device::LaunchLayerNormApply(ElementOf(x), RowsOf(x), LayerNormArgumentsOf(w, b, forward.mean, forward.rstd), y.data(), nullptr);
    return y.Checked();
  };
  set.layer_norm_backward = [](const at::Tensor& dy, const at::Tensor& x, const kernels::LayerNormOutput& forward, const at::Tensor& w) {
    Guarded dx(x.sizes(), x.scalar_type());
    const device::StridedRows rows = RowsOf(x);
    const device::LayerNormArguments arguments = LayerNormArgumentsOf(w, {}, forward.mean, forward.rstd);
    device::LaunchLayerNormBackward(ElementOf(x), dy.const_data_ptr(), rows, arguments, dx.data(), nullptr);
    at::Tensor dw = at::ones({rows.n}), db = at::ones({rows.n});
    if (rows.rows > 0) {
      Guarded weight({device::RowPartials(rows.rows), rows.n}, at::kFloat), bias({device::RowPartials(rows.rows), rows.n}, at::kFloat);
      device::LaunchLayerNormParameterGradients(ElementOf(x), dy.const_data_ptr(), rows, arguments, static_cast<float*>(weight.data()),
                                                static_cast<float*>(bias.data()), nullptr);
      dw.add_(weight.Checked().sum(0)), db.add_(bias.Checked().sum(0));
    }
    return std::make_tuple(dx.Checked(), dw, db);
  };
}

void AddElementwiseTo(KernelSet& set) {
  set.rotate = [](const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, bool inverse) {
    Guarded y(x.sizes(), x.scalar_type());
    device::LaunchRotate(ElementOf(x), {x.const_data_ptr(), x.stride(0), x.stride(1), y.data(), Floats(cos), Floats(sin), x.size(0), x.size(1), cos.size(1), x.size(2), inverse}, nullptr);
    return y.Checked();
  };
  set.gate = [](const at::Tensor& u, Activation activation) {
    Guarded y({u.size(0), u.size(1) / 2}, u.scalar_type());
    device::LaunchGate(ElementOf(u), activation, u.const_data_ptr(), u.size(0), u.size(1) / 2, y.data(), nullptr);
    return y.Checked();
  };
  set.gate_backward = [](const at::Tensor& dy, const at::Tensor& u, Activation activation, at::Tensor* y) {
    Guarded d(u.sizes(), u.scalar_type()), again({u.size(0), u.size(1) / 2}, u.scalar_type());
    device::LaunchGateBackward(ElementOf(u), activation, dy.const_data_ptr(), u.const_data_ptr(), u.size(0), u.size(1) / 2, d.data(),
                               y == nullptr ? nullptr : again.data(), nullptr);
    if (y != nullptr) *y = again.Checked();
    return d.Checked();
  };
  set.dropout = [](const at::Tensor& x, double p, const kernels::DropoutKey& key, const at::Tensor& rows, const at::Tensor& positions) {
    Guarded y(x.sizes(), x.scalar_type());
    device::LaunchDropout(ElementOf(x), {x.const_data_ptr(), y.data(), x.size(0), x.size(1), Longs(rows), Longs(positions), kernels::MixKey(key.seed, key.step), key.site,
                                   static_cast<uint64_t>(p * 4294967296.0), static_cast<float>(1.0 / (1.0 - p))}, nullptr);
    return y.Checked();
  };
}

KernelSet Emulated() {
  KernelSet set;
  set.dtypes = {at::kFloat, at::kBFloat16, at::kHalf};
  set.token_counts = {0, 1, 19};
  AddNormTo(set);
  AddLayerNormTo(set);
  AddElementwiseTo(set);
  set.cross_entropy = [](const at::Tensor& logits, const at::Tensor& targets, double scale, const at::Tensor& row_scale, bool gradient) {
    Guarded d(logits), loss({logits.size(0)}, at::kFloat), lse({logits.size(0)}, at::kFloat);
    device::LaunchCrossEntropy(ElementOf(logits), {d.data(), logits.stride(0), Longs(targets), logits.size(0), logits.size(1), static_cast<float>(scale), Floats(row_scale),
                                                 gradient, static_cast<float*>(loss.data()), static_cast<float*>(lse.data())}, nullptr);
    return std::make_tuple(loss.Checked(), lse.Checked(), d.Checked());
  };
  set.adamw = [](at::Tensor& master, at::Tensor& compute, at::Tensor& grad, at::Tensor& m, at::Tensor& v, const kernels::AdamWStep& step) {
    const bool shared = compute.is_same(master);
    device::LaunchAdamW(ElementOf(grad), ElementOf(compute), {master.mutable_data_ptr<float>(), m.mutable_data_ptr<float>(), v.mutable_data_ptr<float>(),
                        shared ? nullptr : compute.mutable_data_ptr(), grad.mutable_data_ptr(), grad.numel()}, kernels::FactorsOf(step), nullptr);
  };
  return set;
}

void InBothOrders(void (*check)(const KernelSet&)) {
  for (const bool falling : {false, true}) {
    cuda_emulator::falling_order = falling;
    check(Emulated());
  }
  cuda_emulator::falling_order = false;
}

__global__ void MissesABarrier(float* out) {
  if (threadIdx.x < 64) __syncthreads();
  out[threadIdx.x] = 1;
}

}  // namespace

TEST(cuda_emulated_rms_norm) { InBothOrders(CheckRmsNorm); }
TEST(cuda_emulated_layer_norm) { InBothOrders(CheckLayerNorm); }
TEST(cuda_emulated_rotate) { InBothOrders(CheckRotate); }
TEST(cuda_emulated_gate) { InBothOrders(CheckGate); }
TEST(cuda_emulated_dropout) { InBothOrders(CheckDropout); }
TEST(cuda_emulated_cross_entropy) { InBothOrders(CheckCrossEntropy); }

TEST(cuda_emulated_adamw) { InBothOrders(CheckAdamW); }

TEST(cuda_emulator_notices_a_barrier_that_some_threads_miss) {
  float out[128];
  bool threw = false;
  try {
    device::Launch(MissesABarrier, 1, 128, nullptr, static_cast<float*>(out));
  } catch (const std::logic_error&) {
    threw = true;
  }
  EXPECT(threw);
}

TEST(cuda_element_conversions_are_those_of_libtorch) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float expected = static_cast<float>(c10::Half(half, c10::Half::from_bits())), actual = device::ToFloat(device::Half{half});
    EXPECT(std::isnan(expected) ? std::isnan(actual) : device::BitCast<uint32_t>(expected) == device::BitCast<uint32_t>(actual));
  }
  uint32_t state = 1;
  for (int i = 0; i < 300000; ++i) {
    state = state * 1664525u + 1013904223u;
    // All exponents in turn, and the neighbourhood of ties.
    const auto x = device::BitCast<float>((state & 0xffffe000u) | (i % 3 == 0 ? 0x1000u : i % 3 == 1 ? 0x1001u : state & 0x1fffu));
    const uint16_t half = device::FromFloat<device::Half>(x).bits, bf16 = device::FromFloat<device::Bf16>(x).bits;
    if (std::isnan(x)) {
      EXPECT(std::isnan(device::ToFloat(device::Half{half})) && std::isnan(device::ToFloat(device::Bf16{bf16})));
    } else {
      EXPECT_EQ(half, c10::Half(x).x);
      EXPECT_EQ(bf16, c10::BFloat16(x).x);
    }
  }
}

}  // namespace ft::test
#endif
