#include "poolwise/query/diversity.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/batch_bald.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/diverse/coverage.hpp"
#include "poolwise/diverse/dpp.hpp"
#include "poolwise/diverse/kcenter.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"
#include "poolwise/diverse/typiclust.hpp"
#include "poolwise/graph/neighbours.hpp"
#include "poolwise/graph/similarity.hpp"
#include "poolwise/query/detail/gather.hpp"

namespace poolwise {
namespace {

// What is made of lists in host memory needs no device.
cpu host_of(const where& on) {
  const auto* const host = std::get_if<cpu>(&on);
  return host != nullptr ? *host : cpu{};
}

std::vector<diverse_pick> because(const char* reason, const std::vector<candidate>& picks) {
  std::vector<diverse_pick> reasoned;
  for (const candidate& c : picks) reasoned.push_back({c, reason});
  return reasoned;
}

// The scores by which the candidates were kept, as factors of their gains.
vector_view<const float> worth_of(const diversity_problem& problem, const char* name) {
  for (const float score : problem.scores)
    if (score < 0)
      throw value_error(std::string(name) + ": multiplies by the score of a row, and got " +
                        std::to_string(score) + "; rank by one that is never negative, such as margin");
  return problem.scores;
}

std::vector<candidate> farthest(const diversity_problem& problem, vector_view<const float> weights) {
  std::vector<float> covered;
  if (problem.labelled.rows > 0) {
    covered.resize(std::size_t(problem.rows));
    nearest(problem.on, problem.embeddings, problem.labelled, {covered.data(), problem.rows});
  }
  return kcenter(problem.on, problem.embeddings, problem.limit, {covered.data(), index_t(covered.size())},
                 weights, problem.run);
}

std::vector<diverse_pick> pick_kcenter(const diversity_problem& problem) {
  return because("farthest from labelled and picked rows", farthest(problem, {}));
}

std::vector<diverse_pick> pick_weighted_kcenter(const diversity_problem& problem) {
  return because("largest score times distance from labelled and picked rows",
                 farthest(problem, worth_of(problem, "weighted_kcenter")));
}

std::uint64_t kcenter_bytes(const diversity_size& size) { return size.rows * (4 + 4 + 4 + 1); }

std::vector<diverse_pick> pick_badge(const diversity_problem& problem) {
  const index_t classes = cols_of(*problem.model);
  std::vector<float> a(std::size_t(problem.rows * classes));
  output_gradient(problem.on, *problem.model, problem.model_kind, {a.data(), problem.rows, classes});
  const factored_rows gradient{{a.data(), problem.rows, classes}, problem.embeddings, /*bias=*/true};
  return because(
      "drawn by squared gradient distance",
      kmeans_pp(problem.on, gradient, problem.limit, problem.seed, first_center::largest_norm, problem.run));
}

std::uint64_t badge_bytes(const diversity_size& size) { return size.rows * (size.classes * 4 + 4 + 8 + 1); }

std::vector<diverse_pick> pick_dpp(const diversity_problem& problem) {
  return because("largest variance left by the picks",
                 dpp(problem.on, problem.embeddings, problem.limit, worth_of(problem, "dpp"), {}, problem.run));
}

// The factor, in blocks of 16 columns, of all rows; of the picks; and of the rows of a shortlist.
std::uint64_t dpp_bytes(const diversity_size& size) {
  const std::uint64_t columns = size.picks / 16 * 16 + 16;
  return 4 * columns * (size.rows + size.picks + std::min<std::uint64_t>(size.rows, 4096)) +
         size.rows * (4 + 8 + 4);
}

std::vector<diverse_pick> pick_batchbald(const diversity_problem& problem) {
  batch_run alone;
  batch_run& run = problem.run != nullptr ? *problem.run : alone;
  auto picks = because("most informative beside the labels of the picks",
                       batch_bald(problem.on, *problem.committee, problem.committee_kind, problem.limit,
                                  {.seed = problem.seed}, &run));
  for (std::size_t p = std::size_t(run.exact); p < picks.size(); ++p)
    picks[p].reason = "most informative beside the labels of the picks, estimated from a sample of these";
  return picks;
}

std::uint64_t batchbald_bytes(const diversity_size& size) {
  const auto most = std::uint64_t(joint_configurations{}.most);
  return 24 * (size.members + 1) * std::max<std::uint64_t>(8, most / std::max<std::uint64_t>(1, size.classes)) +
         size.rows * 110;
}

/// What a graph is made of: the candidates that may be picked, then the labelled rows, which count as picked.
class graph_rows {
 public:
  explicit graph_rows(const diversity_problem& problem)
      : limit_(problem.limit), cols_(problem.embeddings.cols) {
    for (index_t i = 0; i < problem.rows; ++i)
      if (limit_.barred.empty() || limit_.barred[i] == 0) rows_.push_back(i);
    points_ = gather(host_of(problem.on), problem.embeddings, rows_);
    points_.reserve(std::size_t((index_t(rows_.size()) + problem.labelled.rows) * cols_));
    for (index_t i = 0; i < problem.labelled.rows; ++i) {
      labelled_.push_back(index_t(rows_.size()) + i);
      points_.insert(points_.end(), problem.labelled.row(i), problem.labelled.row(i) + cols_);
    }
    limit_.barred = {};
    limit_.cost = extended(limit_.cost, cost_);
    limit_.group = extended(limit_.group, group_);
    if (limit_.apart) limit_.apart->points = points();
  }

