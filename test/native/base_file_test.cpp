// base/file and base/memory: typed storage errors, atomic writes, figures that make sense.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <vector>

#include "core/base/file.h"
#include "core/base/memory.h"
#include "io_helpers.h"

namespace ft::test {
namespace {

// The size limit of this process's files, put back on destruction. SIGXFSZ is ignored, as Node.js does.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_);
    rlimit limited = old_;
    limited.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limited);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_{};
  void (*old_handler_)(int);
};

TEST(file_round_trip) {
  const std::string path = (TempFolder() / "a.bin").string();
  File file = File::Create(path);
  file.WriteAt(4, "tail", 4);
  file.WriteAt(0, "head", 4);
  file.Sync();
  file.Close();
  EXPECT_EQ(ReadSmallFile(path, 100), std::string("headtail"));
  char part[10];
  const File input = File::OpenRead(path);
  EXPECT_EQ(input.Size(), uint64_t{8});
  EXPECT_EQ(input.ReadAt(6, part, 10), size_t{2});
  EXPECT_EQ(input.ReadAt(100, part, 10), size_t{0});
}

TEST(file_errors_name_path_and_reason) {
  const std::string missing = (TempFolder() / "no" / "such").string();
  EXPECT_THROWS_CODE(File::OpenRead(missing), kStorage);
  EXPECT_THROWS_CODE(File::Create(missing), kStorage);
  const std::string message = MessageOf([&] { File::OpenRead(missing); });
  EXPECT(Contains(message, missing) && Contains(message, "No such file"));
  EXPECT_THROWS_CODE(File::OpenRead(TempFolder().string()), kStorage);
  EXPECT_THROWS_CODE(File::OpenRead(std::string("a\0b", 3)), kStorage);
}

TEST(file_fifo_is_refused_without_waiting) {
  const std::string path = (TempFolder() / "fifo").string();
  EXPECT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_THROWS_CODE(File::OpenRead(path), kStorage);
}

TEST(file_create_does_not_follow_links) {
  const std::string target = WriteFixture("target", "precious");
  const std::string link = (TempFolder() / "link").string();
  EXPECT_EQ(symlink(target.c_str(), link.c_str()), 0);
  EXPECT_THROWS_CODE(File::Create(link), kStorage);
  EXPECT_EQ(ReadFixture(target), std::string("precious"));
}

TEST(file_read_only_folder) {
  const std::string folder = TempFolder().string();
  chmod(folder.c_str(), 0500);
  const bool root = geteuid() == 0;  // root may write anywhere: become nobody for a moment
  if (root) EXPECT_EQ(seteuid(65534), 0);
  const std::string message = MessageOf([&] { WriteFileAtomically(folder + "/x", "y"); });
  if (root) EXPECT_EQ(seteuid(0), 0);
  chmod(folder.c_str(), 0700);
  EXPECT(Contains(message, "Permission denied"));
}

#ifdef __linux__
TEST(file_full_disk) {
  File file = File::Create("/dev/full");
  try {
    file.WriteAt(0, "x", 1);
    EXPECT(false);
  } catch (const Error& error) {
    EXPECT(error.code() == ErrorCode::kStorage);
    EXPECT(Contains(error.what(), "No space left on device"));
    EXPECT(Contains(error.remedy(), "Free space"));
    EXPECT_EQ(error.details().at("path"), std::string("/dev/full"));
  }
}
#endif

TEST(file_atomic_write_replaces_whole_files) {
  const std::string path = WriteFixture("state.json", "old");
  WriteFileAtomically(path, "new content");
  EXPECT_EQ(ReadFixture(path), std::string("new content"));
  EXPECT(!FileExists(path + ".tmp"));
}

TEST(file_write_failure_keeps_the_old_file) {
  const std::string path = WriteFixture("state.json", "old");
  std::string message;
  {
    FileSizeLimit limit(4096);
    message = MessageOf([&] { WriteFileAtomically(path, std::string(10000, 'x')); });
  }
  EXPECT(Contains(message, "File too large"));
  EXPECT_EQ(ReadFixture(path), std::string("old"));
  EXPECT(!FileExists(path + ".tmp"));
}

TEST(file_read_small_file_limits) {
  const std::string path = WriteFixture("ten", "0123456789");
  EXPECT_EQ(ReadSmallFile(path, 10), std::string("0123456789"));
  EXPECT_THROWS_CODE(ReadSmallFile(path, 9), kStorage);
  EXPECT_EQ(ReadSmallFile(WriteFixture("empty", ""), 0), std::string());
  EXPECT_EQ(ReadSmallFile(WriteFixture("big", std::string(100'000, 'z')), 1'000'000), std::string(100'000, 'z'));
}

TEST(file_parent_path) {
  EXPECT_EQ(ParentPath("a/b/c"), std::string("a/b"));
  EXPECT_EQ(ParentPath("c"), std::string("."));
  EXPECT_EQ(ParentPath("/c"), std::string("/"));
  EXPECT_EQ(ParentPath("a//b//"), std::string("a"));
  EXPECT_EQ(ParentPath("/"), std::string("/"));
  EXPECT_EQ(ParentPath(""), std::string("."));
}

TEST(memory_figures_are_plausible) {
  const uint64_t before = PeakResidentBytes();
  constexpr size_t kBlock = size_t{64} << 20;
  std::vector<char> block(kBlock);
  for (size_t i = 0; i < kBlock; i += 4096) block[i] = static_cast<char>(i >> 12);
  EXPECT(ResidentBytes() > kBlock);
  EXPECT(PeakResidentBytes() >= ResidentBytes() / 2);
  EXPECT(PeakResidentBytes() >= before);
  EXPECT(AvailableBytes() > 0);
  EXPECT(block[4096] == 1);
}

}  // namespace
}  // namespace ft::test
