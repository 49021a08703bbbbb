// Classification of exceptions. See errors.h.
#include "binding/errors.h"

#include <c10/util/Exception.h>

#include <new>
#include <string_view>

#include "binding/environment.h"
#include "core/base/memory.h"

namespace ft::binding {
namespace {

constexpr char kMemoryRemedy[] =
    "Use a smaller batch size with more gradient accumulation steps, turn gradient checkpointing on, or lower the "
    "maximum sequence length; a smaller dtype (bf16) halves the weights.";
constexpr char kDefectRemedy[] =
    "This is a defect of ft-native: please report it with the message, the model's config.json and what you called.";

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

bool IsOutOfMemory(std::string_view message) {
  return Contains(message, "DefaultCPUAllocator: can't allocate") || Contains(message, "DefaultCPUAllocator: not enough memory") ||
         Contains(message, "out of memory");
}

/// The number in front of " bytes" after "tried to allocate", or "".
std::string WantedBytes(std::string_view message) {
  constexpr std::string_view kMark = "tried to allocate ";
  const size_t mark = message.find(kMark);
  if (mark == std::string_view::npos) return "";
  const size_t begin = mark + kMark.size();
  size_t end = begin;
  while (end < message.size() && message[end] >= '0' && message[end] <= '9') ++end;
  return std::string(message.substr(begin, end - begin));
}

ErrorInfo OutOfMemory(std::string_view reason) {
  ErrorInfo info;
  info.code = ErrorCode::kOutOfMemory;
  info.remedy = kMemoryRemedy;
  const std::string wanted = WantedBytes(reason);
  const uint64_t available = AvailableBytes();
  info.message = "out of memory";
  if (!wanted.empty()) {
    info.details["wanted_bytes"] = wanted;
    info.message += fmt::format(": {} bytes were wanted", wanted);
  }
  if (available > 0) {
    info.details["available_bytes"] = std::to_string(available);
    info.message += fmt::format("{} {} bytes are available to this process", wanted.empty() ? ":" : ",", available);
  }
  info.details["reason"] = std::string(reason.substr(0, 500));
  return info;
}

/// The message alone: LibTorch appends where it was thrown and a backtrace.
std::string FirstLines(const c10::Error& error) {
  std::string text = error.what_without_backtrace();
  const size_t raised = text.find("\nException raised from");
  if (raised != std::string::npos) text.resize(raised);
  return text;
}

}  // namespace

ErrorInfo Classify(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return {error.code(), error.what(), error.remedy(), error.details()};
  } catch (const c10::OutOfMemoryError& error) {
    return OutOfMemory(FirstLines(error));
  } catch (const c10::Error& error) {
    const std::string message = FirstLines(error);
    if (IsOutOfMemory(message)) return OutOfMemory(message);
    return {ErrorCode::kInternal, "the tensor library refused an operation: " + message, kDefectRemedy, {}};
  } catch (const std::bad_alloc& error) {
    return OutOfMemory(error.what());
  } catch (const std::length_error& error) {
    return OutOfMemory(error.what());
  } catch (const std::exception& error) {
    if (IsOutOfMemory(error.what())) return OutOfMemory(error.what());
    return {ErrorCode::kInternal, error.what(), kDefectRemedy, {}};
  } catch (...) {
    return {ErrorCode::kInternal, "an unknown C++ exception", kDefectRemedy, {}};
  }
}

Napi::Value ToJs(Napi::Env env, const ErrorInfo& error) {
  Napi::Object value = Napi::Error::New(env, error.message).Value();
  value.Set("code", Napi::String::New(env, ErrorCodeName(error.code)));
  value.Set("remedy", Napi::String::New(env, error.remedy));
  Napi::Object details = Napi::Object::New(env);
  for (const auto& [key, text] : error.details) details.Set(key, Napi::String::New(env, text));
  value.Set("details", details);
  const Napi::FunctionReference& factory = Environment::Of(env).error_factory;
  if (factory.IsEmpty()) return value;
  try {
    const Napi::Value made = factory.Call({value});
    return made.IsObject() ? made : value;
  } catch (const Napi::Error&) {
    return value;  // a factory that fails must not hide the error
  }
}

void RethrowAsJs(Napi::Env env) {
  try {
    throw;
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw Napi::Error(env, ToJs(env, Classify(std::current_exception())));
  }
}

}  // namespace ft::binding
