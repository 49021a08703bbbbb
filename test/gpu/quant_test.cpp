// Quantized weights on a CUDA device: the values of the CPU, bit for bit, and products with them.
#include <ATen/ATen.h>

#include "core/engine/device.h"
#include "core/kernels/linear.h"
#include "core/quant/four_bit.h"
#include "core/quant/int8.h"
#include "test.h"

namespace ft::test {

TEST(gpu_quant_values_and_products) {
  const at::Device device = ParseDevice("cuda");
  at::manual_seed(5);
  const at::Tensor w = at::randn({300, 514}) * 0.02;
  const auto on = [&](const at::Tensor& x) { return x.to(device); };
  const std::pair<std::shared_ptr<quant::PackedWeight>, std::shared_ptr<quant::PackedWeight>> pairs[] = {
      {quant::QuantizeFourBit(quant::Nf4(), w, {}, "w"), quant::QuantizeFourBit(quant::Nf4(), on(w), {}, "w")},
      {quant::QuantizeFourBit(quant::Fp4(), w, {true, 64}, "w"), quant::QuantizeFourBit(quant::Fp4(), on(w), {true, 64}, "w")},
      {quant::QuantizeInt8(w, 6.0, "w"), quant::QuantizeInt8(on(w), 6.0, "w")},
  };
  for (const auto& [host, gpu] : pairs) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const at::Tensor dense = host->Dense(type);
      EXPECT(at::equal(gpu->Dense(type).cpu(), dense));
      for (const int64_t rows : {1, 8, 50}) {
        const at::Tensor x = at::randn({rows, 514}).to(type), dy = at::randn({rows, 300}).to(type);
        const at::Tensor y = kernels::SumOfProducts({{on(x), {}, false, gpu.get()}}, {}, {}).cpu().to(at::kDouble);
        const at::Tensor dx = kernels::SumOfProducts({{on(dy), {}, true, gpu.get()}}, {}, {}).cpu().to(at::kDouble);
        const at::Tensor want = x.to(at::kDouble).mm(dense.to(at::kDouble).t()), dwant = dy.to(at::kDouble).mm(dense.to(at::kDouble));
        const double tolerance = type == at::kFloat ? 1e-3 : 2e-2;  // fp32 products may run in TF32
        EXPECT((y - want).abs().max().item<double>() <= tolerance * want.abs().max().item<double>());
        EXPECT((dx - dwant).abs().max().item<double>() <= tolerance * dwant.abs().max().item<double>());
      }
    }
  }
}

}  // namespace ft::test
