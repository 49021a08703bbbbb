#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include <set>

#include "core/engine/model.h"
#include "core/engine/weights.h"
#include "core/io/safetensors.h"

namespace ft {
namespace {

// PEFT saves an adapted output head's own weight beside its matrices ("<module>.base_layer.weight"). It is the frozen
// base's, so it must equal what this model has.
void CheckBaseLayer(const SafetensorsFile& file, const TensorEntry& entry, const Decoder& decoder) {
  const std::string prefix = "base_model.model.", middle = ".base_layer.";
  const size_t at = entry.name.find(middle);
  const std::string name = at == std::string::npos || entry.name.rfind(prefix, 0) != 0
                               ? std::string()
                               : entry.name.substr(prefix.size(), at - prefix.size()) + "." + entry.name.substr(at + middle.size());
  const std::string stored_name = StoredName(decoder.spec(), name);
  for (const auto& named : decoder.NamedTensors()) {
    if (named.name != stored_name) continue;
    at::Tensor stored = at::empty_like(named.tensor);
    if (entry.shape == named.tensor.sizes().vec()) ReadInto(file, entry, stored);
    FT_CHECK(entry.shape == named.tensor.sizes().vec() && at::equal(stored, named.tensor), kAdapterMismatch,
             "{} carries its own {}, which differs from this model's: the adapter belongs to another base model", file.path(), name);
    return;
  }
  FT_THROW(kAdapterMismatch, "{} holds a tensor {} that this adapter has no place for", file.path(), entry.name);
}

struct Placed {
  const ParameterView* view;
  const TensorEntry* entry;
};

// Where a file's tensors go, each checked. A view that is not there may be there in the pieces of older files.
std::vector<Placed> PlacesIn(const SafetensorsFile& file, const ParameterBlock& block) {
  std::vector<Placed> places;
  const auto place = [&](const ParameterView& view) {
    const TensorEntry* entry = file.Find(view.name);
    FT_CHECK(entry != nullptr, kAdapterMismatch, "{} holds no tensor {}: the adapter was made for other modules", file.path(), view.name);
    FT_CHECK(entry->shape == view.shape, kAdapterMismatch, "tensor {} of {} has shape [{}], expected [{}]: the adapter belongs to another base model or rank",
             view.name, file.path(), fmt::join(entry->shape, ", "), fmt::join(view.shape, ", "));
    places.push_back({&view, entry});
  };
  for (const ParameterView& view : block.views) {
    if (file.Find(view.name) == nullptr && !view.older.empty() && file.Find(view.older[0].name) != nullptr) {
      for (const ParameterView& piece : view.older) place(piece);
    } else {
      place(view);
    }
  }
  return places;
}

void ReadPlaced(const SafetensorsFile& file, const Placed& placed, const at::Tensor& master) {
  if (placed.view->strides.empty()) return ReadInto(file, *placed.entry, master.narrow(0, placed.view->offset, placed.view->numel));
  const at::Tensor values = at::empty(placed.view->shape, at::kFloat);
  ReadInto(file, *placed.entry, values);
  WriteView(master, *placed.view, values);
}

}  // namespace

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
      tensors.emplace_back(view.name, ReadView(block.master, view));
    }
  }
  SaveTensors(path, tensors, {{"format", "pt"}});
}

void Adapter::Load(const std::string& path) {
  at::NoGradGuard no_grad;
  const auto file = SafetensorsFile::Open(path);
  std::vector<std::vector<Placed>> places;
  std::set<const TensorEntry*> known;
  for (const ParameterBlock& block : method_->blocks()) {
    places.push_back(PlacesIn(*file, block));
    for (const Placed& placed : places.back()) known.insert(placed.entry);
  }
  for (const TensorEntry& entry : file->entries()) {
    if (known.count(&entry) == 0) CheckBaseLayer(*file, entry, model_->decoder());
  }
  for (size_t i = 0; i < places.size(); ++i) {
    ParameterBlock& block = method_->blocks()[i];
    if (places[i].size() != block.views.size()) block.master.zero_();  // pieces need not fill a view
    for (const Placed& placed : places[i]) ReadPlaced(*file, placed, block.master);
    if (!block.compute.is_same(block.master)) block.compute.copy_(block.master);
  }
}

}  // namespace ft
