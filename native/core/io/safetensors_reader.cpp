// SafetensorsFile: opens, validates and reads one file. See safetensors.h for the contract.
#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/io/safetensors.h"
#include "core/io/safetensors_header.h"

namespace ft {
namespace {

[[noreturn]] void Damaged(const std::string& path, const std::string& message, const char* remedy = nullptr) {
  throw Error(ErrorCode::kSafetensors, fmt::format("{}: {}", path, message),
              remedy != nullptr ? remedy : "The file is damaged or incomplete: fetch or save it again.")
      .With("path", path);
}

bool StartsWith(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

// Files of other kinds under a .safetensors name: say what they are. `head` is the first bytes of the file.
void RefuseOtherKinds(std::string_view head, const std::string& path) {
  using namespace std::string_view_literals;
  const bool json_follows = head.size() > kSafetensorsPrefix && head[kSafetensorsPrefix] == '{';
  if (json_follows) return;
  const bool zip = StartsWith(head, "PK\x03\x04"sv);
  // Opcode PROTO with a protocol that exists, as every pickle since Python 2.3 starts.
  const bool pickle = head.size() > 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5;
  if (zip || pickle) {
    throw Error(
        ErrorCode::kPickleRefused,
        fmt::format("{} is a {}, not a safetensors file: pickles can run code when they are read and are refused", path,
                    zip ? "PyTorch zip archive (pickle)" : "Python pickle"),
        "Convert it in Python: from safetensors.torch import save_file; "
        "save_file(torch.load(path, weights_only=True), 'model.safetensors').")
        .With("path", path);
  }
  if (StartsWith(head, "version https://git-lfs"sv)) {
    Damaged(path, "this is a Git LFS pointer, not the weights", "Run `git lfs pull` in that folder.");
  }
  if (StartsWith(head, "GGUF"sv)) {
    Damaged(path, "this is a GGUF file, not safetensors", "Use the model's safetensors release.");
  }
  if (StartsWith(head, "<!DOCTYPE"sv) || StartsWith(head, "<html"sv)) {
    Damaged(path, "this is a web page, not the weights", "The download went wrong: fetch the file again.");
  }
}

}  // namespace

struct SafetensorsFile::Impl {
  File file;
  SafetensorsHeader header;
  std::vector<uint32_t> by_name;  // indices of header.entries, sorted by name
};

SafetensorsFile::SafetensorsFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SafetensorsFile::~SafetensorsFile() = default;

std::shared_ptr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  impl->file = File::OpenRead(path);
  const uint64_t size = impl->file.Size();

  std::array<char, 64> head{};
  const size_t got = impl->file.ReadAt(0, head.data(), head.size());
  RefuseOtherKinds(std::string_view(head.data(), got), path);
  if (got < kSafetensorsPrefix || size < kSafetensorsPrefix) {
    Damaged(path, fmt::format("truncated: {} bytes, expected at least {}", std::min<uint64_t>(got, size),
                              kSafetensorsPrefix));
  }
  uint64_t length = 0;
  for (size_t i = 0; i < kSafetensorsPrefix; ++i) {
    length |= uint64_t{static_cast<unsigned char>(head[i])} << (8 * i);
  }
  if (length > kMaxSafetensorsHeader) {
    Damaged(path, fmt::format("the header claims {} bytes; safetensors allows {}", length, kMaxSafetensorsHeader));
  }
  if (length > size - kSafetensorsPrefix) {
    Damaged(path, fmt::format("truncated: the header claims {} bytes, the file holds {} after the length", length,
                              size - kSafetensorsPrefix));
  }
  std::string text(length, '\0');
  if (const size_t read = impl->file.ReadAt(kSafetensorsPrefix, text.data(), length); read < length) {
    Damaged(path, fmt::format("truncated: the header has {} bytes, only {} could be read", length, read));
  }
  impl->header = ParseSafetensorsHeader(text, kSafetensorsPrefix + length, size, path);

  const auto& entries = impl->header.entries;
  impl->by_name.resize(entries.size());
  std::iota(impl->by_name.begin(), impl->by_name.end(), 0u);
  std::sort(impl->by_name.begin(), impl->by_name.end(),
            [&](uint32_t a, uint32_t b) { return entries[a].name < entries[b].name; });
  return std::shared_ptr<SafetensorsFile>(new SafetensorsFile(std::move(impl)));
}

const std::string& SafetensorsFile::path() const { return impl_->file.path(); }
const std::vector<TensorEntry>& SafetensorsFile::entries() const { return impl_->header.entries; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const { return impl_->header.metadata; }

const TensorEntry* SafetensorsFile::Find(const std::string& name) const {
  const auto& entries = impl_->header.entries;
  const auto at =
      std::lower_bound(impl_->by_name.begin(), impl_->by_name.end(), name,
                       [&](uint32_t index, const std::string& wanted) { return entries[index].name < wanted; });
  return at != impl_->by_name.end() && entries[*at].name == name ? &entries[*at] : nullptr;
}

void SafetensorsFile::Read(const TensorEntry& entry, uint64_t begin, void* destination, uint64_t nbytes) const {
  FT_CHECK(begin <= entry.nbytes && nbytes <= entry.nbytes - begin, kInvalidArgument,
           "tensor \"{}\" has {} bytes; bytes {} to {} were asked for", entry.name, entry.nbytes, begin,
           begin + nbytes);
  const size_t got = impl_->file.ReadAt(entry.offset + begin, destination, nbytes);
  if (got < nbytes) {
    Damaged(path(),
            fmt::format("the file shrank while it was read: tensor \"{}\" ends at byte {}, the file now has {}",
                        entry.name, entry.offset + entry.nbytes, impl_->file.Size()),
            "Something is writing to the file: wait until it is done, or fetch the file again.");
  }
}

}  // namespace ft
