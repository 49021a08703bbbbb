// NativeGeneration: one token a row a call.
#include "binding/convert.h"
#include "binding/handles.h"

namespace ft::binding {
namespace {

Napi::Value Next(const Napi::CallbackInfo& info) {
  const auto handle = Handle<GenerationHandle>::This(info, "Generation.next");
  CallOptions options;
  options.cancel = ToCancel(info.Env(), info[0], "signal");
  return Submit(
      info.Env(), options, [generation = handle->generation](CallContext& context) { return generation->Step(context.cancel.get()); },
      [](Napi::Env env, const Generation::Next& next) -> Napi::Value {
        Napi::Object result = Napi::Object::New(env);
        result.Set("tokens", FromInt32s(env, next.tokens));
        result.Set("done", Napi::Boolean::New(env, next.done));
        return result;
      });
}

Napi::Value Finish(const Napi::CallbackInfo& info) {
  const auto handle = Handle<GenerationHandle>::This(info, "Generation.finish");
  const int64_t row = ToInteger(info[0], "row", 0, handle->rows - 1);
  RunOnEngine([generation = handle->generation, row] { generation->Finish(row); });
  return info.Env().Undefined();
}

}  // namespace

Napi::Value WrapGeneration(Napi::Env env, GenerationHandle handle) {
  return Handle<GenerationHandle>::Wrap(env, std::make_shared<GenerationHandle>(std::move(handle)));
}

void DefineGeneration(Napi::Env env) {
  DefineHandle(env, HandleKind::kGeneration, "NativeGeneration",
               {{"next", &Async<Next>}, {"finish", &Sync<Finish>}, {"dispose", &Sync<Handle<GenerationHandle>::Dispose>}});
}

}  // namespace ft::binding
