// Fuzzes config.json: any bytes give, read as any family, a DecoderSpec whose sizes fit together, or ft::Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/arch/arch.h"
#include "core/base/error.h"
#include "core/nn/expected_tensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> families = ft::SupportedModelTypes();
  families.emplace_back();  // as the file calls itself
  for (const std::string& family : families) {
    try {
      const ft::DecoderSpec spec = ft::ParseDecoderSpec(text, "config.json", family);
      const bool sound = spec.num_attention_heads > 0 && spec.num_key_value_heads > 0 && spec.head_dim > 0 && spec.hidden_size > 0 &&
                         spec.num_hidden_layers > 0 && static_cast<int64_t>(spec.layers.size()) == spec.num_hidden_layers && spec.vocab_size > 0 &&
                         spec.vocab_size <= 10'000'000;
      if (!sound) std::abort();
      // Shapes follow from it, and none of them overflows. Thousands of layers would only repeat them.
      if (spec.num_hidden_layers > 8) continue;
      for (const ft::ExpectedTensor& tensor : ft::ExpectedTensors(spec)) {
        double numel = 1;
        for (const int64_t dimension : tensor.shape) {
          if (dimension <= 0) std::abort();
          numel *= static_cast<double>(dimension);
        }
        if (numel > 9e18) std::abort();
      }
    } catch (const ft::Error&) {
    }
  }
  return 0;
}
