// Files and folders with typed errors: every failure is kStorage with the system's reason, the path and
// a remedy (disk full, read-only, permission). Interrupted and short calls are retried. POSIX only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ft {

/// Throws kStorage: "cannot <action> <path>: <strerror>", with details path, errno and a remedy.
[[noreturn]] void ThrowStorage(std::string_view action, const std::string& path, int error_number);

/// An open file, closed on destruction. Movable, not copyable; ReadAt may be called from several threads.
class File {
 public:
  /// Opens a regular file for reading; a folder, FIFO or device is kStorage (and never blocks).
  static File OpenRead(const std::string& path);
  /// Creates or truncates a file for writing. A symbolic link at `path` is refused, not followed.
  static File Create(const std::string& path);

  /// Opens for reading and writing, creating the file when it is not there; keeps its content.
  static File OpenForLock(const std::string& path);

  File() = default;
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  const std::string& path() const { return path_; }

  uint64_t Size() const;
  /// Reads up to `nbytes` from byte `offset`; fewer only at the end of the file. Returns the bytes read.
  size_t ReadAt(uint64_t offset, void* destination, size_t nbytes) const;
  void WriteAt(uint64_t offset, const void* data, size_t nbytes);
  void Truncate();
  /// To stable storage.
  void Sync();
  /// Closes and reports what close() reports (some file systems say "disk full" only here).
  void Close();

 private:
  File(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_ = -1;
  std::string path_;
};

bool FileExists(const std::string& path);    // a regular file, links followed
bool FolderExists(const std::string& path);  // a folder, links followed
std::string JoinPath(const std::string& folder, std::string_view name);
/// "a/b/c" -> "a/b"; "c" -> "."; "/c" -> "/".
std::string ParentPath(const std::string& path);

/// The whole file; kStorage when it is larger than `max_bytes`.
std::string ReadSmallFile(const std::string& path, size_t max_bytes);
/// Makes the entries of a folder (creations, renames) durable.
void SyncFolder(const std::string& folder);
/// rename(2), then fsync of the folder.
void RenameDurably(const std::string& from, const std::string& to);
/// Writes <path>.tmp, fsyncs, renames: readers see the old content or the new, never a part.
void WriteFileAtomically(const std::string& path, std::string_view content);

}  // namespace ft
