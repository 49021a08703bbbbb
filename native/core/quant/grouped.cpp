#include "core/quant/grouped.h"

#include <ATen/ATen.h>

#include "core/kernels/cpu/unpack.h"

namespace ft::quant {
namespace {

class GroupedWeight : public RowReader<GroupedWeight> {
 public:
  explicit GroupedWeight(GroupedParts parts) : RowReader(parts.rows, parts.columns), parts_(std::move(parts)), groups_(parts_.scales.size(1)) {}

  at::Device device() const override { return parts_.codes.device(); }
  const char* scheme() const override { return parts_.bits == 4 ? "grouped4" : "grouped8"; }
  uint64_t bytes() const override { return BytesOf({parts_.codes, parts_.scales, parts_.zeros, parts_.group_of}); }

  template <typename T>
  void Run(int64_t row, int64_t column, int64_t width, T* out) const {
    const auto& ops = kernels::cpu::UnpackOpsFor<T>();
    const auto* codes = parts_.codes.const_data_ptr<uint8_t>();
    const float* scales = parts_.scales.const_data_ptr<float>() + row * groups_;
    const uint8_t* zeros = parts_.zeros.const_data_ptr<uint8_t>() + row * groups_;
    const int32_t* group_of = parts_.group_of.defined() ? parts_.group_of.const_data_ptr<int32_t>() : nullptr;
    const int64_t flat = row * columns_;
    for (int64_t at = column; at < column + width;) {
      const int64_t group = group_of != nullptr ? group_of[at] : at / parts_.group_size;
      int64_t end = std::min(column + width, group_of != nullptr ? at + 1 : (group + 1) * parts_.group_size);
      while (group_of != nullptr && end < column + width && group_of[end] == group) ++end;
      if (parts_.bits == 4) {
        ops.affine_nibbles(codes, flat + at, end - at, zeros[group], scales[group], out + (at - column));
      } else {
        ops.bytes(codes + flat + at, end - at, zeros[group], scales[group], out + (at - column));
      }
      at = end;
    }
  }

  std::shared_ptr<PackedWeight> To(at::Device device) const override {
    GroupedParts moved = parts_;
    for (at::Tensor* tensor : {&moved.codes, &moved.scales, &moved.zeros, &moved.group_of}) *tensor = MovedTo(*tensor, device);
    return std::make_shared<GroupedWeight>(std::move(moved));
  }

  at::Tensor Composite() const override {
    at::Tensor codes = parts_.codes;
    if (parts_.bits == 4) codes = at::stack({codes.bitwise_right_shift(4), codes.bitwise_and(15)}, 1).view({-1}).narrow(0, 0, rows_ * columns_);
    const at::Tensor group = parts_.group_of.defined() ? parts_.group_of : at::arange(columns_, parts_.scales.options().dtype(at::kInt)).floor_divide(parts_.group_size);
    const at::Tensor zeros = parts_.zeros.index_select(1, group).to(at::kFloat);
    return codes.view({rows_, columns_}).to(at::kFloat).sub_(zeros).mul_(parts_.scales.index_select(1, group));
  }

