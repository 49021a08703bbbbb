// NativeCancel: a flag that a long call reads.
#include "binding/convert.h"
#include "binding/handles.h"

namespace ft::binding {
namespace {

Napi::Value CancelNow(const Napi::CallbackInfo& info) {
  Handle<CancelHandle>::This(info, "Cancel.cancel")->token->Cancel();
  return info.Env().Undefined();
}

}  // namespace

Napi::Value CreateCancel(const Napi::CallbackInfo& info) {
  auto handle = std::make_shared<CancelHandle>();
  handle->token = std::make_shared<CancelToken>();
  return Handle<CancelHandle>::Wrap(info.Env(), std::move(handle));
}

CancelTokenPtr ToCancel(Napi::Env env, const Napi::Value& value, const std::string& what) {
  if (IsNothing(value)) return nullptr;
  return Handle<CancelHandle>::Get(env, value, what.c_str())->token;
}

void DefineCancel(Napi::Env env) { DefineHandle(env, HandleKind::kCancel, "NativeCancel", {{"cancel", &Sync<CancelNow>}}); }

}  // namespace ft::binding
