// Type tags, prototypes and finalisers of handles. See handle.h.
#include "binding/handle.h"

namespace ft::binding {
namespace {

constexpr const char* kNames[] = {"Model", "Adapter", "Optimizer", "Pass", "Generation", "Cancel", "Sentencepiece", "Lock"};
static_assert(std::size(kNames) == static_cast<size_t>(HandleKind::kCount));

// The address differs between two copies of the addon in one process, whose objects must not mix.
const char kTagAnchor = 0;

napi_type_tag TagOf(HandleKind kind) {
  return {0x66746e6174697665ULL + static_cast<uint64_t>(kind), reinterpret_cast<uint64_t>(&kTagAnchor)};
}

Napi::Value Construct(const Napi::CallbackInfo& info) {
  if (!Environment::Of(info.Env()).constructing) {
    throw Error(ErrorCode::kHandleMisuse, "native handles are not constructed from JavaScript", "Use loadModel and what it returns.");
  }
  return info.This();
}

void Finalize(napi_env env, void* data, void*) {
  auto* box = static_cast<detail::Box*>(data);
  detail::ReleaseBytes(env, box);
  delete box;
}

}  // namespace

void DefineHandle(Napi::Env env, HandleKind kind, const char* name, std::initializer_list<MethodEntry> methods) {
  const auto constructor = [](napi_env raw, napi_callback_info raw_info) -> napi_value {
    return Napi::details::WrapCallback(raw, [&] { return static_cast<napi_value>(Sync<Construct>(Napi::CallbackInfo(raw, raw_info))); });
  };
  napi_value raw_class = nullptr;
  if (napi_define_class(env, name, NAPI_AUTO_LENGTH, constructor, nullptr, 0, nullptr, &raw_class) != napi_ok) throw Napi::Error::New(env);
  Napi::Function handle_class(env, raw_class);
  Napi::Object prototype = handle_class.Get("prototype").As<Napi::Object>();
  for (const MethodEntry& method : methods) {
    struct Data {
      Napi::Value (*callback)(const Napi::CallbackInfo&);
    };
    Napi::Function function = Napi::Function::New(
        env, [callback = method.callback](const Napi::CallbackInfo& info) { return callback(info); }, method.name);
    prototype.DefineProperty(Napi::PropertyDescriptor::Value(method.name, function, napi_default_method));
  }
  Environment::Of(env).constructors[static_cast<size_t>(kind)] = Napi::Persistent(handle_class);
}

namespace detail {

const char* HandleName(HandleKind kind) { return kNames[static_cast<size_t>(kind)]; }

Napi::Object NewHandle(Napi::Env env, HandleKind kind, std::unique_ptr<Box> box) {
  Environment& environment = Environment::Of(env);
  environment.constructing = true;
  Napi::Object object;
  try {
    object = environment.constructors[static_cast<size_t>(kind)].New({});
  } catch (...) {
    environment.constructing = false;
    throw;
  }
  environment.constructing = false;
  const napi_type_tag tag = TagOf(kind);
  if (napi_type_tag_object(env, object, &tag) != napi_ok) throw Napi::Error::New(env);
  const int64_t bytes = box->host_bytes;
  if (napi_wrap(env, object, box.get(), &Finalize, nullptr, nullptr) != napi_ok) throw Napi::Error::New(env);
  box.release();
  int64_t total = 0;
  if (bytes > 0) napi_adjust_external_memory(env, bytes, &total);
  return object;
}

Box* Unwrap(Napi::Env env, HandleKind kind, const Napi::Value& value, const char* what) {
  const napi_type_tag tag = TagOf(kind);
  bool matches = false;
  void* data = nullptr;
  if (value.IsEmpty() || !value.IsObject() || napi_check_object_type_tag(env, value, &tag, &matches) != napi_ok || !matches ||
      napi_unwrap(env, value, &data) != napi_ok || data == nullptr) {
    throw Error(ErrorCode::kHandleMisuse, fmt::format("{}: expected a native {}, got something else", what, HandleName(kind)),
                "Call methods on the object that loadModel, addAdapter or createOptimizer returned, and pass such objects unchanged.");
  }
  return static_cast<Box*>(data);
}

void ReleaseBytes(Napi::Env env, Box* box) {
  if (box->host_bytes == 0) return;
  int64_t total = 0;
  napi_adjust_external_memory(env, -box->host_bytes, &total);
  box->host_bytes = 0;
}

}  // namespace detail
}  // namespace ft::binding
