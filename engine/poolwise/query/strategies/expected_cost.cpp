#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {
namespace {

constexpr index_t tile_values = index_t{1} << 20;

/// What the cheapest class to take a row for is expected to cost, and the next.
struct cheapest_two {
  double first = std::numeric_limits<double>::infinity(), second = first;
};

/// Calls body(row, cheapest_two) for each row; of one without a distribution both are NaN.
template <class Body>
void for_each_cheapest(const char* call, const stage_input& x, Body body) {
  const real_matrix& model = *x.pool.model;
  const matrix_view<const float> costs = *x.pool.cost_matrix;
  const index_t classes = cols_of(model), tile = std::max<index_t>(1, tile_values / classes);
  if (costs.rows != classes)
    throw shape_error(std::string(call) + ": the cost matrix has " + std::to_string(costs.rows) +
                      " classes but the outputs have " + std::to_string(classes) + "; give one row for each");
  std::vector<float> p(std::size_t(std::min(tile, x.rows()) * classes));
  for (index_t first = 0; first < x.rows(); first += tile) {
    const index_t end = std::min(x.rows(), first + tile);
    class_probabilities(host_of(x.on), rows_between(model, first, end), x.pool.model_kind,
                        {p.data(), end - first, classes});
    parallel_blocks(host_of(x.on), end - first, 256, [&](index_t, index_t from, index_t to) {
      for (index_t i = from; i < to; ++i) {
        cheapest_two found;
        for (index_t d = 0; d < classes; ++d) {
          double cost = 0;
          for (index_t y = 0; y < classes; ++y)
            cost += double(p[std::size_t(i * classes + y)]) * double(costs(y, d));
          if (!(cost >= found.first))
            found.second = found.first, found.first = cost;
          else
            found.second = std::min(found.second, cost);
        }
        body(first + i, found);
      }
    });
  }
}

void score_cost(const stage_input& x, vector_view<float> scores) {
  for_each_cheapest("expected_cost", x,
                    [&](index_t i, const cheapest_two& of) { scores[i] = float(of.first); });
}

void score_cost_margin(const stage_input& x, vector_view<float> scores) {
  const matrix_view<const float> costs = *x.pool.cost_matrix;
  float largest = 0;
  for (index_t y = 0; y < costs.rows; ++y)
    largest = std::max(largest, *std::max_element(costs.row(y), costs.row(y) + costs.cols));
  for_each_cheapest("cost_margin", x, [&](index_t i, const cheapest_two& of) {
    scores[i] = float(double(largest) - (of.second - of.first));
  });
}

std::uint64_t bytes(const strategy_size& size) {
  return std::max(std::uint64_t(tile_values), size.classes) * sizeof(float);
}

}  // namespace

/// Scores of probabilities where mistakes differ in what they cost. Where each costs 1 they are
/// least_confidence and margin.
std::vector<strategy_entry> strategies_of_expected_cost() {
  return {{.name = "expected_cost",
           .kind = "acquisition",
           .formula = "min_d sum_y p_y cost(y, d): of the class d that is cheapest to take the row for",
           .source = "Margineantu 2005",
           .on_devices = "none",
           .needs = part::outputs | part::cost_matrix,
           .aliases = {"leastcost"},
           .score = score_cost,
           .bytes = bytes},
          {.name = "cost_margin",
           .kind = "acquisition",
           .formula = "largest cost - (second least - least expected cost)",
           .source = "Chen & Lin 2013",
           .on_devices = "none",
           .needs = part::outputs | part::cost_matrix,
           .score = score_cost_margin,
           .bytes = bytes}};
}

}  // namespace poolwise
