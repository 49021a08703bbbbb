// Checked conversions. See convert.h.
#include "binding/convert.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "core/base/error.h"

namespace ft::binding {
namespace {

const char* TypeName(const Napi::Value& value) {
  if (value.IsEmpty()) return "nothing";
  switch (value.Type()) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_boolean: return "a boolean";
    case napi_number: return "a number";
    case napi_string: return "a string";
    case napi_symbol: return "a symbol";
    case napi_object: return value.IsArray() ? "an array" : value.IsTypedArray() ? "another typed array" : "an object";
    case napi_function: return "a function";
    case napi_external: return "an external value";
    case napi_bigint: return "a bigint";
  }
  return "something else";
}

[[noreturn]] void Refuse(const std::string& what, const char* expected, const Napi::Value& value) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{} must be {}, got {}", what, expected, TypeName(value))).With("argument", what);
}

struct Elements {
  const void* data;
  size_t length;
};

/// Memory of a typed array of `type`. Valid until JavaScript runs again.
Elements ElementsOf(const Napi::Value& value, napi_typedarray_type type, const char* name, const std::string& what) {
  if (!value.IsTypedArray()) Refuse(what, name, value);
  napi_typedarray_type actual;
  size_t length = 0;
  void* data = nullptr;
  napi_value buffer = nullptr;
  size_t offset = 0;
  if (napi_get_typedarray_info(value.Env(), value, &actual, &length, &data, &buffer, &offset) != napi_ok) Refuse(what, name, value);
  if (actual != type) Refuse(what, name, value);
  bool detached = false;
  if (napi_is_detached_arraybuffer(value.Env(), buffer, &detached) == napi_ok && detached) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: the buffer of this array is detached (it was transferred)", what))
        .With("argument", what);
  }
  if (length > 0 && data == nullptr) Refuse(what, name, value);
  return {data, length};
}

constexpr size_t kShareFromBytes = 1 << 20;

}  // namespace

Napi::Object ToObject(const Napi::Value& value, const std::string& what) {
  if (value.IsEmpty() || !value.IsObject() || value.IsFunction() || value.IsArray()) Refuse(what, "an object", value);
  return value.As<Napi::Object>();
}

std::string ToText(const Napi::Value& value, const std::string& what) {
  if (value.IsEmpty() || !value.IsString()) Refuse(what, "a string", value);
  return value.As<Napi::String>().Utf8Value();
}

std::string ToPath(const Napi::Value& value, const std::string& what) {
  std::string path = ToText(value, what);
  FT_CHECK(!path.empty(), kInvalidArgument, "{} must not be empty", what);
  FT_CHECK(path.find('\0') == std::string::npos, kInvalidArgument, "{} must not contain a NUL character", what);
  return path;
}

bool ToBool(const Napi::Value& value, const std::string& what) {
  if (value.IsEmpty() || !value.IsBoolean()) Refuse(what, "a boolean", value);
  return value.As<Napi::Boolean>().Value();
}

double ToNumber(const Napi::Value& value, const std::string& what, double low, double high) {
  if (value.IsEmpty() || !value.IsNumber()) Refuse(what, "a number", value);
  const double number = value.As<Napi::Number>().DoubleValue();
  FT_CHECK(std::isfinite(number), kInvalidArgument, "{} must be finite, got {}", what, number);
  FT_CHECK(number >= low && number <= high, kInvalidArgument, "{} must be between {} and {}, got {}", what, low, high, number);
  return number;
}

int64_t ToInteger(const Napi::Value& value, const std::string& what, int64_t low, int64_t high) {
  const double number = ToNumber(value, what);
  FT_CHECK(number == std::floor(number), kInvalidArgument, "{} must be a whole number, got {}", what, number);
  FT_CHECK(number >= static_cast<double>(low) && number <= static_cast<double>(high), kInvalidArgument,
           "{} must be between {} and {}, got {}", what, low, high, number);
  return static_cast<int64_t>(number);
}

int64_t ToLayers(const Napi::Value& value, const std::string& what) {
  if (!value.IsEmpty() && value.IsBoolean()) return value.As<Napi::Boolean>().Value() ? kAllLayers : 0;
  if (value.IsEmpty() || !value.IsNumber()) Refuse(what, "a boolean or a number of layers", value);
  return ToInteger(value, what, 0, kMaxSafeInteger);
}

