// Reader and writer of safetensors files (https://github.com/huggingface/safetensors, format section).
// Free of LibTorch. Contract of the reader: any byte sequence gives a valid SafetensorsFile or
// ft::Error; every entry is checked (dtype, shape product, offsets inside the file, no overlap, no holes)
// before it can be read. Nothing is mapped: reads are pread into the caller's buffer, so a file that
// shrinks meanwhile is an error, not a signal. A SafetensorsFile may be read from several threads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/dtype.h"

namespace ft {

struct TensorEntry {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  uint64_t offset;  // bytes from the start of the file
  uint64_t nbytes;
};

class SafetensorsFile {
 public:
  /// Errors: kSafetensors (damaged, truncated, hostile), kPickleRefused (a pickle by content), kStorage.
  static std::shared_ptr<SafetensorsFile> Open(const std::string& path);
  ~SafetensorsFile();

  const std::string& path() const;
  const std::vector<TensorEntry>& entries() const;  // in file order
  const TensorEntry* Find(const std::string& name) const;
  const std::map<std::string, std::string>& metadata() const;

  /// Reads `nbytes` of `entry` from byte `begin` of the tensor. Errors: kSafetensors when the file shrank.
  void Read(const TensorEntry& entry, uint64_t begin, void* destination, uint64_t nbytes) const;

 private:
  struct Impl;
  explicit SafetensorsFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The weights of a Hugging Face folder: model.safetensors, or the shards of
/// model.safetensors.index.json (names checked: no `..`, absolute path, NUL).
class WeightFolder {
 public:
  struct Location {
    const SafetensorsFile* file;
    const TensorEntry* entry;
  };
  /// Errors: kModelNotFound, kMissingShard, kPickleRefused (only *.bin / *.pt there), kUnsafePath, kSafetensors.
  static WeightFolder Open(const std::string& folder);

  /// nullptr entry when absent.
  Location Find(const std::string& name) const;
  const std::vector<std::shared_ptr<SafetensorsFile>>& files() const { return files_; }
  std::vector<std::string> names() const;
  uint64_t total_bytes() const;

 private:
  std::vector<std::shared_ptr<SafetensorsFile>> files_;
  std::map<std::string, Location> index_;
};

struct TensorHeader {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
};

/// Streams one safetensors file: the header is laid out first, then tensors are appended in the order given
/// to the constructor. Finish() fsyncs. A writer destroyed before Finish() unlinks its file.
/// Errors: kStorage with the system's reason (disk full, read-only, I/O error).
class SafetensorsWriter {
 public:
  SafetensorsWriter(std::string path, std::vector<TensorHeader> tensors, std::map<std::string, std::string> metadata);
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  /// Appends bytes of the current tensor; may be called several times a tensor, in order.
  void Append(const void* data, uint64_t nbytes);
  void Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ft
