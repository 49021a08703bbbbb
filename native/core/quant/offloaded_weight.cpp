#include "core/quant/offloaded_weight.h"

namespace ft::quant {
namespace {

class OffloadedWeight : public PackedWeight {
 public:
  OffloadedWeight(std::shared_ptr<PackedWeight> weight, at::Device device)
      : PackedWeight(weight->rows(), weight->columns()), weight_(std::move(weight)), device_(device) {}

  at::Device device() const override { return device_; }
  const char* scheme() const override { return weight_->scheme(); }
  uint64_t bytes() const override { return weight_->bytes(); }
  std::optional<double> input_threshold() const override { return weight_->input_threshold(); }
  std::vector<std::pair<std::string, at::Tensor>> FileTensors() const override { return weight_->FileTensors(); }
  std::shared_ptr<PackedWeight> To(at::Device device) const override { return weight_->To(device); }
  at::Tensor Composite() const override { return weight_->To(device_)->Composite(); }

  // Of the CPU alone.
  void Read(int64_t row, int64_t count, int64_t column, int64_t width, float* out, int64_t stride) const override {
    weight_->Read(row, count, column, width, out, stride);
  }
  void Read(int64_t row, int64_t count, int64_t column, int64_t width, uint16_t* out, int64_t stride) const override {
    weight_->Read(row, count, column, width, out, stride);
  }
  void ReadAll(at::Tensor& out) const override { weight_->To(device_)->ReadAll(out); }
  at::Tensor FewRows(const at::Tensor& x) const override { return weight_->To(device_)->FewRows(x); }

 private:
  std::shared_ptr<PackedWeight> weight_;  // on the host
  at::Device device_;
};

}  // namespace

std::shared_ptr<PackedWeight> MakeOffloaded(const std::shared_ptr<PackedWeight>& weight, at::Device device) {
  return std::make_shared<OffloadedWeight>(weight->device().is_cpu() ? weight : weight->To(at::kCPU), device);
}

}  // namespace ft::quant
