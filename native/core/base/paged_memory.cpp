#include "core/base/paged_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/base/error.h"

namespace ft {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string TemporaryFolder() {
  const char* asked = std::getenv("TMPDIR");
  return asked != nullptr && *asked != '\0' ? asked : "/tmp";
}

// Returns 0 or an errno.
int Reserve(int fd, off_t bytes) {
#ifdef __APPLE__
  fstore_t request{F_ALLOCATEALL, F_PEOFPOSMODE, 0, bytes, 0};
  if (::fcntl(fd, F_PREALLOCATE, &request) != 0) return errno;
  return ::ftruncate(fd, bytes) == 0 ? 0 : errno;
#else
  return ::posix_fallocate(fd, 0, bytes);
#endif
}

}  // namespace

std::shared_ptr<void> PagedMemory(size_t bytes) {
  const std::string folder = TemporaryFolder();
  std::string path = folder + "/ft-native-paged-XXXXXX";
  const auto refuse = [&](int error) {
    throw Error(ErrorCode::kStorage, fmt::format("{} bytes of paged optimizer state cannot be placed in {}: {}", bytes, folder, std::strerror(error)),
                "Free space there, name another folder with TMPDIR, or use --optimizer adamw_8bit.")
        .With("path", folder);
  };
  const Descriptor file(::mkstemp(path.data()));
  if (file.get() < 0) refuse(errno);
  ::unlink(path.c_str());
  if (const int error = Reserve(file.get(), static_cast<off_t>(bytes)); error != 0) refuse(error);
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  FT_CHECK(data != MAP_FAILED, kOutOfMemory, "{} bytes of paged optimizer state cannot be mapped: {}", bytes, std::strerror(errno));
  return {data, [bytes](void* pointer) { ::munmap(pointer, bytes); }};
}

}  // namespace ft
