#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/ranges.h>

#include <set>

#include "core/engine/model.h"
#include "core/engine/weights.h"
#include "core/io/safetensors.h"

namespace ft {
namespace {

const std::string kPrefix = "base_model.model.", kBaseLayer = ".base_layer.";

// The name by which NamedTensors has a tensor of a module; a tied head's weight is the embedding's.
std::string OwnName(Decoder& decoder, const std::string& tensor) {
  const DecoderSpec& spec = decoder.spec();
  if (spec.tie_word_embeddings && tensor == spec.names.lm_head + ".weight") return decoder.embedding().name;
  if (tensor == decoder.embedding().module + ".weight") return decoder.embedding().name;
  return StoredName(spec, tensor);
}

// PEFT saves the own weights of an adapted embedding or output head beside the matrices ("<module>.base_layer.weight"). They are the
// frozen base's, so they must equal what this model has.
void CheckBaseLayer(const SafetensorsFile& file, const TensorEntry& entry, Decoder& decoder) {
  const std::string &prefix = kPrefix, &middle = kBaseLayer;
  const size_t at = entry.name.find(middle);
  const std::string name = at == std::string::npos || entry.name.rfind(prefix, 0) != 0
                               ? std::string()
                               : entry.name.substr(prefix.size(), at - prefix.size()) + "." + entry.name.substr(at + middle.size());
  const std::string stored_name = OwnName(decoder, name);
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

const TensorEntry* Find(const SafetensorsFile& file, const ParameterView& view) {
  const TensorEntry* entry = file.Find(view.name);
  FT_CHECK(entry != nullptr, kAdapterMismatch, "{} holds no tensor {}: the adapter was made for other modules", file.path(), view.name);
  FT_CHECK(entry->shape == view.shape, kAdapterMismatch, "tensor {} of {} has shape [{}], expected [{}]: the adapter belongs to another base model or rank",
           view.name, file.path(), fmt::join(entry->shape, ", "), fmt::join(view.shape, ", "));
  return entry;
}

struct Placed {
  const ParameterView* view;
  const TensorEntry* entry;
};

// Where a file's tensors go, each checked. A view that is not there may be there in the pieces of older files.
std::vector<Placed> PlacesIn(const SafetensorsFile& file, const ParameterBlock& block) {
  std::vector<Placed> places;
  const auto place = [&](const ParameterView& view) { places.push_back({&view, Find(file, view)}); };
  for (const ParameterView& view : block.views) {
    if (file.Find(view.name) == nullptr && !view.older.empty() && file.Find(view.older[0].name) != nullptr) {
      for (const ParameterView& piece : view.older) place(piece);
    } else {
      place(view);
    }
  }
  return places;
}

// Memory that files hold under two names: both must say the same.
void CheckRepeats(const SafetensorsFile& file, const ParameterBlock& block, const at::Tensor& master) {
  for (const ParameterView& view : block.repeats) {
    const at::Tensor read = at::empty(view.shape, at::kFloat);
    ReadInto(file, *file.Find(view.name), read);
    if (at::equal(read, ReadView(master, view).to(at::kCPU))) continue;
    throw Error(ErrorCode::kAdapterMismatch, fmt::format("{} of {} is not what the embedding has, though the adapter says ensure_weight_tying", view.name, file.path()),
                "Set ensure_weight_tying to false in adapter_config.json and name the head in target_modules: then each is used as it is.");
  }
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

void Adapter::Save(const std::string& path, const std::vector<std::string>& base_layers) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const ParameterBlock& block : method_->blocks()) {
    for (const auto* views : {&block.views, &block.repeats}) {
      for (const ParameterView& view : *views) tensors.emplace_back(view.name, ReadView(block.master, view));
    }
  }
  Decoder& decoder = model_->decoder();
  const std::vector<Decoder::NamedTensor> own = base_layers.empty() ? std::vector<Decoder::NamedTensor>() : decoder.NamedTensors();
  for (const std::string& module : base_layers) {
    const size_t before = tensors.size();
    for (const char* kind : {"weight", "bias"}) {
      const std::string name = OwnName(decoder, fmt::format("{}.{}", module, kind));
      for (const auto& named : own) {
        if (named.name == name) tensors.emplace_back(kPrefix + module + kBaseLayer + kind, named.tensor);
      }
    }
    FT_CHECK(tensors.size() > before, kInvalidArgument, "the model has no module {} whose weights could be saved", module);
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
    for (const ParameterView& view : block.repeats) known.insert(Find(*file, view));
  }
  for (const TensorEntry& entry : file->entries()) {
    if (known.count(&entry) == 0) CheckBaseLayer(*file, entry, model_->decoder());
  }
  // Beside the adapter, which stays as it is where the file turns out to be bad.
  std::vector<at::Tensor> masters;
  for (size_t i = 0; i < places.size(); ++i) {
    const ParameterBlock& block = method_->blocks()[i];
    masters.push_back(at::zeros_like(block.master));  // pieces need not fill a view
    for (const Placed& placed : places[i]) ReadPlaced(*file, placed, masters.back());
    CheckRepeats(*file, block, masters.back());
  }
  for (size_t i = 0; i < masters.size(); ++i) {
    ParameterBlock& block = method_->blocks()[i];
    block.master.copy_(masters[i]);
    block.MasterChanged();
  }
}

}  // namespace ft
