// One writer per folder: an advisory lock (flock) on <folder>/.ft-native.lock. The kernel drops it when the
// process ends, however it ends; the file stays. Child processes do not inherit it (O_CLOEXEC).
#pragma once

#include <string>

#include "core/base/file.h"

namespace ft {

class FileLock {
 public:
  /// Takes the lock without waiting. Errors: kOutputLocked (names the holder: details pid, host, started),
  /// kStorage (the folder is missing or cannot be written, the file system has no locks).
  static FileLock Acquire(const std::string& folder);

  FileLock(FileLock&&) noexcept = default;
  FileLock& operator=(FileLock&&) noexcept = default;
  /// Idempotent; the destructor does it too.
  void Release();
  bool held() const { return file_.is_open(); }
  const std::string& path() const { return file_.path(); }

 private:
  explicit FileLock(File file) : file_(std::move(file)) {}
  File file_;
};

}  // namespace ft
