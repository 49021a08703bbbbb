#include "core/quant/int8.h"

#include <ATen/ATen.h>

#include <cmath>

#include "core/kernels/cpu/unpack.h"
#include "core/kernels/cuda/ops.h"

namespace ft::quant {
namespace {

class Int8Weight : public RowReader<Int8Weight> {
 public:
  explicit Int8Weight(Int8Parts parts) : RowReader(parts.codes.size(0), parts.codes.size(1)), parts_(std::move(parts)) {}

  at::Device device() const override { return parts_.codes.device(); }
  const char* scheme() const override { return "int8"; }
  uint64_t bytes() const override { return BytesOf({parts_.codes, parts_.scales}); }
  std::optional<double> input_threshold() const override { return parts_.threshold; }

  template <typename T>
  void Run(int64_t row, int64_t column, int64_t width, T* out) const {
    const int8_t* codes = parts_.codes.const_data_ptr<int8_t>() + row * columns_ + column;
    kernels::cpu::UnpackOpsFor<T>().signed_bytes(codes, width, parts_.scales.const_data_ptr<float>()[row], out);
  }

  void ReadAll(at::Tensor& out) const override {
    if constexpr (kernels::cuda::kBuilt) {
      if (kernels::cuda::Serves(out)) return kernels::cuda::UnpackSignedBytes(parts_.codes, parts_.scales, out);
    }
    PackedWeight::ReadAll(out);
  }

  std::shared_ptr<PackedWeight> To(at::Device device) const override {
    return std::make_shared<Int8Weight>(Int8Parts{MovedTo(parts_.codes, device), MovedTo(parts_.scales, device), parts_.threshold});
  }

  at::Tensor Composite() const override { return parts_.codes.to(at::kFloat).mul_(parts_.scales.unsqueeze(1)).mul_(7.874015718698502e-3f); }

  std::vector<std::pair<std::string, at::Tensor>> FileTensors() const override {
    return {{"weight", parts_.codes}, {"SCB", parts_.scales}, {"weight_format", at::zeros({}, at::kByte)}};  // format 0: by rows
  }

 private:
  Int8Parts parts_;
};

}  // namespace

std::shared_ptr<PackedWeight> MakeInt8(Int8Parts parts, const std::string& name) {
  FT_CHECK(parts.codes.defined() && parts.codes.dim() == 2 && parts.codes.numel() > 0 && parts.codes.scalar_type() == at::kChar && parts.codes.is_contiguous(),
           kTensorShape, "{}: weight must be a matrix of int8", name);
  FT_CHECK(parts.scales.defined() && parts.scales.scalar_type() == at::kFloat && parts.scales.is_contiguous() && parts.scales.numel() == parts.codes.size(0),
           kTensorShape, "{}: SCB must hold {} values, one a row of the weight, got {}", name, parts.codes.size(0), parts.scales.defined() ? parts.scales.numel() : 0);
  FT_CHECK(std::isfinite(parts.threshold) && parts.threshold >= 0, kInvalidArgument, "llm_int8_threshold must be at least 0, got {}", parts.threshold);
  parts.scales = parts.scales.view({-1});
  return std::make_shared<Int8Weight>(std::move(parts));
}

std::shared_ptr<PackedWeight> QuantizeInt8(const at::Tensor& w, double threshold, const std::string& name) {
  FT_CHECK(w.dim() == 2 && w.numel() > 0, kInternal, "{}: a matrix expected, got {}", name, c10::str(w.sizes()));
  const int64_t rows = w.size(0), columns = w.size(1);
  Int8Parts parts{at::empty({rows, columns}, at::kChar), at::empty({rows}, at::kFloat), threshold};
  const int64_t piece_rows = std::max<int64_t>(PieceElements(w) / columns, 1);
  for (int64_t begin = 0; begin < rows; begin += piece_rows) {
    const int64_t count = std::min(piece_rows, rows - begin);
    const at::Tensor piece = w.narrow(0, begin, count).to(at::kCPU, at::kHalf).to(at::kFloat).contiguous();
    const at::Tensor top = piece.abs().amax(1);
    if (!top.isfinite().all().item<bool>()) throw NotFinite(name, " in fp16");
    const at::Tensor inverse = at::where(top > 0, 127.0f / top, 0.0f);
    parts.scales.narrow(0, begin, count).copy_(top);
    parts.codes.narrow(0, begin, count).copy_(piece.mul(inverse.unsqueeze(1)).round_());
  }
  parts.codes = parts.codes.to(w.device()), parts.scales = parts.scales.to(w.device());
  return MakeInt8(std::move(parts), name);
}

uint64_t Int8Bytes(int64_t rows, int64_t columns) { return static_cast<uint64_t>(rows) * static_cast<uint64_t>(columns) + 4 * static_cast<uint64_t>(rows); }

}  // namespace ft::quant
