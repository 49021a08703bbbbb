// Typed, range-checked access to one object of a config.json. Every refusal names file, key, what was
// expected and what was found. Absent keys take the default that transformers 5 gives them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json.h"

namespace ft {

class ConfigReader {
 public:
  /// REQUIRES: `object` is an object and outlives the reader. `prefix` ("rope_scaling.") leads keys in messages.
  ConfigReader(const Json& object, std::string where, std::string prefix = "");

  const std::string& where() const { return where_; }
  /// True when the key is there and not null.
  bool Has(const char* key) const;
  const Json* Find(const char* key) const { return object_->Find(key); }
  /// The one of two spellings of a key that is there; the first where neither is.
  const char* AnyOf(const char* own, const char* usual) const { return Find(own) == nullptr && Find(usual) != nullptr ? usual : own; }

  /// Absent: `fallback`. Null, another type or a value outside [min, max]: kModelConfig.
  int64_t Int(const char* key, int64_t fallback, int64_t min, int64_t max) const;
  /// Absent or null: nullopt.
  std::optional<int64_t> OptionalInt(const char* key, int64_t min, int64_t max) const;
  /// As Int; integers count as numbers; min < value is required where `above_min`.
  double Number(const char* key, double fallback, double min, double max, bool above_min = false) const;
  std::optional<double> OptionalNumber(const char* key, double min, double max, bool above_min = false) const;
  bool Bool(const char* key, bool fallback) const;
  /// Absent or null: `fallback`.
  std::string Text(const char* key, const std::string& fallback) const;
  /// A nested object; nullopt when absent, null or empty.
  std::optional<ConfigReader> Object(const char* key) const;
  /// An integer or a list of integers; nullopt when absent or null.
  std::optional<std::vector<int64_t>> IntList(const char* key) const;
  /// A list of numbers in range; nullopt when absent or null.
  std::optional<std::vector<double>> NumberList(const char* key, double min, double max, bool above_min = false) const;
  std::optional<std::vector<std::string>> TextList(const char* key) const;

  /// kModelConfig: "<where>: <key>: expected …, got …".
  [[noreturn]] void Bad(const char* key, const std::string& expected, const std::string& got) const;
  [[noreturn]] void Bad(const char* key, const std::string& expected) const;  // got: the value itself
  /// kUnsupportedModel: "<where>: <key> <text> is not supported".
  [[noreturn]] void Unsupported(const char* key, const std::string& text, const std::string& remedy) const;

 private:
  const Json* object_;
  std::string where_;
  std::string prefix_;
};

}  // namespace ft
