// The program around a fuzz target where libFuzzer is missing: runs the target on every file it is given, and on
// every truncation and byte change of small ones. Under sanitizers a crash is the failure; it prints what it ran.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kMutatedUpTo = 4096;

size_t Run(const std::string& bytes) {
  // A copy of exact size, so that a read past the end is seen by the address sanitizer.
  const std::vector<uint8_t> copy(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
  return 1;
}

size_t RunAround(const std::string& bytes) {
  size_t runs = Run(bytes);
  if (bytes.size() > kMutatedUpTo) return runs;
  for (size_t at = 0; at < bytes.size(); ++at) {
    runs += Run(bytes.substr(0, at));
    for (const int change : {0x01, 0x20, 0x80}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ change);
      runs += Run(changed);
    }
  }
  return runs;
}

}  // namespace

int main(int argc, char** argv) {
  size_t files = 0, runs = 0;
  const auto one = [&](const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    runs += RunAround({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
    ++files;
  };
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      one(argv[i]);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (entry.is_regular_file()) one(entry.path());
    }
  }
  std::printf("%zu files, %zu runs\n", files, runs);
  return files == 0 ? 1 : 0;
}
