#include "core/engine/packed_reading.h"

#include <ATen/ATen.h>

#include "core/base/error.h"
#include "core/engine/weights.h"
#include "core/quant/float8.h"
#include "core/quant/four_bit.h"
#include "core/quant/grouped.h"
#include "core/quant/int8.h"
#include "core/quant/mxfp4.h"

namespace ft {
namespace {

using quant::PackedWeight;

class Reader {
 public:
  Reader(const PackedTensors& packed, const at::Device& device) : packed_(packed), device_(device) {}

  bool Has(const char* suffix) const { return packed_.tensors.count(suffix) > 0; }

  /// The bytes of a tensor as elements of `type`, in the shape given.
  at::Tensor Raw(const char* suffix, at::ScalarType type, at::IntArrayRef shape, bool on_device = true) const {
    const auto& [file, entry] = packed_.tensors.at(suffix);
    at::Tensor tensor = at::empty(shape, type);
    FT_CHECK(static_cast<uint64_t>(tensor.nbytes()) == entry->nbytes, kTensorShape, "tensor {} of {} has {} bytes, expected {}", entry->name, file->path(),
             entry->nbytes, tensor.nbytes());
    file->Read(*entry, 0, tensor.mutable_data_ptr(), entry->nbytes);
    return on_device ? tensor.to(device_) : tensor;
  }
  /// Scales, tables and codes; floats are finite.
  at::Tensor Flat(const char* suffix, at::ScalarType type) const {
    const at::Tensor values = Raw(suffix, type, {static_cast<int64_t>(packed_.tensors.at(suffix).entry->nbytes / c10::elementSize(type))}, false);
    if (type == at::kFloat) CheckFinite(suffix, values);
    return values.to(device_);
  }
  /// A float tensor of any type, as fp32 on the CPU.
  at::Tensor Floats(const char* suffix) const {
    const auto& [file, entry] = packed_.tensors.at(suffix);
    at::Tensor tensor = at::empty(entry->shape, at::kFloat);
    ReadInto(*file, *entry, tensor);
    CheckFinite(suffix, tensor);
    return tensor;
  }
  /// The bytes of one expert of a tensor [experts, ..].
  at::Tensor Slice(const char* suffix, int64_t expert) const {
    const auto& [file, entry] = packed_.tensors.at(suffix);
    at::Tensor slice = at::empty(Shape(suffix).slice(1), at::kByte);
    file->Read(*entry, static_cast<uint64_t>(expert * slice.numel()), slice.mutable_data_ptr(), static_cast<uint64_t>(slice.numel()));
    return slice.to(device_);
  }
  at::IntArrayRef Shape(const char* suffix) const { return packed_.tensors.at(suffix).entry->shape; }

 private:
  // One scale that is none hides in weights that look like others.
  void CheckFinite(const char* suffix, const at::Tensor& values) const {
    if (values.isfinite().all().item<bool>()) return;
    const auto& [file, entry] = packed_.tensors.at(suffix);
    throw Error(ErrorCode::kSafetensors, fmt::format("tensor {} of {} holds values that are not finite: the weight that it scales would be none", entry->name, file->path()),
                "Fetch the file again, or quantize the model anew.")
        .With("tensor", entry->name)
        .With("path", file->path());
  }

  const PackedTensors& packed_;
  at::Device device_;
};

std::shared_ptr<PackedWeight> ReadBnb4(const PackedTensors& packed, const Reader& read) {
  quant::FourBitParts parts;
  parts.code = packed.quant_type == "nf4" ? &quant::Nf4() : &quant::Fp4();
  parts.rows = packed.rows, parts.columns = packed.columns, parts.block = packed.block, parts.source_dtype = packed.source_dtype;
  parts.codes = read.Flat("weight", at::kByte);
  parts.table = read.Flat("weight.quant_map", at::kFloat);
  if (packed.nested()) {
    parts.scales.codes = read.Flat("weight.absmax", at::kByte);
    parts.scales.absmax = read.Flat("weight.nested_absmax", at::kFloat);
    parts.scales.table = read.Flat("weight.nested_quant_map", at::kFloat);
    parts.scales.block = packed.nested_block;
    parts.scales.offset = static_cast<float>(packed.nested_offset);
  } else {
    parts.scales.plain = read.Flat("weight.absmax", at::kFloat);
  }
  return quant::MakeFourBit(std::move(parts), packed.module);
}

std::shared_ptr<PackedWeight> ReadGptq(const PackedTensors& packed, const StoredQuantization& stored, const Reader& read, const at::Device& device) {
  quant::GptqFiles files{stored.bits, stored.group_size, stored.zeros_plus_one, read.Raw("qweight", at::kInt, read.Shape("qweight"), false),
                         read.Raw("qzeros", at::kInt, read.Shape("qzeros"), false), read.Floats("scales"), {}};
  if (read.Has("g_idx")) files.g_idx = read.Raw("g_idx", at::kInt, read.Shape("g_idx"), false);
  return quant::FromGptq(files, packed.rows, packed.columns, packed.module, device);
}

}  // namespace

std::shared_ptr<PackedWeight> ReadPacked(const PackedTensors& packed, const StoredQuantization& stored, const at::Device& device, int64_t expert) {
  const Reader read(packed, device);
  switch (packed.format) {
    case StoredFormat::kBnb4:
      return ReadBnb4(packed, read);
    case StoredFormat::kBnb8:
      return quant::MakeInt8({read.Raw("weight", at::kChar, {packed.rows, packed.columns}), read.Flat("SCB", at::kFloat), stored.int8_threshold}, packed.module);
    case StoredFormat::kGptq:
      return ReadGptq(packed, stored, read, device);
    case StoredFormat::kAwq:
      return quant::FromAwq({stored.group_size, read.Raw("qweight", at::kInt, read.Shape("qweight"), false), read.Raw("qzeros", at::kInt, read.Shape("qzeros"), false),
                             read.Floats("scales")},
                            packed.rows, packed.columns, packed.module, device);
    case StoredFormat::kFloat8:
      return quant::MakeFloat8({read.Raw("weight", at::kByte, {packed.rows, packed.columns}), read.Floats("weight_scale_inv").to(device), stored.block_rows,
                                stored.block_columns},
                               packed.module);
    case StoredFormat::kMxfp4:
      FT_CHECK(expert >= 0 && expert < packed.experts, kInternal, "{}: expert {} of {}", packed.module, expert, packed.experts);
      return quant::MakeMxfp4({read.Slice("blocks", expert), read.Slice("scales", expert)}, packed.module);
    default:
      FT_THROW(kInternal, "{} is not a packed weight", packed.module);
  }
}

at::Tensor ReadDense(const PackedTensors& packed, const StoredQuantization& stored, const at::Device& device, at::ScalarType dtype) {
  if (packed.experts == 0) {
    const at::Tensor dense = ReadPacked(packed, stored, device)->Dense(dtype);
    return packed.transposed ? dense.t() : dense;
  }
  at::Tensor all = at::empty({packed.experts, packed.columns, packed.rows}, at::TensorOptions(dtype).device(device));
  for (int64_t e = 0; e < packed.experts; ++e) all[e].copy_(ReadPacked(packed, stored, device, e)->Dense(dtype).t());
  return all;
}

}  // namespace ft
