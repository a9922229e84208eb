// Models that the loop refits every round.
#pragma once

#include <cstdint>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// A classifier, or a committee of them. A fit may start from the one before it.
class learner {
 public:
  virtual ~learner() = default;

  virtual index_t classes() const = 0;
  virtual index_t members() const { return 1; }

  /// Fits on features [rows, features] and labels [rows] in [0, classes).
  /// throws shape_error, value_error.
  virtual void fit(matrix_view<const float> x, vector_view<const std::int32_t> y) = 0;

  /// Writes logits [members, rows, classes] for features x [rows, features]. throws error before any fit.
  virtual void predict(matrix_view<const float> x, cube_view<float> logits) = 0;
};

}  // namespace poolwise
