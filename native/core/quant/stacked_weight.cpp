#include "core/quant/stacked_weight.h"

#include <ATen/ATen.h>

#include <bit>
#include <cstring>

#include "core/quant/offloaded_weight.h"

namespace ft::quant {
namespace {

class DenseWeight : public RowReader<DenseWeight> {
 public:
  explicit DenseWeight(at::Tensor weight) : RowReader(weight.size(0), weight.size(1)), weight_(std::move(weight)) {}
  at::Device device() const override { return weight_.device(); }
  const char* scheme() const override { return "dense"; }
  uint64_t bytes() const override { return BytesOf({weight_}); }
  std::shared_ptr<PackedWeight> To(at::Device device) const override { return std::make_shared<DenseWeight>(weight_.to(device)); }
  at::Tensor Composite() const override { return weight_.to(at::kFloat); }
  void ReadAll(at::Tensor& out) const override { out.copy_(weight_); }
  at::Tensor FewRows(const at::Tensor& x) const override { return at::mm(x, weight_.to(x.scalar_type()).t()); }

  template <typename T>
  void Run(int64_t row, int64_t column, int64_t width, T* out) const {
    const int64_t at = row * weight_.stride(0) + column;
    switch (weight_.scalar_type()) {
      case at::kFloat:
        return Copy(weight_.const_data_ptr<float>() + at, width, out);
      case at::kHalf:
        return Copy(weight_.const_data_ptr<at::Half>() + at, width, out);
      default:
        return Copy(weight_.const_data_ptr<at::BFloat16>() + at, width, out);
    }
  }

 private:
  template <typename From, typename T>
  static void Copy(const From* from, int64_t width, T* out) {
    for (int64_t i = 0; i < width; ++i) {
      const auto value = static_cast<float>(from[i]);
      if constexpr (std::is_same_v<T, float>) {
        out[i] = value;
      } else {
        out[i] = at::BFloat16(value).x;
      }
    }
  }

  at::Tensor weight_;
};

}  // namespace

std::shared_ptr<PackedWeight> MakeDense(const at::Tensor& weight) {
  FT_CHECK(weight.dim() == 2 && weight.stride(1) == 1, kInternal, "a matrix of dense rows expected, got {}", c10::str(weight.sizes()));
  return std::make_shared<DenseWeight>(weight);
}

StackedWeight::StackedWeight(std::vector<int64_t> part_rows, int64_t columns, at::Device device, bool offloaded)
    : parts_(part_rows.size()), begins_(1, 0), columns_(columns), device_(device), offloaded_(offloaded) {
  for (const int64_t rows : part_rows) begins_.push_back(begins_.back() + rows);
}

template <typename T>
void StackedWeight::ReadParts(int64_t row, int64_t count, int64_t column, int64_t width, T* out, int64_t stride) const {
  for (size_t i = 0; i < parts_.size(); ++i) {
    const int64_t begin = std::max(row, begins_[i]), end = std::min(row + count, begins_[i + 1]);
    if (begin < end) parts_[i]->Read(begin - begins_[i], end - begin, column, width, out + (begin - row) * stride, stride);
  }
}
void StackedWeight::Read(int64_t row, int64_t count, int64_t column, int64_t width, float* out, int64_t stride) const {
  ReadParts(row, count, column, width, out, stride);
}
void StackedWeight::Read(int64_t row, int64_t count, int64_t column, int64_t width, uint16_t* out, int64_t stride) const {
  ReadParts(row, count, column, width, out, stride);
}

void StackedWeight::ReadAll(at::Tensor& out) const {
  for (size_t i = 0; i < parts_.size(); ++i) {
    at::Tensor place = out.narrow(0, begins_[i], begins_[i + 1] - begins_[i]);
    parts_[i]->ReadAll(place);
  }
}

at::Tensor StackedWeight::FewRows(const at::Tensor& x) const {
  std::vector<at::Tensor> results;
  for (const auto& part : parts_) {
    results.push_back(part->FewRows(x));
    if (!results.back().defined()) return {};
  }
  return results.size() == 1 ? results.front() : at::cat(results, 1);
}

void StackedWeight::SetPart(size_t index, std::shared_ptr<PackedWeight> weight) {
  const int64_t rows = begins_.at(index + 1) - begins_.at(index);
  FT_CHECK(weight->rows() == rows && weight->columns() == columns_, kTensorShape, "a {} weight of [{}, {}] where [{}, {}] is expected", weight->scheme(),
           weight->rows(), weight->columns(), rows, columns_);
  parts_[index] = offloaded_ ? MakeOffloaded(weight, device_) : std::move(weight);
}

uint64_t StackedWeight::bytes() const {
  uint64_t total = 0;
  for (const auto& part : parts_) total += part == nullptr ? 0 : part->bytes();
  return total;
}

bool StackedWeight::uniform_input() const {
  for (const auto& part : parts_) {
    if (part->input_threshold() != parts_.front()->input_threshold()) return false;
  }
  return true;
}

}  // namespace ft::quant
