// sentencepiece models (`.model`), through the shared library ft_sentencepiece, opened on first use from beside
// this binary. Files are checked before the library sees them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/text/sentencepiece_check.h"

struct FtSentencepiece;

namespace ft {

/// Version of the sentencepiece library, or "" where it is absent.
std::string SentencepieceVersion();

/// Immutable; may be used from several threads.
class SentencepieceModel {
 public:
  /// Errors: kSentencepieceMissing, kTokenizerMissing (no such file), kTokenizer (damaged or hostile), kStorage.
  static std::unique_ptr<SentencepieceModel> Load(const std::string& path);
  ~SentencepieceModel();

  struct Encoding {
    std::vector<int32_t> ids;
    std::vector<int32_t> offsets;  // [2 * ids]: byte begin and end of each id in the text
  };
  /// text: UTF-8. Errors: kInvalidArgument (not UTF-8, longer than 256 MiB), kTokenizer.
  Encoding Encode(const std::string& text) const;
  /// Errors: kInvalidArgument (an id outside the vocabulary), kTokenizer.
  std::string Decode(const std::vector<int32_t>& ids) const;
  const std::vector<SentencepiecePiece>& pieces() const { return pieces_; }

 private:
  SentencepieceModel() = default;
  FtSentencepiece* model_ = nullptr;
  std::vector<SentencepiecePiece> pieces_;
};

}  // namespace ft
