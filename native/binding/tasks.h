// Work on the engine thread, counted, so that a process that exits in the middle of a task can leave without
// destroying what the task still uses.
#pragma once

#include <functional>
#include <memory>
#include <utility>

namespace ft::binding {

/// Any thread. `task` must not throw. Dropped once the process is exiting.
void RunOnEngine(std::function<void()> task);
/// True inside a task.
bool OnEngine();

/// If a task is running when static objects are about to be destroyed, the process ends there and then, with the
/// exit code it was going to have. Call it late: what is registered last runs first.
void ArmExit();
/// The process is exiting: no new task starts. Arms too.
void PrepareExit();

/// A pointer whose last release happens on the engine thread, after everything submitted before it.
template <class T>
std::shared_ptr<T> EngineOwned(std::shared_ptr<T> object) {
  T* const raw = object.get();
  return std::shared_ptr<T>(raw, [object = std::move(object)](T*) mutable {
    if (OnEngine()) {
      object.reset();
    } else {
      RunOnEngine([object = std::move(object)]() mutable { object.reset(); });
    }
  });
}

}  // namespace ft::binding
