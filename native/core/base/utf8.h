// UTF-8: the length of a sequence, and code points as bytes. Free of LibTorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ft {

/// Length of the sequence at `at`, or 0 when it is malformed (Unicode table 3-7).
size_t Utf8Length(std::string_view text, size_t at);
void AppendCodePoint(std::string* out, uint32_t point);
/// True when `text` is well-formed (no surrogates, no overlong forms, at most U+10FFFF).
bool IsUtf8(std::string_view text);
/// At most `most` bytes of UTF-8 text, cut between characters and marked with "…": for names in messages.
std::string Shorten(const std::string& text, size_t most = 100);

}  // namespace ft
