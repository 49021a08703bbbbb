// NativePass: log-probabilities and one backward.
#include <ATen/ops/from_blob.h>

#include "binding/convert.h"
#include "binding/handles.h"

namespace ft::binding {
namespace {

Napi::Value Backward(const Napi::CallbackInfo& info) {
  const auto handle = Handle<PassHandle>::This(info, "Pass.backward");
  std::vector<float> grad = ToFloats(info[0], "grad");
  FT_CHECK(static_cast<int64_t>(grad.size()) == handle->tokens, kInvalidArgument,
           "grad must have one entry a token: expected {}, got {}", handle->tokens, grad.size());
  return SubmitVoid(info.Env(), {}, [pass = handle->pass, grad = std::move(grad)](CallContext&) mutable {
    pass->Backward(at::from_blob(grad.data(), {static_cast<int64_t>(grad.size())}, at::TensorOptions().dtype(at::kFloat)));
  });
}

}  // namespace

Napi::Value WrapPass(Napi::Env env, MadePass made) {
  auto handle = std::make_shared<PassHandle>();
  handle->pass = std::move(made.pass);
  handle->tokens = made.logprobs.numel();
  Napi::Object object = Handle<PassHandle>::Wrap(env, std::move(handle));
  object.DefineProperty(Napi::PropertyDescriptor::Value("logprobs", FromFloats(env, made.logprobs), napi_enumerable));
  return object;
}

void DefinePass(Napi::Env env) {
  DefineHandle(env, HandleKind::kPass, "NativePass", {{"backward", &Async<Backward>}, {"dispose", &Sync<Handle<PassHandle>::Dispose>}});
}

}  // namespace ft::binding
