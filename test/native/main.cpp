// Runs the registered tests: ft_core_tests [filter]... runs those whose name or file contains one of the
// filters. Prints "N passed, N failed, N skipped" last; exits 1 when a test failed or none matched.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <vector>

#include "test.h"

namespace ft::test {
namespace {

struct TestCase {
  const char* name;
  const char* file;
  TestFunction function;
};

std::vector<TestCase>& Tests() {
  static std::vector<TestCase> tests;
  return tests;
}

bool current_failed = false;
std::filesystem::path current_folder;

bool Selected(const TestCase& test, const std::vector<std::string>& filters) {
  if (filters.empty()) return true;
  for (const std::string& filter : filters) {
    if (std::strstr(test.name, filter.c_str()) != nullptr || std::strstr(test.file, filter.c_str()) != nullptr) return true;
  }
  return false;
}

enum class Outcome { kPassed, kFailed, kSkipped };

Outcome RunOne(const TestCase& test, std::string* skip_reason) {
  current_failed = false;
  Outcome outcome = Outcome::kPassed;
  try {
    test.function();
  } catch (const Skipped& skipped) {
    *skip_reason = skipped.reason;
    outcome = Outcome::kSkipped;
  } catch (const Error& error) {
    Fail(test.file, 0, std::string("uncaught ") + ErrorCodeName(error.code()) + ": " + error.what());
  } catch (const std::exception& error) {
    Fail(test.file, 0, std::string("uncaught exception: ") + error.what());
  }
  if (!current_folder.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(current_folder, ignored);
    current_folder.clear();
  }
  return current_failed ? Outcome::kFailed : outcome;
}

}  // namespace

bool Register(const char* name, const char* file, TestFunction function) {
  Tests().push_back({name, file, function});
  return true;
}

void Fail(const char* file, int line, const std::string& message) {
  current_failed = true;
  std::printf("  %s:%d: %s\n", file, line, message.c_str());
}

std::filesystem::path TempFolder() {
  if (current_folder.empty()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "ft_core_test_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed: " + pattern);
    current_folder = pattern;
  }
  return current_folder;
}

}  // namespace ft::test

int main(int argc, char** argv) {
  using namespace ft::test;
  const std::vector<std::string> filters(argv + 1, argv + argc);
  int passed = 0, failed = 0, skipped = 0;
  for (const TestCase& test : Tests()) {
    if (!Selected(test, filters)) continue;
    std::string skip_reason;
    const auto start = std::chrono::steady_clock::now();
    const Outcome outcome = RunOne(test, &skip_reason);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    switch (outcome) {
      case Outcome::kPassed:
        ++passed;
        std::printf("ok      %s (%.2f s)\n", test.name, seconds);
        break;
      case Outcome::kFailed:
        ++failed;
        std::printf("FAILED  %s\n", test.name);
        break;
      case Outcome::kSkipped:
        ++skipped;
        std::printf("skipped %s: %s\n", test.name, skip_reason.c_str());
        break;
    }
    std::fflush(stdout);
  }
  if (passed + failed + skipped == 0) std::printf("no test matches\n");
  std::printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed > 0 || passed + failed + skipped == 0 ? 1 : 0;
}
