// Validation of ModelProto. See sentencepiece_check.h.
#include "core/text/sentencepiece_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "core/base/error.h"
#include "core/base/json.h"

namespace ft {
namespace {

// Longer than any real piece; bounds the recursion of the BPE decoder.
constexpr size_t kMaxPieceBytes = 4096;
// The library looks at no more than this many user-defined pieces that are prefixes of each other.
constexpr size_t kMaxNestedUserPieces = 64;
constexpr size_t kMaxSelfTestBytes = 1 << 20;
constexpr int kMaxModelType = 4;

constexpr int kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

[[noreturn]] void Refuse(const std::string& where, const std::string& reason) {
  throw Error(ErrorCode::kTokenizer, fmt::format("{}: not a valid sentencepiece model: {}", where, reason),
              "Copy the file again from where the model came from; a download that stopped early looks like this.")
      .With("path", where);
}

struct Field {
  uint64_t number;
  int type;
  uint64_t value;          // varint
  std::string_view bytes;  // kBytes; the raw 4 or 8 bytes for fixed types
};

/// Walks the fields of one message.
class Fields {
 public:
  Fields(std::string_view data, const std::string& where) : data_(data), where_(where) {}

  std::optional<Field> Next() {
    if (at_ >= data_.size()) return std::nullopt;
    const uint64_t tag = Varint();
    Field field{tag >> 3, static_cast<int>(tag & 7), 0, {}};
    if (field.number == 0 || field.number > 536870911) Refuse(where_, "a field number is out of range");
    switch (field.type) {
      case kVarint:
        field.value = Varint();
        break;
      case kFixed64:
        field.bytes = Take(8);
        break;
      case kBytes:
        field.bytes = Take(Varint());
        break;
      case kFixed32:
        field.bytes = Take(4);
        break;
      default:
        Refuse(where_, fmt::format("wire type {} is not used in these files", field.type));
    }
    return field;
  }

 private:
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      if (at_ >= data_.size()) Refuse(where_, "it ends inside a number");
      const auto byte = static_cast<unsigned char>(data_[at_++]);
      if (shift == 63 && byte > 1) break;
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    Refuse(where_, "a number is too long");
  }

  std::string_view Take(uint64_t size) {
    if (size > data_.size() - at_) Refuse(where_, "a field is longer than what is left of the file");
    const std::string_view taken = data_.substr(at_, size);
    at_ += size;
    return taken;
  }

  std::string_view data_;
  const std::string& where_;
  size_t at_ = 0;
};

std::string_view Bytes(const Field& field, const std::string& where, const char* name) {
  if (field.type != kBytes) Refuse(where, fmt::format("{} has wire type {}", name, field.type));
  return field.bytes;
}

uint64_t Number(const Field& field, const std::string& where, const char* name) {
  if (field.type != kVarint) Refuse(where, fmt::format("{} has wire type {}", name, field.type));
  return field.value;
}

float Float(const Field& field, const std::string& where, const char* name) {
  if (field.type != kFixed32) Refuse(where, fmt::format("{} has wire type {}", name, field.type));
  float value;
  std::memcpy(&value, field.bytes.data(), sizeof(value));
  if (!std::isfinite(value)) Refuse(where, fmt::format("{} is not finite", name));
  return value;
}

void CheckText(std::string_view text, const std::string& where, const char* name) {
  if (!IsUtf8(text)) Refuse(where, fmt::format("{} is not valid UTF-8", name));
}

SentencepiecePiece ReadPiece(std::string_view data, const std::string& where) {
  SentencepiecePiece piece;
  Fields fields(data, where);
  while (const auto field = fields.Next()) {
    if (field->number == 1) piece.piece = std::string(Bytes(*field, where, "piece"));
    if (field->number == 2) piece.score = Float(*field, where, "score");
    if (field->number == 3) piece.type = static_cast<int>(std::min<uint64_t>(Number(*field, where, "type"), 1000));
  }
  if (piece.piece.empty()) Refuse(where, "a piece is empty");
  if (piece.piece.size() > kMaxPieceBytes) Refuse(where, fmt::format("a piece is {} bytes long", piece.piece.size()));
  if (piece.piece.find('\0') != std::string::npos) Refuse(where, "a piece contains NUL");
  CheckText(piece.piece, where, "a piece");
  if (piece.type < 1 || piece.type > 6) Refuse(where, fmt::format("a piece has type {}", piece.type));
  return piece;
}

void CheckTrainer(std::string_view data, const std::string& where) {
  Fields fields(data, where);
  while (const auto field = fields.Next()) {
    if (field->number == 3) {
      const uint64_t type = Number(*field, where, "model_type");
      if (type < 1 || type > kMaxModelType) Refuse(where, fmt::format("model_type {} is unknown", type));
    }
    // unk_surface and the special pieces, all text
    if (field->number >= 44 && field->number <= 48) CheckText(Bytes(*field, where, "trainer_spec"), where, "trainer_spec");
  }
}

void CheckNormalizer(std::string_view data, const std::string& where) {
  Fields fields(data, where);
  while (const auto field = fields.Next()) {
    if (field->number == 2) {
      const std::string_view table = Bytes(*field, where, "precompiled_charsmap");
      if (!table.empty()) CheckNormalizationTable(table, where);
    } else if (field->number >= 3 && field->number <= 5) {
      Number(*field, where, "normalizer_spec");
    }
  }
}

void CheckSelfTest(std::string_view data, const std::string& where) {
  if (data.size() > kMaxSelfTestBytes) Refuse(where, "its self test is too large");
  Fields fields(data, where);
  while (const auto field = fields.Next()) {
    if (field->number != 1) continue;
    Fields sample(Bytes(*field, where, "self_test_data"), where);
    while (const auto part = sample.Next()) {
      if (part->number <= 2) CheckText(Bytes(*part, where, "self_test_data"), where, "self_test_data");
    }
  }
}

void CheckNesting(const std::vector<SentencepiecePiece>& pieces, const std::string& where) {
  std::vector<std::string_view> user;
  for (const SentencepiecePiece& piece : pieces) {
    if (piece.type == 4) user.push_back(piece.piece);
  }
  std::sort(user.begin(), user.end());
  std::vector<std::string_view> prefixes;  // of the current piece, shortest first
  for (const std::string_view piece : user) {
    while (!prefixes.empty() && piece.substr(0, prefixes.back().size()) != prefixes.back()) prefixes.pop_back();
    prefixes.push_back(piece);
    if (prefixes.size() > kMaxNestedUserPieces) Refuse(where, "too many user-defined pieces are prefixes of each other");
  }
}

}  // namespace

std::vector<SentencepiecePiece> CheckSentencepieceModel(std::string_view data, const std::string& where) {
  std::vector<SentencepiecePiece> pieces;
  Fields fields(data, where);
  while (const auto field = fields.Next()) {
    switch (field->number) {
      case 1:
        pieces.push_back(ReadPiece(Bytes(*field, where, "pieces"), where));
        break;
      case 2:
        CheckTrainer(Bytes(*field, where, "trainer_spec"), where);
        break;
      case 3:
      case 5:
        CheckNormalizer(Bytes(*field, where, "normalizer_spec"), where);
        break;
      case 4:
        CheckSelfTest(Bytes(*field, where, "self_test_data"), where);
        break;
      default:
        break;  // extensions
    }
  }
  if (pieces.empty()) Refuse(where, "it has no pieces");
  if (pieces.size() > INT32_MAX) Refuse(where, "it has too many pieces");
  CheckNesting(pieces, where);
  return pieces;
}

}  // namespace ft
