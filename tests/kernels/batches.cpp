// The engines that pick in batches, with shortlists and proposals of other lengths than a pool would choose, so
// that small pools go through many sweeps: against a naive loop, pick for pick.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/detail/pools.hpp"
#include "reference/cpu_targets.hpp"
#include "reference/greedy.hpp"
#include "reference/narrow.hpp"

namespace poolwise {
namespace {

using picks = std::vector<candidate>;
constexpr float infinity = std::numeric_limits<float>::infinity();

picks kcenter_in_batches(matrix_view<const float> points, const allowance& limit, gain_pool::width width,
                         vector_view<const float> covered = {}, vector_view<const float> weights = {},
                         batch_counts* counts = nullptr) {
  const auto pool = kcenter_pool(cpu{1}, points, covered, weights);
  reference::narrow shortlists(*pool, width);
  return threshold_batches(shortlists, limit, counts);
}

template <class T>
vector_view<const T> view(const std::vector<T>& values) {
  return {values.data(), index_t(values.size())};
}

/// Small integers: distances are exact in fp32 and in double, and ties and duplicates abound.
struct integer_problem {
  index_t rows, cols;
  std::vector<float> points, weights, covered;
  std::vector<std::int64_t> cost;
  std::vector<index_t> group, quota{9, 4, 0, 30};
  std::vector<std::uint8_t> barred;
  reference::points pool, labelled;

  explicit integer_problem(std::mt19937& next)
      : rows(index_t(40 + next() % 200)), cols(index_t(1 + next() % 20)) {
    for (index_t i = 0; i < rows; ++i) {
      pool.push_back(random_row(next));
      points.insert(points.end(), pool.back().begin(), pool.back().end());
      weights.push_back(float(next() % 5) / 2);
      cost.push_back(std::int64_t(next() % 6));
      group.push_back(index_t(next() % 4));
      barred.push_back(next() % 3 == 0);
    }
    for (int i = 0; i < 3; ++i) labelled.push_back(random_row(next));
    for (const auto& row : pool)
      covered.push_back(float(reference::squared_distance_to_nearest(row, labelled)));
  }

