// Models that wrap a language model (vision-language ones): their text part is a decoder like any other.
#pragma once

#include <optional>
#include <string>

#include "core/arch/config_reader.h"
#include "core/nn/decoder_spec.h"

namespace ft {

struct TextPart {
  std::string model_type;  // of the text part
  ConfigReader config;     // text_config
};

/// The text part of a config whose model_type wraps one, else nullopt. Refuses a wrapper without text_config.
std::optional<TextPart> FindTextPart(const ConfigReader& config, const std::string& model_type);

/// What the wrapper says about its text part: tied embeddings, token ids, dtype, names of modules and tensors.
void ReadWrapper(const ConfigReader& config, const std::string& model_type, DecoderSpec* spec);

}  // namespace ft
