// Checked conversions between JavaScript values and what the engine takes. Every failure is kInvalidArgument and
// names the argument. Typed arrays are copied at once, so what happens to their buffers later does not matter.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "binding/napi_config.h"
#include "core/nn/batch.h"
#include "core/nn/context.h"

namespace ft::binding {

constexpr double kMaxSafeInteger = 9007199254740991.0;

Napi::Object ToObject(const Napi::Value& value, const std::string& what);
std::string ToText(const Napi::Value& value, const std::string& what);
/// A file name: text without NUL, not empty.
std::string ToPath(const Napi::Value& value, const std::string& what);
bool ToBool(const Napi::Value& value, const std::string& what);
/// true: every layer; a number: so many of the first.
int64_t ToLayers(const Napi::Value& value, const std::string& what);
/// Finite, within [low, high].
double ToNumber(const Napi::Value& value, const std::string& what, double low = std::numeric_limits<double>::lowest(),
                double high = std::numeric_limits<double>::max());
/// Whole, within [low, high].
int64_t ToInteger(const Napi::Value& value, const std::string& what, int64_t low, int64_t high);
/// A seed or counter: whole, 0 … 2^53 - 1.
uint64_t ToCounter(const Napi::Value& value, const std::string& what);
/// A callback, or an empty function for undefined and null.
Napi::Function ToCallback(const Napi::Value& value, const std::string& what);
std::vector<int32_t> ToInt32s(const Napi::Value& value, const std::string& what);
std::vector<float> ToFloats(const Napi::Value& value, const std::string& what);
Napi::Array ToArray(const Napi::Value& value, const std::string& what);

/// {inputIds, labels?, cuSeqlens, rowIds?}
HostBatch ToBatch(const Napi::Value& value, const std::string& what);
std::vector<HostBatch> ToBatches(const Napi::Value& value, const std::string& what);

inline bool IsNothing(const Napi::Value& value) { return value.IsEmpty() || value.IsUndefined() || value.IsNull(); }

/// Float32Array over a contiguous fp32 CPU tensor: shares its memory when it is large.
Napi::Value FromFloats(Napi::Env env, const at::Tensor& tensor);
Napi::Value FromInt32s(Napi::Env env, const std::vector<int32_t>& values);
Napi::Array FromShape(Napi::Env env, const std::vector<int64_t>& shape);
inline Napi::Number FromNumber(Napi::Env env, double value) { return Napi::Number::New(env, value); }
inline Napi::Number FromInt(Napi::Env env, int64_t value) { return Napi::Number::New(env, static_cast<double>(value)); }

}  // namespace ft::binding
