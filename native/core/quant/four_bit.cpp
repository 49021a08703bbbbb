#include "core/quant/four_bit.h"

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstring>

#include "core/kernels/cpu/unpack.h"
#include "core/kernels/cuda/ops.h"

namespace ft::quant {
namespace {

constexpr int64_t kScalesTogether = 64;

class FourBitWeight : public RowReader<FourBitWeight> {
 public:
  explicit FourBitWeight(FourBitParts parts) : RowReader(parts.rows, parts.columns), parts_(std::move(parts)) {
    const std::array<float, 16>& own = parts_.code->table;
    if (!parts_.table.defined()) parts_.table = at::tensor(at::ArrayRef<float>(own.data(), own.size())).to(parts_.codes.device());
    if (device().is_cpu()) std::copy_n(parts_.table.const_data_ptr<float>(), 16, table_.begin());
  }

  at::Device device() const override { return parts_.codes.device(); }
  const char* scheme() const override { return parts_.code->name; }
  uint64_t bytes() const override {
    const BlockScales& scales = parts_.scales;
    return BytesOf({parts_.codes, scales.plain, scales.codes, scales.table, scales.absmax, parts_.table});
  }

  template <typename T>
  void Run(int64_t row, int64_t column, int64_t width, T* out) const {
    const auto& ops = kernels::cpu::UnpackOpsFor<T>();
    const auto* codes = parts_.codes.const_data_ptr<uint8_t>();
    const int64_t begin = row * columns_ + column, end = begin + width, block = parts_.block;
    float scales[kScalesTogether];
    for (int64_t at = begin; at < end;) {
      const int64_t first = at / block, last = std::min((end - 1) / block + 1, first + kScalesTogether), stop = std::min(end, last * block);
      parts_.scales.Read(first, last - first, scales);
      ops.nibbles(codes, at, stop - at, table_.data(), scales, block, out + (at - begin));
      at = stop;
    }
  }

  void ReadAll(at::Tensor& out) const override {
    if constexpr (kernels::cuda::kBuilt) {
      if (kernels::cuda::Serves(out)) return kernels::cuda::UnpackNibbles(parts_.codes, parts_.table, parts_.scales.All(), parts_.block, out);
    }
    PackedWeight::ReadAll(out);
  }

  at::Tensor FewRows(const at::Tensor& x) const override {
    if constexpr (kernels::cuda::kBuilt) {
      if (kernels::cuda::Serves(x)) return kernels::cuda::FewRowsOfNibbles(x, parts_.codes, parts_.table, parts_.scales.All(), parts_.block, rows_);
    }
    return {};
  }

  std::shared_ptr<PackedWeight> To(at::Device device) const override {
    FourBitParts moved = parts_;
    BlockScales& scales = moved.scales;
    for (at::Tensor* tensor : {&moved.codes, &scales.plain, &scales.codes, &scales.table, &scales.absmax, &moved.table}) *tensor = MovedTo(*tensor, device);
    return std::make_shared<FourBitWeight>(std::move(moved));
  }

  at::Tensor Composite() const override {
    const int64_t count = rows_ * columns_, blocks = (count + parts_.block - 1) / parts_.block;
    const at::Tensor nibbles = at::stack({parts_.codes.bitwise_right_shift(4), parts_.codes.bitwise_and(15)}, 1).view({-1}).narrow(0, 0, count);
    const at::Tensor each = parts_.scales.All().unsqueeze(1).expand({blocks, parts_.block}).reshape({-1}).narrow(0, 0, count);
    return parts_.table.index_select(0, nibbles.to(at::kInt)).mul_(each).view({rows_, columns_});
  }

  std::vector<std::pair<std::string, at::Tensor>> FileTensors() const override;

