// Diverse batches against the plain greedy loops that they replace. `gemv` is written on OpenBLAS: one product
// of the pool with the latest pick (sgemv), one pass of minima, one arg-max or draw; for BADGE that is the
// factored form of its authors. `fused` is k-center in one pass a pick that reads every row once, by hand. Both
// are linear in the picks, so 50 of them are timed beside each case, and the counters say how many times longer
// the whole would take. `memory` is the peak resident size as a multiple of the inputs.
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "huge_array.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/stopwatch.hpp"
#include "poolwise/diverse/batch_bald.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/diverse/dpp.hpp"
#include "poolwise/diverse/kcenter.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"
#include "poolwise/files/idx.hpp"

extern "C" void sgemv_(const char* trans, const int* rows, const int* cols, const float* alpha, const float* a,
                       const int* stride, const float* x, const int* step_x, const float* beta, float* y,
                       const int* step_y);

extern "C" void sgemm_(const char* trans_a, const char* trans_b, const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* stride_a, const float* b,
                       const int* stride_b, const float* beta, float* c, const int* stride_c);

namespace poolwise {
namespace {

constexpr int plain_picks = 50;

/// A pool on huge pages.
struct pool {
  index_t rows, cols;
  bench::huge_array<float> values = bench::make_huge<float>(std::size_t(rows * cols));

