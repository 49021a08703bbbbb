// The engine's test runner: TEST(name) { … } with EXPECT macros, no dependency. A failed EXPECT is reported
// with file, line and values and the test goes on; an exception ends its test as failed.
#pragma once

#include <cmath>
#include <filesystem>
#include <sstream>
#include <string>

#include "core/base/error.h"

namespace ft::test {

using TestFunction = void (*)();
/// Adds a test; called by TEST before main.
bool Register(const char* name, const char* file, TestFunction function);
/// Marks the running test as failed and prints the message.
void Fail(const char* file, int line, const std::string& message);

/// Ends the running test; counted and printed as skipped.
struct Skipped {
  std::string reason;
};

/// A folder of its own for the running test, empty, removed afterwards.
std::filesystem::path TempFolder();

template <typename T>
std::string Show(const T& value) {
  if constexpr (requires(std::ostream& out) { out << value; }) {
    std::ostringstream out;
    out.precision(9);
    out << value;
    return out.str();
  } else {
    return "<value>";
  }
}

/// |a - b| <= tolerance * max(1, |b|), and both finite.
inline bool Close(double a, double b, double tolerance) {
  return std::isfinite(a) && std::isfinite(b) && std::fabs(a - b) <= tolerance * std::fmax(1.0, std::fabs(b));
}

}  // namespace ft::test

#define TEST(name)                                                                        \
  static void FtTest_##name();                                                            \
  static const bool ft_registered_##name = ::ft::test::Register(#name, __FILE__, FtTest_##name); \
  static void FtTest_##name()

#define EXPECT(condition)                                                   \
  do {                                                                      \
    if (!(condition)) ::ft::test::Fail(__FILE__, __LINE__, "expected " #condition); \
  } while (0)

#define EXPECT_EQ(actual, expected)                                                                          \
  do {                                                                                                       \
    const auto ft_actual = (actual);                                                                         \
    const auto ft_expected = (expected);                                                                     \
    if (!(ft_actual == ft_expected))                                                                         \
      ::ft::test::Fail(__FILE__, __LINE__,                                                                   \
                       std::string(#actual " is ") + ::ft::test::Show(ft_actual) + ", expected " +           \
                           ::ft::test::Show(ft_expected));                                                   \
  } while (0)

/// Relative to max(1, |expected|); infinities and NaN never pass.
#define EXPECT_CLOSE(actual, expected, tolerance)                                                            \
  do {                                                                                                       \
    const double ft_actual = static_cast<double>(actual);                                                    \
    const double ft_expected = static_cast<double>(expected);                                                \
    if (!::ft::test::Close(ft_actual, ft_expected, (tolerance)))                                             \
      ::ft::test::Fail(__FILE__, __LINE__,                                                                   \
                       std::string(#actual " is ") + ::ft::test::Show(ft_actual) + ", expected " +           \
                           ::ft::test::Show(ft_expected) + " within " + ::ft::test::Show(tolerance));        \
  } while (0)

/// The expression must throw ft::Error with this ErrorCode name (EXPECT_THROWS_CODE(F(), kSafetensors)).
#define EXPECT_THROWS_CODE(expression, error_code)                                                           \
  do {                                                                                                       \
    bool ft_threw = false;                                                                                   \
    try {                                                                                                    \
      (void)(expression);                                                                                    \
    } catch (const ::ft::Error& ft_error) {                                                                  \
      ft_threw = true;                                                                                       \
      if (ft_error.code() != ::ft::ErrorCode::error_code)                                                    \
        ::ft::test::Fail(__FILE__, __LINE__,                                                                 \
                         std::string(#expression " threw ") + ::ft::ErrorCodeName(ft_error.code()) +         \
                             " (" + ft_error.what() + "), expected " #error_code);                           \
    }                                                                                                        \
    if (!ft_threw) ::ft::test::Fail(__FILE__, __LINE__, #expression " did not throw, expected " #error_code); \
  } while (0)

#define SKIP(why) throw ::ft::test::Skipped { why }
