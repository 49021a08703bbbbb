// io/file_lock: one writer a folder, named in the refusal, and gone with its process (D6).
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "core/base/json.h"
#include "core/io/file_lock.h"
#include "io_helpers.h"

namespace ft::test {
namespace {

// Forks a process that takes the lock, says so, and sleeps until it is killed.
pid_t HoldInChild(const std::string& folder) {
  int ready[2];
  if (pipe(ready) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    try {
      const FileLock lock = FileLock::Acquire(folder);
      [[maybe_unused]] const ssize_t said = write(ready[1], "y", 1);
      for (;;) pause();
    } catch (...) {
      _exit(1);
    }
  }
  close(ready[1]);
  char answer = 0;
  const bool held = read(ready[0], &answer, 1) == 1;
  close(ready[0]);
  return held ? child : -1;
}

TEST(lock_excludes_and_names_the_holder) {
  const std::string folder = TempFolder().string();
  std::optional<FileLock> lock = FileLock::Acquire(folder);
  EXPECT(lock->held());
  const Json about = Json::Parse(ReadFixture(lock->path()), {});
  EXPECT_EQ(about.Find("pid")->AsInt(), int64_t{getpid()});
  EXPECT(about.Find("host") != nullptr && about.Find("started") != nullptr);
  EXPECT_THROWS_CODE(FileLock::Acquire(folder), kOutputLocked);
  const std::string message = MessageOf([&] { FileLock::Acquire(folder); });
  EXPECT(Contains(message, folder) && Contains(message, std::to_string(getpid())));
  lock.reset();
  FileLock again = FileLock::Acquire(folder);
  again.Release();
  again.Release();
  EXPECT(!again.held());
  FileLock::Acquire(folder).Release();
}

TEST(lock_dies_with_its_process) {
  const std::string folder = TempFolder().string();
  const pid_t child = HoldInChild(folder);
  EXPECT(child > 0);
  if (child <= 0) return;
  try {
    FileLock::Acquire(folder);
    EXPECT(false);
  } catch (const Error& error) {
    EXPECT(error.code() == ErrorCode::kOutputLocked);
    EXPECT_EQ(error.details().at("pid"), std::to_string(child));
    EXPECT(Contains(error.remedy(), std::to_string(child)));
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT(FileLock::Acquire(folder).held());  // the stale file is no obstacle
}

TEST(lock_is_not_inherited_by_programs) {
  FileLock lock = FileLock::Acquire(TempFolder().string());
  int started[2];
  EXPECT_EQ(pipe(started), 0);
  for (const int fd : started) fcntl(fd, F_SETFD, FD_CLOEXEC);
  const pid_t child = fork();
  if (child == 0) {
    execlp("sleep", "sleep", "600", static_cast<char*>(nullptr));
    _exit(127);
  }
  // The child's end of the pipe closes in exec, like the lock's descriptor: reading the end means it happened.
  close(started[1]);
  char nothing;
  EXPECT_EQ(read(started[0], &nothing, 1), ssize_t{0});
  close(started[0]);
  EXPECT_EQ(kill(child, 0), 0);
  lock.Release();
  EXPECT(FileLock::Acquire(TempFolder().string()).held());
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST(lock_with_an_unreadable_note_still_refuses) {
  const std::string folder = TempFolder().string();
  const FileLock lock = FileLock::Acquire(folder);
  for (const char* note : {"", "garbage", "{\"pid\":\"x\"}", "[]"}) {
    if (truncate(lock.path().c_str(), 0) != 0) EXPECT(false);
    const int fd = open(lock.path().c_str(), O_WRONLY);
    EXPECT(write(fd, note, std::string(note).size()) >= 0);
    close(fd);
    EXPECT(Contains(MessageOf([&] { FileLock::Acquire(folder); }), "another process"));
  }
}

TEST(lock_errors_are_typed) {
  EXPECT_THROWS_CODE(FileLock::Acquire((TempFolder() / "absent").string()), kStorage);
  const std::string folder = TempFolder().string();
  const std::string victim = WriteFixture("victim", "keep");
  std::filesystem::create_symlink(victim, TempFolder() / ".ft-native.lock");
  EXPECT_THROWS_CODE(FileLock::Acquire(folder), kStorage);  // links are not written through
  EXPECT_EQ(ReadFixture(victim), std::string("keep"));
}

}  // namespace
}  // namespace ft::test
