// SafetensorsWriter: streams tensors to <path>.tmp, which Finish() fsyncs and renames to <path>, so that
// <path> is never a partial file and a symbolic link there (a hub cache's) is replaced, not written through.
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/io/safetensors.h"
#include "core/io/safetensors_header.h"

namespace ft {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;  // small tensors share one write

}  // namespace

struct SafetensorsWriter::Impl {
  std::string path;
  std::string temporary;
  File file;
  uint64_t data_start = 0;
  std::vector<TensorEntry> tensors;  // in the order of Append; offsets count from data_start
  size_t current = 0;
  uint64_t written = 0;  // bytes of the current tensor
  std::string buffer;    // not yet written, for buffer_offset
  uint64_t buffer_offset = 0;
  bool finished = false;

  void Flush() {
    if (!buffer.empty()) file.WriteAt(buffer_offset, buffer.data(), buffer.size());
    buffer_offset += buffer.size();
    buffer.clear();
  }

  void Put(uint64_t offset, const char* data, size_t nbytes) {
    if (offset != buffer_offset + buffer.size() || buffer.size() + nbytes > kBufferBytes) {
      Flush();
      buffer_offset = offset;
    }
    if (nbytes < kBufferBytes) {
      buffer.append(data, nbytes);
      return;
    }
    file.WriteAt(offset, data, nbytes);
    buffer_offset = offset + nbytes;
  }

  void SkipDone() {
    while (current < tensors.size() && written == tensors[current].nbytes) {
      ++current;
      written = 0;
    }
  }
};

SafetensorsWriter::SafetensorsWriter(std::string path, std::vector<TensorHeader> tensors,
                                     std::map<std::string, std::string> metadata)
    : impl_(std::make_unique<Impl>()) {
  Impl& impl = *impl_;
  std::set<std::string> names;
  for (TensorHeader& tensor : tensors) {
    uint64_t nbytes = 0;
    FT_CHECK(TensorBytes(tensor.shape, tensor.dtype, &nbytes), kInvalidArgument, "tensor \"{}\": bad shape {}",
             tensor.name, ShapeText(tensor.shape));
    FT_CHECK(tensor.name != "__metadata__" && names.insert(tensor.name).second, kInvalidArgument,
             "tensor name \"{}\" is reserved or stands twice", tensor.name);
    impl.tensors.push_back({std::move(tensor.name), tensor.dtype, std::move(tensor.shape), 0, nbytes});
  }

  // Wide elements first, as the reference implementation lays them out: every tensor is then aligned to its
  // element, which some readers need. Within a width the given order stays.
  std::vector<size_t> order(impl.tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return DTypeSize(impl.tensors[a].dtype) > DTypeSize(impl.tensors[b].dtype);
  });
  std::vector<TensorEntry> layout;
  uint64_t offset = 0;
  for (const size_t index : order) {
    impl.tensors[index].offset = offset;
    FT_CHECK(!__builtin_add_overflow(offset, impl.tensors[index].nbytes, &offset) && offset <= uint64_t{INT64_MAX},
             kInvalidArgument, "the tensors together are too large for one file");
    layout.push_back(impl.tensors[index]);
  }
  const std::string header = BuildSafetensorsHeader(layout, metadata);

  impl.path = std::move(path);
  impl.temporary = impl.path + ".tmp";
  impl.data_start = header.size();
  ::unlink(impl.temporary.c_str());  // left by a process that was killed
  impl.file = File::Create(impl.temporary);
  try {
    impl.Put(0, header.data(), header.size());
  } catch (...) {
    ::unlink(impl.temporary.c_str());
    throw;
  }
  impl.SkipDone();
}

SafetensorsWriter::~SafetensorsWriter() {
  if (!impl_->finished) ::unlink(impl_->temporary.c_str());
}

void SafetensorsWriter::Append(const void* data, uint64_t nbytes) {
  Impl& impl = *impl_;
  const char* bytes = static_cast<const char*>(data);
  while (nbytes > 0) {
    FT_CHECK(impl.current < impl.tensors.size(), kInvalidArgument, "{}: {} bytes after the last tensor", impl.path,
             nbytes);
    const TensorEntry& tensor = impl.tensors[impl.current];
    const uint64_t part = std::min(nbytes, tensor.nbytes - impl.written);
    impl.Put(impl.data_start + tensor.offset + impl.written, bytes, part);
    impl.written += part;
    bytes += part;
    nbytes -= part;
    impl.SkipDone();
  }
}

void SafetensorsWriter::Finish() {
  Impl& impl = *impl_;
  FT_CHECK(!impl.finished, kInvalidArgument, "{} is finished already", impl.path);
  FT_CHECK(impl.current == impl.tensors.size(), kInvalidArgument, "{}: tensor \"{}\" has {} of {} bytes", impl.path,
           impl.tensors[impl.current].name, impl.written, impl.tensors[impl.current].nbytes);
  impl.Flush();
  impl.file.Sync();
  impl.file.Close();
  RenameDurably(impl.temporary, impl.path);
  impl.finished = true;
}

}  // namespace ft
