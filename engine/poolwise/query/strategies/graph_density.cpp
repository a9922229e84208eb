#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "poolwise/query/detail/graph_rows.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

/// The mean likeness of each vertex to its neighbours; what a vertex has that is labelled or picked is taken
/// from its neighbours, as far as these are like it.
class densities {
 public:
  explicit densities(const stage_input& x)
      : rows_(x),
        graph_(graph_of(x, rows_)),
        density_(std::size_t(graph_->rows())),
        values_(std::size_t(x.rows())) {
    for (index_t v = 0; v < graph_->rows(); ++v) {
      double sum = 0;
      for (const auto& to : graph_->of(v)) sum += double(to.similarity);
      const auto others = double(graph_->of(v).size - 1);
      density_[std::size_t(v)] = others > 0 ? (sum - 1) / others : 0;
    }
    for (const index_t v : rows_.labelled()) take_vertex(v);
  }

  vector_view<const float> values() {
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const index_t v = rows_.vertex()[i];
      values_[i] = v < 0 ? 0.0f : float(density_[std::size_t(v)]);
    }
    return {values_.data(), index_t(values_.size())};
  }

  void take(index_t row) { take_vertex(rows_.vertex()[std::size_t(row)]); }

 private:
  static std::shared_ptr<const similarity_graph> graph_of(const stage_input& x, const graph_rows& rows) {
    const double bandwidth = x.what->given["bandwidth"] * x.unit;
    similarity_law law{
        .gaussian = true,
        .scale_d2 = float(std::min(2 * bandwidth * bandwidth, double(std::numeric_limits<float>::max())))};
    return neighbour_graph(x, rows, law);
  }

  /// Copies of it come last.
  void take_vertex(index_t v) {
    const double its = density_[std::size_t(v)];
    if (its <= taken) return;
    for (const auto& to : graph_->of(v))
      if (double& other = density_[to.row]; other > taken) other -= its * double(to.similarity);
    density_[std::size_t(v)] = taken;
  }

  static constexpr double taken = -1e30;

  graph_rows rows_;
  std::shared_ptr<const similarity_graph> graph_;
  std::vector<double> density_;
  std::vector<float> values_;
};

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  return pick_one_by_one<largest_value<densities>>("graph_density", x, run);
}

}  // namespace

std::vector<strategy_entry> strategies_of_graph_density() {
  return {
      {.name = "graph_density",
       .kind = "diversity",
       .formula = "mean of exp(-d^2 / 2 s^2) to neighbours, which a pick takes its own, times that, from",
       .source = "Ebert et al. 2012",
       .on_devices = "graph",
       .needs = part::embeddings,
       .does = trait::counts_labelled | trait::lists_neighbours,
       .parameters = {{"bandwidth", 0, at_least(0), "s; 0: 2 s^2 is the median of d^2 to the last neighbour"},
                      {"neighbours", 10, whole_from(1), "on each row's list"}},
       .pick = pick,
       .reason = "like many rows that no labelled or picked row is like",
       .bytes = [](const strategy_size& size) {
         return neighbour_graph_bytes(size) +
                (size.rows + size.labelled) * (sizeof(double) + sizeof(float) + 1);
       }}};
}

}  // namespace poolwise
