#include "core/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "core/base/error.h"

namespace ft {
namespace {

// One call moves at most this much: Linux caps a transfer at 2 GiB - 4 KiB, macOS refuses more than INT_MAX.
constexpr size_t kMaxTransfer = size_t{1} << 30;

const char* RemedyFor(int error_number) {
  switch (error_number) {
    case ENOSPC:
      return "Free space on that disk, or choose another folder.";
    case EDQUOT:
      return "The disk quota is used up: free space, or choose another folder.";
    case EFBIG:
      return "The file size limit of this process or file system is reached: raise it (ulimit -f), or choose another "
             "folder.";
    case EROFS:
      return "The file system is mounted read-only: choose a folder that can be written.";
    case EACCES:
    case EPERM:
      return "Check owner and permission of the path, or choose another one.";
    case ENOENT:
      return "Check the spelling of the path.";
    case ENOTDIR:
      return "A part of the path is a file, not a folder: check the path.";
    case EISDIR:
      return "The path is a folder where a file is expected.";
    case EIO:
      return "The disk reported an error: check its health and try another disk.";
    case EMFILE:
    case ENFILE:
      return "Too many files are open: raise the limit (ulimit -n).";
    case ELOOP:
      return "The path is a symbolic link (or a loop of them): give the real path.";
    default:
      return "Check the disk and the path, then try again.";
  }
}

template <typename Call>
auto RetryInterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

}  // namespace

void ThrowStorage(std::string_view action, const std::string& path, int error_number) {
  // std::error_code's text: strerror() shares one buffer between threads.
  const std::string reason = std::error_code(error_number, std::generic_category()).message();
  throw Error(ErrorCode::kStorage, fmt::format("cannot {} {}: {}", action, path, reason), RemedyFor(error_number))
      .With("path", path)
      .With("errno", std::to_string(error_number));
}

File File::OpenRead(const std::string& path) {
  if (path.find('\0') != std::string::npos) ThrowStorage("open", path.substr(0, path.find('\0')), EINVAL);
  // O_NONBLOCK: opening a FIFO must not wait for a writer. It has no effect on regular files.
  const int fd = RetryInterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
  if (fd < 0) ThrowStorage("open", path, errno);
  File file(fd, path);
  struct stat info {};
  if (::fstat(fd, &info) != 0) ThrowStorage("read", path, errno);
  if (S_ISDIR(info.st_mode)) ThrowStorage("read", path, EISDIR);
  if (!S_ISREG(info.st_mode)) {
    throw Error(ErrorCode::kStorage, fmt::format("cannot read {}: not a regular file", path),
                "Give the path of a plain file.")
        .With("path", path);
  }
  return file;
}

File File::Create(const std::string& path) {
  if (path.find('\0') != std::string::npos) ThrowStorage("create", path.substr(0, path.find('\0')), EINVAL);
  const int fd = RetryInterrupted(
      [&] { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666); });
  if (fd < 0) ThrowStorage("create", path, errno);
  return File(fd, path);
}

File File::OpenForLock(const std::string& path) {
  if (path.find('\0') != std::string::npos) ThrowStorage("create", path.substr(0, path.find('\0')), EINVAL);
  const int fd = RetryInterrupted(
      [&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666); });
  if (fd < 0) ThrowStorage("create", path, errno);
  return File(fd, path);
}

File::~File() {
  if (fd_ >= 0) ::close(fd_);
}

File::File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = std::exchange(other.fd_, -1);
    path_ = std::move(other.path_);
  }
  return *this;
}

uint64_t File::Size() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) ThrowStorage("read", path_, errno);
  return static_cast<uint64_t>(info.st_size);
}

