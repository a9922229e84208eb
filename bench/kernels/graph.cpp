// Batches over graphs: the graph and the picks timed apart, beside what the graph takes and what a dense matrix
// of similarities in fp32, which libraries make for the same batch, would.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "huge_array.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/stopwatch.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/coverage.hpp"
#include "poolwise/graph/knn_method.hpp"
#include "poolwise/graph/neighbours.hpp"
#include "poolwise/graph/similarity.hpp"

namespace poolwise {
namespace {

/// Rows around a thousand centres, as those of a trained model lie around its concepts: [rows, cols].
class pool {
 public:
  pool(index_t rows, index_t cols) : rows_(rows), cols_(cols) {
    constexpr index_t centers = 1000;
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    std::vector<float> center(std::size_t(centers * cols));
    for (float& v : center) v = normal(random);
    parallel_blocks(cpu{}, rows, 1024, [&](index_t block, index_t begin, index_t end) {
      std::mt19937 next(unsigned(block) + 7);
      std::normal_distribution<float> around(0, 0.5f);
      for (index_t i = begin; i < end; ++i) {
        const float* const from = center.data() + index_t(next() % centers) * cols;
        for (index_t c = 0; c < cols; ++c) values_[std::size_t(i * cols + c)] = from[c] + around(next);
      }
    });
  }
  operator matrix_view<const float>() const { return {values_.get(), rows_, cols_}; }

 private:
  index_t rows_, cols_;
  bench::huge_array<float> values_ = bench::make_huge<float>(std::size_t(rows_ * cols_));
};

std::vector<float> normal_rows(index_t rows, index_t cols) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  std::vector<float> values(std::size_t(rows * cols));
  for (float& v : values) v = normal(random);
  return values;
}

/// Twelve independent normal values behind an untrained layer, and noise: rows without clusters, but not of as
/// many dimensions as they have columns.
std::vector<float> layer_rows(index_t rows, index_t cols) {
  constexpr index_t inputs = 12;
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  std::vector<float> weight(std::size_t(inputs * cols)), values(std::size_t(rows * cols));
  for (float& v : weight) v = normal(random);
  parallel_blocks(cpu{}, rows, 1024, [&](index_t block, index_t begin, index_t end) {
    std::mt19937 next(unsigned(block) + 8);
    std::normal_distribution<float> standard;
    float input[inputs];
    for (index_t i = begin; i < end; ++i) {
      for (float& z : input) z = standard(next);
      for (index_t c = 0; c < cols; ++c) {
        float sum = 0;
        for (index_t k = 0; k < inputs; ++k) sum += input[k] * weight[std::size_t(k * cols + c)];
        values[std::size_t(i * cols + c)] = std::max(0.0f, sum) + 0.05f * standard(next);
      }
    }
  });
  return values;
}

double peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return double(usage.ru_maxrss) / 1024;
}

/// Times make_graph() and pick(graph, counts).
template <class MakeGraph, class Pick>
void run(benchmark::State& state, index_t rows, MakeGraph&& make_graph, Pick&& pick) {
  const double before = peak_mib();
  double graph_s = 0, picks_s = 0;
  batch_run counts;
  index_t edges = 0;
  for (auto _ : state) {
    counts = {};
    stopwatch watch;
    const similarity_graph graph = make_graph();
    graph_s += watch.lap();
    benchmark::DoNotOptimize(pick(graph, counts));
    picks_s += watch.lap();
    edges = graph.edges();
  }
  const double runs = double(state.iterations()), mib = 1 << 20;
  state.counters["graph_s"] = graph_s / runs;
  state.counters["picks_s"] = picks_s / runs;
  state.counters["sweeps"] = double(counts.sweeps);
  state.counters["edges/row"] = double(edges) / double(rows);
  state.counters["graph_MiB"] = double(edges) * sizeof(similarity_graph::edge) / mib;
  state.counters["peak_MiB_more"] = peak_mib() - before;
  state.counters["dense_MiB"] = double(rows) * double(rows) * sizeof(float) / mib;
}

