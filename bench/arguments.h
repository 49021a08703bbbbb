// For ft_bench: its command line, `--name value` pairs after the command.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/base/error.h"

namespace ft::bench {

class Arguments {
 public:
  Arguments(int argc, char** argv) {
    for (int i = 2; i < argc; i += 2) {
      const std::string flag = argv[i];
      FT_CHECK(flag.rfind("--", 0) == 0 && i + 1 < argc, kUsage, "expected --name value, got {}", flag);
      values_[flag.substr(2)] = argv[i + 1];
    }
  }
  std::string Text(const std::string& name, const std::string& fallback) const {
    const auto found = values_.find(name);
    return found == values_.end() ? fallback : found->second;
  }
  int64_t Number(const std::string& name, int64_t fallback) const {
    const std::string text = Text(name, std::to_string(fallback));
    FT_CHECK(!text.empty() && text.size() < 10 && text.find_first_not_of("0123456789") == std::string::npos, kUsage,
             "--{} must be a whole number, got {}", name, text);
    return std::stoll(text);
  }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace ft::bench
