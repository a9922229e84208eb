#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

constexpr index_t tile_values = index_t{1} << 20;

/// Calls body(row, a) with a = p - onehot(argmax p) of each row. Its one negative entry is that of the largest
/// p, less 1 without cancellation, so that confident rows keep their digits. Without a distribution a is NaN.
template <class Body>
void for_each_gradient(const stage_input& x, Body body) {
  const real_matrix& model = *x.pool.model;
  const index_t classes = cols_of(model), tile = std::max<index_t>(1, tile_values / classes);
  std::vector<float> a(std::size_t(std::min(tile, x.rows()) * classes));
  for (index_t first = 0; first < x.rows(); first += tile) {
    const index_t end = std::min(x.rows(), first + tile);
    output_gradient(x.on, rows_between(model, first, end), x.pool.model_kind, {a.data(), end - first, classes});
    const index_t block = std::max<index_t>(1, 16384 / classes);
    parallel_blocks(host_of(x.on), end - first, block, [&](index_t, index_t from, index_t to) {
      for (index_t i = from; i < to; ++i) body(first + i, a.data() + i * classes);
    });
  }
}

/// What a says of the distribution as a whole.
struct spread {
  double beside = 0;  ///< 1 less the largest p
  double others = 0;  ///< the sum of the other p, squared each
};
spread spread_of(const float* a, index_t classes) {
  spread s;
  for (index_t c = 0; c < classes; ++c) {
    const double value = a[c];
    if (value < 0)
      s.beside = -value;
    else
      s.others += value * value;
  }
  return s;
}

void score_gini(const stage_input& x, vector_view<float> scores) {
  const index_t classes = cols_of(*x.pool.model);
  for_each_gradient(x, [&](index_t i, const float* a) {
    const spread s = spread_of(a, classes);
    scores[i] = float(s.beside * (2 - s.beside) - s.others);
  });
}

/// |p - e_c|^2 = |p|^2 + 1 - 2 p_c, where p_c is not the largest; else the squares of a.
double expected_length(const float* a, index_t classes) {
  const spread s = spread_of(a, classes);
  const double squares = s.others + (1 - s.beside) * (1 - s.beside);
  double sum = (1 - s.beside) * std::sqrt(s.others + s.beside * s.beside);
  for (index_t c = 0; c < classes; ++c)
    if (a[c] > 0) sum += double(a[c]) * std::sqrt(squares + 1 - 2 * double(a[c]));
  return sum;
}

/// That of the class for which it is longest: of the least p.
double largest_length(const float* a, index_t classes) {
  const spread s = spread_of(a, classes);
  const double squares = s.others + (1 - s.beside) * (1 - s.beside);
  double least = 1 - s.beside;
  for (index_t c = 0; c < classes; ++c)
    if (a[c] >= 0) least = std::min(least, double(a[c]));
  return std::sqrt(squares + 1 - 2 * least);
}

void score_egl(const stage_input& x, vector_view<float> scores) {
  const matrix_view<const float> embeddings = *x.pool.embeddings;
  const index_t classes = cols_of(*x.pool.model);
  const bool largest = x.what->given["max"] != 0;
  for_each_gradient(x, [&](index_t i, const float* a) {
    double squares = 0;
    for (index_t f = 0; f < embeddings.cols; ++f)
      squares += double(embeddings(i, f)) * double(embeddings(i, f));
    squares = 1 + squares / (x.unit * x.unit);  // beside the bias the features count as they were given
    const double length = largest ? largest_length(a, classes) : expected_length(a, classes);
    scores[i] =
        std::isfinite(squares) ? float(length * std::sqrt(squares)) : std::numeric_limits<float>::quiet_NaN();
  });
}

std::uint64_t bytes(const strategy_size& size) {
  return std::max(std::uint64_t(tile_values), size.classes) * sizeof(float);
}

}  // namespace

/// Made of the gradient of the loss at the outputs, as BADGE is.
std::vector<strategy_entry> strategies_of_gradients() {
  return {
      {.name = "egl",
       .kind = "acquisition",
       .formula = "sum_c p_c |p - onehot(c)| |[h; 1]|, h the embedding: a linear last layer's gradient",
       .source = "Settles, Craven & Ray 2008; Huang et al. 2016",
       .on_devices = "outputs",
       .needs = part::outputs | part::embeddings,
       .parameters = {{"max", 0, {0, 1, false, true}, "1: of the class for which it is longest; 0: expected"}},
       .aliases = {"expectedgradientlength"},
       .score = score_egl,
       .bytes = bytes},
      {.name = "gini",
       .kind = "acquisition",
       .formula = "1 - sum p^2",
       .source = "Breiman et al. 1984; Feng et al. 2020",
       .on_devices = "outputs",
       .needs = part::outputs,
       .aliases = {"deepgini", "giniimpurity"},
       .score = score_gini,
       .bytes = bytes}};
}

}  // namespace poolwise