  operator matrix_view<const float>() const { return {values.get(), rows, cols}; }
  vector_view<float> row(index_t i) const { return {values.get() + i * cols, cols}; }
};

pool normal_pool(index_t rows, index_t cols) {
  pool x{rows, cols};
  parallel_blocks(cpu{}, rows, 1024, [&](index_t block, index_t begin, index_t end) {
    std::mt19937 next(unsigned(block) + 7);
    std::normal_distribution<float> normal;
    for (float* v = x.row(begin).begin(); v != x.row(end - 1).end(); ++v) *v = normal(next);
  });
  return x;
}

/// The images of Fashion-MNIST in [0, 1].
pool fashion_pixels() {
  const auto images = read_fashion_mnist(fashion_mnist_folder).train_images;
  pool x{images.shape[0], images.shape[1] * images.shape[2]};
  std::transform(images.values.begin(), images.values.end(), x.values.get(),
                 [](std::uint8_t v) { return float(v) / 255; });
  return x;
}

/// What a layer of so many units makes of them before it is trained.
pool fashion_features(index_t units) {
  const pool pixels = fashion_pixels(), weights = normal_pool(units, pixels.cols);
  pool x{pixels.rows, units};
  const int m = int(units), n = int(x.rows), k = int(pixels.cols);
  const float scale = 1.0f / 28, zero = 0;
  sgemm_("T", "N", &m, &n, &k, &scale, weights.values.get(), &k, pixels.values.get(), &k, &zero, x.values.get(),
         &m);
  for (float* v = x.values.get(); v != x.values.get() + x.rows * x.cols; ++v) *v = std::max(*v, 0.0f);
  return x;
}

/// products[i] = x.row(i) . y on all threads.
void products_with(const pool& x, vector_view<const float> y, std::vector<float>& products) {
  const int rows = int(x.rows), cols = int(x.cols), step = 1;
  const float one = 1, zero = 0;
  sgemv_("T", &cols, &rows, &one, x.values.get(), &cols, y.data, &step, &zero, products.data(), &step);
}

std::vector<float> norms_of(const pool& x) {
  std::vector<float> norms(std::size_t(x.rows));
  for (index_t i = 0; i < x.rows; ++i)
    norms[std::size_t(i)] = std::inner_product(x.row(i).begin(), x.row(i).end(), x.row(i).begin(), 0.0f);
  return norms;
}

/// Of one pick, by sgemv.
double gemv_kcenter_seconds(const pool& x) {
  const auto norms = norms_of(x);
  std::vector<float> products(norms), nearest(norms.size(), std::numeric_limits<float>::infinity());
  index_t latest = 0;
  const stopwatch watch;
  for (int pick = 0; pick < plain_picks; ++pick) {
    products_with(x, x.row(latest), products);
#pragma omp parallel for simd
    for (std::size_t i = 0; i < norms.size(); ++i)
      nearest[i] = std::min(nearest[i], norms[i] + norms[std::size_t(latest)] - 2 * products[i]);
    latest = std::max_element(nearest.begin(), nearest.end()) - nearest.begin();
  }
  return watch.seconds() / plain_picks;
}

/// Of one pick by sgemv, on average over `picks`, of which the first and the last are timed: pick t costs a
/// product with the first t columns of the factor, each of which lies in one piece.
double gemv_dpp_seconds(const pool& x, index_t picks) {
  const auto norms = norms_of(x);
  const float scale = -0.5f / float(x.cols), one = 1, zero = 0;
  const int rows = int(x.rows), unit = 1;
  std::vector<float> products(norms), explained(norms), variance(norms.size(), 1.0f);
  pool factor = normal_pool(picks, x.rows);
  index_t latest = 0;
  double seconds = 0;
  const auto step = [&](index_t t) {
    const stopwatch watch;
    products_with(x, x.row(latest), products);
    std::vector<float> of_latest;
    for (index_t s = 0; s < t; ++s) of_latest.push_back(factor.row(s)[latest]);
    const int columns = int(t);
    sgemv_("N", &rows, &columns, &one, factor.values.get(), &rows, of_latest.data(), &unit, &zero,
           explained.data(), &unit);
    const float inverse = 1 / std::sqrt(std::max(variance[std::size_t(latest)], 1e-3f));
    float* const column = factor.row(t).data;
#pragma omp parallel for simd
    for (std::size_t i = 0; i < norms.size(); ++i) {
      const float similar = std::exp(scale * (norms[i] + norms[std::size_t(latest)] - 2 * products[i]));
      column[i] = (similar - explained[i]) * inverse;
      variance[i] = std::max(0.0f, variance[i] - column[i] * column[i]);
    }
    latest = std::max_element(variance.begin(), variance.end()) - variance.begin();
    seconds += watch.seconds();
  };
  for (index_t t = 1; t <= plain_picks / 2; ++t) step(t);
  for (index_t t = picks - plain_picks / 2; t < picks; ++t) step(t);
  return seconds / plain_picks;
}

#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
float
squared_distance(const float* x, const float* y, index_t cols) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (index_t c = 0; c < cols; ++c) sum += (x[c] - y[c]) * (x[c] - y[c]);
  return sum;
}

/// Of one pick, by one pass that makes distances and minima and finds the largest.
double fused_kcenter_seconds(const pool& x) {
  std::vector<float> nearest(std::size_t(x.rows), std::numeric_limits<float>::infinity());
  index_t latest = 0;
  const stopwatch watch;
  for (int pick = 0; pick < plain_picks; ++pick) {
    const float* const center = x.row(latest).data;
    float largest = -1;
    index_t farthest = 0;
#pragma omp parallel
    {
      float my_largest = -1;
      index_t my_farthest = 0;
#pragma omp for schedule(static) nowait
      for (index_t i = 0; i < x.rows; ++i) {
        float& least = nearest[std::size_t(i)];
        least = std::min(least, squared_distance(x.row(i).data, center, x.cols));
        if (least > my_largest) my_largest = least, my_farthest = i;
      }
#pragma omp critical(farthest)
      if (my_largest > largest) largest = my_largest, farthest = my_farthest;
    }
    latest = farthest;
  }
  return watch.seconds() / plain_picks;
}

/// Of one pick, by sgemv.
double gemv_badge_seconds(const pool& a, const pool& h) {
  const auto a_norms = norms_of(a), h_norms = norms_of(h);
  std::vector<float> norms(a_norms), of_a(norms), of_h(norms);
  for (std::size_t i = 0; i < norms.size(); ++i) norms[i] *= h_norms[i];
  std::vector<float> nearest(norms.size(), std::numeric_limits<float>::infinity());
  std::vector<double> shares(norms.size());
  std::mt19937_64 next(7);
  index_t latest = 0;
  const stopwatch watch;
  for (int pick = 0; pick < plain_picks; ++pick) {
    products_with(a, a.row(latest), of_a);
    products_with(h, h.row(latest), of_h);
#pragma omp parallel for simd
    for (std::size_t i = 0; i < norms.size(); ++i)
      nearest[i] =
          std::min(nearest[i], std::max(0.0f, norms[i] + norms[std::size_t(latest)] - 2 * of_a[i] * of_h[i]));
    std::partial_sum(nearest.begin(), nearest.end(), shares.begin(), std::plus<double>());
    const double target = std::uniform_real_distribution<double>(0, shares.back())(next);
    latest = std::upper_bound(shares.begin(), shares.end() - 1, target) - shares.begin();
  }
  return watch.seconds() / plain_picks;
}

/// Kilobytes of this process.
double resident_kilobytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind(field + ":", 0) == 0) return std::stod(line.substr(field.size() + 1));
  return 0;
}

