// The CUDA kernels of quantized weights in emulation (cuda_emulator.h): the same bits as the CPU's loops, on NaN-filled outputs
// between guards, in both orders of threads.
#include <cstdlib>
#ifdef __GLIBC__  // swapcontext
#include <ATen/ATen.h>

#include <functional>
#include <limits>

#include "core/quant/four_bit.h"
#include "core/quant/int8.h"
#include "test.h"

#include "cuda_emulator.h"

#include "core/kernels/cuda/unpack.cu"

namespace ft::test {
namespace {

namespace device = kernels::cuda;

constexpr int64_t kMargin = 32;

// What `launch` writes into [rows, columns] of a type; its margins must stay.
at::Tensor Written(int64_t rows, int64_t columns, at::ScalarType type, const std::function<void(device::Element, void*)>& launch) {
  at::Tensor whole = at::full({rows * columns + 2 * kMargin}, 7.0, type);
  whole.narrow(0, kMargin, rows * columns).fill_(std::numeric_limits<double>::quiet_NaN());
  const auto element = type == at::kFloat ? device::Element::kFloat : type == at::kHalf ? device::Element::kHalf : device::Element::kBf16;
  launch(element, static_cast<char*>(whole.mutable_data_ptr()) + kMargin * whole.element_size());
  EXPECT(whole.narrow(0, 0, kMargin).eq(7.0).all().item<bool>() && whole.narrow(0, kMargin + rows * columns, kMargin).eq(7.0).all().item<bool>());
  return whole.narrow(0, kMargin, rows * columns).view({rows, columns});
}

struct FourBit {
  at::Tensor codes, scales, table;
  std::shared_ptr<quant::PackedWeight> weight;
  FourBit(int64_t rows, int64_t columns) {
    at::manual_seed(3);
    weight = quant::QuantizeFourBit(quant::Nf4(), at::randn({rows, columns}), {}, "w");
    for (const auto& [name, tensor] : weight->FileTensors()) {
      if (name == "weight") codes = tensor;
      if (name == "weight.absmax") scales = tensor;
      if (name == "weight.quant_map") table = tensor;
    }
  }
};

void CheckUnpacking() {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{3, 64}, {5, 33}, {17, 130}}) {
    const FourBit four(rows, columns);
    const auto int8 = quant::QuantizeInt8(four.weight->Dense(at::kFloat), 6.0, "w");
    const at::Tensor codes = int8->FileTensors()[0].second, scales = int8->FileTensors()[1].second;
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
      const at::Tensor nibbles = Written(rows, columns, type, [&](device::Element element, void* out) {
        device::LaunchUnpackNibbles(element, four.codes.const_data_ptr<uint8_t>(), four.table.const_data_ptr<float>(), four.scales.const_data_ptr<float>(), 64,
                                    rows * columns, out, nullptr);
      });
      EXPECT(at::equal(nibbles, four.weight->Dense(type)));
      const at::Tensor bytes = Written(rows, columns, type, [&](device::Element element, void* out) {
        device::LaunchUnpackSignedBytes(element, codes.const_data_ptr<int8_t>(), scales.const_data_ptr<float>(), rows, columns, out, nullptr);
      });
      EXPECT(at::equal(bytes, int8->Dense(type)));
    }
  }
}

void CheckFewRows() {
  const int64_t rows = 11, columns = 134;
  const FourBit four(rows, columns);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const int few : {1, 3, device::kMaxFewRows}) {
      const at::Tensor x = at::randn({few, columns}).to(type);
      const at::Tensor y = Written(few, rows, type, [&](device::Element element, void* out) {
        device::LaunchFewRowsOfNibbles(element, x.const_data_ptr(), few, four.codes.const_data_ptr<uint8_t>(), four.table.const_data_ptr<float>(),
                                       four.scales.const_data_ptr<float>(), 64, rows, columns, out, nullptr);
      });
      const at::Tensor want = x.to(at::kDouble).mm(four.weight->Dense(type).to(at::kDouble).t());
      EXPECT((y.to(at::kDouble) - want).abs().max().item<double>() <= (type == at::kFloat ? 1e-5 : 1e-2) * want.abs().max().item<double>());
    }
  }
}

void InBothOrders(void (*check)()) {
  for (const bool falling : {false, true}) {
    cuda_emulator::falling_order = falling;
    check();
  }
  cuda_emulator::falling_order = false;
}

}  // namespace

TEST(cuda_emulated_unpacking) { InBothOrders(CheckUnpacking); }
TEST(cuda_emulated_few_rows_of_nibbles) { InBothOrders(CheckFewRows); }

}  // namespace ft::test
#endif
