// The fuzz targets of test/native/fuzz over their seeds and past crashes (test/fixtures/fuzz) and changes of them. A finding goes
// into that folder as a file: from then on every test run repeats it. A target aborts, or a sanitizer does, where it fails.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "test.h"

#define LLVMFuzzerTestOneInput FuzzConfig
#include "fuzz/config.cc"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput FuzzJson
#include "fuzz/json.cc"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput FuzzSafetensors
#include "fuzz/safetensors.cc"
#undef LLVMFuzzerTestOneInput

namespace ft::test {
namespace {

using Target = int (*)(const uint8_t*, size_t);

void Run(Target target, const std::string& bytes) {
  const std::vector<uint8_t> exact(bytes.begin(), bytes.end());  // a read past the end is seen
  EXPECT_EQ(target(exact.data(), exact.size()), 0);
}

// Every file, and about `changes` truncations and changed bytes of it.
size_t Replay(Target target, const std::filesystem::path& folder, size_t changes) {
  size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    ++files;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    Run(target, bytes);
    const size_t stride = std::max<size_t>(1, bytes.size() / changes);
    for (size_t at = 0; at < bytes.size(); at += stride) {
      Run(target, bytes.substr(0, at));
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ (at % 2 == 0 ? 0x01 : 0x80));
      Run(target, changed);
    }
  }
  return files;
}

const std::filesystem::path kSeeds = FT_FIXTURES "/fuzz";

}  // namespace

TEST(fuzz_replay_json) { EXPECT(Replay(FuzzJson, kSeeds / "json", 100) >= 12); }
TEST(fuzz_replay_safetensors) { EXPECT(Replay(FuzzSafetensors, kSeeds / "safetensors", 100) >= 18); }
TEST(fuzz_replay_config) { EXPECT(Replay(FuzzConfig, kSeeds / "config", 20) >= 16); }

}  // namespace ft::test