size_t File::ReadAt(uint64_t offset, void* destination, size_t nbytes) const {
  size_t done = 0;
  while (done < nbytes) {
    const size_t want = std::min(nbytes - done, kMaxTransfer);
    const ssize_t got = RetryInterrupted(
        [&] { return ::pread(fd_, static_cast<char*>(destination) + done, want, static_cast<off_t>(offset + done)); });
    if (got < 0) ThrowStorage("read", path_, errno);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

void File::WriteAt(uint64_t offset, const void* data, size_t nbytes) {
  size_t done = 0;
  while (done < nbytes) {
    const size_t want = std::min(nbytes - done, kMaxTransfer);
    const ssize_t put = RetryInterrupted(
        [&] { return ::pwrite(fd_, static_cast<const char*>(data) + done, want, static_cast<off_t>(offset + done)); });
    if (put < 0) ThrowStorage("write", path_, errno);
    if (put == 0) ThrowStorage("write", path_, ENOSPC);
    done += static_cast<size_t>(put);
  }
}

void File::Truncate() {
  if (RetryInterrupted([&] { return ::ftruncate(fd_, 0); }) != 0) ThrowStorage("write", path_, errno);
}

void File::Sync() {
#ifdef F_FULLFSYNC
  // macOS: fsync() leaves data in the drive's cache. Not every file system knows F_FULLFSYNC.
  if (::fcntl(fd_, F_FULLFSYNC) == 0) return;
#endif
  if (RetryInterrupted([&] { return ::fsync(fd_); }) != 0) ThrowStorage("write", path_, errno);
}

void File::Close() {
  if (fd_ < 0) return;
  const int fd = std::exchange(fd_, -1);
  // Never retried: after EINTR Linux has closed the descriptor already.
  if (::close(fd) != 0 && errno != EINTR) ThrowStorage("write", path_, errno);
}

bool FileExists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool FolderExists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

std::string JoinPath(const std::string& folder, std::string_view name) {
  if (folder.empty()) return std::string(name);
  std::string path = folder;
  if (path.back() != '/') path += '/';
  return path.append(name);
}

std::string ParentPath(const std::string& path) {
  const size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return path.empty() ? "." : "/";
  const size_t slash = path.rfind('/', end);
  if (slash == std::string::npos) return ".";
  const size_t keep = path.find_last_not_of('/', slash);
  return keep == std::string::npos ? "/" : path.substr(0, keep + 1);
}

std::string ReadSmallFile(const std::string& path, size_t max_bytes) {
  const File file = File::OpenRead(path);
  const uint64_t size = file.Size();
  if (size > max_bytes) {
    throw Error(ErrorCode::kStorage,
                fmt::format("{} is too large: expected at most {} bytes, got {}", path, max_bytes, size),
                "Check that this is the file you meant.")
        .With("path", path);
  }
  // The size is a hint only: files under /proc say 0, and a file may grow meanwhile.
  std::string text(std::min<uint64_t>(std::max<uint64_t>(size + 1, 4096), max_bytes + 1), '\0');
  size_t used = 0;
  while (true) {
    used += file.ReadAt(used, text.data() + used, text.size() - used);
    if (used < text.size()) break;
    if (text.size() > max_bytes) {
      throw Error(ErrorCode::kStorage, fmt::format("{} is larger than {} bytes", path, max_bytes),
                  "Check that this is the file you meant.")
          .With("path", path);
    }
    text.resize(std::min(text.size() * 2, max_bytes + 1));
  }
  text.resize(used);
  return text;
}

void SyncFolder(const std::string& folder) {
  const int fd = RetryInterrupted([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) ThrowStorage("open folder", folder, errno);
  const int status = RetryInterrupted([&] { return ::fsync(fd); });
  const int error_number = errno;
  ::close(fd);
  // Some network file systems have no fsync for folders; there is nothing more to ask of them.
  if (status != 0 && error_number != EINVAL && error_number != ENOTSUP)
    ThrowStorage("sync folder", folder, error_number);
}

void RenameDurably(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) ThrowStorage("rename to", to, errno);
  SyncFolder(ParentPath(to));
}

void WriteFileAtomically(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".tmp";
  try {
    File file = File::Create(temporary);
    file.WriteAt(0, content.data(), content.size());
    file.Sync();
    file.Close();
    RenameDurably(temporary, path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
}

}  // namespace ft
