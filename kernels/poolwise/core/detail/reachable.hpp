// Memory on the wrong side is refused by a sentence: a device that reads it fails for the rest of the process.
#pragma once

#include <initializer_list>
#include <variant>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// An argument of a call, and where its data begin; null where it is left out.
struct named_memory {
  template <class View>
  named_memory(const char* named, const View& view) : argument(named), data(view.data) {}
  template <class... Views>
  named_memory(const char* named, const std::variant<Views...>& view)
      : argument(named), data(std::visit([](const auto& v) -> const void* { return v.data; }, view)) {}

  const char* argument;
  const void* data;
};

void require_reachable_cuda(const where& on, const char* call, std::initializer_list<named_memory> all);

/// throws value_error, naming the call and the argument, where a device of `on` cannot read one of `all`: host
/// memory that is not pinned, or another device's, for cuda; a device's for offload. A query of the driver for
/// each, nothing for the CPU.
inline void require_reachable(const where& on, const char* call, std::initializer_list<named_memory> all) {
  if constexpr (has_cuda)
    if (!std::holds_alternative<cpu>(on)) require_reachable_cuda(on, call, all);
}

}  // namespace poolwise
