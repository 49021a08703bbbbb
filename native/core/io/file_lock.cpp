#include "core/io/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>
#include <thread>

#include "core/base/error.h"
#include "core/base/json.h"

namespace ft {
namespace {

constexpr const char* kLockName = ".ft-native.lock";

std::string Now() {
  const std::time_t seconds = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

std::string HostName() {
  char name[256] = {};
  if (::gethostname(name, sizeof(name) - 1) != 0 || !IsUtf8(name)) return "";
  return name;
}

// What the holder wrote about itself. It does so after it has the lock, so a reader may come too early.
Json ReadHolder(const File& file) {
  JsonOptions options;
  options.max_values = 100;
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::string text(1024, '\0');
    text.resize(file.ReadAt(0, text.data(), text.size()));
    try {
      Json holder = Json::Parse(text, options);
      const Json* pid = holder.Find("pid");
      if (pid != nullptr && pid->kind() == JsonKind::kInt) return holder;
    } catch (const Error&) {
      // Not written yet, or by something else: the lock itself is what counts.
    }
  }
  return Json();
}

std::string TextOf(const Json& holder, const char* key) {
  const Json* value = holder.Find(key);
  return value != nullptr && value->kind() == JsonKind::kString ? value->AsString() : "";
}

[[noreturn]] void RefuseLocked(const std::string& folder, const File& file) {
  const Json holder = ReadHolder(file);
  const std::string pid = holder.is_null() ? "" : std::to_string(holder.Find("pid")->AsInt());
  const std::string host = TextOf(holder, "host");
  const std::string started = TextOf(holder, "started");
  const std::string who = pid.empty() ? "another process"
                                      : fmt::format("process {}{}{}", pid, host.empty() ? "" : " on " + host,
                                                    started.empty() ? "" : " since " + started);
  throw Error(ErrorCode::kOutputLocked, fmt::format("{} is in use by {}", folder, who),
              pid.empty()
                  ? "Wait until it is done, or choose another output folder."
                  : fmt::format("Wait until process {} is done, stop it, or choose another output folder.", pid))
      .With("path", file.path())
      .With("pid", pid)
      .With("host", host)
      .With("started", started);
}

}  // namespace

FileLock FileLock::Acquire(const std::string& folder) {
  const std::string path = JoinPath(folder, kLockName);
  File file = File::OpenForLock(path);
  while (::flock(file.fd(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) RefuseLocked(folder, file);
    if (errno != EINTR) ThrowStorage("lock", path, errno);
  }
  const std::string about =
      Json(Json::Object{{"pid", static_cast<int64_t>(::getpid())}, {"host", HostName()}, {"started", Now()}}).Dump() +
      "\n";
  file.Truncate();
  file.WriteAt(0, about.data(), about.size());
  return FileLock(std::move(file));
}

void FileLock::Release() { file_ = File(); }

}  // namespace ft
