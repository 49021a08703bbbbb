// Fuzzes the safetensors header: any bytes give entries that lie inside the file and fill it, or ft::Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/base/error.h"
#include "core/io/safetensors_header.h"

// The first two bytes say how much tensor data follows the header.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint64_t data_bytes = data[0] | (uint64_t{data[1]} << 8);
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const uint64_t data_start = ft::kSafetensorsPrefix + text.size();
  try {
    const ft::SafetensorsHeader header = ft::ParseSafetensorsHeader(text, data_start, data_start + data_bytes, "fuzz");
    uint64_t end = data_start;
    for (const ft::TensorEntry& entry : header.entries) {
      if (entry.offset != end) std::abort();
      end += entry.nbytes;
    }
    if (end != data_start + data_bytes) std::abort();
    // What was read can be written, and reads back.
    std::vector<ft::TensorEntry> entries = header.entries;
    for (ft::TensorEntry& entry : entries) entry.offset -= data_start;
    const std::string built = ft::BuildSafetensorsHeader(entries, header.metadata);
    const auto again =
        ft::ParseSafetensorsHeader(std::string_view(built).substr(8), built.size(), built.size() + data_bytes, "again");
    if (again.entries.size() != entries.size() || again.metadata != header.metadata) std::abort();
  } catch (const ft::Error&) {
  }
  return 0;
}