/// Runs `select(counts)`, beside inputs of so many bytes. Returns the seconds of one run.
template <class Select>
double run(benchmark::State& state, index_t input_bytes, Select&& select) {
  batch_run counts;
  double seconds = 0, picks = 0;
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5;  // the peak from here on
  const double before = resident_kilobytes("VmRSS");
  for (auto _ : state) {
    counts = {};
    const stopwatch watch;
    picks = double(select(counts).size());
    seconds += watch.seconds();
  }
  const double grown = resident_kilobytes("VmHWM") - before;
  state.counters["memory"] = 1 + 1024 * std::max(0.0, grown) / double(input_bytes);
  state.counters["sweeps"] = double(counts.sweeps);
  state.counters["picks/sweep"] = picks / double(counts.sweeps);
  return seconds / double(state.iterations());
}

index_t bytes_of(const pool& x) { return x.rows * x.cols * index_t(sizeof(float)); }

void run_kcenter(benchmark::State& state, const pool& x, index_t picks) {
  const double fused = fused_kcenter_seconds(x), gemv = gemv_kcenter_seconds(x);
  const double seconds = run(state, bytes_of(x), [&](batch_run& counts) {
    return kcenter(cpu{}, x, {.picks = picks}, {}, {}, &counts);
  });
  state.counters["gemv"] = gemv * double(picks) / seconds;
  state.counters["fused"] = fused * double(picks) / seconds;
}

