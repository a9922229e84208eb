#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/query/detail/mean_cosine.hpp"
#include "poolwise/query/detail/score_order.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

constexpr stream lightweight_stream{23}, stratum_stream{24};

/// Drawn without replacement: the values are weights over exponential variates (see power).
void score_lightweight(const stage_input& x, vector_view<float> scores) {
  const cpu on = host_of(x.on);
  const matrix_view<const float> rows = *x.pool.embeddings;
  const auto counts = [&](index_t i) { return x.limit.barred.empty() || x.limit.barred[i] == 0; };
  const std::vector<double> mean = mean_row(on, rows, counts);
  std::vector<double> d2(std::size_t(rows.rows));
  parallel_blocks(on, rows.rows, 256, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      double sum = 0;
      for (index_t c = 0; c < rows.cols; ++c) {
        const double off = double(rows(i, c)) - mean[std::size_t(c)];
        sum += off * off;
      }
      d2[std::size_t(i)] = sum;
    }
  });
  double total = 0, count = 0;
  for (index_t i = 0; i < rows.rows; ++i) {
    if (!std::isfinite(d2[std::size_t(i)]) || !counts(i)) continue;
    total += d2[std::size_t(i)];
    ++count;
  }
  parallel_blocks(on, rows.rows, 4096, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      const double share = total > 0 ? d2[std::size_t(i)] / total : 0;
      const double u = 0x1p-54 + random_unit(x.asked->seed, lightweight_stream, std::uint64_t(x.pool_row(i)),
                                             x.asked->round);
      const double value = (0.5 / std::max(1.0, count) + 0.5 * share) / -fixed_log(u);
      scores[i] = std::isfinite(d2[std::size_t(i)])
                      ? float(std::min(value, double(std::numeric_limits<float>::max())))
                      : std::numeric_limits<float>::quiet_NaN();
    }
  });
}

/// One row of each of as many runs as there are picks, cut out of the rows in the order of their scores; where
/// the row that is drawn is not allowed, the next of its run; what is left, in order.
std::vector<candidate> pick_stratified(const stage_input& x, batch_run&) {
  const std::vector<candidate> order = score_order(x);
  remaining left(x.limit);
  std::vector<candidate> picks;
  std::vector<std::uint8_t> taken(order.size());
  const auto rows = index_t(order.size()), runs = std::min(left.picks(), rows);
  for (index_t r = 0; r < runs && left.picks() > 0; ++r) {
    const index_t begin = r * rows / runs, size = (r + 1) * rows / runs - begin;
    const double drawn = random_unit(query_seed(*x.asked), stratum_stream, std::uint64_t(r));
    const index_t first = std::min(size - 1, index_t(drawn * double(size)));
    for (index_t n = 0; n < size; ++n) {
      const index_t place = begin + (first + n) % size;
      const candidate& c = order[std::size_t(place)];
      if (!left.eligible(c.row)) continue;
      left.take(c.row);
      picks.push_back(c);
      taken[std::size_t(place)] = 1;
      break;
    }
  }
  std::vector<candidate> others;
  for (std::size_t i = 0; i < order.size(); ++i)
    if (taken[i] == 0) others.push_back(order[i]);
  const std::vector<candidate> more = take_allowed(others, left);
  picks.insert(picks.end(), more.begin(), more.end());
  return picks;
}

}  // namespace

/// Draws that stand for the pool.
std::vector<strategy_entry> strategies_of_coverage_draws() {
  return {
      {.name = "lightweight_coreset",
       .kind = "acquisition",
       .formula = "drawn in proportion to 1/2 / rows + 1/2 |x - mean|^2 / their sum",
       .source = "Bachem et al. 2018",
       .on_devices = "none",
       .needs = part::embeddings,
       .does = trait::draws | trait::compares_rows,
       .aliases = {"lightweight"},
       .score = score_lightweight,
       .bytes = [](const strategy_size& size) { return size.rows * 8 + mean_direction_bytes(size.features); }},
      {.name = "stratified",
       .kind = "diversity",
       .formula = "one drawn of each of as many runs of rows, by score, as there are picks",
       .source = "Neyman 1934",
       .on_devices = "score",
       .does = trait::takes_score,
       .pick = pick_stratified,
       .reason = "drawn of its stratum",
       .bytes = [](const strategy_size& size) {
         return score_order_bytes(size.rows) + size.rows * (sizeof(candidate) + 1);
       }}};
}

}  // namespace poolwise