void facility_location(benchmark::State& state) {
  const pool x(state.range(0), state.range(1));
  run(
      state, state.range(0), [&] { return knn_similarities(cpu{}, x, 32); },
      [&](const similarity_graph& graph, batch_run& counts) {
        return facility_location(cpu{}, graph, {.picks = state.range(2)}, {}, {}, &counts);
      });
}

void graph_cut(benchmark::State& state) {
  const pool x(state.range(0), state.range(1));
  run(
      state, state.range(0), [&] { return knn_similarities(cpu{}, x, 32); },
      [&](const similarity_graph& graph, batch_run& counts) {
        return graph_cut(cpu{}, graph, 2.5, {.picks = state.range(2)}, {}, {}, &counts);
      });
}

/// With a hundred clusters for classes; k-means and the radius are in the graph's time.
void probcover(benchmark::State& state) {
  const pool x(state.range(0), state.range(1));
  const matrix_view<const float> points = x;
  const auto make_graph = [&] {
    std::vector<float> centroids(std::size_t(100 * points.cols)), d2(std::size_t(points.rows));
    std::vector<index_t> cluster(d2.size());
    kmeans(cpu{}, points, {centroids.data(), 100, points.cols});
    nearest(cpu{}, points, {centroids.data(), 100, points.cols}, {d2.data(), points.rows},
            {cluster.data(), points.rows});
    const float radius_d2 = pure_radius_d2(cpu{}, points, {cluster.data(), points.rows}, 0.95);
    return radius_graph(cpu{}, points, radius_d2, 512 * points.rows).value();
  };
  run(state, points.rows, make_graph, [&](const similarity_graph& graph, batch_run& counts) {
    return facility_location(cpu{}, graph, {.picks = state.range(2)}, {}, {}, &counts);
  });
}

/// Lists of 32 by a method; on rows in clusters, behind a layer, or of independent normal values.
void neighbour_lists(benchmark::State& state) {
  const index_t rows = state.range(0), cols = 64, each = 32;
  std::vector<float> values;
  std::optional<pool> clusters;
  if (state.range(2) == 0)
    clusters.emplace(rows, cols);
  else if (state.range(2) == 1)
    values = layer_rows(rows, cols);
  else
    values = normal_rows(rows, cols);
  const auto points =
      clusters ? matrix_view<const float>(*clusters) : matrix_view<const float>{values.data(), rows, cols};
  std::vector<index_t> which(std::size_t(rows * each));
  knn_report made;
  for (auto _ : state)
    made = knn_graph_by(knn_method(state.range(1)), cpu{}, points, {which.data(), rows, each});
  state.SetLabel(std::string(name_of(made.method)) + (state.range(2) == 0   ? ", clusters"
                                                      : state.range(2) == 1 ? ", layer"
                                                                            : ", normal"));
  state.counters["recall"] = made.recall;
  state.counters["probes"] = double(made.probes);
  state.counters["breadth"] = double(made.breadth);
}
BENCHMARK(neighbour_lists)
    ->ArgNames({"rows", "method", "data"})
    ->ArgsProduct({{100'000}, {1, 2, 3}, {0, 1, 2}})
    ->Args({1'000'000, 2, 0})
    ->Args({1'000'000, 2, 1})
    ->Iterations(1)
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void shapes(benchmark::internal::Benchmark* to) {
  to->ArgNames({"rows", "cols", "picks"})->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);
  to->Args({10'000, 64, 100})->Args({100'000, 64, 100})->Args({100'000, 64, 5'000});
}
BENCHMARK(facility_location)->Apply(shapes);
BENCHMARK(graph_cut)->Apply(shapes);
BENCHMARK(probcover)->Apply(shapes);

}  // namespace
}  // namespace poolwise