 private:
  FourBitParts parts_;
  std::array<float, 16> table_{};
};

// The facts of bitsandbytes' QuantState that are no tensors, as the bytes of a JSON text.
at::Tensor StateText(const FourBitParts& parts) {
  std::string text = fmt::format(R"({{"quant_type": "{}", "blocksize": {}, "dtype": "{}", "shape": [{}, {}])", parts.code->name, parts.block,
                                 parts.source_dtype, parts.rows, parts.columns);
  if (parts.scales.nested()) {
    text += fmt::format(R"(, "nested_blocksize": {}, "nested_dtype": "float32", "nested_offset": {})", parts.scales.block,
                        static_cast<double>(parts.scales.offset));
  }
  text += "}";
  at::Tensor bytes = at::empty({static_cast<int64_t>(text.size())}, at::kByte);
  std::memcpy(bytes.mutable_data_ptr(), text.data(), text.size());
  return bytes;
}

std::vector<std::pair<std::string, at::Tensor>> FourBitWeight::FileTensors() const {
  const BlockScales& scales = parts_.scales;
  std::vector<std::pair<std::string, at::Tensor>> tensors = {
      {"weight", parts_.codes.view({-1, 1})}, {"weight.absmax", scales.nested() ? scales.codes : scales.plain}, {"weight.quant_map", parts_.table}};
  if (scales.nested()) {
    tensors.emplace_back("weight.nested_absmax", scales.absmax);
    tensors.emplace_back("weight.nested_quant_map", scales.table);
  }
  tensors.emplace_back(std::string("weight.quant_state.bitsandbytes__") + parts_.code->name, StateText(parts_));
  return tensors;
}

// One block: its scale, and the codes of its values.
template <bool kSigned>
float EncodeBlock(const FourBitCode& code, const float* in, int64_t count, uint8_t* codes) {
  float top = 0;
#pragma omp simd reduction(max : top)
  for (int64_t i = 0; i < count; ++i) top = std::fabs(in[i]) > top ? std::fabs(in[i]) : top;
  const float inverse = top > 0 ? 1.0f / top : 0.0f;  // zeros stay zeros, whatever nesting makes of their scale
  constexpr int kThresholds = kSigned ? 7 : 15;
  for (int64_t i = 0; i < count; ++i) {
    const float x = in[i] * inverse, size = kSigned ? std::fabs(x) : x;
    int rank = 0;
    for (int t = 0; t < kThresholds; ++t) rank += size > code.thresholds[static_cast<size_t>(t)] ? 1 : 0;
    codes[i] = static_cast<uint8_t>(code.codes[static_cast<size_t>(rank)] + (kSigned && x < 0 ? 8 : 0));
  }
  return top;
}

bool AllFinite(const float* in, int64_t count) {
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) finite = finite && std::isfinite(in[i]);
  return finite;
}

}  // namespace

std::shared_ptr<PackedWeight> MakeFourBit(FourBitParts parts, const std::string& name) {
  FT_CHECK(parts.rows > 0 && parts.columns > 0 && parts.block >= 2 && parts.block % 2 == 0, kTensorShape, "{}: a {} matrix of [{}, {}] in blocks of {} cannot be",
           name, parts.code->name, parts.rows, parts.columns, parts.block);
  const int64_t count = parts.rows * parts.columns, blocks = (count + parts.block - 1) / parts.block;
  const auto check = [&](const at::Tensor& tensor, int64_t expected, at::ScalarType type, const char* what) {
    FT_CHECK(tensor.defined() && tensor.is_contiguous() && tensor.scalar_type() == type && tensor.numel() == expected, kTensorShape,
             "{}: {} of a {} matrix of [{}, {}] must hold {} values of {}, got {}", name, what, parts.code->name, parts.rows, parts.columns, expected,
             c10::toString(type), tensor.defined() ? fmt::format("{} of {}", tensor.numel(), c10::toString(tensor.scalar_type())) : "none");
  };
  check(parts.codes, (count + 1) / 2, at::kByte, "weight");
  const BlockScales& scales = parts.scales;
  if (scales.nested()) {
    FT_CHECK(scales.block > 0, kTensorShape, "{}: nested blocks of {}", name, scales.block);
    check(scales.codes, blocks, at::kByte, "absmax");
    check(scales.table, 256, at::kFloat, "nested_quant_map");
    check(scales.absmax, (blocks + scales.block - 1) / scales.block, at::kFloat, "nested_absmax");
  } else {
    check(scales.plain, blocks, at::kFloat, "absmax");
  }
  if (parts.table.defined()) check(parts.table, 16, at::kFloat, "quant_map");
  return std::make_shared<FourBitWeight>(std::move(parts));
}

