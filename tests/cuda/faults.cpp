// What a call does when the CUDA runtime refuses it something: a typed error, nothing leaked, and the next call
// as good as ever. tests/cuda/faults.sh runs each test again and again, with another call of the runtime
// failing.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include "poolwise/committee/committee.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/kcenter.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"
#include "poolwise/score/score.hpp"
#include "poolwise/topk/best_rows.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {
namespace {

struct free_on_device {
  void operator()(void* data) const { cudaFree(data); }
};

/// A copy in device memory. The fault may be ours, so every call before the one that is tested has a second
/// chance.
template <class T>
class uploaded {
 public:
  explicit uploaded(const std::vector<T>& values) : size_(index_t(values.size())) {
    void* data = nullptr;
    const std::size_t bytes = values.size() * sizeof(T);
    for (int chance = 0; chance < 2 && data == nullptr; ++chance)
      if (cudaMalloc(&data, bytes) != cudaSuccess) data = nullptr;
    data_.reset(static_cast<T*>(data));
    for (int chance = 0; chance < 2; ++chance)
      if (cudaMemcpy(data, values.data(), bytes, cudaMemcpyHostToDevice) == cudaSuccess) break;
    cudaGetLastError();
  }
  vector_view<T> view() const { return {data_.get(), size_}; }
  matrix_view<const T> rows(index_t cols) const { return {data_.get(), size_ / cols, cols}; }

  std::vector<T> to_host() const {
    std::vector<T> values(static_cast<std::size_t>(size_));
    if (cudaMemcpy(values.data(), data_.get(), values.size() * sizeof(T), cudaMemcpyDeviceToHost) ==
        cudaSuccess)
      return values;
    cudaGetLastError();
    throw cuda_error("the test's own copy");  // after the call, which has done its part
  }

 private:
  std::unique_ptr<T, free_on_device> data_;
  index_t size_;
};

/// The outcome of `run` under the fault that is set, as one word for faults.sh: it `refused`, or was
/// `unharmed`, or the fault lies `past` it. After it, `run` must work.
template <class Result, class Run>
void survive(const Result& expected, Run run) {
  const auto outcome = [&]() -> const char* {
    try {
      EXPECT_EQ(run(), expected);
      return "unharmed";
    } catch (const memory_error& e) {
      std::printf("memory_error: %s\n", e.what());
    } catch (const cuda_error& e) {
      std::printf("cuda_error: %s\n", e.what());
    }
    EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess) << "the error was left for the caller to find";
    return "refused";
  };
  const std::string first = outcome(), second = outcome();
  std::printf("outcome: %s\n", second == "refused" ? "past" : first.c_str());
  EXPECT_FALSE(first == "refused" && second == "refused") << "one failure spoilt the next call";
}

std::vector<float> random_values(index_t count) {
  std::mt19937 next(1);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = float(next()) * 0x1p-32f;
  return values;
}