void kcenter_fashion_pixels(benchmark::State& state) { run_kcenter(state, fashion_pixels(), 1000); }
void kcenter_fashion_features(benchmark::State& state) {
  run_kcenter(state, fashion_features(state.range(0)), 1000);
}
void kcenter_normal(benchmark::State& state) {
  run_kcenter(state, normal_pool(state.range(0), state.range(1)), state.range(2));
}
BENCHMARK(kcenter_fashion_pixels)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(kcenter_fashion_features)
    ->ArgName("cols")
    ->Arg(64)
    ->Arg(512)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(kcenter_normal)
    ->ArgNames({"rows", "cols", "picks"})
    ->Args({60'000, 64, 1'000})
    ->Args({60'000, 512, 1'000})
    ->Args({1'000'000, 128, 1'000})
    ->Args({1'000'000, 128, 10'000})
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void run_dpp(benchmark::State& state, const pool& x, index_t picks) {
  const double gemv = gemv_dpp_seconds(x, picks);
  const double seconds = run(
      state, bytes_of(x), [&](batch_run& counts) { return dpp(cpu{}, x, {.picks = picks}, {}, {}, &counts); });
  state.counters["gemv"] = gemv * double(picks) / seconds;
}

void dpp_normal(benchmark::State& state) {
  run_dpp(state, normal_pool(state.range(0), state.range(1)), state.range(2));
}
void dpp_fashion_features(benchmark::State& state) { run_dpp(state, fashion_features(512), state.range(0)); }
BENCHMARK(dpp_normal)
    ->ArgNames({"rows", "cols", "picks"})
    ->Args({60'000, 64, 500})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(dpp_fashion_features)->Arg(500)->UseRealTime()->Unit(benchmark::kMillisecond);

/// Logits of a committee whose members agree on some rows and not on others.
bench::huge_array<float> committee_logits(index_t members, index_t rows, index_t classes) {
  auto x = bench::make_huge<float>(std::size_t(members * rows * classes));
  parallel_blocks(cpu{}, rows, 1024, [&](index_t block, index_t begin, index_t end) {
    std::mt19937 next(unsigned(block) + 11);
    std::normal_distribution<float> normal;
    for (index_t i = begin; i < end; ++i) {
      const float apart = std::exp(0.5f * normal(next) - 1);
      for (index_t c = 0; c < classes; ++c) {
        const float centre = 2 * normal(next);
        for (index_t e = 0; e < members; ++e)
          x[std::size_t((e * rows + i) * classes + c)] = centre + apart * normal(next);
      }
    }
  });
  return x;
}

void batch_bald_normal(benchmark::State& state) {
  const index_t members = state.range(0), rows = state.range(1), classes = state.range(2),
                count = state.range(3);
  const auto logits = committee_logits(members, rows, classes);
  const cube_view<const float> x{logits.get(), members, rows, classes};
  batch_run last;
  run(state, members * rows * classes * index_t(sizeof(float)), [&](batch_run& counts) {
    auto picks = batch_bald(cpu{}, x, outputs::logits, {.picks = count}, {}, &counts);
    last = counts;
    return picks;
  });
  state.counters["exact"] = double(last.exact);
  state.counters["gains/pick"] = double(last.gains - rows * (1 + last.sweeps)) / double(count - 1);
}
BENCHMARK(batch_bald_normal)
    ->ArgNames({"members", "rows", "classes", "picks"})
    ->Args({10, 100'000, 10, 5})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

void run_badge(benchmark::State& state, const pool& a, const pool& h, index_t picks) {
  const double gemv = gemv_badge_seconds(a, h);
  const double seconds = run(state, bytes_of(a) + bytes_of(h), [&](batch_run& counts) {
    return kmeans_pp(cpu{}, factored_rows{a, h}, {.picks = picks}, 7, first_center::largest_norm, &counts);
  });
  state.counters["gemv"] = gemv * double(picks) / seconds;
}

/// Gradients at random logits: p less the indicator of its largest entry.
pool random_gradients(index_t rows, index_t classes) {
  pool a = normal_pool(rows, classes);
  parallel_blocks(cpu{}, rows, 1024, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      const auto row = a.row(i);
      float sum = 0;
      for (float& v : row) sum += v = std::exp(2 * v);
      for (float& v : row) v /= sum;
      *std::max_element(row.begin(), row.end()) -= 1;
    }
  });
  return a;
}

void badge_normal(benchmark::State& state) {
  run_badge(state, normal_pool(state.range(0), state.range(1)), normal_pool(state.range(0), state.range(2)),
            state.range(3));
}
void badge_gradients(benchmark::State& state) {
  run_badge(state, random_gradients(state.range(0), state.range(1)),
            normal_pool(state.range(0), state.range(2)), state.range(3));
}
void badge_gradients_fashion(benchmark::State& state) {
  const pool h = fashion_features(512);
  run_badge(state, random_gradients(h.rows, 10), h, 1000);
}
BENCHMARK(badge_normal)
    ->ArgNames({"rows", "classes", "features", "picks"})
    ->Args({50'000, 10, 512, 1'000})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(badge_gradients)
    ->ArgNames({"rows", "classes", "features", "picks"})
    ->Args({50'000, 10, 512, 1'000})
    ->Args({100'000, 1'000, 2'048, 1'000})
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(badge_gradients_fashion)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace poolwise
