// JsonReader: the pull parser below Json, which checks everything that it passes.
#include <locale.h>
#include <stdlib.h>
#ifdef __APPLE__
#include <xlocale.h>
#endif

#include <charconv>
#include <version>

#include "core/base/json.h"

namespace ft {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// The nearest double, ±infinity when the number is too large. `text` is a JSON number.
double ToDouble(std::string_view text) {
#ifdef __cpp_lib_to_chars
  double value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc()) return value;
#endif
  // from_chars does not tell overflow from underflow, and Apple's library has none for doubles. strtod reads
  // a decimal comma in some locales, so the C locale is asked for by name.
  static const locale_t c_locale = ::newlocale(LC_ALL_MASK, "C", nullptr);
  return ::strtod_l(std::string(text).c_str(), nullptr, c_locale);
}

}  // namespace

JsonReader::JsonReader(std::string_view text, JsonOptions options) : text_(text), options_(std::move(options)) {
  if (text_.substr(0, 3) == "\xEF\xBB\xBF") Fail("a byte order mark is not allowed in JSON");
}

void JsonReader::FailAt(size_t position, std::string_view message) const {
  const std::string_view before = text_.substr(0, std::min(position, text_.size()));
  const size_t line = 1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  const size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  // Columns count characters, not bytes, as editors do.
  const auto column = 1 + std::count_if(before.begin() + static_cast<std::ptrdiff_t>(line_start), before.end(),
                                        [](char c) { return (c & 0xC0) != 0x80; });
  throw Error(options_.code, fmt::format("{}:{}:{}: {}", options_.where, line, column, message),
              "Repair the file, or fetch it again.")
      .With("path", options_.where)
      .With("line", std::to_string(line))
      .With("column", std::to_string(column));
}

void JsonReader::SkipSpace() {
  while (position_ < text_.size()) {
    const char c = text_[position_];
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') return;
    ++position_;
  }
}

JsonKind JsonReader::Peek() {
  SkipSpace();
  if (position_ >= text_.size()) Fail("the text ends where a value is expected");
  switch (text_[position_]) {
    case '{':
      return JsonKind::kObject;
    case '[':
      return JsonKind::kArray;
    case '"':
      return JsonKind::kString;
    case 't':
    case 'f':
      return JsonKind::kBool;
    case 'n':
      return JsonKind::kNull;
    default:
      break;
  }
  if (text_[position_] != '-' && !IsDigit(text_[position_])) Fail("expected a value");
  for (size_t i = position_ + 1; i < text_.size(); ++i) {
    const char c = text_[i];
    if (c == '.' || c == 'e' || c == 'E') return JsonKind::kDouble;
    if (!IsDigit(c)) break;
  }
  return JsonKind::kInt;
}

void JsonReader::Open(char bracket) {
  SkipSpace();
  if (position_ >= text_.size() || text_[position_] != bracket) {
    Fail(bracket == '{' ? "expected an object" : "expected an array");
  }
  if (open_.size() >= options_.max_depth) Fail(fmt::format("nested deeper than {} levels", options_.max_depth));
  ++position_;
  open_.push_back({bracket == '{' ? '}' : ']', true});
}

void JsonReader::BeginObject() { Open('{'); }
void JsonReader::BeginArray() { Open('['); }

bool JsonReader::NextItem(char close) {
  SkipSpace();
  if (open_.empty() || open_.back().close != close) Fail("misplaced end of an array or object");
  if (position_ >= text_.size())
    Fail(close == '}' ? "the text ends inside an object" : "the text ends inside an array");
  if (text_[position_] == close) {
    ++position_;
    open_.pop_back();
    return false;
  }
  if (!open_.back().first) {
    if (text_[position_] != ',') Fail(close == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
    ++position_;
    SkipSpace();
  }
  open_.back().first = false;
  return true;
}

bool JsonReader::NextKey(std::string* key) {
  if (!NextItem('}')) return false;
  if (position_ >= text_.size() || text_[position_] != '"') Fail("expected a key in double quotes");
  *key = String();
  SkipSpace();
  if (position_ >= text_.size() || text_[position_] != ':') Fail("expected ':' after the key");
  ++position_;
  return true;
}

bool JsonReader::NextElement() { return NextItem(']'); }

void JsonReader::Literal(std::string_view word) {
  SkipSpace();
  if (text_.substr(position_, word.size()) != word) Fail(fmt::format("expected {}", word));
  position_ += word.size();
}

void JsonReader::Null() { Literal("null"); }

bool JsonReader::Bool() {
  SkipSpace();
  const bool value = position_ < text_.size() && text_[position_] == 't';
  Literal(value ? "true" : "false");
  return value;
}

uint32_t JsonReader::HexQuad() {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i, ++position_) {
    const char c = position_ < text_.size() ? text_[position_] : '\0';
    if (IsDigit(c)) {
      value = value * 16 + static_cast<uint32_t>(c - '0');
    } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
      value = value * 16 + static_cast<uint32_t>((c | 0x20) - 'a' + 10);
    } else {
      Fail("expected four hexadecimal digits after \\u");
    }
  }
  return value;
}

