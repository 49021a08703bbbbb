#include "core/base/error.h"

namespace ft {

const char* ErrorCodeName(ErrorCode code) {
  switch (code) {
#define FT_ERROR_CODE(name, text, js_class, exit_code) \
  case ErrorCode::name:                                \
    return text;
#include "core/base/error_codes.def"
#undef FT_ERROR_CODE
  }
  return "FT_INTERNAL";
}

Error::Error(ErrorCode code, std::string message, std::string remedy)
    : std::runtime_error(std::move(message)), code_(code), remedy_(std::move(remedy)) {}

Error& Error::With(const std::string& key, std::string value) {
  details_[key] = std::move(value);
  return *this;
}

Error& Error::Remedy(std::string remedy) {
  remedy_ = std::move(remedy);
  return *this;
}

}  // namespace ft
