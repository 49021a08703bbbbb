// From any C++ exception to the one error shape that JavaScript sees: an Error with `code`, `remedy` and
// `details`, passed through the factory that the TypeScript side installed (which makes the public class).
#pragma once

#include <exception>
#include <map>
#include <string>

#include "binding/napi_config.h"
#include "core/base/error.h"

namespace ft::binding {

struct ErrorInfo {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::string remedy;
  std::map<std::string, std::string> details;
};

/// Any thread. LibTorch's out-of-memory errors and std::bad_alloc become kOutOfMemory, everything else that is
/// not an ft::Error becomes kInternal, without C++ backtraces.
ErrorInfo Classify(const std::exception_ptr& exception);

/// JavaScript thread.
Napi::Value ToJs(Napi::Env env, const ErrorInfo& error);

/// Rethrows the exception that is being handled as one JavaScript sees.
[[noreturn]] void RethrowAsJs(Napi::Env env);

}  // namespace ft::binding
