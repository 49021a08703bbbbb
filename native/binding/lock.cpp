// NativeLock: one writer per folder.
#include "binding/convert.h"
#include "binding/handles.h"

namespace ft::binding {
namespace {

// Not Dispose: the lock goes at once, and a second call is fine.
Napi::Value Release(const Napi::CallbackInfo& info) { return Handle<LockHandle>::Dispose(info); }

}  // namespace

Napi::Value LockFolder(const Napi::CallbackInfo& info) {
  auto handle = std::make_shared<LockHandle>(LockHandle{FileLock::Acquire(ToPath(info[0], "folder"))});
  return Handle<LockHandle>::Wrap(info.Env(), std::move(handle));
}

void DefineLock(Napi::Env env) { DefineHandle(env, HandleKind::kLock, "NativeLock", {{"release", &Sync<Release>}}); }

}  // namespace ft::binding
