// ft_sentencepiece: sentencepiece behind a C interface (see sentencepiece_shim.h). The only file that includes
// sentencepiece's headers; built into a shared library of its own where sentencepiece is installed.
#include "core/text/sentencepiece_shim.h"

#include <sentencepiece_processor.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#define FT_SP_EXPORT extern "C" __attribute__((visibility("default")))

struct FtSentencepiece {
  sentencepiece::SentencePieceProcessor processor;
};

namespace {

int Fail(FtSpMessage message, const char* text) {
  if (message.text != nullptr && message.size > 0) std::snprintf(message.text, message.size, "%s", text);
  return 1;
}

template <class Body>
int Guard(FtSpMessage message, Body body) {
  try {
    return body();
  } catch (const std::exception& error) {
    return Fail(message, error.what());
  } catch (...) {
    return Fail(message, "an unknown C++ exception");
  }
}

int Status(const sentencepiece::util::Status& status, FtSpMessage message) {
  return status.ok() ? 0 : Fail(message, status.ToString().c_str());
}

/// malloc'ed copy of a vector; also for an empty one.
int32_t* Copy(const std::vector<int32_t>& values) {
  auto* copy = static_cast<int32_t*>(std::malloc(values.size() * sizeof(int32_t) + 1));
  if (copy == nullptr) throw std::bad_alloc();
  if (!values.empty()) std::memcpy(copy, values.data(), values.size() * sizeof(int32_t));
  return copy;
}

}  // namespace

FT_SP_EXPORT int ft_sp_abi() { return FT_SP_ABI; }

FT_SP_EXPORT const char* ft_sp_version() { return FT_SENTENCEPIECE_VERSION; }

FT_SP_EXPORT int ft_sp_load(const char* data, size_t size, FtSentencepiece** model, FtSpMessage message) {
  return Guard(message, [&] {
    auto made = std::make_unique<FtSentencepiece>();
    if (Status(made->processor.LoadFromSerializedProto({data, size}), message) != 0) return 1;
    *model = made.release();
    return 0;
  });
}

FT_SP_EXPORT int ft_sp_encode(const FtSentencepiece* model, const char* text, size_t size, int32_t** ids, int32_t** offsets, size_t* count,
                              FtSpMessage message) {
  return Guard(message, [&] {
    sentencepiece::ImmutableSentencePieceText pieces;
    if (Status(model->processor.Encode({text, size}, pieces.mutable_proto()), message) != 0) return 1;
    const size_t n = pieces.pieces_size();
    std::vector<int32_t> made_ids(n);
    std::vector<int32_t> made_offsets(2 * n);
    for (size_t i = 0; i < n; ++i) {
      const auto piece = pieces.pieces(static_cast<int>(i));
      made_ids[i] = static_cast<int32_t>(piece.id());
      made_offsets[2 * i] = static_cast<int32_t>(piece.begin());
      made_offsets[2 * i + 1] = static_cast<int32_t>(piece.end());
    }
    std::unique_ptr<int32_t, decltype(&std::free)> first(Copy(made_ids), &std::free);
    *offsets = Copy(made_offsets);
    *ids = first.release();
    *count = n;
    return 0;
  });
}

FT_SP_EXPORT int ft_sp_decode(const FtSentencepiece* model, const int32_t* ids, size_t count, char** text, size_t* size, FtSpMessage message) {
  return Guard(message, [&] {
    std::string made;
    if (Status(model->processor.Decode(std::vector<int>(ids, ids + count), &made), message) != 0) return 1;
    auto* copy = static_cast<char*>(std::malloc(made.size() + 1));
    if (copy == nullptr) throw std::bad_alloc();
    std::memcpy(copy, made.data(), made.size());
    *text = copy;
    *size = made.size();
    return 0;
  });
}

FT_SP_EXPORT size_t ft_sp_size(const FtSentencepiece* model) { return static_cast<size_t>(model->processor.GetPieceSize()); }

FT_SP_EXPORT void ft_sp_free(void* memory) { std::free(memory); }

FT_SP_EXPORT void ft_sp_destroy(FtSentencepiece* model) { delete model; }
