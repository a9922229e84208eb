#include "poolwise/diverse/detail/row_values.hpp"

#include <limits>
#include <string>
#include <variant>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/detail/reachable.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/diverse/detail/kcenter_cuda.hpp"

namespace poolwise {
namespace {

/// The first of values that is not a number from 0 to `most`.
outside_value first_outside(const where& on, const char* call, vector_view<const float> values, float most) {
  if constexpr (has_cuda)
    if (const auto* device = std::get_if<cuda>(&on)) return first_outside_cuda(*device, call, values, most);
  for (index_t i = 0; i < values.size; ++i)
    if (!(values[i] >= 0 && values[i] <= most)) return {i, values[i]};
  return {};
}

}  // namespace

void check_row_values(const where& on, const char* call, const char* name, vector_view<const float> values,
                      index_t rows, bool infinity_allowed) {
  using limits = std::numeric_limits<float>;
  const std::string argument = std::string(call) + ": " + name;
  if (values.empty()) return;
  if (values.size != rows)
    throw shape_error(argument + " has " + std::to_string(values.size) + " places but there are " +
                      std::to_string(rows) + " rows; pass one for each row, or none");
  require_reachable(on, call, {{name, values}});
  const float most = infinity_allowed ? limits::infinity() : limits::max();
  if (const auto [row, value] = first_outside(on, call, values, most); row >= 0)
    throw value_error(argument + " of row " + std::to_string(row) + " is " + std::to_string(value) +
                      (infinity_allowed ? "; it needs 0 or more" : "; it needs a finite number, 0 or more"));
}

}  // namespace poolwise
