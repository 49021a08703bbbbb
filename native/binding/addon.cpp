// Module initialisation: once in every JavaScript environment that loads the addon.
#include <dlfcn.h>

#include "binding/handles.h"

namespace ft::binding {
namespace {

/// Worker threads unload addons when they end. The engine thread runs code of this one for ever, so it stays.
void StayLoaded() {
  Dl_info here{};
  if (dladdr(reinterpret_cast<const void*>(&StayLoaded), &here) != 0 && here.dli_fname != nullptr) {
    dlopen(here.dli_fname, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE | RTLD_NOLOAD);
  }
}

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  StayLoaded();
  Environment::Create(env);
  DefineModel(env);
  DefineAdapter(env);
  DefineOptimizer(env);
  DefinePass(env);
  DefineGeneration(env);
  DefineCancel(env);
  DefineSentencepiece(env);
  DefineLock(env);
  DefineFunctions(env, exports);
  return exports;
}

}  // namespace
}  // namespace ft::binding

static Napi::Object InitializeAddon(Napi::Env env, Napi::Object exports) { return ft::binding::Initialize(env, exports); }

NODE_API_MODULE(ft_native, InitializeAddon)
