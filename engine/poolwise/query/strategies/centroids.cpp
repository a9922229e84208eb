#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/graph/neighbours.hpp"
#include "poolwise/query/detail/linear_classifier.hpp"
#include "poolwise/query/detail/mean_cosine.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/detail/ranked_rows.hpp"
#include "poolwise/query/detail/score_order.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

/// Rows that k-means looks at: the labelled ones, if they are centres, and those that may be picked.
struct clustered_rows {
  std::vector<float> points, weights;  // weights are empty for 1
  std::vector<index_t> rows;           // of the stage, of those behind `fixed`
  index_t fixed = 0, cols = 0;

  finite_rows view() const {
    return finite_rows::judged(matrix_view<const float>{points.data(), fixed + index_t(rows.size()), cols});
  }
};

clustered_rows rows_of(const stage_input& x, bool with_labelled) {
  clustered_rows found;
  found.cols = x.pool.embeddings->cols;
  if (with_labelled) found.fixed = x.labelled.rows;
  for (index_t i = 0; i < x.rows(); ++i)
    if (!is_barred(x, i)) found.rows.push_back(i);
  found.points.reserve(std::size_t((found.fixed + index_t(found.rows.size())) * found.cols));
  const auto add = [&](const float* row) { found.points.insert(found.points.end(), row, row + found.cols); };
  for (index_t i = 0; i < found.fixed; ++i) add(x.labelled.row(i));
  for (const index_t i : found.rows) {
    add(x.pool.embeddings->row(i));
    settle_pages(host_of(x.on));
  }
  return found;
}

/// A row without a score counts as next to nothing, so that it has a mean.
void weigh(const stage_input& x, clustered_rows& of) {
  std::vector<float> scores(std::size_t(x.rows()));
  score_inner(x, {scores.data(), x.rows()});
  of.weights.assign(std::size_t(of.fixed), 1.0f);
  for (const index_t i : of.rows) {
    const float score = scores[std::size_t(i)];
    if (!(score >= 0 && std::isfinite(score)))
      throw value_error("clue: row " + std::to_string(x.pool_row(i)) + " scores " + std::to_string(score) +
                        " by " + x.what->inner->text +
                        "; take a score that is finite and never negative, such as entropy");
    of.weights.push_back(std::max(score, 1e-12f));
  }
}

/// [centres, cols] those that are fixed, and one for each pick.
std::vector<float> centres_of(const stage_input& x, const clustered_rows& of, index_t centres) {
  std::vector<float> values(of.points.begin(), of.points.begin() + of.fixed * of.cols);
  values.resize(std::size_t(centres * of.cols));
  kmeans(x.on, of.view(), {values.data(), centres, of.cols},
         {.seed = query_seed(*x.asked),
          .weights = {of.weights.data(), index_t(of.weights.size())},
          .fixed = of.fixed});
  return values;
}

/// From each cluster with a free centre, the heaviest first, the row nearest to the centre that is allowed; and
/// so on round by round. Clusters about a labelled row come last.
std::vector<candidate> nearest_to_centres(const stage_input& x, const clustered_rows& of) {
  remaining left(x.limit);
  const auto count = index_t(of.rows.size());
  const index_t centres = of.fixed + std::min(left.picks(), count);
  const std::vector<float> values = centres_of(x, of, centres);
  std::vector<index_t> which(of.rows.size());
  std::vector<float> d2(which.size());
  nearest(x.on, rows_between(of.view(), of.fixed, of.fixed + count),
          require_finite(host_of(x.on), "kmeans", "centroids", {values.data(), centres, of.cols}),
          {d2.data(), count}, {which.data(), count});
  struct cluster {
    bool is_fixed;
    double weight = 0;
    std::vector<candidate> rows = {};
  };
  std::vector<cluster> clusters;
  for (index_t c = 0; c < centres; ++c) clusters.push_back({c < of.fixed});
  for (std::size_t n = 0; n < d2.size(); ++n) {
    cluster& its = clusters[std::size_t(which[n])];
    its.weight += of.weights.empty() ? 1 : double(of.weights[std::size_t(of.fixed) + n]);
    its.rows.push_back({of.rows[n], -d2[n]});
  }
  std::stable_sort(clusters.begin(), clusters.end(), [](const cluster& a, const cluster& b) {
    return a.is_fixed < b.is_fixed || (a.is_fixed == b.is_fixed && a.weight > b.weight);
  });
  std::vector<std::vector<candidate>> free, fixed;
  for (cluster& one : clusters) {
    std::sort(one.rows.begin(), one.rows.end(), before);
    (one.is_fixed ? fixed : free).push_back(std::move(one.rows));
  }
  std::vector<candidate> picks = take_in_turn(free, left);
  const std::vector<candidate> more = take_in_turn(fixed, left);
  picks.insert(picks.end(), more.begin(), more.end());
  return picks;
}

std::vector<candidate> pick(const stage_input& x, bool weighted, bool with_labelled) {
  clustered_rows of = rows_of(x, with_labelled);
  if (of.rows.empty() || x.limit.picks == 0) return {};
  if (weighted) weigh(x, of);
  return nearest_to_centres(x, of);
}

constexpr stream dropout_stream{64};

