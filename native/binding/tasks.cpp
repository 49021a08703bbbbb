// Counting of engine tasks and the way out of a process in the middle of one. See tasks.h.
#include "binding/tasks.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>
#include <utility>

#include "core/engine/engine_thread.h"

namespace ft::binding {
namespace {

// Submitted and not finished. Never destroyed: read while static objects are.
std::atomic<int64_t>& Active() {
  static auto* active = new std::atomic<int64_t>(0);
  return *active;
}

std::atomic<bool> exiting{false};
thread_local bool on_engine = false;

#ifdef __GLIBC__
// Registered last, hence run first: before the destructors of LibTorch's static objects, which a task that is
// still running would use after their death.
void LeaveAtOnce(int status, void*) {
  if (Active().load() > 0) _exit(status);
}
#else
// No exit status here: wait for the running task (a fraction of a second; queued ones do not start).
void WaitForEngine() {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (Active().load() > 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}
#endif

}  // namespace

void RunOnEngine(std::function<void()> task) {
  Active().fetch_add(1);
  EngineThread::Get().Submit([task = std::move(task)]() mutable {
    on_engine = true;
    if (!exiting.load()) task();
    task = nullptr;  // captures die here, on the engine thread, before the count drops
    Active().fetch_sub(1);
  });
}

bool OnEngine() { return on_engine; }

void ArmExit() {
  static std::atomic<int> armed{0};
  if (armed.fetch_add(1) >= 256) return;  // each costs an entry of the C library's list
#ifdef __GLIBC__
  on_exit(&LeaveAtOnce, nullptr);
#else
  std::atexit(&WaitForEngine);
#endif
}

void PrepareExit() {
  exiting.store(true);
  ArmExit();
}

}  // namespace ft::binding