  index_t count() const { return index_t(rows_.size() + labelled_.size()); }
  matrix_view<const float> points() const { return {points_.data(), count(), cols_}; }
  const std::vector<index_t>& labelled() const { return labelled_; }
  const allowance& limit() const { return limit_; }

  /// Picks by their rows in the graph become picks by their candidates.
  std::vector<candidate> candidates(std::vector<candidate> picks) const {
    for (candidate& c : picks) c.row = rows_[std::size_t(c.row)];
    return picks;
  }

 private:
  template <class T>
  vector_view<const T> extended(vector_view<const T> values, std::vector<T>& into) const {
    if (values.empty()) return {};
    into = gather(values, rows_);
    into.resize(std::size_t(count()), T(0));
    return {into.data(), count()};
  }

  allowance limit_;
  index_t cols_;
  std::vector<index_t> rows_, labelled_, group_;
  std::vector<std::int64_t> cost_;
  std::vector<float> points_;
};

constexpr std::uint64_t faiss_bytes = std::uint64_t{64} << 20;

std::uint64_t graph_rows_bytes(const diversity_size& size) {
  return (size.rows + size.labelled) * (2 * 4 * size.features + 4 * 8);
}

std::uint64_t lists_bytes(const diversity_size& size) {
  return knn_graph_bytes(size.neighbours, index_t(size.rows + size.labelled), index_t(size.features));
}

// Most of a row's similarity is to its nearest; the picks change little beyond.
constexpr index_t graph_neighbours = 32;

similarity_graph graph_of(const diversity_problem& problem, const graph_rows& rows) {
  knn_report made;
  similarity_graph graph =
      knn_similarities(problem.on, rows.points(), graph_neighbours, 0, problem.neighbours, &made);
  if (problem.lists != nullptr) *problem.lists = made;
  return graph;
}

std::vector<diverse_pick> pick_facility_location(const diversity_problem& problem) {
  const graph_rows rows(problem);
  const similarity_graph graph = graph_of(problem, rows);
  return because("most like rows that nothing labelled or picked is like",
                 rows.candidates(facility_location(host_of(problem.on), graph, rows.limit(), rows.labelled(),
                                                   {}, problem.run)));
}

// The monotone graph cut nearest to what libraries take, 1/lambda = 0.4.
constexpr double cut_lambda = 2.5;

std::vector<diverse_pick> pick_graph_cut(const diversity_problem& problem) {
  const graph_rows rows(problem);
  const similarity_graph graph = graph_of(problem, rows);
  return because("like many rows, unlike those labelled or picked",
                 rows.candidates(graph_cut(host_of(problem.on), graph, cut_lambda, rows.limit(),
                                           rows.labelled(), problem.run)));
}

std::uint64_t similarity_bytes(const diversity_size& size) {
  // The lists, twice the graph while it shrinks to what it holds, and what the picks take.
  const std::uint64_t row = graph_neighbours * (8 + 4) + 2 * 8 * (2 * graph_neighbours + 1) + 3 * 8 + 21;
  return graph_rows_bytes(size) + (size.rows + size.labelled) * row + lists_bytes(size);
}

// The published purity. Balls so dense that there are more pairs are halved in squared radius until they are
// not.
constexpr double ball_purity = 0.95;
constexpr index_t most_clusters = 500, most_pairs_a_row = 256;

/// Clusters stand for classes, as many as there will be labels.
std::vector<index_t> clusters_of(const diversity_problem& problem, const graph_rows& rows) {
  const index_t labels = problem.labelled.rows + problem.limit.picks;
  const index_t count = std::min({std::max<index_t>(2, labels), most_clusters, rows.count()});
  const auto points = rows.points();
  std::vector<float> centroids(std::size_t(count * points.cols)), d2(std::size_t(points.rows));
  std::vector<index_t> cluster(d2.size());
  kmeans(problem.on, points, {centroids.data(), count, points.cols}, {.seed = problem.seed});
  nearest(problem.on, points, {centroids.data(), count, points.cols}, {d2.data(), points.rows},
          {cluster.data(), points.rows});
  return cluster;
}

std::vector<diverse_pick> pick_typiclust(const diversity_problem& problem) {
  const graph_rows rows(problem);
  knn_report made;
  auto picks = typiclust(problem.on, rows.points(), rows.limit(), rows.labelled(),
                         {.seed = problem.seed, .method = problem.neighbours}, &made);
  if (problem.lists != nullptr) *problem.lists = made;
  return because("typical of a cluster with few labels", rows.candidates(std::move(picks)));
}

std::uint64_t typiclust_bytes(const diversity_size& size) {
  const typiclust_options options;
  const std::uint64_t row = 4 * size.features + std::uint64_t(options.neighbours) * (8 + 4) + 5 * 8;
  return graph_rows_bytes(size) + faiss_bytes + (size.rows + size.labelled) * row + lists_bytes(size) +
         4 * std::uint64_t(options.most_clusters) * size.features * sizeof(float);
}

std::vector<diverse_pick> pick_probcover(const diversity_problem& problem) {
  if (problem.limit.picks == 0) return {};
  const graph_rows rows(problem);
  const std::vector<index_t> cluster = clusters_of(problem, rows);
  const cpu host = host_of(problem.on);
  float radius_d2 = pure_radius_d2(host, rows.points(), {cluster.data(), rows.count()}, ball_purity);
  // No radius is pure where equal rows are in different clusters; every radius is where all are in one.
  if (radius_d2 < 0 || radius_d2 == std::numeric_limits<float>::max()) radius_d2 = 0;
  auto graph = radius_graph(host, rows.points(), radius_d2, most_pairs_a_row * rows.count());
  while (!graph) {
    if (radius_d2 == 0)
      throw value_error("probcover: more than " + std::to_string(most_pairs_a_row) +
                        " pairs a row are of equal embeddings; leave repeated rows out");
    radius_d2 /= 2;
    graph = radius_graph(host, rows.points(), radius_d2, most_pairs_a_row * rows.count());
  }
  return because(
      "near most rows that nothing labelled or picked is near",
      rows.candidates(facility_location(host, *graph, rows.limit(), rows.labelled(), {}, problem.run)));
}

std::uint64_t ball_graph_bytes(const diversity_size& size) {
  // What k-means and the search for the radius hold, and the graph while it is built.
  const std::uint64_t row = 4 * size.features + 4 * 8 + most_pairs_a_row * 48 + 3 * 8 + 9;
  return graph_rows_bytes(size) + faiss_bytes + (size.rows + size.labelled) * row +
         4 * most_clusters * size.features * sizeof(float);
}

const diversity all[] = {
    {.name = "kcenter",
     .formula = "farthest from everything labelled or picked",
     .source = "Gonzalez 1985; Sener & Savarese 2018",
     .on_devices = "all",
     .needs_outputs = false,
     .needs_committee = false,
     .needs_embeddings = true,
     .begins_with_labelled = true,
     .compares_all_pairs = false,
     .lists_neighbours = false,
     .pick = pick_kcenter,
     .bytes = kcenter_bytes},
    {.name = "weighted_kcenter",
     .formula = "score * squared distance as of kcenter",
     .source = "Sener & Savarese 2018",
     .on_devices = "all",
     .needs_outputs = false,
     .needs_committee = false,
     .needs_embeddings = true,
     .begins_with_labelled = true,
     .compares_all_pairs = false,
     .lists_neighbours = false,
     .pick = pick_weighted_kcenter,
     .bytes = kcenter_bytes},
    {.name = "badge",
     .formula = "k-means++ on (p - onehot) (x) [h; 1]",
     .source = "Ash et al. 2020",
     .on_devices = "all",
     .needs_outputs = true,
     .needs_committee = false,
     .needs_embeddings = true,
     .begins_with_labelled = false,
     .compares_all_pairs = false,
     .lists_neighbours = false,
     .pick = pick_badge,
     .bytes = badge_bytes},
    {.name = "dpp",
     .formula = "det of score_i exp(-d_ij^2 / 2 s^2) score_j",
     .source = "Kulesza & Taskar 2012; Chen et al. 2018",
     .on_devices = "refused",
     .needs_outputs = false,
     .needs_committee = false,
     .needs_embeddings = true,
     .begins_with_labelled = false,
     .compares_all_pairs = false,
     .lists_neighbours = false,
     .pick = pick_dpp,
     .bytes = dpp_bytes},
    {.name = "batchbald",
     .formula = "I(labels of the batch; member)",
     .source = "Kirsch et al. 2019",
     .on_devices = "refused",
     .needs_outputs = false,
     .needs_committee = true,
     .needs_embeddings = false,
     .begins_with_labelled = false,
     .compares_all_pairs = false,
     .lists_neighbours = false,
     .pick = pick_batchbald,
     .bytes = batchbald_bytes},
    {.name = "facility_location",
     .formula = "max sum_i max_{picked or labelled j} s_ij; s = 1 / (1 + d^2 / h), 0 beyond the 32 nearest",
     .source = "Cornuejols et al. 1977; Nemhauser et al. 1978",
     .on_devices = "graph",
     .needs_outputs = false,
     .needs_committee = false,
     .needs_embeddings = true,
     .begins_with_labelled = true,
     .compares_all_pairs = true,
     .lists_neighbours = true,
     .pick = pick_facility_location,
     .bytes = similarity_bytes},
    {.name = "probcover",
     .formula = "most rows covered within delta; delta: the largest at which 95 % of balls keep to one cluster",
     .source = "Yehuda et al. 2022",
     .on_devices = "clusters",
     .needs_outputs = false,
     .needs_committee = false,
     .needs_embeddings = true,
     .begins_with_labelled = true,
     .compares_all_pairs = true,
     .lists_neighbours = false,
     .pick = pick_probcover,
     .bytes = ball_graph_bytes},
    {.name = "graph_cut",
     .formula = "max 2.5 sum_ij s_ij (j picked) - sum_ij s_ij (both picked); s as for facility_location",
     .source = "Iyer & Bilmes 2013",
     .on_devices = "graph",
     .needs_outputs = false,
     .needs_committee = false,
     .needs_embeddings = true,
     .begins_with_labelled = true,
     .compares_all_pairs = true,
     .lists_neighbours = true,
     .pick = pick_graph_cut,
     .bytes = similarity_bytes},
    {.name = "typiclust",
     .formula = "1 / mean distance to the 20 nearest, in turn of each cluster, fewest labels first",
     .source = "Hacohen et al. 2022",
     .on_devices = "graph, clusters",
     .needs_outputs = false,
     .needs_committee = false,
     .needs_embeddings = true,
     .begins_with_labelled = true,
     .compares_all_pairs = true,
     .lists_neighbours = true,
     .pick = pick_typiclust,
     .bytes = typiclust_bytes},
};

}  // namespace

std::span<const diversity> diversities() { return all; }

}  // namespace poolwise