std::shared_ptr<PackedWeight> QuantizeFourBit(const FourBitCode& code, const at::Tensor& w, const FourBitOptions& options, const std::string& name) {
  FT_CHECK(w.dim() == 2 && w.numel() > 0, kInternal, "{}: a matrix expected, got {}", name, c10::str(w.sizes()));
  const int64_t count = w.numel(), block = options.block, blocks = (count + block - 1) / block, piece_blocks = std::max<int64_t>(PieceElements(w) / block, 1);
  FourBitParts parts{&code, w.size(0), w.size(1), options.block, {}, {}, {}, c10::toString(w.scalar_type())};
  parts.source_dtype = w.scalar_type() == at::kBFloat16 ? "bfloat16" : w.scalar_type() == at::kHalf ? "float16" : "float32";
  const at::Tensor flat = w.contiguous().view({-1});
  parts.codes = at::empty({(count + 1) / 2}, at::kByte);
  parts.scales.plain = at::empty({blocks}, at::kFloat);
  auto* out = parts.codes.mutable_data_ptr<uint8_t>();
  auto* absmax = parts.scales.plain.mutable_data_ptr<float>();
  for (int64_t first = 0; first < blocks; first += piece_blocks) {
    const int64_t begin = first * block, length = std::min(piece_blocks * block, count - begin);
    const at::Tensor piece = flat.narrow(0, begin, length).to(at::kCPU, at::kFloat).contiguous();
    const float* in = piece.const_data_ptr<float>();
    std::atomic<bool> finite{true};
    at::parallel_for(0, (length + block - 1) / block, 256, [&](int64_t from, int64_t to) {
      std::vector<uint8_t> codes(static_cast<size_t>(block));
      for (int64_t b = from; b < to; ++b) {
        const int64_t size = std::min(block, length - b * block);
        const float* values = in + b * block;
        if (!AllFinite(values, size)) finite = false;
        absmax[first + b] = (code.sign_bit ? EncodeBlock<true> : EncodeBlock<false>)(code, values, size, codes.data());
        if (size % 2 == 1) {  // the half byte that is left holds a zero
          const float zero = 0.0f;
          float two[2] = {1.0f, zero};
          uint8_t pair[2];
          (code.sign_bit ? EncodeBlock<true> : EncodeBlock<false>)(code, two, 2, pair);
          codes[static_cast<size_t>(size)] = pair[1];
        }
        uint8_t* to_bytes = out + (begin + b * block) / 2;
        for (int64_t i = 0; i < size; i += 2) to_bytes[i / 2] = static_cast<uint8_t>(codes[static_cast<size_t>(i)] << 4 | codes[static_cast<size_t>(i + 1)]);
      }
    });
    if (!finite) throw NotFinite(name, "");
  }
  if (options.nested) parts.scales = NestScales(parts.scales.plain);
  if (!w.device().is_cpu()) {
    for (at::Tensor* tensor : {&parts.codes, &parts.scales.plain, &parts.scales.codes, &parts.scales.table, &parts.scales.absmax}) {
      if (tensor->defined()) *tensor = tensor->to(w.device());
    }
  }
  return MakeFourBit(std::move(parts), name);
}

uint64_t FourBitBytes(int64_t rows, int64_t columns, bool nested) {
  const uint64_t count = static_cast<uint64_t>(rows) * static_cast<uint64_t>(columns), blocks = (count + 63) / 64;
  return (count + 1) / 2 + 64 + (nested ? blocks + 4 * 256 + 4 * ((blocks + 255) / 256) : 4 * blocks);
}

}  // namespace ft::quant
