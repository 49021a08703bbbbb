#include "core/base/json.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ft {
namespace {

// Position of the second of two equal keys, or npos. Sorting keeps hostile objects at n log n.
size_t DuplicateAt(const Json::Object& members, const std::vector<size_t>& positions) {
  std::vector<uint32_t> order(members.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const int compared = members[a].key.compare(members[b].key);
    return compared != 0 ? compared < 0 : a < b;
  });
  for (size_t i = 1; i < order.size(); ++i) {
    if (members[order[i - 1]].key == members[order[i]].key) return positions[order[i]];
  }
  return std::string_view::npos;
}

}  // namespace

const char* JsonKindName(JsonKind kind) {
  constexpr const char* kNames[] = {"null", "a boolean", "an integer", "a number", "a string", "an array", "an object"};
  return kNames[static_cast<size_t>(kind)];
}

Json Json::Parse(std::string_view text, const JsonOptions& options) {
  JsonReader reader(text, options);
  size_t budget = options.max_values;
  Json value = ParseValue(reader, options, &budget);
  reader.End();
  return value;
}

Json Json::ParseValue(JsonReader& reader, const JsonOptions& options, size_t* budget) {
  if ((*budget)-- == 0) {
    *budget = 0;
    reader.Fail(fmt::format("more than {} values", options.max_values));
  }
  switch (reader.Peek()) {
    case JsonKind::kNull:
      reader.Null();
      return Json();
    case JsonKind::kBool:
      return Json(reader.Bool());
    case JsonKind::kInt:
    case JsonKind::kDouble:
      return std::visit([](auto number) { return Json(number); }, reader.Number());
    case JsonKind::kString:
      return Json(reader.String());
    case JsonKind::kArray: {
      Array items;
      reader.BeginArray();
      while (reader.NextElement()) items.push_back(ParseValue(reader, options, budget));
      return Json(std::move(items));
    }
    case JsonKind::kObject:
      break;
  }
  Object members;
  std::vector<size_t> positions;  // after each key, for the message about a duplicate
  std::string key;
  reader.BeginObject();
  while (reader.NextKey(&key)) {
    positions.push_back(reader.position());
    members.push_back({std::move(key), ParseValue(reader, options, budget)});
  }
  if (const size_t at = DuplicateAt(members, positions); at != std::string_view::npos) {
    reader.FailAt(at, "the key stands twice in its object");
  }
  return Json(std::move(members));
}

double Json::AsDouble() const {
  return kind() == JsonKind::kInt ? static_cast<double>(AsInt()) : std::get<double>(value_);
}

const Json* Json::Find(std::string_view key) const {
  if (kind() != JsonKind::kObject) return nullptr;
  for (const Member& member : AsObject()) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

std::string Json::Dump(int indent) const {
  std::string out;
  DumpTo(&out, indent, 0);
  return out;
}

void Json::DumpTo(std::string* out, int indent, int depth) const {
  const auto new_line = [&](int levels) {
    if (indent < 0) return;
    out->push_back('\n');
    out->append(static_cast<size_t>(indent * levels), ' ');
  };
  // Shared by arrays and objects: brackets, commas, line ends.
  const auto list = [&](char open, char close, const auto& items, const auto& write) {
    out->push_back(open);
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out->push_back(',');
      new_line(depth + 1);
      write(items[i]);
    }
    if (!items.empty()) new_line(depth);
    out->push_back(close);
  };
  switch (kind()) {
    case JsonKind::kNull:
      out->append("null");
      break;
    case JsonKind::kBool:
      out->append(AsBool() ? "true" : "false");
      break;
    case JsonKind::kInt:
      out->append(std::to_string(AsInt()));
      break;
    case JsonKind::kDouble: {
      FT_CHECK(std::isfinite(AsDouble()), kInvalidArgument, "JSON has no spelling for {}", AsDouble());
      const std::string text = fmt::format("{}", AsDouble());  // shortest that reads back exactly
      out->append(text);
      if (text.find_first_of(".e") == std::string::npos) out->append(".0");
      break;
    }
    case JsonKind::kString:
      out->append(JsonQuote(AsString()));
      break;
    case JsonKind::kArray:
      list('[', ']', AsArray(), [&](const Json& item) { item.DumpTo(out, indent, depth + 1); });
      break;
    case JsonKind::kObject:
      list('{', '}', AsObject(), [&](const Member& member) {
        out->append(JsonQuote(member.key)).append(indent < 0 ? ":" : ": ");
        member.value.DumpTo(out, indent, depth + 1);
      });
      break;
  }
}

std::string JsonQuote(std::string_view text) {
  FT_CHECK(IsUtf8(text), kInvalidArgument, "text for JSON is not valid UTF-8");
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  return out += '"';
}

}  // namespace ft
