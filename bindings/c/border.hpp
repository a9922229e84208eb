// Where C ends: exceptions become statuses, numbers become handles, structs of any age become those of this
// build.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "poolwise.h"
#include "poolwise/core/error.hpp"
#include "poolwise/core/types.hpp"

namespace poolwise::c {

/// A call that no caller can have meant: a NULL, a size, a handle.
struct argument_error : error {
  using error::error;
};

/// The progress callback wants no more.
struct stopped_error : error {
  using error::error;
};

/// The status of the exception that is being handled, whose sentence the thread keeps.
poolwise_status status_of_exception(const char* call) noexcept;

/// Does the work of a call. Nothing is thrown beyond it.
template <class Work>
poolwise_status guarded(const char* call, Work work) noexcept {
  try {
    work();
    return POOLWISE_OK;
  } catch (...) {
    return status_of_exception(call);
  }
}

[[noreturn]] void refuse(const char* call, const std::string& what);

template <class T>
T& not_null(const char* call, const char* name, T* given) {
  if (given == nullptr) refuse(call, std::string(name) + " is NULL; pass one");
  return *given;
}

/// A NULL goes with a count of 0 alone. Returns the count.
index_t checked_count(const char* call, const char* name, const void* data, std::int64_t count);

/// The size of a struct in the version of the library that had it first.
template <class T>
constexpr std::size_t first_size = 0;
template <>
inline constexpr std::size_t first_size<poolwise_matrix> = 48;
template <>
inline constexpr std::size_t first_size<poolwise_query> = 120;
template <>
inline constexpr std::size_t first_size<poolwise_run> = 56;
template <>
inline constexpr std::size_t first_size<poolwise_needs> = 56;
template <>
inline constexpr std::size_t first_size<poolwise_summary> = 104;
template <>
inline constexpr std::size_t first_size<poolwise_pick> = 48;
template <>
inline constexpr std::size_t first_size<poolwise_strategy> = 72;
template <>
inline constexpr std::size_t first_size<poolwise_parameter> = 48;

void check_size(const char* call, const char* type, std::size_t size, std::size_t first);
void check_rest(const char* call, const char* type, const void* given, std::size_t size, std::size_t known);

/// The struct as this build has it. What the caller's lacks is 0.
template <class T>
T taken(const char* call, const char* type, const T* given) {
  not_null(call, type, given);
  std::size_t size = 0;
  std::memcpy(&size, given, sizeof size);
  check_size(call, type, size, first_size<T>);
  check_rest(call, type, given, size, sizeof(T));
  T own{};
  std::memcpy(&own, given, std::min(size, sizeof own));
  return own;
}

/// A place that is written to, checked before the work is done.
template <class T>
class result {
 public:
  result(const char* call, const char* type, T* place) : place_(&not_null(call, type, place)) {
    std::memcpy(&size_, place, sizeof size_);
    check_size(call, type, size_, first_size<T>);
  }

  /// As much as the caller's struct holds; what this build lacks is 0.
  void give(T value) const {
    value.size = size_;
    std::memcpy(place_, &value, std::min(size_, sizeof value));
    if (size_ > sizeof value)
      std::memset(reinterpret_cast<char*>(place_) + sizeof value, 0, size_ - sizeof value);
  }

 private:
  T* place_;
  std::size_t size_ = 0;
};

/// Objects by handles, which are numbers that never come again: whatever a caller passes can be looked up, and
/// one that was freed stays so.
template <class Handle, class Object>
class handles {
 public:
  handles(const char* name, const char* maker) : name_(name), maker_(maker) {}

  Handle* keep(std::shared_ptr<Object> object) {
    static std::atomic<std::uintptr_t> last = 0;
    // Odd, so that it is the address of nothing that a caller could have allocated.
    const std::uintptr_t number = 2 * ++last + 1;
    const std::lock_guard held(mutex_);
    objects_.emplace(number, std::move(object));
    return reinterpret_cast<Handle*>(number);  // NOLINT(performance-no-int-to-ptr)
  }

  std::shared_ptr<Object> find(const char* call, const Handle* handle) const {
    not_null(call, name_, handle);
    const std::lock_guard held(mutex_);
    const auto found = objects_.find(reinterpret_cast<std::uintptr_t>(handle));
    if (found == objects_.end()) refuse_unknown(call);
    return found->second;
  }

  void drop(const char* call, const Handle* handle) {
    if (handle == nullptr) return;
    std::shared_ptr<Object> last;  // goes when the lock is open again
    const std::lock_guard held(mutex_);
    const auto found = objects_.find(reinterpret_cast<std::uintptr_t>(handle));
    if (found == objects_.end()) refuse_unknown(call);
    last = std::move(found->second);
    objects_.erase(found);
  }

 private:
  [[noreturn]] void refuse_unknown(const char* call) const {
    refuse(call, std::string(name_) + " is no handle, or one that was freed; pass what " + maker_ + " gave");
  }

  const char *name_, *maker_;
  mutable std::mutex mutex_;
  std::unordered_map<std::uintptr_t, std::shared_ptr<Object>> objects_;
};

}  // namespace poolwise::c
