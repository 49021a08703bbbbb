#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include "core/engine/model.h"
#include "core/engine/weights.h"
#include "core/io/safetensors.h"

namespace ft {

std::shared_ptr<Adapter> Adapter::Create(std::shared_ptr<Model> model, const AdapterOptions& options) {
  std::shared_ptr<Adapter> adapter(new Adapter);
  adapter->method_ = MakeAdapterMethod(options, model->decoder());
  adapter->model_ = std::move(model);
  adapter->model_->SetActiveAdapter(adapter.get());
  return adapter;
}

Adapter::~Adapter() {
  // A live Pass holds its adapter, so none is left here.
  if (model_ && model_->active_adapter() == this) Detach();
}

void Adapter::Detach() {
  if (model_->active_adapter() == this) model_->SetActiveAdapter(nullptr);
}

const std::vector<ParameterView>& Adapter::tensors() const { return method_->blocks().front().views; }
std::vector<ParameterBlock>& Adapter::blocks() { return method_->blocks(); }
void Adapter::AttachSites() { method_->Attach(); }
void Adapter::DetachSites() { method_->Detach(); }

void Adapter::Save(const std::string& path) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const ParameterBlock& block : method_->blocks()) {
    for (const ParameterView& view : block.views) {
      tensors.emplace_back(view.name, block.master.narrow(0, view.offset, view.numel).view(view.shape));
    }
  }
  SaveTensors(path, tensors, {{"format", "pt"}});
}

void Adapter::Load(const std::string& path) {
  at::NoGradGuard no_grad;
  const auto file = SafetensorsFile::Open(path);
  size_t expected = 0;
  for (ParameterBlock& block : method_->blocks()) {
    for (const ParameterView& view : block.views) {
      const TensorEntry* entry = file->Find(view.name);
      FT_CHECK(entry != nullptr, kAdapterMismatch, "{} holds no tensor {}: the adapter was made for other modules", path, view.name);
      FT_CHECK(entry->shape == view.shape, kAdapterMismatch, "tensor {} of {} has shape [{}], expected [{}]: the adapter belongs to another base model or rank",
               view.name, path, fmt::join(entry->shape, ", "), fmt::join(view.shape, ", "));
      ++expected;
    }
  }
  for (const TensorEntry& entry : file->entries()) {
    bool known = false;
    for (const ParameterBlock& block : method_->blocks()) {
      for (const ParameterView& view : block.views) known = known || view.name == entry.name;
    }
    FT_CHECK(known, kAdapterMismatch, "{} holds a tensor {} that this adapter has no place for", path, entry.name);
  }
  for (ParameterBlock& block : method_->blocks()) {
    for (const ParameterView& view : block.views) ReadInto(*file, *file->Find(view.name), block.master.narrow(0, view.offset, view.numel));
    if (!block.compute.is_same(block.master)) block.compute.copy_(block.master);
  }
}

}  // namespace ft
