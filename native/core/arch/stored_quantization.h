// quantization_config of a config.json: which of the known formats the linear weights of a folder are stored in.
#pragma once

#include <string>

#include "core/nn/quantization.h"

namespace ft {

/// Reads <folder>/config.json. What changes the values of weights and is not understood is refused.
/// Errors: kModelNotFound, kModelConfig, kUnsupportedModel.
StoredQuantization ReadStoredQuantization(const std::string& folder);

/// The same from config.json text; `where` names it in messages.
StoredQuantization ParseStoredQuantization(const std::string& config_json, const std::string& where);

}  // namespace ft
