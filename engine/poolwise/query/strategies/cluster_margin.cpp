#include <algorithm>
#include <limits>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/graph/linkage.hpp"
#include "poolwise/graph/neighbours.hpp"
#include "poolwise/query/detail/score_order.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

constexpr stream cluster_stream{26};
constexpr index_t most_leaves = 2048;

/// The cluster of each of some rows, by average linkage. More rows than leaves are cells of k-means first,
/// whose centres stand for them.
std::vector<index_t> clusters_of(const stage_input& x, finite_rows points) {
  const double distance = x.what->given["distance"] * x.unit;
  const index_t fewest = distance > 0 ? 1 : std::max<index_t>(1, x.limit.picks);
  const float height = distance > 0 ? float(std::min(distance, double(std::numeric_limits<float>::max())))
                                    : std::numeric_limits<float>::infinity();
  const cpu on = host_of(x.on);
  if (points.rows() <= most_leaves) return average_linkage(on, points, {}, fewest, height);
  std::vector<float> centres(std::size_t(most_leaves * points.cols()));
  kmeans(x.on, points, {centres.data(), most_leaves, points.cols()},
         {.train_rows = std::min(points.rows(), 64 * most_leaves),
          .iterations = 10,
          .seed = query_seed(*x.asked)});
  const finite_rows leaves =
      require_finite(on, "cluster_margin", "centroids", {centres.data(), most_leaves, points.cols()});
  std::vector<float> d2(std::size_t(points.rows())), weights(most_leaves, 0.0f);
  std::vector<index_t> leaf(d2.size());
  nearest(x.on, points, leaves, {d2.data(), points.rows()}, {leaf.data(), points.rows()});
  for (const index_t one : leaf) ++weights[std::size_t(one)];
  for (float& weight : weights) weight = std::max(weight, 0.5f);  // of a cell without rows
  const auto cluster = average_linkage(on, leaves, {weights.data(), most_leaves}, fewest, height);
  for (index_t& one : leaf) one = cluster[std::size_t(one)];
  return leaf;
}

/// Of each cluster, those with the fewest candidates first, a candidate that is drawn; and so on round by
/// round. The rows that are no candidates come last, in order.
std::vector<candidate> pick(const stage_input& x, batch_run&) {
  std::vector<candidate> order = score_order(x);
  if (order.empty() || x.limit.picks == 0) return {};
  std::vector<float> values;
  const matrix_view<const float> rows = *x.pool.embeddings;
  values.reserve(order.size() * std::size_t(rows.cols));
  for (const candidate& c : order) {
    values.insert(values.end(), rows.row(c.row), rows.row(c.row) + rows.cols);
    settle_far_pages(host_of(x.on));
  }
  const std::vector<index_t> cluster = clusters_of(
      x, finite_rows::judged(matrix_view<const float>{values.data(), index_t(order.size()), rows.cols}));
  values = {};
  const index_t per_pick = x.what->given.count("per_pick");
  const auto all = index_t(order.size());
  const index_t kept = per_pick > all / x.limit.picks ? all : per_pick * x.limit.picks;

  struct drawn {
    std::uint64_t bits;
    std::size_t place;
  };
  std::vector<std::vector<drawn>> clusters(std::size_t(1 + *std::max_element(cluster.begin(), cluster.end())));
  for (std::size_t n = 0; n < std::size_t(kept); ++n)
    clusters[std::size_t(cluster[n])].push_back(
        {random_bits(query_seed(*x.asked), cluster_stream, std::uint64_t(x.pool_row(order[n].row))), n});
  for (auto& one : clusters)
    std::sort(one.begin(), one.end(), [](const drawn& a, const drawn& b) {
      return a.bits < b.bits || (a.bits == b.bits && a.place < b.place);
    });
  std::stable_sort(clusters.begin(), clusters.end(),
                   [](const auto& a, const auto& b) { return a.size() < b.size(); });

  std::vector<std::vector<candidate>> lists;
  for (const auto& one : clusters) {
    lists.emplace_back();
    for (const drawn& row : one) lists.back().push_back(order[row.place]);
  }
  remaining left(x.limit);
  std::vector<candidate> picks = take_in_turn(lists, left);
  order.erase(order.begin(), order.begin() + kept);
  const std::vector<candidate> more = take_allowed(order, left);
  picks.insert(picks.end(), more.begin(), more.end());
  return picks;
}

// The rows twice, for k-means, and which cluster each is of.
std::uint64_t bytes(const strategy_size& size) {
  const std::uint64_t leaves = std::min<std::uint64_t>(size.rows, most_leaves);
  return (std::uint64_t{64} << 20) + score_order_bytes(size.rows) +
         size.rows * (2 * 4 * size.features + 4 + 2 * sizeof(index_t) + 2 * 16) +
         average_linkage_bytes(leaves) + 4 * leaves * (size.features + 32) * sizeof(float);
}

}  // namespace

std::vector<strategy_entry> strategies_of_cluster_margin() {
  return {
      {.name = "cluster_margin",
       .kind = "diversity",
       .formula = "of the best 10 rows a pick one drawn in turn of each cluster, small ones first",
       .source = "Citovsky et al. 2021",
       .on_devices = "score, distances",
       .needs = part::embeddings,
       .does = trait::takes_score,
       .parameters = {{"per_pick", 10, whole_from(1), "rows of the highest score that may be drawn, a pick"},
                      {"distance", 0, at_least(0), "at which clusters stay apart; 0: one for each pick"}},
       .pick = pick,
       .reason = "drawn in turn of its cluster, among the rows of highest score",
       .bytes = bytes}};
}

}  // namespace poolwise
