// From a Hugging Face config.json to a DecoderSpec. One file a family, one row in arch_table.cpp.
// Free of LibTorch. Every size is checked before anything could be allocated from it.
#pragma once

#include <string>
#include <vector>

#include "core/nn/decoder_spec.h"

namespace ft {

/// Reads <folder>/config.json and generation_config.json.
/// Errors: kModelNotFound (no folder, no config.json), kModelConfig (bad values: says key, expected, got),
/// kUnsupportedModel (model_type not in the table, or a feature that is not supported: names it).
/// `model_type` not empty: reads the config as that family, whatever it calls itself.
DecoderSpec ReadDecoderSpec(const std::string& folder, const std::string& model_type = "");

/// Parses config.json text; `where` names it in messages.
DecoderSpec ParseDecoderSpec(const std::string& config_json, const std::string& where,
                             const std::string& model_type = "");

/// model_type values of the table.
std::vector<std::string> SupportedModelTypes();

}  // namespace ft
