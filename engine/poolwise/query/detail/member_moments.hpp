// What the members of a committee of regressors make of each output.
#pragma once

#include <cmath>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/types.hpp"

namespace poolwise {

/// The mean over members, and the standard deviation about it, not of a sample.
struct moments {
  double mean = 0, deviation = 0;
};

/// [rows, outputs], by Welford's update, members in order.
inline std::vector<moments> member_moments(cpu on, cube_view<const float> predictions) {
  std::vector<moments> all(std::size_t(predictions.rows * predictions.cols));
  parallel_blocks(on, index_t(all.size()), 4096, [&](index_t, index_t begin, index_t end) {
    for (index_t m = 0; m < predictions.members; ++m) {
      const float* const values = predictions.member(m).data;
      for (index_t i = begin; i < end; ++i) {
        moments& of = all[std::size_t(i)];
        const double off = double(values[i]) - of.mean;
        of.mean += off / double(m + 1);
        of.deviation += off * off * (double(m) / double(m + 1));  // the sum of squares, until it is whole
      }
    }
    for (index_t i = begin; i < end; ++i)
      all[std::size_t(i)].deviation = std::sqrt(all[std::size_t(i)].deviation / double(predictions.members));
  });
  return all;
}

}  // namespace poolwise
