// The facts of a model that JavaScript sees (NativeModelInfo), from its DecoderSpec alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "binding/napi_config.h"
#include "core/nn/decoder_spec.h"
#include "core/nn/expected_tensors.h"

namespace ft::binding {

struct ModelDescription {
  DecoderSpec spec;
  int64_t parameters = 0;
  uint64_t weight_bytes = 0;
  std::vector<LinearModule> linear_modules;  // module order, lm_head last when it is untied
  std::vector<std::string> unused_tensors;   // of the files: the model has no place for them
  std::string quantization;                  // of the files, or of a loaded model's memory; "": plain
};

ModelDescription Describe(const DecoderSpec& spec, uint64_t weight_bytes);
Napi::Object FromDescription(Napi::Env env, const ModelDescription& description);

}  // namespace ft::binding
