#include "core/io/safetensors_header.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "core/base/error.h"
#include "core/base/json.h"

namespace ft {
namespace {

constexpr size_t kMaxRank = 64;
// The least text of an entry: "":{"dtype":"U8","shape":[],"data_offsets":[0,0]}
constexpr size_t kMinEntryText = 49;
// Bounds the memory of a hostile header: about 250 MB at the format's length limit.
constexpr size_t kMaxEntries = 1'000'000;

int64_t Natural(JsonReader& reader, const std::string& tensor, const char* field) {
  if (reader.Peek() == JsonKind::kInt) {
    const auto number = reader.Number();
    if (const int64_t* value = std::get_if<int64_t>(&number); value != nullptr && *value >= 0) return *value;
  }
  reader.Fail(
      fmt::format("tensor \"{}\": {} holds something that is not an integer from 0 to 2^63-1", Shorten(tensor), field));
}

// Reads one tensor's object. `begin` and `end` count from the first data byte.
TensorEntry ReadEntry(JsonReader& reader, std::string name, uint64_t* end) {
  TensorEntry entry{std::move(name), DType::kU8, {}, 0, 0};
  bool has_dtype = false, has_shape = false, has_offsets = false;
  const auto once = [&](bool* seen, const char* field) {
    if (*seen) reader.Fail(fmt::format("tensor \"{}\": {} stands twice", Shorten(entry.name), field));
    *seen = true;
  };
  std::string key;
  reader.BeginObject();
  while (reader.NextKey(&key)) {
    if (key == "dtype") {
      once(&has_dtype, "dtype");
      const std::string text = reader.String();
      const std::optional<DType> dtype = DTypeFromSafetensors(text);
      if (!dtype) reader.Fail(fmt::format("tensor \"{}\": unknown dtype \"{}\"", Shorten(entry.name), Shorten(text)));
      entry.dtype = *dtype;
    } else if (key == "shape") {
      once(&has_shape, "shape");
      reader.BeginArray();
      while (reader.NextElement()) {
        entry.shape.push_back(Natural(reader, entry.name, "shape"));
        if (entry.shape.size() > kMaxRank) {
          reader.Fail(fmt::format("tensor \"{}\": more than {} dimensions", Shorten(entry.name), kMaxRank));
        }
      }
      entry.shape.shrink_to_fit();
    } else if (key == "data_offsets") {
      once(&has_offsets, "data_offsets");
      uint64_t pair[2] = {0, 0};
      size_t count = 0;
      reader.BeginArray();
      while (reader.NextElement()) {
        const int64_t value = Natural(reader, entry.name, "data_offsets");
        if (count == 2)
          reader.Fail(fmt::format("tensor \"{}\": data_offsets must hold two numbers", Shorten(entry.name)));
        pair[count++] = static_cast<uint64_t>(value);
      }
      if (count != 2)
        reader.Fail(fmt::format("tensor \"{}\": data_offsets must hold two numbers", Shorten(entry.name)));
      if (pair[0] > pair[1]) {
        reader.Fail(
            fmt::format("tensor \"{}\": data_offsets [{}, {}] are reversed", Shorten(entry.name), pair[0], pair[1]));
      }
      entry.offset = pair[0];
      *end = pair[1];
    } else {
      reader.Skip();  // a later version of the format may say more about a tensor
    }
  }
  if (!has_dtype || !has_shape || !has_offsets) {
    reader.Fail(fmt::format("tensor \"{}\": {} is missing", Shorten(entry.name),
                            !has_dtype   ? "dtype"
                            : !has_shape ? "shape"
                                         : "data_offsets"));
  }
  uint64_t expected = 0;
  if (!TensorBytes(entry.shape, entry.dtype, &expected)) {
    reader.Fail(fmt::format("tensor \"{}\": shape {} has more bytes than 63 bits can count", Shorten(entry.name),
                            ShapeText(entry.shape)));
  }
  entry.nbytes = *end - entry.offset;
  if (entry.nbytes != expected) {
    reader.Fail(fmt::format("tensor \"{}\": {} {} needs {} bytes, but data_offsets [{}, {}] span {}",
                            Shorten(entry.name), SafetensorsName(entry.dtype), ShapeText(entry.shape), expected,
                            entry.offset, *end, entry.nbytes));
  }
  return entry;
}

void ReadMetadata(JsonReader& reader, std::map<std::string, std::string>* metadata) {
  if (reader.Peek() == JsonKind::kNull) return reader.Null();
  std::string key;
  reader.BeginObject();
  while (reader.NextKey(&key)) {
    if (reader.Peek() != JsonKind::kString) {
      reader.Fail(
          fmt::format("__metadata__ \"{}\" must be a string, got {}", Shorten(key), JsonKindName(reader.Peek())));
    }
    std::string value = reader.String();
    if (!metadata->emplace(key, std::move(value)).second) {
      reader.Fail(fmt::format("__metadata__ key \"{}\" stands twice", Shorten(key)));
    }
    if (metadata->size() > kMaxEntries) reader.Fail("__metadata__ has too many keys");
  }
}

[[noreturn]] void Refuse(const std::string& path, const std::string& message) {
  throw Error(ErrorCode::kSafetensors, fmt::format("{}: {}", path, message),
              "The file is damaged or incomplete: fetch or save it again.")
      .With("path", path);
}

// The tensors, sorted by offset, must fill the data section: no overlap, no hole, nothing left over.
void CheckCoverage(const std::vector<TensorEntry>& entries, uint64_t data_size, const std::string& path) {
  uint64_t expected = 0;
  const TensorEntry* previous = nullptr;
  for (const TensorEntry& entry : entries) {
    if (entry.offset < expected) {
      Refuse(path,
             fmt::format(
                 "tensors \"{}\" and \"{}\" overlap: the first ends at byte {} of the data, the second starts at {}",
                 Shorten(previous->name), Shorten(entry.name), expected, entry.offset));
    }
    if (entry.offset > expected) {
      Refuse(path,
             fmt::format("a hole of {} bytes before tensor \"{}\"", entry.offset - expected, Shorten(entry.name)));
    }
    expected = entry.offset + entry.nbytes;
    previous = &entry;
  }
  if (expected > data_size) {
    Refuse(path, fmt::format("truncated: the header describes {} bytes of tensor data, the file holds {}", expected,
                             data_size));
  }
  if (expected < data_size) {
    Refuse(path, fmt::format(
                     "{} bytes after the last tensor: the header describes {} bytes of tensor data, the file holds {}",
                     data_size - expected, expected, data_size));
  }
}

void CheckNames(const std::vector<TensorEntry>& entries, const std::string& path) {
  std::vector<uint32_t> order(entries.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return entries[a].name < entries[b].name; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (entries[order[i - 1]].name == entries[order[i]].name) {
      Refuse(path, fmt::format("tensor \"{}\" stands twice in the header", Shorten(entries[order[i]].name)));
    }
  }
}

}  // namespace

bool TensorBytes(const std::vector<int64_t>& shape, DType dtype, uint64_t* nbytes) {
  // Dimensions of 0 are left out of the product, so [0, 2^40, 2^40] is refused as well: its strides overflow.
  int64_t product = static_cast<int64_t>(DTypeSize(dtype));
  bool empty = false;
  for (const int64_t dimension : shape) {
    if (dimension < 0) return false;
    if (dimension == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(product, dimension, &product)) {
      return false;
    }
  }
  *nbytes = empty ? 0 : static_cast<uint64_t>(product);
  return true;
}

std::string ShapeText(const std::vector<int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

SafetensorsHeader ParseSafetensorsHeader(std::string_view text, uint64_t data_start, uint64_t file_size,
                                         const std::string& path) {
  JsonOptions options;
  options.where = path;
  options.code = ErrorCode::kSafetensors;
  JsonReader reader(text, options);
  if (text.empty() || text[0] != '{') reader.Fail("the header does not start with '{'");

  SafetensorsHeader header;
  const auto braces = static_cast<size_t>(std::count(text.begin(), text.end(), '{'));
  header.entries.reserve(std::min({braces, text.size() / kMinEntryText + 1, kMaxEntries}));
  const uint64_t data_size = file_size - data_start;
  bool has_metadata = false;
  std::string key;
  reader.BeginObject();
  while (reader.NextKey(&key)) {
    if (key == "__metadata__") {
      if (has_metadata) reader.Fail("__metadata__ stands twice");
      has_metadata = true;
      ReadMetadata(reader, &header.metadata);
      continue;
    }
    if (header.entries.size() == kMaxEntries) reader.Fail(fmt::format("more than {} tensors", kMaxEntries));
    uint64_t end = 0;
    header.entries.push_back(ReadEntry(reader, std::move(key), &end));
    key.clear();
  }
  reader.End();

  std::stable_sort(header.entries.begin(), header.entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.nbytes < b.nbytes;
  });
  CheckCoverage(header.entries, data_size, path);
  CheckNames(header.entries, path);
  for (TensorEntry& entry : header.entries) entry.offset += data_start;
  return header;
}

std::string BuildSafetensorsHeader(const std::vector<TensorEntry>& entries,
                                   const std::map<std::string, std::string>& metadata) {
  std::string json = "{";
  const auto comma = [&] {
    if (json.size() > 1) json += ',';
  };
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    bool first = true;
    for (const auto& [key, value] : metadata) {
      if (!first) json += ',';
      first = false;
      json += JsonQuote(key) + ":" + JsonQuote(value);
    }
    json += '}';
  }
  for (const TensorEntry& entry : entries) {
    comma();
    json += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", JsonQuote(entry.name),
                        SafetensorsName(entry.dtype), fmt::join(entry.shape, ","), entry.offset,
                        entry.offset + entry.nbytes);
  }
  json += '}';
  json.append((8 - json.size() % 8) % 8, ' ');
  FT_CHECK(json.size() <= kMaxSafetensorsHeader, kInvalidArgument,
           "the header of {} tensors has {} bytes; safetensors allows {}", entries.size(), json.size(),
           kMaxSafetensorsHeader);
  std::string out(kSafetensorsPrefix, '\0');
  for (size_t i = 0; i < kSafetensorsPrefix; ++i) {
    out[i] = static_cast<char>((uint64_t{json.size()} >> (8 * i)) & 0xFF);
  }
  return out += json;
}

}  // namespace ft
