// Between files and a decoder's memory: streamed loading, random initialisation, saving.
#pragma once

#include <string>

#include "core/base/cancel.h"
#include "core/base/dtype.h"
#include "core/engine/model.h"
#include "core/io/safetensors.h"
#include "core/nn/decoder.h"
#include "core/nn/expected_tensors.h"

namespace ft {

DType DTypeOf(at::ScalarType type);
/// Float types only. Errors: kTensorDtype.
at::ScalarType ScalarTypeOf(DType dtype, const std::string& tensor_name);

/// Reads one tensor into `destination` (any float dtype and device), converting by pieces: never a second copy of it.
void ReadInto(const SafetensorsFile& file, const TensorEntry& entry, at::Tensor destination);

/// Fills every weight of the decoder from where CheckTensors found it; packed ones are quantized as `wanted` where they are stored plain.
void LoadWeightsInto(Decoder& decoder, const CheckedTensors& tensors, const LoadQuantization& wanted, const ProgressFn& progress, const CancelToken* cancel);

/// Linear and embedding weights ~ N(0, initializer_range), biases 0, norms 1; a function of the seed alone, the same for every dtype
/// up to rounding, and quantized ones made of the same.
void RandomiseWeights(Decoder& decoder, uint64_t seed, const LoadQuantization& quantization);

/// See Model::SaveWeights.
void SaveWeightsOf(Decoder& decoder, const std::string& folder, uint64_t max_shard_bytes, at::ScalarType dtype);

/// One safetensors file of named tensors (any device; written in their own dtype).
void SaveTensors(const std::string& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                 const std::map<std::string, std::string>& metadata);

}  // namespace ft
