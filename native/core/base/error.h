// The one error type of the engine. Core code throws ft::Error with a code of error_codes.def, a
// message (what, where, expected and got) and a remedy; the binding turns it into the TypeScript class.
#pragma once

#include <fmt/format.h>

#include <map>
#include <stdexcept>
#include <string>
#include <utility>

namespace ft {

enum class ErrorCode {
#define FT_ERROR_CODE(name, text, js_class, exit_code) name,
#include "core/base/error_codes.def"
#undef FT_ERROR_CODE
};

/// Public spelling of a code, for example "FT_TENSOR_SHAPE".
const char* ErrorCodeName(ErrorCode code);

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, std::string message, std::string remedy = "");

  ErrorCode code() const { return code_; }
  const std::string& remedy() const { return remedy_; }
  const std::map<std::string, std::string>& details() const { return details_; }

  /// Adds a fact for programs (`path`, `tensor`, `expected` …); returns *this so that throws chain.
  Error& With(const std::string& key, std::string value);
  /// What to do about it, one sentence.
  Error& Remedy(std::string remedy);

 private:
  ErrorCode code_;
  std::string remedy_;
  std::map<std::string, std::string> details_;
};

}  // namespace ft

/// Throws ft::Error(ft::ErrorCode::code, format(...)).
#define FT_THROW(code, ...) throw ::ft::Error(::ft::ErrorCode::code, ::fmt::format(__VA_ARGS__))

/// FT_CHECK(rank > 0, kInvalidArgument, "rank must be positive, got {}", rank)
#define FT_CHECK(condition, code, ...)        \
  do {                                        \
    if (!(condition)) [[unlikely]] {          \
      FT_THROW(code, __VA_ARGS__);            \
    }                                         \
  } while (false)
