// Quantized weights of a decoder: which there are, reading or making them tensor by tensor, and their tensors in files.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/pages.h"
#include "core/engine/model.h"
#include "core/nn/decoder.h"
#include "core/nn/expected_tensors.h"

namespace ft {

/// Counts bytes of a load towards its total.
class LoadProgress {
 public:
  LoadProgress(const ProgressFn& report, uint64_t total) : report_(report), total_(total) {}
  void Add(uint64_t bytes) {
    done_ += bytes;
    if (report_) report_(done_, total_);
  }

 private:
  const ProgressFn& report_;
  uint64_t total_, done_ = 0;
};

/// The linear modules and parameters of experts that memory will hold quantized: those that are stored so, or, where fewer bits are
/// wanted, all but the output head, routers and wanted.skip_modules. Routers are plain whatever files hold. `checked` null: random weights. Errors: kIncompatibleConfig where more bits are
/// wanted than are stored; kInvalidArgument for an unknown scheme or module.
std::set<std::string> PackedModules(const DecoderSpec& spec, const CheckedTensors* checked, const LoadQuantization& wanted);

/// Bytes that LoadPackedInto reads.
uint64_t PackedFileBytes(Decoder& decoder, const CheckedTensors& checked);

/// Fills every packed part: as it is stored, or quantized from the plain tensor. Beside the result one tensor exists at a time.
void LoadPackedInto(Decoder& decoder, const CheckedTensors& checked, const LoadQuantization& wanted, LoadProgress& progress, const CancelToken* cancel);

/// A plain tensor of the decoder from a quantized one of the files. False when the files do not hold it quantized.
bool LoadPlainFromPacked(const CheckedTensors& checked, const std::string& name, at::Tensor destination);

/// Holds one plain tensor at a time, on the CPU, in pages that are none of what stays.
class PlainTensor {
 public:
  /// Uninitialised. The tensor before it is over.
  at::Tensor Make(at::IntArrayRef shape, at::ScalarType type);

 private:
  Pages pages_;
};

/// A plain weight of any layout as [out, in] in the type it is stored in, in `place`.
at::Tensor ReadLinearWeight(const WeightFolder::Location& found, bool transposed, PlainTensor& place);

/// The same of one expert of a tensor [experts, in, out].
at::Tensor ReadExpertWeight(const WeightFolder::Location& found, int64_t expert, PlainTensor& place);

/// True where wanting fewer bits means this weight, if it is stored plain. `skipped`: LoadQuantization::skip_modules.
bool IsQuantized(const ExpectedTensor& tensor, const std::set<std::string>& skipped);

std::shared_ptr<quant::PackedWeight> Quantize(const at::Tensor& w, const LoadQuantization& wanted, const std::string& name);

/// All tensors of the packed parts by their names in files. Errors: kIncompatibleConfig for a scheme that is only read, and for
/// experts: what reads such folders holds all of a layer in one parameter, and has no quantized form of it.
std::vector<std::pair<std::string, at::Tensor>> PackedFileTensors(Decoder& decoder);

/// "nf4" …, of the first packed part; "" where there is none.
std::string PackedScheme(Decoder& decoder);

}  // namespace ft
