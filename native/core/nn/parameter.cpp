#include "core/nn/parameter.h"

#include <ATen/ATen.h>

namespace ft {
namespace {

at::Tensor InPlace(const at::Tensor& flat, const ParameterView& view) {
  if (view.strides.empty()) return flat.narrow(0, view.offset, view.numel).view(view.shape);
  return flat.as_strided(view.sizes, view.strides, flat.storage_offset() + view.offset);
}

}  // namespace

at::Tensor ReadView(const at::Tensor& flat, const ParameterView& view) { return InPlace(flat, view).reshape(view.shape); }

void WriteView(const at::Tensor& flat, const ParameterView& view, const at::Tensor& values) {
  at::Tensor place = InPlace(flat, view);
  place.copy_(values.reshape(place.sizes()));
}

void ParameterBlock::MasterChanged() {
  if (!compute.is_same(master)) compute.copy_(master);
  ++*changes;
}

}  // namespace ft