  std::vector<double> random_row(std::mt19937& next) const {
    std::vector<double> row;
    for (index_t c = 0; c < cols; ++c) row.push_back(double(next() % 4));
    return row;
  }
};

TEST(ThresholdBatch, ShortlistsOfAnyLengthPickAsANaiveLoop) {
  std::mt19937 next(21);
  for (int trial = 0; trial < 64; ++trial) {
    SCOPED_TRACE(trial);
    const integer_problem p(next);
    const auto rows = std::size_t(p.rows);
    reference::kcenter_problem expected{p.pool,
                                        {},
                                        std::vector<double>(rows, 1.0),
                                        std::vector<std::int64_t>(rows, 0),
                                        std::numeric_limits<std::int64_t>::max(),
                                        std::size_t(next() % 250)};
    allowance limit{.picks = index_t(expected.picks)};
    vector_view<const float> covered, weights;
    if (trial & 1) {
      expected.labelled = p.labelled;
      covered = view(p.covered);
    }
    if (trial & 2) {
      expected.weights.assign(p.weights.begin(), p.weights.end());
      weights = view(p.weights);
    }
    if (trial & 4) {
      expected.cost = p.cost;
      expected.budget = limit.budget = std::int64_t(next() % 300);
      limit.cost = view(p.cost);
    }
    if (trial & 8) {
      expected.group.assign(p.group.begin(), p.group.end());
      expected.quota.assign(p.quota.begin(), p.quota.end());
      limit.group = view(p.group);
      limit.quota = view(p.quota);
    }
    if (trial & 16) {
      expected.barred = p.barred;
      limit.barred = view(p.barred);
    }
    const auto naive = reference::kcenter(expected);
    for (const gain_pool::width width : {gain_pool::width{1, 1}, {1, 64}, {7, 7}, {1000, 1000}}) {
      SCOPED_TRACE(width.first);
      const picks got = kcenter_in_batches({p.points.data(), p.rows, p.cols}, limit, width, covered, weights);
      ASSERT_EQ(got.size(), naive.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(got[i].row, naive[i].row) << "pick " << i;
        ASSERT_EQ(double(got[i].score), naive[i].gain) << "pick " << i;
      }
    }
  }
}

/// Plain greedy by the canonical distance, one pair at a time.
picks plain_kcenter(matrix_view<const float> x, index_t count) {
  picks picked;
  std::vector<float> nearest(std::size_t(x.rows), infinity);
  while (index_t(picked.size()) < std::min(count, x.rows)) {
    const auto best = std::max_element(nearest.begin(), nearest.end());
    picked.push_back({best - nearest.begin(), *best});
    const index_t latest = picked.back().row;
    for (index_t i = 0; i < x.rows; ++i)
      if (nearest[std::size_t(i)] >= 0)
        nearest[std::size_t(i)] =
            std::min(nearest[std::size_t(i)], canonical_squared_distance(x.row(i), x.row(latest), x.cols));
    nearest[std::size_t(latest)] = -1;
  }
  return picked;
}

// Products exclude pairs under a proven bound: data for which the bound says much, little, and nothing.
TEST(ThresholdBatch, ProductsNeverDecideWherever) {
  std::mt19937 next(22);
  std::normal_distribution<float> normal;
  for (const index_t cols : {1, 3, 16, 17, 70}) {
    SCOPED_TRACE(cols);
    std::vector<float> x(std::size_t(400 * cols));
    for (float& v : x) v = normal(next);
    for (index_t i = 100; i < 200; ++i)  // duplicates, and rows next to each other
      for (index_t c = 0; c < cols; ++c)
        x[std::size_t(i * cols + c)] = x[std::size_t((i - 100) * cols + c)] + (i < 150 ? 0.0f : 1e-7f);
    for (const auto& [scale, offset] : std::vector<std::pair<float, float>>{
             {1, 0}, {1, 1e4f}, {1e-4f, 1e4f}, {1e18f, 0}, {1e19f, 0}, {1e-20f, 0}, {1e-23f, 0}, {1e-40f, 0}}) {
      SCOPED_TRACE(scale);
      std::vector<float> y(x);
      for (float& v : y) v = v * scale + offset;
      for (std::size_t c = 0; c < std::size_t(cols); ++c) y[50 * std::size_t(cols) + c] *= 30;
      const matrix_view<const float> points{y.data(), 400, cols};
      const picks expected = plain_kcenter(points, 90);
      reference::for_each_cpu_target([&] {
        EXPECT_EQ(kcenter_in_batches(points, {.picks = 90}, {40, 40}), expected);
      });
    }
  }
}

TEST(ThresholdBatch, TakesFarFewerSweepsThanPicks) {
  std::mt19937 next(23);
  std::normal_distribution<float> normal;
  std::vector<float> x(5000 * 24);
  for (float& v : x) v = normal(next);
  batch_counts counts;
  EXPECT_EQ(kcenter_in_batches({x.data(), 5000, 24}, {.picks = 300}, {512, 512}, {}, {}, &counts).size(), 300u);
  EXPECT_GE(counts.sweeps, 2);
  EXPECT_LE(counts.sweeps, 8);
}

/// Another pool that is asked for other numbers of proposals at a time.
class proposing : public weight_pool {
 public:
  proposing(weight_pool& pool, index_t at_once) : pool_(pool), at_once_(at_once) {}
  index_t rows() const override { return pool_.rows(); }
  double sweep(const picks& latest, const remaining& left) override { return pool_.sweep(latest, left); }
  candidate largest() override { return pool_.largest(); }
  candidate at(index_t row) override { return pool_.at(row); }
  picks propose(const std::vector<double>& units) override { return pool_.propose(units); }
  float nearest(index_t p, const std::vector<index_t>& accepted) override { return pool_.nearest(p, accepted); }
  index_t proposals_at_once() const override { return at_once_; }

 private:
  weight_pool& pool_;
  index_t at_once_;
};

TEST(StaleRejection, ProposalsOfAnyNumberAtATime) {
  std::mt19937 next(24);
  std::normal_distribution<float> normal;
  std::vector<float> x(3000 * 5);
  for (float& v : x) v = normal(next);
  const matrix_view<const float> points{x.data(), 3000, 5};
  batch_counts counts;
  const picks expected = kmeans_pp(cpu{1}, points, {.picks = 400}, 5, first_center::random, &counts);
  EXPECT_GT(counts.sweeps, 2);
  EXPECT_LT(counts.sweeps, 40);
  EXPECT_GT(counts.proposals, 400);
  for (const index_t at_once : {1, 7, 1024}) {
    const auto pool = kmeans_pp_pool(cpu{2}, points, {});
    proposing other(*pool, at_once);
    EXPECT_EQ(stale_rejection(other, {.picks = 400}, 5, first_center::random), expected);
  }
}

}  // namespace
}  // namespace poolwise