uint64_t ToCounter(const Napi::Value& value, const std::string& what) {
  return static_cast<uint64_t>(ToInteger(value, what, 0, static_cast<int64_t>(kMaxSafeInteger)));
}

Napi::Function ToCallback(const Napi::Value& value, const std::string& what) {
  if (IsNothing(value)) return {};
  if (!value.IsFunction()) Refuse(what, "a function", value);
  return value.As<Napi::Function>();
}

std::vector<int32_t> ToInt32s(const Napi::Value& value, const std::string& what) {
  const Elements elements = ElementsOf(value, napi_int32_array, "an Int32Array", what);
  std::vector<int32_t> result(elements.length);
  if (elements.length > 0) std::memcpy(result.data(), elements.data, elements.length * sizeof(int32_t));
  return result;
}

std::vector<float> ToFloats(const Napi::Value& value, const std::string& what) {
  const Elements elements = ElementsOf(value, napi_float32_array, "a Float32Array", what);
  std::vector<float> result(elements.length);
  if (elements.length > 0) std::memcpy(result.data(), elements.data, elements.length * sizeof(float));
  return result;
}

Napi::Array ToArray(const Napi::Value& value, const std::string& what) {
  if (value.IsEmpty() || !value.IsArray()) Refuse(what, "an array", value);
  return value.As<Napi::Array>();
}

HostBatch ToBatch(const Napi::Value& value, const std::string& what) {
  const Napi::Object object = ToObject(value, what);
  HostBatch batch;
  batch.input_ids = ToInt32s(object.Get("inputIds"), what + ".inputIds");
  const Napi::Value labels = object.Get("labels");
  if (!IsNothing(labels)) batch.labels = ToInt32s(labels, what + ".labels");
  batch.cu_seqlens = ToInt32s(object.Get("cuSeqlens"), what + ".cuSeqlens");
  const Napi::Value row_ids = object.Get("rowIds");
  if (!IsNothing(row_ids)) batch.row_ids = ToInt32s(row_ids, what + ".rowIds");
  return batch;
}

std::vector<HostBatch> ToBatches(const Napi::Value& value, const std::string& what) {
  const Napi::Array array = ToArray(value, what);
  std::vector<HostBatch> batches;
  for (uint32_t i = 0; i < array.Length(); ++i) batches.push_back(ToBatch(array.Get(i), fmt::format("{}[{}]", what, i)));
  FT_CHECK(!batches.empty(), kInvalidArgument, "{} must not be empty", what);
  return batches;
}

Napi::Value FromFloats(Napi::Env env, const at::Tensor& tensor) {
  const auto count = static_cast<size_t>(tensor.numel());
  const size_t bytes = count * sizeof(float);
  if (bytes >= kShareFromBytes) {
    auto* owner = new at::Tensor(tensor);
    napi_value buffer = nullptr;
    const napi_status status = napi_create_external_arraybuffer(
        env, owner->mutable_data_ptr<float>(), bytes, [](napi_env, void*, void* hint) { delete static_cast<at::Tensor*>(hint); }, owner,
        &buffer);
    if (status == napi_ok) return Napi::Float32Array::New(env, count, Napi::ArrayBuffer(env, buffer), 0);
    delete owner;  // a runtime without external buffers: copy
  }
  Napi::Float32Array array = Napi::Float32Array::New(env, count);
  if (count > 0) std::memcpy(array.Data(), tensor.const_data_ptr<float>(), bytes);
  return array;
}

Napi::Value FromInt32s(Napi::Env env, const std::vector<int32_t>& values) {
  Napi::Int32Array array = Napi::Int32Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(int32_t));
  return array;
}

Napi::Array FromShape(Napi::Env env, const std::vector<int64_t>& shape) {
  Napi::Array array = Napi::Array::New(env, shape.size());
  for (size_t i = 0; i < shape.size(); ++i) array.Set(static_cast<uint32_t>(i), FromInt(env, shape[i]));
  return array;
}

}  // namespace ft::binding
