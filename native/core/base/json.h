// Strict JSON (RFC 8259): a pull reader for large untrusted documents and a small value tree on top.
// Contract: any byte sequence gives a value or ft::Error with line:column, in linear time and bounded depth.
// Refused besides bad syntax: invalid UTF-8, lone surrogates, NaN, overflowing numbers, duplicate keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/error.h"
#include "core/base/utf8.h"

namespace ft {

struct JsonOptions {
  std::string where = "JSON";                  // names the document in messages
  ErrorCode code = ErrorCode::kInvalidConfig;  // of the errors thrown
  size_t max_depth = 64;
  size_t max_values = 2'000'000;  // tree only: bounds memory to some 200 MB
};

enum class JsonKind { kNull, kBool, kInt, kDouble, kString, kArray, kObject };
/// "null", "a boolean", "an integer" … for messages.
const char* JsonKindName(JsonKind kind);

/// Reads a document value by value without building a tree. The text must outlive the reader.
/// REQUIRES: calls follow the document; a mismatch (String() on a number) is an error of the document.
class JsonReader {
 public:
  JsonReader(std::string_view text, JsonOptions options);

  JsonKind Peek();  // numbers: kInt or kDouble by their spelling
  void BeginObject();
  /// False at the closing brace. Otherwise the key, ready to read its value.
  bool NextKey(std::string* key);
  void BeginArray();
  /// False at the closing bracket. Otherwise ready to read an element.
  bool NextElement();
  void Null();
  bool Bool();
  std::string String();
  /// An integer that fits int64 (kInt), else the nearest double.
  std::variant<int64_t, double> Number();
  void Skip();
  /// After the last value: only white space may follow.
  void End();

  size_t position() const { return position_; }
  size_t depth() const { return open_.size(); }
  [[noreturn]] void Fail(std::string_view message) const { FailAt(position_, message); }
  [[noreturn]] void FailAt(size_t position, std::string_view message) const;

 private:
  void SkipSpace();
  void Literal(std::string_view word);
  void Open(char bracket);
  bool NextItem(char close);
  void AppendEscape(std::string* out);
  uint32_t HexQuad();
  void AppendUtf8Sequence(std::string* out);
  std::string_view NumberText(bool* is_integer);

  struct Level {
    char close;
    bool first;
  };

  std::string_view text_;
  JsonOptions options_;
  size_t position_ = 0;
  std::vector<Level> open_;
};

/// A member of an object. A template, so that a container of it may be named where Json is still incomplete.
template <typename Value>
struct JsonMember {
  std::string key;
  Value value;
};

/// A value of a parsed document. Objects keep their order.
class Json {
 public:
  using Member = JsonMember<Json>;
  using Array = std::vector<Json>;
  using Object = std::vector<Member>;

  static Json Parse(std::string_view text, const JsonOptions& options);

  Json() = default;
  Json(std::nullptr_t) {}                                   // NOLINT(runtime/explicit)
  Json(bool value) : value_(value) {}                       // NOLINT(runtime/explicit)
  Json(int64_t value) : value_(value) {}                    // NOLINT(runtime/explicit)
  Json(int value) : value_(static_cast<int64_t>(value)) {}  // NOLINT(runtime/explicit)
  Json(double value) : value_(value) {}                     // NOLINT(runtime/explicit)
  Json(std::string value) : value_(std::move(value)) {}     // NOLINT(runtime/explicit)
  Json(const char* value) : value_(std::string(value)) {}   // NOLINT(runtime/explicit)
  Json(Array value) : value_(std::move(value)) {}           // NOLINT(runtime/explicit)
  Json(Object value) : value_(std::move(value)) {}          // NOLINT(runtime/explicit)

  JsonKind kind() const { return static_cast<JsonKind>(value_.index()); }
  bool is_null() const { return kind() == JsonKind::kNull; }

  // REQUIRES: the kind matches (AsDouble also takes an integer).
  bool AsBool() const { return std::get<bool>(value_); }
  int64_t AsInt() const { return std::get<int64_t>(value_); }
  double AsDouble() const;
  const std::string& AsString() const { return std::get<std::string>(value_); }
  const Array& AsArray() const { return std::get<Array>(value_); }
  const Object& AsObject() const { return std::get<Object>(value_); }

  /// The member of an object, or nullptr. Linear: meant for objects with tens of keys.
  const Json* Find(std::string_view key) const;

  /// JSON text; indent < 0 gives one line. Numbers read back exactly.
  std::string Dump(int indent = -1) const;

 private:
  static Json ParseValue(JsonReader& reader, const JsonOptions& options, size_t* budget);
  void DumpTo(std::string* out, int indent, int depth) const;

  // Same order as JsonKind.
  std::variant<std::nullptr_t, bool, int64_t, double, std::string, Array, Object> value_ = nullptr;
};

/// A JSON string literal with quotes and escapes. Errors: kInvalidArgument when the text is not UTF-8.
std::string JsonQuote(std::string_view text);

}  // namespace ft
