#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/budget/spend.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/graph/neighbours.hpp"
#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/query/detail/score_order.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

/// The limit, with picks that lie farther than `radius` from each other and from labelled rows.
allowance spaced(const stage_input& x, float radius) {
  allowance limit = x.limit;
  const float also = limit.apart ? limit.apart->radius : 0;
  limit.apart = spacing{*x.pool.embeddings, std::max(radius, also), x.labelled};
  return limit;
}

float in_unit(const stage_input& x, double distance) {
  return float(std::min(distance * x.unit, double(std::numeric_limits<float>::max())));
}

/// In the order of the score rows that lie apart, then those that do not.
std::vector<candidate> pick_apart(const stage_input& x, batch_run&) {
  const std::vector<candidate> order = score_order(x);
  const allowance limit = spaced(x, in_unit(x, x.what->given["distance"]));
  remaining left(limit), rest(x.limit);
  std::vector<candidate> picks = take_allowed(order, left);
  std::vector<std::uint8_t> taken(std::size_t(x.rows()));
  for (const candidate& c : picks) {
    rest.take(c.row);
    taken[std::size_t(c.row)] = 1;
  }
  std::vector<candidate> others;
  for (const candidate& c : order)
    if (taken[std::size_t(c.row)] == 0) others.push_back(c);
  const std::vector<candidate> near = take_allowed(others, rest);
  picks.insert(picks.end(), near.begin(), near.end());
  return picks;
}

/// A batch, its total score, and the least distance between two of its rows, or to a labelled one.
struct spread_batch {
  std::vector<candidate> picks;
  double total = 0, least = std::numeric_limits<double>::infinity();
};

spread_batch spread(const stage_input& x, const std::vector<candidate>& order, const allowance& limit) {
  spread_batch made;
  remaining left(limit);
  made.picks = take_allowed(order, left);
  std::vector<index_t> rows;
  for (const candidate& c : made.picks) {
    rows.push_back(c.row);
    made.total += double(c.score);
  }
  const cpu on = host_of(x.on);
  const std::vector<float> places = gather(on, *x.pool.embeddings, rows);
  const auto count = index_t(rows.size());
  const finite_rows points =
      finite_rows::judged(matrix_view<const float>{places.data(), count, x.pool.embeddings->cols});
  std::vector<float> d2 = distances_to(on, points, finite_rows::judged(x.labelled));
  if (count > 1) {
    std::vector<index_t> which(rows.size());
    d2.resize(2 * rows.size(), std::numeric_limits<float>::infinity());
    knn_graph(on, points, {which.data(), count, 1}, {d2.data() + rows.size(), count, 1});
    if (x.labelled.rows == 0) std::fill_n(d2.begin(), rows.size(), std::numeric_limits<float>::infinity());
  }
  for (const float one : d2) made.least = std::min(made.least, std::sqrt(double(one)));
  return made;
}

void check_scores(const stage_input& x, const std::vector<candidate>& order) {
  for (const candidate& c : order)
    if (!(c.score >= 0 && std::isfinite(c.score)))
      throw value_error("gist: row " + std::to_string(x.pool_row(c.row)) + " scores " +
                        std::to_string(c.score) + " by " + x.what->inner->text +
                        "; take a score that is finite and never negative, such as margin");
}

/// The thresholds are those that can matter: below the least distance of a batch it stays the same, and where
/// no full batch is found at one, none lies twice as far apart.
std::vector<candidate> pick_gist(const stage_input& x, batch_run& run) {
  const std::vector<candidate> order = score_order(x);
  check_scores(x, order);
  const double lambda = x.what->given["lambda"] / x.unit, step = 1 + x.what->given["epsilon"];
  spread_batch best = spread(x, order, x.limit), now = best;
  const std::size_t full = best.picks.size();
  const auto worth = [&](const spread_batch& of) {
    return of.total + (std::isfinite(of.least) ? lambda * of.least : 0);
  };
  double radius = 0;
  while (full > 0 && std::isfinite(now.least)) {
    radius = now.least > 0 ? std::max(now.least, radius) * step : radius == 0 ? 0 : radius * step;
    const bool last = !(radius < double(std::numeric_limits<float>::max()));
    now = spread(x, order, spaced(x, last ? std::numeric_limits<float>::max() : float(radius)));
    if (now.picks.size() < full) break;
    if (worth(now) > worth(best)) best = now;
    if (last) break;
  }
  std::vector<float> scores(std::size_t(x.rows()), std::numeric_limits<float>::quiet_NaN());
  for (const candidate& c : order) scores[std::size_t(c.row)] = c.score;
  if (full > 0) {
    const double most = most_worth(host_of(x.on), {scores.data(), x.rows()}, x.limit) + 2 * lambda * radius;
    if (most > 0) run.of_optimum = std::min(1.0, worth(best) / (most * (1 + 1e-6)));
  }
  return best.picks;
}

// The order, that of the rows that lie near, and how many picks each row has met.
std::uint64_t bytes(const strategy_size& size) {
  return score_order_bytes(size.rows) + size.rows * (sizeof(candidate) + 2 * sizeof(float) + 2) +
         (3 * size.picks + size.labelled) * size.features * sizeof(float);
}

}  // namespace

std::vector<strategy_entry> strategies_of_spaced() {
  return {
      {.name = "apart",
       .kind = "diversity",
       .formula = "highest score farther than `distance` from labelled and picked rows; then the others",
       .source = "Liu et al. 2024",
       .on_devices = "score",
       .needs = part::embeddings,
       .does = trait::takes_score | trait::counts_labelled,
       .parameters = {{"distance", 0, at_least(0), "at which rows are too near; 0: equal ones are"}},
       .aliases = {"deita", "dedup"},
       .pick = pick_apart,
       .reason = "highest score apart from labelled and picked rows",
       .bytes = bytes},
      {.name = "gist",
       .kind = "diversity",
       .formula = "max sum of scores + lambda * least distance between picked or labelled rows",
       .source = "Fahrbach et al. 2025",
       .on_devices = "score",
       .needs = part::embeddings,
       .does = trait::takes_score | trait::counts_labelled,
       .parameters = {{"lambda", 1, at_least(0), "what a distance of 1 is worth"},
                      {"epsilon", 0.05, above(0), "at least 1 / (2 + 2 epsilon) of the best batch as long"}},
       .pick = pick_gist,
       .reason = "of the batch of the highest total score + lambda * least distance",
       .bytes = bytes}};
}

}  // namespace poolwise