/// [rows of the stage] the share of draws in which the answer of a linear classifier of the labelled rows
/// changes where each feature is 0 with a chance of `rate`.
std::vector<double> inconstancy(const stage_input& x) {
  const linear_classifier by("dropquery", x, classes_of("dropquery", x));
  const design h{*x.pool.embeddings, 1 / x.unit};
  const index_t classes = by.classes(), features = h.rows.cols, draws = x.what->given.count("draws");
  const double rate = x.what->given["rate"];
  const std::uint64_t seed = query_seed(*x.asked);
  std::vector<double> changed(std::size_t(x.rows()), 0.0);
  for_each_product(host_of(x.on), h, by.weights(), [&](index_t i, const double* row, const double* whole) {
    if (is_barred(x, i)) return;
    const index_t answer = index_t(std::max_element(whole, whole + classes) - whole);
    std::vector<double> left(std::size_t(classes), 0.0);
    for (index_t d = 0; d < draws; ++d) {
      for (index_t c = 0; c < classes; ++c) left[std::size_t(c)] = by.weights()(features, c);
      for (index_t f = 0; f < features; ++f) {
        const auto place = std::uint32_t(d * features + f);
        if (random_unit(seed, dropout_stream, std::uint64_t(x.pool_row(i)), place) < rate) continue;
        for (index_t c = 0; c < classes; ++c) left[std::size_t(c)] += row[f] * by.weights()(f, c);
      }
      const index_t now = index_t(std::max_element(left.begin(), left.end()) - left.begin());
      changed[std::size_t(i)] += double(now != answer) / double(draws);
    }
  });
  return changed;
}

/// As kmeans, of the rows whose answer changes in more than half of the draws; of the most changing ones where
/// those are fewer than the picks. Others come last.
std::vector<candidate> pick_dropquery(const stage_input& x, batch_run&) {
  const std::vector<double> changed = inconstancy(x);
  std::vector<candidate> order;
  for (index_t i = 0; i < x.rows(); ++i)
    if (!is_barred(x, i)) order.push_back({i, float(changed[std::size_t(i)])});
  std::sort(order.begin(), order.end(), before);
  if (order.empty() || x.limit.picks == 0) return {};
  auto kept = std::size_t(std::min(most_picks(x.limit, x.rows()), index_t(order.size())));
  while (kept < order.size() && order[kept].score > 0.5f) ++kept;
  clustered_rows of;
  of.cols = x.pool.embeddings->cols;
  for (std::size_t n = 0; n < kept; ++n) of.rows.push_back(order[n].row);
  std::sort(of.rows.begin(), of.rows.end());
  for (const index_t i : of.rows)
    of.points.insert(of.points.end(), x.pool.embeddings->row(i), x.pool.embeddings->row(i) + of.cols);
  std::vector<candidate> picks = of.rows.empty() ? std::vector<candidate>() : nearest_to_centres(x, of);
  remaining left(x.limit);
  for (const candidate& c : picks) left.take(c.row);
  order.erase(order.begin(), order.begin() + std::ptrdiff_t(kept));
  const std::vector<candidate> more = take_allowed(order, left);
  picks.insert(picks.end(), more.begin(), more.end());
  return picks;
}

// The rows twice, as FAISS has them, too; centres three times.
std::uint64_t bytes(const strategy_size& size) {
  const std::uint64_t rows = size.rows + size.labelled, centres = size.picks + size.labelled;
  return (std::uint64_t{64} << 20) + rows * (2 * 4 * size.features + 72) +
         4 * 4 * centres * (size.features + 32);
}

std::uint64_t dropquery_bytes(const strategy_size& size) {
  const std::uint64_t classes = size.labelled + 8;  // no more than labelled rows, of a usual numbering
  return bytes(size) + linear_model_bytes(size.features + 1, 1) +
         size.rows * (sizeof(double) + 2 * sizeof(candidate)) + size.labelled * 16 +
         (2 * (size.features + 1) + 64) * (classes + 8) * sizeof(double);
}

}  // namespace

/// Rows nearest to the centres that k-means finds, one for each pick; labelled rows may be centres that stay.
std::vector<strategy_entry> strategies_of_centroids() {
  return {{.name = "kmeans",
           .kind = "diversity",
           .formula = "nearest to each of as many centres of k-means as there are picks",
           .source = "Xu et al. 2003",
           .on_devices = "distances",
           .needs = part::embeddings,
           .pick = [](const stage_input& x, batch_run&) { return pick(x, false, false); },
           .reason = "nearest to the centre of its cluster",
           .bytes = bytes},
          {.name = "incremental_kmeans",
           .kind = "diversity",
           .formula = "as kmeans, with centres at the labelled rows that stay there",
           .source = "Xu et al. 2003; Bodo et al. 2011",
           .on_devices = "distances",
           .needs = part::embeddings,
           .does = trait::counts_labelled,
           .pick = [](const stage_input& x, batch_run&) { return pick(x, false, true); },
           .reason = "nearest to the centre of a cluster without a label",
           .bytes = bytes},
          {.name = "clue",
           .kind = "diversity",
           .formula = "as kmeans, each row counts in its mean by its score: clue(entropy)",
           .source = "Zhdanov 2019; Prabhu et al. 2021",
           .on_devices = "score, distances",
           .needs = part::embeddings,
           .does = trait::takes_score,
           .aliases = {"weightedkmeans"},
           .pick = [](const stage_input& x, batch_run&) { return pick(x, true, false); },
           .reason = "nearest to the centre of a cluster weighted by scores",
           .bytes = bytes},
          {.name = "dropquery",
           .kind = "diversity",
           .formula =
               "as kmeans, of rows whose answer by a linear model of the labelled rows changes in most draws "
               "of features that are 0",
           .source = "Gupte et al. 2024",
           .on_devices = "distances",
           .needs = part::embeddings | part::labels,
           .does = trait::counts_labelled,
           .parameters = {{"rate", 0.75, between(0, 1), "the share of features that are 0"},
                          {"draws", 3, {1, 1000, false, true}, "of them, for each row"},
                          {"lambda", 1, above(0), "the penalty on the model's squared weights"}},
           .pick = pick_dropquery,
           .reason = "nearest to the centre of a cluster of rows whose answer changes",
           .bytes = dropquery_bytes}};
}

}  // namespace poolwise
