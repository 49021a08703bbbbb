// Fuzzes the JSON reader: any bytes give a value that reads back as itself, or ft::Error.
#include "core/base/json.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const ft::Json value = ft::Json::Parse(text, {});
    const std::string written = value.Dump();
    if (ft::Json::Parse(written, {}).Dump() != written) std::abort();
  } catch (const ft::Error&) {
  }
  try {  // the skipping path accepts and refuses on its own
    ft::JsonReader reader(text, {});
    reader.Skip();
    reader.End();
  } catch (const ft::Error&) {
  }
  return 0;
}