/// Two columns of logits whose margins lie far apart.
std::vector<float> separated_logits(index_t rows) {
  std::vector<float> x(static_cast<std::size_t>(2 * rows));
  for (index_t i = 0; i < rows; ++i) x[std::size_t(2 * i)] = 0.01f * float(i * 7'919 % rows);
  return x;
}

std::vector<index_t> picked(const std::vector<candidate>& best) {
  std::vector<index_t> rows;
  for (const candidate& c : best) rows.push_back(c.row);
  return rows;
}

// Enough rows for a sampled threshold, and a ceiling that makes several tiles of them.
constexpr index_t rows = 1'000;
const offload everywhere{{0, 1}, 60'000};

TEST(SimulatedFaults, TopK) {
  const auto scores = random_values(rows);
  const uploaded<float> x(scores);
  survive(top_k(cpu{}, {scores.data(), rows}, 1), [&] { return top_k(cuda{}, x.view(), 1); });
}

TEST(SimulatedFaults, TopKOffload) {
  const auto scores = random_values(rows);
  const vector_view<const float> view{scores.data(), 100};  // too few for a sample
  survive(top_k(cpu{}, view, 1), [&] { return top_k(everywhere, view, 1); });
}

TEST(SimulatedFaults, FindNan) {
  auto scores = random_values(rows);
  scores[7] = NAN;
  const uploaded<float> x(scores);
  survive(nan_rows{7, 1}, [&] { return find_nan(cuda{}, x.view()); });
}

TEST(SimulatedFaults, BestRows) {
  const auto logits = separated_logits(100);
  const uploaded<float> x(logits);
  const auto best = [](const where& on, const real_matrix& from) {
    return picked(best_rows(on, from, outputs::logits, acquisition::margin, 1).best);
  };
  survive(best(cpu{}, matrix_view<const float>{logits.data(), 100, 2}),
          [&] { return best(cuda{}, x.rows(2)); });
}

TEST(SimulatedFaults, SquaredNorms) {
  const auto points = random_values(rows * 3);
  const uploaded<float> x(points), norms(std::vector<float>(static_cast<std::size_t>(rows)));
  std::vector<float> expected(static_cast<std::size_t>(rows));
  squared_norms(cpu{}, {points.data(), rows, 3}, {expected.data(), rows});
  survive(expected, [&] {
    squared_norms(cuda{}, x.rows(3), norms.view());
    return norms.to_host();
  });
}

TEST(SimulatedFaults, SquaredDistancesOffload) {
  const auto points = random_values(rows * 3), center = random_values(3);
  std::vector<float> expected(static_cast<std::size_t>(rows)), got(expected);
  const auto distances = [&](const where& on, std::vector<float>& to) {
    squared_distances(on, {points.data(), rows, 3}, {center.data(), 3}, {to.data(), rows});
    return to;
  };
  survive(distances(cpu{}, expected), [&] { return distances(everywhere, got); });
}

/// The rows by their scores, which differ between CPU and device in their last bits.
std::vector<index_t> ranked(const std::vector<float>& scores) {
  return picked(top_k(cpu{}, {scores.data(), index_t(scores.size())}, index_t(scores.size())));
}

TEST(SimulatedFaults, Score) {
  const auto logits = separated_logits(100);
  const uploaded<float> x(logits), scores(std::vector<float>(100));
  std::vector<float> expected(100);
  score(cpu{}, matrix_view<const float>{logits.data(), 100, 2}, outputs::logits, acquisition::entropy,
        vector_view<float>{expected.data(), 100});
  survive(ranked(expected), [&] {
    score(cuda{}, x.rows(2), outputs::logits, acquisition::entropy, scores.view());
    return ranked(scores.to_host());
  });
}

TEST(SimulatedFaults, CommitteeOffload) {
  constexpr index_t few = 200;  // in two tiles
  auto outputs_of_two = separated_logits(few);
  const auto votes = random_values(2 * few);
  outputs_of_two.insert(outputs_of_two.end(), votes.begin(), votes.end());
  const cube_view<const float> x{outputs_of_two.data(), 2, few, 2};
  const auto shares = [&](const where& on) {
    std::vector<float> scores(static_cast<std::size_t>(few));
    const auto which = disagreement::variation_ratio;
    score_committee(on, x, outputs::logits, {&which, 1}, {scores.data(), few, 1});
    return scores;
  };
  survive(shares(cpu{}), [&] { return shares(offload{{0, 1}, 12'000}); });
}

TEST(SimulatedFaults, Nearest) {
  const auto points = random_values(60), references = random_values(15);
  const uploaded<float> x(points), to(references), d2(std::vector<float>(20));
  std::vector<float> expected(20);
  nearest(cpu{}, {points.data(), 20, 3}, {references.data(), 5, 3}, {expected.data(), 20});
  survive(expected, [&] {
    nearest(cuda{}, x.rows(3), to.rows(3), d2.view());
    return d2.to_host();
  });
}

TEST(SimulatedFaults, KCenter) {
  const auto points = random_values(120);
  const uploaded<float> x(points);
  const allowance limit{.picks = 3};
  survive(kcenter(cpu{}, {points.data(), 40, 3}, limit), [&] { return kcenter(cuda{}, x.rows(3), limit); });
}

TEST(SimulatedFaults, KCenterOffload) {
  const auto points = random_values(120);
  const matrix_view<const float> x{points.data(), 40, 3};
  const allowance limit{.picks = 2};
  survive(kcenter(cpu{}, x, limit), [&] { return kcenter(offload{{0, 1}}, x, limit); });
}

TEST(SimulatedFaults, KMeansPlusPlus) {
  const auto points = random_values(120);
  const uploaded<float> x(points);
  const allowance limit{.picks = 3};
  const matrix_view<const float> view{points.data(), 40, 3};
  survive(kmeans_pp(cpu{}, view, limit, 1), [&] { return kmeans_pp(cuda{}, x.rows(3), limit, 1); });
}

TEST(SimulatedFaults, BadgeOffload) {
  const auto a = random_values(80), h = random_values(120);
  const allowance limit{.picks = 3};
  const factored_rows x{{a.data(), 40, 2}, {h.data(), 40, 3}, true};
  survive(kmeans_pp(cpu{}, x, limit, 1), [&] { return kmeans_pp(offload{}, x, limit, 1); });
}

}  // namespace
}  // namespace poolwise
