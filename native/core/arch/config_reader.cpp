#include "core/arch/config_reader.h"

#include <cmath>

#include "core/base/error.h"

namespace ft {
namespace {

// A value in a message, cut short: a hostile one may be megabytes long.
std::string Shown(const Json* value) {
  if (value == nullptr) return "nothing";
  if (value->kind() == JsonKind::kObject) return "an object";
  if (value->kind() == JsonKind::kArray && value->AsArray().size() > 8) return "a list";
  return Shorten(value->Dump());
}

}  // namespace

ConfigReader::ConfigReader(const Json& object, std::string where, std::string prefix)
    : object_(&object), where_(std::move(where)), prefix_(std::move(prefix)) {}

void ConfigReader::Bad(const char* key, const std::string& expected, const std::string& got) const {
  throw Error(ErrorCode::kModelConfig,
              fmt::format("{}: {}{}: expected {}, got {}", where_, prefix_, key, expected, got),
              "Repair the model's config.json, or fetch it again.")
      .With("path", where_)
      .With("key", prefix_ + key)
      .With("expected", expected)
      .With("got", got);
}

void ConfigReader::Bad(const char* key, const std::string& expected) const { Bad(key, expected, Shown(Find(key))); }

void ConfigReader::Unsupported(const char* key, const std::string& text, const std::string& remedy) const {
  throw Error(ErrorCode::kUnsupportedModel,
              fmt::format("{}: {}{}{}{} is not supported", where_, prefix_, key, text.empty() ? "" : " ", text), remedy)
      .With("path", where_)
      .With("key", prefix_ + key);
}

bool ConfigReader::Has(const char* key) const {
  const Json* value = Find(key);
  return value != nullptr && !value->is_null();
}

int64_t ConfigReader::Int(const char* key, int64_t fallback, int64_t min, int64_t max) const {
  const Json* value = Find(key);
  if (value == nullptr) return fallback;
  if (value->kind() != JsonKind::kInt || value->AsInt() < min || value->AsInt() > max) {
    Bad(key, fmt::format("an integer from {} to {}", min, max));
  }
  return value->AsInt();
}

std::optional<int64_t> ConfigReader::OptionalInt(const char* key, int64_t min, int64_t max) const {
  if (!Has(key)) return std::nullopt;
  return Int(key, 0, min, max);
}

double ConfigReader::Number(const char* key, double fallback, double min, double max, bool above_min) const {
  const Json* value = Find(key);
  if (value == nullptr) return fallback;
  const bool is_number = value->kind() == JsonKind::kInt || value->kind() == JsonKind::kDouble;
  const double number = is_number ? value->AsDouble() : std::nan("");
  // A comparison with NaN is false, so NaN is refused as well.
  if (!((above_min ? number > min : number >= min) && number <= max)) {
    Bad(key, fmt::format("a number {} {} and at most {}", above_min ? "above" : "from", min, max));
  }
  return number;
}

std::optional<double> ConfigReader::OptionalNumber(const char* key, double min, double max, bool above_min) const {
  if (!Has(key)) return std::nullopt;
  return Number(key, 0, min, max, above_min);
}

bool ConfigReader::Bool(const char* key, bool fallback) const {
  const Json* value = Find(key);
  if (value == nullptr) return fallback;
  if (value->kind() != JsonKind::kBool) Bad(key, "true or false");
  return value->AsBool();
}

std::string ConfigReader::Text(const char* key, const std::string& fallback) const {
  if (!Has(key)) return fallback;
  if (Find(key)->kind() != JsonKind::kString) Bad(key, "a string");
  return Find(key)->AsString();
}

std::optional<ConfigReader> ConfigReader::Object(const char* key) const {
  if (!Has(key)) return std::nullopt;
  const Json* value = Find(key);
  if (value->kind() != JsonKind::kObject) Bad(key, "an object");
  if (value->AsObject().empty()) return std::nullopt;
  return ConfigReader(*value, where_, prefix_ + key + ".");
}

std::optional<std::vector<int64_t>> ConfigReader::IntList(const char* key) const {
  if (!Has(key)) return std::nullopt;
  const Json* value = Find(key);
  if (value->kind() == JsonKind::kInt) return std::vector<int64_t>{value->AsInt()};
  if (value->kind() != JsonKind::kArray) Bad(key, "an integer or a list of integers");
  std::vector<int64_t> out;
  for (const Json& item : value->AsArray()) {
    if (item.kind() != JsonKind::kInt) Bad(key, "an integer or a list of integers");
    out.push_back(item.AsInt());
  }
  return out;
}

std::optional<std::vector<double>> ConfigReader::NumberList(const char* key, double min, double max, bool above_min) const {
  if (!Has(key)) return std::nullopt;
  const Json* value = Find(key);
  if (value->kind() != JsonKind::kArray) Bad(key, "a list of numbers");
  std::vector<double> out;
  for (const Json& item : value->AsArray()) {
    const bool is_number = item.kind() == JsonKind::kInt || item.kind() == JsonKind::kDouble;
    const double number = is_number ? item.AsDouble() : std::nan("");
    if (!((above_min ? number > min : number >= min) && number <= max)) {
      Bad(key, fmt::format("a list of numbers {} {} and at most {}", above_min ? "above" : "from", min, max));
    }
    out.push_back(number);
  }
  return out;
}

std::optional<std::vector<std::string>> ConfigReader::TextList(const char* key) const {
  if (!Has(key)) return std::nullopt;
  const Json* value = Find(key);
  if (value->kind() != JsonKind::kArray) Bad(key, "a list of strings");
  std::vector<std::string> out;
  for (const Json& item : value->AsArray()) {
    if (item.kind() != JsonKind::kString) Bad(key, "a list of strings");
    out.push_back(item.AsString());
  }
  return out;
}

}  // namespace ft
