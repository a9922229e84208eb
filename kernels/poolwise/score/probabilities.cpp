#include <algorithm>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise {
namespace {

/// The lowest class of the largest value.
template <class T>
index_t predicted(const T* row, index_t classes) {
  index_t best = 0;
  for (index_t c = 1; c < classes; ++c)
    if (to_float(row[c]) > to_float(row[best])) best = c;
  return best;
}

}  // namespace

void class_probabilities(cpu on, const real_matrix& x, outputs kind, matrix_view<float> p) {
  output_gradient(on, x, kind, p);
  const index_t block = std::max<index_t>(1, 16384 / std::max<index_t>(1, p.cols));
  std::visit(
      [&](auto view) {
        parallel_blocks(holding(on, block * view.cols * index_t(sizeof(*view.data))), view.rows, block,
                        [&](index_t, index_t begin, index_t end) {
                          for (index_t i = begin; i < end; ++i) {
                            p(i, predicted(view.row(i), view.cols)) += 1;
                            // Noise below 0 counts by its size, and one that is the largest is rounded.
                            for (index_t c = 0; c < p.cols; ++c) p(i, c) = p(i, c) < 0 ? 0 : p(i, c);
                          }
                        });
      },
      x);
}

}  // namespace poolwise