 private:
  GroupedParts parts_;
  int64_t groups_;
};

// Field i of each int32 of `packed` as uint8, fields of `bits` bits.
at::Tensor Fields(const at::Tensor& packed, int bits, int64_t i) {
  const int64_t mask = (1 << bits) - 1;
  return packed.bitwise_right_shift(i * bits).bitwise_and_(mask).to(at::kByte);  // the shift brings in copies of the sign, which the mask takes away
}

// uint8 [.., words] -> [.., words · fields]: field order[i] of a word becomes value i.
at::Tensor Spread(const at::Tensor& packed, int bits, bool interleaved) {
  static constexpr int64_t kOrder[8] = {0, 4, 1, 5, 2, 6, 3, 7};  // where value i lies: the inverse of 0 2 4 6 1 3 5 7
  std::vector<at::Tensor> fields;
  for (int64_t i = 0; i < 32 / bits; ++i) fields.push_back(Fields(packed, bits, interleaved ? kOrder[i] : i));
  return at::stack(fields, -1).flatten(-2);
}

// codes uint8 [rows, columns] -> as GroupedParts keeps them.
at::Tensor Flattened(const at::Tensor& codes, int bits) {
  at::Tensor flat = codes.contiguous().view({-1});
  if (bits == 8) return flat;
  if (flat.numel() % 2 == 1) flat = at::cat({flat, at::zeros({1}, flat.options())});
  const at::Tensor pairs = flat.view({-1, 2});
  return pairs.select(1, 0).bitwise_left_shift(4).bitwise_or_(pairs.select(1, 1));
}

void CheckMatrix(const at::Tensor& tensor, int64_t rows, int64_t columns, const char* what, const std::string& name) {
  FT_CHECK(tensor.defined() && tensor.dim() == 2 && tensor.size(0) == rows && tensor.size(1) == columns, kTensorShape, "{}: {} must have shape [{}, {}], got {}",
           name, what, rows, columns, tensor.defined() ? c10::str(tensor.sizes()) : "none");
}

GroupedParts OnDevice(GroupedParts parts, const at::Device& device) {
  for (at::Tensor* tensor : {&parts.codes, &parts.scales, &parts.zeros, &parts.group_of}) {
    if (tensor->defined()) *tensor = tensor->to(device);
  }
  return parts;
}

int64_t GroupsOf(int64_t columns, int64_t group_size, const std::string& name) {
  FT_CHECK(group_size > 0, kTensorShape, "{}: group_size must be positive, got {}", name, group_size);
  return (columns + group_size - 1) / group_size;
}

}  // namespace

std::shared_ptr<PackedWeight> MakeGrouped(GroupedParts parts, const std::string& name) {
  FT_CHECK(parts.bits == 4 || parts.bits == 8, kUnsupportedModel, "{}: codes of {} bits are not supported, only 4 and 8", name, parts.bits);
  const int64_t count = parts.rows * parts.columns;
  FT_CHECK(parts.codes.numel() == (parts.bits == 4 ? (count + 1) / 2 : count), kTensorShape, "{}: {} bytes of codes for [{}, {}]", name, parts.codes.numel(),
           parts.rows, parts.columns);
  const int64_t groups = parts.group_of.defined() ? parts.scales.size(1) : GroupsOf(parts.columns, parts.group_size, name);
  CheckMatrix(parts.scales, parts.rows, groups, "scales", name);
  CheckMatrix(parts.zeros, parts.rows, groups, "zero points", name);
  if (parts.group_of.defined()) {
    FT_CHECK(parts.group_of.numel() == parts.columns, kTensorShape, "{}: g_idx must hold {} values, got {}", name, parts.columns, parts.group_of.numel());
    FT_CHECK(parts.group_of.min().item<int>() >= 0 && parts.group_of.max().item<int>() < groups, kTensorShape, "{}: g_idx names groups outside of 0 … {}", name,
             groups - 1);
  }
  return std::make_shared<GroupedWeight>(std::move(parts));
}

std::shared_ptr<PackedWeight> FromGptq(const GptqFiles& files, int64_t rows, int64_t columns, const std::string& name, at::Device device) {
  FT_CHECK(files.bits == 4 || files.bits == 8, kUnsupportedModel, "{}: GPTQ weights of {} bits are not supported, only 4 and 8", name, files.bits);
  const int64_t fields = 32 / files.bits, group_size = files.group_size == -1 ? columns : files.group_size, groups = GroupsOf(columns, group_size, name);
  FT_CHECK(rows % fields == 0 && columns % fields == 0, kTensorShape, "{}: GPTQ packs {} values a word, which [{}, {}] does not divide into", name, fields, rows, columns);
  CheckMatrix(files.qweight, columns / fields, rows, "qweight", name);
  CheckMatrix(files.qzeros, groups, rows / fields, "qzeros", name);
  CheckMatrix(files.scales, groups, rows, "scales", name);
  GroupedParts parts{files.bits, rows, columns, {}, {}, {}, group_size, {}};
  parts.codes = Flattened(Spread(files.qweight.t().contiguous(), files.bits, false), files.bits);
  at::Tensor zeros = Spread(files.qzeros, files.bits, false);
  if (files.zeros_plus_one) zeros = zeros.add_(1).bitwise_and_((1 << files.bits) - 1);
  parts.zeros = zeros.t().contiguous();
  parts.scales = files.scales.to(at::kFloat).t().contiguous();
  if (files.g_idx.defined()) {
    FT_CHECK(files.g_idx.dim() == 1 && files.g_idx.numel() == columns, kTensorShape, "{}: g_idx must hold {} values, got {}", name, columns, files.g_idx.numel());
    const at::Tensor in_order = at::arange(columns, at::kInt).floor_divide(group_size);
    if (!at::equal(files.g_idx.to(at::kInt), in_order.to(at::kInt))) parts.group_of = files.g_idx.to(at::kInt).contiguous();
  }
  return MakeGrouped(OnDevice(std::move(parts), device), name);
}

std::shared_ptr<PackedWeight> FromAwq(const AwqFiles& files, int64_t rows, int64_t columns, const std::string& name, at::Device device) {
  const int64_t group_size = files.group_size == -1 ? columns : files.group_size, groups = GroupsOf(columns, group_size, name);
  FT_CHECK(rows % 8 == 0, kTensorShape, "{}: AWQ packs 8 outputs a word, which {} outputs do not divide into", name, rows);
  CheckMatrix(files.qweight, columns, rows / 8, "qweight", name);
  CheckMatrix(files.qzeros, groups, rows / 8, "qzeros", name);
  CheckMatrix(files.scales, groups, rows, "scales", name);
  GroupedParts parts{4, rows, columns, {}, {}, {}, group_size, {}};
  parts.codes = Flattened(Spread(files.qweight, 4, true).t(), 4);
  parts.zeros = Spread(files.qzeros, 4, true).t().contiguous();
  parts.scales = files.scales.to(at::kFloat).t().contiguous();
  return MakeGrouped(OnDevice(std::move(parts), device), name);
}

}  // namespace ft::quant
