// For a model_type that is unknown: which families have the very tensors that the model's files hold.
#pragma once

#include <string>
#include <vector>

#include "core/arch/config_reader.h"
#include "core/nn/decoder_spec.h"

namespace ft {

struct Candidate {
  const char* model_type;
  DecoderSpec (*parse)(const ConfigReader& config);
};

/// The families that read `config` without complaint and whose tensors are exactly those of the weights in `folder`, nearest
/// first: names alike, then as `candidates` lists them. None where the weights cannot be read.
std::vector<std::string> FittingFamilies(const ConfigReader& config, const std::string& model_type, const std::string& folder,
                                         const std::vector<Candidate>& candidates);

}  // namespace ft
