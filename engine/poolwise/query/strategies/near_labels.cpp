#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/half.hpp"
#include "poolwise/graph/neighbours.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/detail/score_order.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

/// Rows by a value that picks leave alone, best first.
std::vector<candidate> pick_best(const stage_input& x, const std::vector<float>& values) {
  remaining left(x.limit);
  std::vector<candidate> order;
  for (index_t i = 0; i < x.rows(); ++i)
    if (!left.ruled_out(i)) order.push_back({i, values[std::size_t(i)]});
  std::sort(order.begin(), order.end(), before);
  return take_allowed(order, left);
}

/// 1 over the place of a row among the rows that may be picked, by their distance to a labelled row: the best
/// of its places; 0 where it is on no list.
std::vector<candidate> pick_seals(const stage_input& x, batch_run&) {
  std::vector<float> values(std::size_t(x.rows()), 0.0f);
  std::vector<index_t> rows;
  for (index_t i = 0; i < x.rows(); ++i)
    if (!is_barred(x, i)) rows.push_back(i);
  const index_t each = std::min(x.what->given.count("neighbours"), index_t(rows.size()));
  if (x.labelled.rows > 0 && each > 0) {
    std::vector<float> points;
    const index_t cols = x.pool.embeddings->cols;
    points.reserve(rows.size() * std::size_t(cols));
    for (const index_t i : rows) {
      points.insert(points.end(), x.pool.embeddings->row(i), x.pool.embeddings->row(i) + cols);
      settle_pages(host_of(x.on));
    }
    std::vector<index_t> which(std::size_t(x.labelled.rows * each));
    nearest_neighbours(x.on, finite_rows::judged(x.labelled),
                       finite_rows::judged(matrix_view<const float>{points.data(), index_t(rows.size()), cols}),
                       {which.data(), x.labelled.rows, each});
    for (std::size_t n = 0; n < which.size(); ++n) {
      float& value = values[std::size_t(rows[std::size_t(which[n])])];
      value = std::max(value, 1 / float(1 + index_t(n) % each));
    }
  }
  return pick_best(x, values);
}

/// ln p of a row's classes, from the largest, in double.
std::vector<double> log_probabilities(const real_matrix& model, outputs kind, index_t row) {
  std::vector<double> values;
  std::visit(
      [&](auto m) {
        for (index_t c = 0; c < m.cols; ++c) values.push_back(double(to_float(m(row, c))));
      },
      model);
  if (kind == outputs::probabilities) {
    for (double& value : values)
      value = value > 0 ? fixed_log(value) : -std::numeric_limits<double>::infinity();
    return values;
  }
  const double most = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (const double value : values) sum += fixed_exp(value - most);
  const double total = most + fixed_log(sum);
  for (double& value : values) value -= total;
  return values;
}

double divergence(const std::vector<double>& from, const std::vector<double>& to) {
  double sum = 0;
  for (std::size_t c = 0; c < from.size(); ++c)
    if (const double p = fixed_exp(from[c]); p > 0) sum += p * (from[c] - to[c]);
  return std::max(0.0, sum);
}

std::vector<std::vector<double>> labelled_outputs(const stage_input& x) {
  std::vector<std::vector<double>> all;
  for (const index_t row : x.whole->labelled) {
    all.push_back(log_probabilities(*x.whole->model, x.whole->model_kind, row));
    double sum = 0;
    for (const double value : all.back()) sum += fixed_exp(value);
    if (!(std::abs(sum - 1) < 1e-2))
      throw value_error(
          "cal: the outputs of labelled row " + std::to_string(row) +
          " are no distribution, and rows are held against them; give outputs for it, or exclude it");
  }
  return all;
}

/// The mean divergence of the outputs of a row from those of the labelled rows nearest to it.
std::vector<candidate> pick_cal(const stage_input& x, batch_run&) {
  std::vector<float> values(std::size_t(x.rows()), 0.0f);
  const index_t each = std::min(x.what->given.count("neighbours"), x.labelled.rows);
  if (each == 0) return pick_best(x, values);
  const std::vector<std::vector<double>> known = labelled_outputs(x);
  const cpu on = host_of(x.on);
  constexpr index_t at_once = 1 << 16;
  std::vector<index_t> which(std::size_t(std::min(at_once, x.rows()) * each));
  for (index_t first = 0; first < x.rows(); first += at_once) {
    const index_t count = std::min(at_once, x.rows() - first);
    nearest_neighbours(x.on, rows_between(x.points(), first, first + count), finite_rows::judged(x.labelled),
                       {which.data(), count, each});
    parallel_blocks(on, count, 256, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        if (is_barred(x, first + i)) continue;
        const auto own = log_probabilities(*x.pool.model, x.pool.model_kind, first + i);
        double sum = 0;
        for (index_t n = 0; n < each; ++n)
          sum += divergence(known[std::size_t(which[std::size_t(i * each + n)])], own);
        values[std::size_t(first + i)] = float(sum / double(each));
      }
    });
  }
  return pick_best(x, values);
}

std::uint64_t bytes(const strategy_size& size) {
  const std::uint64_t lists = size.given->count("neighbours") * 2 * sizeof(index_t);
  return size.rows * (2 * sizeof(candidate) + sizeof(float) + sizeof(index_t) + size.features * sizeof(float)) +
         (std::min<std::uint64_t>(size.rows, 1 << 16) + size.labelled) * lists +
         size.labelled * (size.classes + 4) * sizeof(double);
}

}  // namespace

/// Rows near labelled ones: those alone, or those of which the model says something else.
std::vector<strategy_entry> strategies_of_near_labels() {
  return {{.name = "seals",
           .kind = "diversity",
           .formula = "1 / best place among the nearest to a labelled row: seals/10x/margin",
           .source = "Coleman et al. 2022",
           .on_devices = "distances",
           .needs = part::embeddings,
           .does = trait::counts_labelled,
           .parameters = {{"neighbours", 100, whole_from(1), "of each labelled row; others come last"}},
           .pick = pick_seals,
           .reason = "near a labelled row",
           .bytes = bytes},
          {.name = "cal",
           .kind = "diversity",
           .formula = "mean KL(p_l, p_x) of the 10 labelled rows l nearest to x",
           .source = "Margatina et al. 2021",
           .on_devices = "distances",
           .needs = part::outputs | part::embeddings,
           .does = trait::counts_labelled,
           .parameters = {{"neighbours", 10, whole_from(1), "labelled rows that a row is held against"}},
           .aliases = {"contrastive"},
           .pick = pick_cal,
           .reason = "outputs unlike those of the labelled rows nearest to it",
           .bytes = bytes}};
}

}  // namespace poolwise
