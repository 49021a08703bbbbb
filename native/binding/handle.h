// Handles: JavaScript objects that own a C++ value. Each is type-tagged, so that a wrong receiver or a wrong
// argument is FT_HANDLE_MISUSE and never a wrong cast. Methods live on a prototype as plain functions (without
// V8's signature check, whose TypeError would carry no code). Garbage collection and dispose() both release the
// value; members that belong to the engine are EngineOwned, so they go there in order.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>

#include "binding/environment.h"
#include "binding/submit.h"
#include "core/base/error.h"

namespace ft::binding {

struct MethodEntry {
  const char* name;
  Napi::Value (*callback)(const Napi::CallbackInfo&);  // Sync<…> or Async<…>
};

/// Defines the class of `kind` in this environment.
void DefineHandle(Napi::Env env, HandleKind kind, const char* name, std::initializer_list<MethodEntry> methods);

namespace detail {

struct Box {
  virtual ~Box() = default;
  virtual void Clear() = 0;
  int64_t host_bytes = 0;  // reported to V8
};

Napi::Object NewHandle(Napi::Env env, HandleKind kind, std::unique_ptr<Box> box);
/// Errors: kHandleMisuse (`what` names the place).
Box* Unwrap(Napi::Env env, HandleKind kind, const Napi::Value& value, const char* what);
void ReleaseBytes(Napi::Env env, Box* box);
const char* HandleName(HandleKind kind);

template <class T>
struct TypedBox : Box {
  explicit TypedBox(std::shared_ptr<T> v) : value(std::move(v)) {}
  void Clear() override { value.reset(); }
  std::shared_ptr<T> value;
};

}  // namespace detail

/// T names its kind: `static constexpr HandleKind kKind`.
template <class T>
struct Handle {
  static Napi::Object Wrap(Napi::Env env, std::shared_ptr<T> value, int64_t host_bytes = 0) {
    auto box = std::make_unique<detail::TypedBox<T>>(std::move(value));
    box->host_bytes = host_bytes;
    return detail::NewHandle(env, T::kKind, std::move(box));
  }

  /// Errors: kHandleMisuse, kHandleDisposed.
  static std::shared_ptr<T> Get(Napi::Env env, const Napi::Value& value, const char* what) {
    auto* box = static_cast<detail::TypedBox<T>*>(detail::Unwrap(env, T::kKind, value, what));
    if (box->value == nullptr) {
      throw Error(ErrorCode::kHandleDisposed, fmt::format("{}: this {} was disposed", what, detail::HandleName(T::kKind)),
                  "Keep the handle until its last use, or create it again.");
    }
    return box->value;
  }
  static std::shared_ptr<T> This(const Napi::CallbackInfo& info, const char* what) { return Get(info.Env(), info.This(), what); }

  /// The dispose() method: idempotent.
  static Napi::Value Dispose(const Napi::CallbackInfo& info) {
    detail::Box* box = detail::Unwrap(info.Env(), T::kKind, info.This(), "dispose");
    box->Clear();
    detail::ReleaseBytes(info.Env(), box);
    return info.Env().Undefined();
  }
};

}  // namespace ft::binding
