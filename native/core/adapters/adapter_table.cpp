#include "core/adapters/adapter_method.h"
#include "core/adapters/lora.h"
#include "core/base/error.h"

namespace ft {
namespace {

struct Row {
  const char* type;
  std::unique_ptr<AdapterMethod> (*make)(const AdapterOptions&, Decoder&);
};

constexpr Row kTable[] = {
    {"lora", MakeLora},
};

}  // namespace

std::unique_ptr<AdapterMethod> MakeAdapterMethod(const AdapterOptions& options, Decoder& decoder) {
  for (const Row& row : kTable) {
    if (options.type == row.type) return row.make(options, decoder);
  }
  FT_THROW(kInvalidArgument, "unknown adapter type \"{}\"", options.type);
}

}  // namespace ft
