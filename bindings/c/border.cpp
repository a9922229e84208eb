#include "border.hpp"

#include <exception>
#include <new>

namespace poolwise::c {
namespace {

thread_local std::string sentence;      // of the last failure
thread_local const char* message = "";  // the sentence, or one for which there was no memory

void remember(const char* call, const char* what) noexcept {
  try {
    const std::string text = what;
    // The library's own sentences begin with the call; of foreign ones that is said here.
    sentence = text.starts_with(call) ? text : std::string(call) + ": " + text;
    message = sentence.c_str();
  } catch (...) {
    message = "out of memory; poolwise_plan says how much a query takes";
  }
}

template <class Error>
bool is(const std::exception& problem) {
  return dynamic_cast<const Error*>(&problem) != nullptr;
}

poolwise_status status_of(const std::exception& problem) {
  if (is<stopped_error>(problem)) return POOLWISE_STOPPED;
  if (is<argument_error>(problem)) return POOLWISE_ARGUMENT;
  if (is<usage_error>(problem)) return POOLWISE_USAGE;
  if (is<shape_error>(problem)) return POOLWISE_SHAPE;
  if (is<value_error>(problem)) return POOLWISE_VALUE;
  if (is<budget_error>(problem)) return POOLWISE_BUDGET;
  if (is<format_error>(problem)) return POOLWISE_FORMAT;
  if (is<io_error>(problem)) return POOLWISE_IO;
  if (is<conflict_error>(problem)) return POOLWISE_CONFLICT;
  if (is<memory_error>(problem) || is<std::bad_alloc>(problem)) return POOLWISE_OUT_OF_MEMORY;
  if (is<no_cuda_error>(problem)) return POOLWISE_NO_CUDA;
  return is<cuda_error>(problem) ? POOLWISE_CUDA : POOLWISE_FAILED;
}

}  // namespace

poolwise_status status_of_exception(const char* call) noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    remember(call, "out of memory; poolwise_plan says how much a query takes");
    return POOLWISE_OUT_OF_MEMORY;
  } catch (const std::exception& problem) {
    remember(call, problem.what());
    return status_of(problem);
  } catch (...) {
    remember(call, "a callback threw what is no std::exception; return a number that is not 0 to stop a call");
    return POOLWISE_FAILED;
  }
}

void refuse(const char* call, const std::string& what) {
  throw argument_error(std::string(call) + ": " + what);
}

index_t checked_count(const char* call, const char* name, const void* data, std::int64_t count) {
  if (count < 0)
    refuse(call, std::string(name) + " are " + std::to_string(count) + " in number; pass 0 or more");
  if (data == nullptr && count > 0)
    refuse(call, std::string(name) + " are NULL, and said to be " + std::to_string(count) + "; pass them");
  return count;
}

void check_size(const char* call, const char* type, std::size_t size, std::size_t first) {
  if (size < first)
    refuse(call, std::string(type) + ".size is " + std::to_string(size) + "; set it to sizeof(" + type + ")");
}

void check_rest(const char* call, const char* type, const void* given, std::size_t size, std::size_t known) {
  // A size that was never set may be any number: no struct of Poolwise is so large.
  if (size > 4096)
    refuse(call, std::string(type) + ".size is " + std::to_string(size) + "; set it to sizeof(" + type + ")");
  const auto* const bytes = static_cast<const unsigned char*>(given);
  for (std::size_t at = known; at < size; ++at)
    if (bytes[at] != 0)
      refuse(call, std::string(type) + " has a field that Poolwise " POOLWISE_VERSION
                                       " does not know; leave it 0, or load a newer library");
}

}  // namespace poolwise::c

extern "C" {

const char* poolwise_message(void) { return poolwise::c::message; }

const char* poolwise_status_name(poolwise_status status) {
  static constexpr const char* names[] = {
      "ok",     "stopped", "argument", "usage",         "shape",   "value", "budget",
      "format", "io",      "conflict", "out of memory", "no cuda", "cuda",  "failed"};
  return status < 0 || std::size_t(status) >= std::size(names) ? "unknown" : names[status];
}

const char* poolwise_version(void) { return POOLWISE_VERSION; }

}  // extern "C"
