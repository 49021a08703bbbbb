// Fuzzes config.json: any bytes give a DecoderSpec whose sizes fit together, or ft::Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/arch/arch.h"
#include "core/base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const char* family : {"", "llama", "mistral", "qwen2", "qwen3"}) {
    try {
      const ft::DecoderSpec spec = ft::ParseDecoderSpec(text, "config.json", family);
      const bool sound = spec.num_attention_heads % spec.num_key_value_heads == 0 && spec.head_dim > 0 &&
                         spec.head_dim % 2 == 0 && static_cast<int64_t>(spec.layers.size()) == spec.num_hidden_layers &&
                         spec.vocab_size > 0 && spec.vocab_size <= 10'000'000 && spec.rope.rope_theta > 0;
      if (!sound) std::abort();
    } catch (const ft::Error&) {
    }
  }
  return 0;
}
