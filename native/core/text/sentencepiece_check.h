// Checks a sentencepiece model file (protobuf ModelProto, sentencepiece_model.proto of
// https://github.com/google/sentencepiece) before the library parses it: versions before 0.2.1 trust the
// normalisation table inside. Free of sentencepiece and protobuf.
// Contract: any byte sequence gives a result or ft::Error (kTokenizer).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ft {

struct SentencepiecePiece {
  std::string piece;  // UTF-8
  float score = 0;
  int type = 1;  // 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte
};

/// `where` names the file in messages. Returns the vocabulary: index = id.
std::vector<SentencepiecePiece> CheckSentencepieceModel(std::string_view data, const std::string& where);

/// The table of a normaliser: uint32 size, a double array (https://github.com/s-yata/darts-clone) of that many
/// bytes, NUL-terminated strings. Checks that no walk through it, for any text, leaves it.
void CheckNormalizationTable(std::string_view blob, const std::string& where);

}  // namespace ft
