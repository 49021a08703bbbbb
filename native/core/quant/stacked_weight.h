// Weights one above the other as one source: the parts of a group of projections, each of its own scheme or dense.
#pragma once

#include "core/quant/packed_weight.h"

namespace ft::quant {

/// A plain tensor [rows, columns] as a part beside quantized ones.
std::shared_ptr<PackedWeight> MakeDense(const at::Tensor& weight);

class StackedWeight : public kernels::WeightSource {
 public:
  /// Parts of given row counts, to be filled in any order. `offloaded`: they stay in the memory of the host (offloaded_weight.h).
  StackedWeight(std::vector<int64_t> part_rows, int64_t columns, at::Device device, bool offloaded = false);

  int64_t rows() const override { return begins_.back(); }
  int64_t columns() const override { return columns_; }
  at::Device device() const override { return device_; }
  void Read(int64_t row, int64_t count, int64_t column, int64_t width, float* out, int64_t stride) const override;
  void Read(int64_t row, int64_t count, int64_t column, int64_t width, uint16_t* out, int64_t stride) const override;
  void ReadAll(at::Tensor& out) const override;
  at::Tensor FewRows(const at::Tensor& x) const override;

  /// Errors: kTensorShape where the shape is not the part's.
  void SetPart(size_t part, std::shared_ptr<PackedWeight> weight);
  size_t size() const { return parts_.size(); }
  /// nullptr before SetPart.
  const std::shared_ptr<PackedWeight>& part(size_t index) const { return parts_[index]; }
  uint64_t bytes() const;
  /// True when every part wants its input alike.
  bool uniform_input() const;

 private:
  template <typename T>
  void ReadParts(int64_t row, int64_t count, int64_t column, int64_t width, T* out, int64_t stride) const;

  std::vector<std::shared_ptr<PackedWeight>> parts_;
  std::vector<int64_t> begins_;  // first row of each part, and the end
  int64_t columns_;
  at::Device device_;
  bool offloaded_;
};

}  // namespace ft::quant
