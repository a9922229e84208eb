// Gradients of the loss at a predicted label. Not part of the public interface.
#pragma once

#include <vector>

#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {

/// [rows, classes] p - onehot(argmax p) of each row of a stage that picks.
inline std::vector<float> output_gradients(const stage_input& x) {
  const index_t classes = cols_of(*x.pool.model);
  std::vector<float> a(std::size_t(x.rows() * classes));
  output_gradient(x.on, *x.pool.model, x.pool.model_kind, {a.data(), x.rows(), classes});
  return a;
}

}  // namespace poolwise
