// NativeAdapter: tensors, save, load.
#include "binding/convert.h"
#include "binding/handles.h"

namespace ft::binding {
namespace {

Napi::Value Tensors(const Napi::CallbackInfo& info) {
  const auto handle = Handle<AdapterHandle>::This(info, "Adapter.tensors");
  Napi::Env env = info.Env();
  Napi::Array result = Napi::Array::New(env, handle->tensors.size());
  for (size_t i = 0; i < handle->tensors.size(); ++i) {
    const ParameterView& view = handle->tensors[i];
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", Napi::String::New(env, view.name));
    entry.Set("shape", FromShape(env, view.shape));
    entry.Set("numel", FromInt(env, view.numel));
    result.Set(static_cast<uint32_t>(i), entry);
  }
  return result;
}

Napi::Value Save(const Napi::CallbackInfo& info) {
  const auto handle = Handle<AdapterHandle>::This(info, "Adapter.save");
  std::vector<std::string> base_layers;
  if (!IsNothing(info[1])) {
    const Napi::Array modules = ToArray(info[1], "baseLayers");
    for (uint32_t i = 0; i < modules.Length(); ++i) base_layers.push_back(ToText(modules.Get(i), fmt::format("baseLayers[{}]", i)));
  }
  return SubmitVoid(info.Env(), {}, [adapter = handle->adapter, path = ToPath(info[0], "path"), base_layers = std::move(base_layers)](CallContext&) { adapter->Save(path, base_layers); });
}

Napi::Value Load(const Napi::CallbackInfo& info) {
  const auto handle = Handle<AdapterHandle>::This(info, "Adapter.load");
  return SubmitVoid(info.Env(), {}, [adapter = handle->adapter, path = ToPath(info[0], "path")](CallContext&) { adapter->Load(path); });
}

}  // namespace

std::vector<LoraTarget> ToTargets(const Napi::Value& value, const std::string& what) {
  const Napi::Array array = ToArray(value, what);
  std::vector<LoraTarget> targets;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const std::string where = fmt::format("{}[{}]", what, i);
    const Napi::Object object = ToObject(array.Get(i), where);
    LoraTarget target;
    target.module = ToText(object.Get("module"), where + ".module");
    target.r = ToInteger(object.Get("r"), where + ".r", 1, 1 << 20);
    target.scale = ToNumber(object.Get("scale"), where + ".scale");
    if (const Napi::Value tied = object.Get("tied"); !IsNothing(tied)) target.tied = ToBool(tied, where + ".tied");
    targets.push_back(std::move(target));
  }
  FT_CHECK(!targets.empty(), kInvalidArgument, "{} must not be empty", what);
  return targets;
}

Napi::Value WrapAdapter(Napi::Env env, AdapterHandle handle) {
  int64_t elements = 0;
  for (const ParameterView& view : handle.tensors) elements += view.numel;
  const int64_t bytes = elements * static_cast<int64_t>(3 * sizeof(float));  // masters, gradients, compute copy
  return Handle<AdapterHandle>::Wrap(env, std::make_shared<AdapterHandle>(std::move(handle)), bytes);
}

void DefineAdapter(Napi::Env env) {
  DefineHandle(env, HandleKind::kAdapter, "NativeAdapter",
               {{"tensors", &Sync<Tensors>},
                {"save", &Async<Save>},
                {"load", &Async<Load>},
                {"dispose", &Sync<Handle<AdapterHandle>::Dispose>}});
}

}  // namespace ft::binding