void JsonReader::AppendEscape(std::string* out) {
  const size_t start = position_ - 1;  // the backslash
  const char c = position_ < text_.size() ? text_[position_++] : '\0';
  constexpr std::string_view kFrom = "\"\\/bfnrt";
  constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
  if (const size_t i = kFrom.find(c); c != '\0' && i != std::string_view::npos) {
    out->push_back(kTo[i]);
    return;
  }
  if (c != 'u') FailAt(start, "unknown escape sequence");
  uint32_t point = HexQuad();
  if (point >= 0xDC00 && point <= 0xDFFF) FailAt(start, "a low surrogate without a high one");
  if (point >= 0xD800 && point <= 0xDBFF) {
    if (text_.substr(position_, 2) != "\\u") FailAt(start, "a high surrogate without a low one");
    position_ += 2;
    const uint32_t low = HexQuad();
    if (low < 0xDC00 || low > 0xDFFF) FailAt(start, "a high surrogate without a low one");
    point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
  }
  AppendCodePoint(out, point);
}

void JsonReader::AppendUtf8Sequence(std::string* out) {
  const size_t length = Utf8Length(text_, position_);
  if (length == 0) Fail("invalid UTF-8 in a string");
  out->append(text_.substr(position_, length));
  position_ += length;
}

std::string JsonReader::String() {
  SkipSpace();
  if (position_ >= text_.size() || text_[position_] != '"') Fail("expected a string");
  const size_t start = position_++;
  std::string out;
  while (true) {
    // Plain ASCII runs are copied whole.
    size_t end = position_;
    while (end < text_.size() && text_[end] != '"' && text_[end] != '\\' &&
           static_cast<unsigned char>(text_[end]) >= 0x20 && static_cast<unsigned char>(text_[end]) < 0x80) {
      ++end;
    }
    out.append(text_.substr(position_, end - position_));
    position_ = end;
    if (position_ >= text_.size()) FailAt(start, "the string has no end");
    const char c = text_[position_];
    if (c == '"') {
      ++position_;
      return out;
    }
    if (c == '\\') {
      ++position_;
      AppendEscape(&out);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      Fail("a control character in a string must be escaped");
    } else {
      AppendUtf8Sequence(&out);
    }
  }
}

std::string_view JsonReader::NumberText(bool* is_integer) {
  SkipSpace();
  const size_t start = position_;
  const auto digits = [&](const char* message) {
    const size_t first = position_;
    while (position_ < text_.size() && IsDigit(text_[position_])) ++position_;
    if (position_ == first) Fail(message);
  };
  const auto at = [&](char c) { return position_ < text_.size() && text_[position_] == c; };
  if (at('-')) ++position_;
  if (at('0')) {
    ++position_;
    if (position_ < text_.size() && IsDigit(text_[position_])) Fail("a number must not start with 0");
  } else {
    digits("expected a number");
  }
  *is_integer = true;
  if (at('.')) {
    *is_integer = false;
    ++position_;
    digits("expected a digit after '.'");
  }
  if (at('e') || at('E')) {
    *is_integer = false;
    ++position_;
    if (at('+') || at('-')) ++position_;
    digits("expected a digit in the exponent");
  }
  return text_.substr(start, position_ - start);
}

std::variant<int64_t, double> JsonReader::Number() {
  bool is_integer = false;
  const std::string_view text = NumberText(&is_integer);
  const char* end = text.data() + text.size();
  if (is_integer) {
    int64_t value = 0;
    if (std::from_chars(text.data(), end, value).ec == std::errc()) return value;
  }
  const double value = ToDouble(text);
  if (std::isinf(value)) FailAt(position_ - text.size(), "the number is too large");
  return value;
}

void JsonReader::Skip() {
  const size_t outside = open_.size();
  std::string key;
  do {
    // Inside a skipped container: step to its next item, or out of it.
    if (open_.size() > outside) {
      if (!(open_.back().close == '}' ? NextKey(&key) : NextElement())) continue;
    }
    switch (Peek()) {
      case JsonKind::kNull:
        Null();
        break;
      case JsonKind::kBool:
        Bool();
        break;
      case JsonKind::kInt:
      case JsonKind::kDouble:
        Number();
        break;
      case JsonKind::kString:
        String();
        break;
      case JsonKind::kArray:
        BeginArray();
        break;
      case JsonKind::kObject:
        BeginObject();
        break;
    }
  } while (open_.size() > outside);
}

void JsonReader::End() {
  SkipSpace();
  if (position_ < text_.size()) Fail("unexpected text after the value");
}

}  // namespace ft
