// Shared by the tests of files and parsers: writing fixtures, hand-made safetensors, a small random source.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "test.h"

namespace ft::test {

inline std::string WriteFixture(const std::string& name, const std::string& content) {
  const std::filesystem::path path = TempFolder() / name;
  std::filesystem::create_directories(path.parent_path());
  std::filesystem::remove(path);  // ext4 flushes a file that is truncated and written again: slow in a loop
  std::ofstream(path, std::ios::binary) << content;
  return path.string();
}

inline std::string ReadFixture(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline std::string Prefix(uint64_t length) {
  std::string out(8, '\0');
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>((length >> (8 * i)) & 0xFF);
  return out;
}

/// Prefix, header and `data_bytes` bytes of data.
inline std::string Safetensors(const std::string& header, size_t data_bytes) {
  return Prefix(header.size()) + header + std::string(data_bytes, '\x01');
}

/// xorshift64*: the same numbers on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2654435769u + 88172645463325252u) {}
  uint64_t Next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 2685821657736338717u;
  }
  size_t Below(size_t bound) { return static_cast<size_t>(Next() % bound); }

 private:
  uint64_t state_;
};

/// One random edit: flips, deletions, duplications, numbers replaced by hostile ones, pieces swapped.
inline std::string Mutate(std::string text, Random& random) {
  static const std::vector<std::string> kHostile = {"-1",
                                                    "0",
                                                    "18446744073709551615",
                                                    "9223372036854775807",
                                                    "9223372036854775808",
                                                    "1e400",
                                                    "-0",
                                                    "1.5",
                                                    "null",
                                                    "true",
                                                    "\"\"",
                                                    "[]",
                                                    "{}",
                                                    "[[[[[[[[[[",
                                                    "\"\\ud800\"",
                                                    "\xff\xfe",
                                                    "4294967296",
                                                    "\"F8_E4M3\"",
                                                    "\"a\":",
                                                    ",",
                                                    "}",
                                                    "]"};
  const auto at = [&] { return text.empty() ? 0 : random.Below(text.size()); };
  switch (random.Below(7)) {
    case 0:
      if (!text.empty()) text[at()] ^= static_cast<char>(1 << random.Below(8));
      break;
    case 1:
      text.resize(text.empty() ? 0 : at());
      break;
    case 2: {
      const size_t start = at();
      text.erase(start, 1 + random.Below(8));
      break;
    }
    case 3: {
      const size_t start = at();
      text.insert(at(), text.substr(start, 1 + random.Below(40)));
      break;
    }
    case 4:
      text.insert(at(), kHostile[random.Below(kHostile.size())]);
      break;
    case 5: {  // replace a number
      const size_t start = text.find_first_of("0123456789", at());
      if (start == std::string::npos) break;
      size_t end = start;
      while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
      text.replace(start, end - start, kHostile[random.Below(kHostile.size())]);
      break;
    }
    default: {  // swap two pieces
      const size_t a = at(), b = at(), length = 1 + random.Below(12);
      const std::string piece = text.substr(a, length);
      text.replace(a, piece.size(), text.substr(b, length));
      break;
    }
  }
  return text;
}

/// The oracle of every parser: it returns, or throws ft::Error with a message. Anything else escapes and fails the
/// test.
inline bool SucceedsOrThrowsError(const std::function<void()>& parse) {
  try {
    parse();
    return true;
  } catch (const Error& error) {
    EXPECT(std::string(error.what()).size() > 5);
    return false;
  }
}

/// The message of the ft::Error that `call` throws, "" when it throws none.
inline std::string MessageOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

inline bool Contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace ft::test
