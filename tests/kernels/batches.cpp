// The engines that pick in batches, with shortlists and proposals of other lengths than a pool would choose, so
// that small pools go through many sweeps: against a naive loop, pick for pick.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/detail/models.hpp"
#include "poolwise/diverse/kcenter.hpp"
#include "reference/batches.hpp"
#include "reference/cpu_targets.hpp"
#include "reference/errors.hpp"
#include "reference/greedy.hpp"
#include "reference/narrow.hpp"

namespace poolwise {
namespace {

using reference::picks;
using reference::view;
constexpr float infinity = std::numeric_limits<float>::infinity();

picks kcenter_in_batches(matrix_view<const float> points, const allowance& limit, gain_model::width width,
                         vector_view<const float> covered = {}, vector_view<const float> weights = {},
                         batch_run* counts = nullptr) {
  const auto pool = kcenter_model(cpu{1}, points, covered, weights);
  reference::narrow shortlists(*pool, width);
  return threshold_batches(shortlists, limit, counts);
}

/// Small integers: distances are exact in fp32 and in double, and ties and duplicates abound.
struct integer_problem {
  index_t rows, cols;
  std::vector<float> points, weights, covered;
  std::vector<std::int64_t> cost;
  std::vector<index_t> group, quota{9, 4, 0, 30};
  std::vector<std::uint8_t> barred;
  std::vector<float> plane, plane_labelled;  // where rows are to be apart
  reference::points pool, labelled, in_plane, labelled_in_plane;

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
    for (index_t i = 0; i < rows + 3; ++i) {
      const bool in_pool = i < rows;
      std::vector<double> row{double(next() % 9), double(next() % 9)};
      auto& values = in_pool ? plane : plane_labelled;
      values.insert(values.end(), row.begin(), row.end());
      (in_pool ? in_plane : labelled_in_plane).push_back(std::move(row));
    }
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
    if (trial & 32) {
      expected.apart = p.in_plane;
      expected.radius = double(next() % 3);
      limit.apart = spacing{{p.plane.data(), p.rows, 2}, float(expected.radius)};
      if (trial & 1) {
        expected.others = p.labelled_in_plane;
        limit.apart->others = {p.plane_labelled.data(), 3, 2};
      }
    }
    const auto naive = reference::kcenter(expected);
    for (const gain_model::width width : {gain_model::width{1, 1}, {1, 64}, {7, 7}, {1000, 1000}}) {
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

/// Heaps of ever wider spread, in the order of the rows: the widest part is where the picks are.
std::vector<float> heaps_of_rows(index_t rows, index_t cols, std::mt19937& next) {
  std::vector<float> x;
  for (index_t i = 0; i < rows; ++i)
    for (index_t c = 0; c < cols; ++c)
      x.push_back(float(next() % unsigned(2 + i / 1000 * 9)) + float(i / 1000));
  return x;
}

TEST(ThresholdBatch, PartsOfThePoolMayLagBehind) {
  std::mt19937 next(25);
  const auto x = heaps_of_rows(7000, 2, next);
  const matrix_view<const float> points{x.data(), 7000, 2};
  const picks expected = plain_kcenter(points, 900);
  for (const gain_model::width width : {gain_model::width{60, 60}, {500, 4096}})
    EXPECT_EQ(kcenter_in_batches(points, {.picks = 900}, width), expected);
  for (const int threads : {2, 5}) EXPECT_EQ(kcenter(cpu{threads}, points, {.picks = 900}), expected);
}

/// Rows in pages of their own, which can be taken away; reading brings them back, full of zeros.
class pages_of_rows {
 public:
  explicit pages_of_rows(const std::vector<float>& values) : bytes_(values.size() * sizeof(float)) {
    void* const place = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(place, bytes_, MADV_NOHUGEPAGE);
    data_ = static_cast<float*>(place);
    std::copy(values.begin(), values.end(), data_);
  }
  ~pages_of_rows() { munmap(data_, bytes_); }

  const float* data() const { return data_; }

  void take_away(index_t pages) { madvise(data_, std::size_t(pages * page), MADV_DONTNEED); }

  /// Of the first pages those that are there.
  index_t there(index_t pages) const {
    std::vector<unsigned char> present(std::size_t(pages), 0);
    EXPECT_EQ(mincore(data_, std::size_t(pages * page), present.data()), 0);
    return std::count_if(present.begin(), present.end(), [](unsigned char p) { return (p & 1) != 0; });
  }

 private:
  const index_t page = sysconf(_SC_PAGESIZE);
  std::size_t bytes_;
  float* data_;
};

/// Another pool, before whose third sweep pages are taken away.
class losing_pages : public reference::narrow {
 public:
  losing_pages(gain_model& pool, pages_of_rows& rows, index_t pages)
      : narrow(pool, {50, 50}), rows_(rows), pages_(pages) {}
  void sweep(const picks& latest, const remaining& left) override {
    if (++sweeps_ == 3) rows_.take_away(pages_);
    narrow::sweep(latest, left);
  }

 private:
  pages_of_rows& rows_;
  index_t pages_;
  int sweeps_ = 0;
};

TEST(ThresholdBatch, PartsThatCannotMatterAreNotRead) {
  std::mt19937 next(26);
  std::vector<float> x(20'000 * 3);
  for (index_t i = 0; i < 60'000; ++i)  // rows from 14,000 on lie far from each other
    x[std::size_t(i)] = float(next() % (i < 42'000 ? 3 : 1000));
  const picks expected = plain_kcenter({x.data(), 20'000, 3}, 400);
  pages_of_rows rows(x);
  const index_t pages = 12'000 * 3 * 4 / sysconf(_SC_PAGESIZE);
  ASSERT_EQ(rows.there(pages), pages);
  const auto pool = kcenter_model(cpu{1}, {rows.data(), 20'000, 3}, {}, {});
  losing_pages without(*pool, rows, pages);
  EXPECT_EQ(threshold_batches(without, {.picks = 400}), expected);
  EXPECT_LE(rows.there(pages), 1);  // that of the first pick, row 0
}

TEST(ThresholdBatch, GoesOnFromWhereverItStood) {
  std::mt19937 next(27);
  const integer_problem p(next);
  const matrix_view<const float> points{p.points.data(), p.rows, p.cols};
  allowance limit{.picks = p.rows, .cost = view(p.cost), .budget = 3 * p.rows / 2};
  limit.apart = spacing{{p.plane.data(), p.rows, 2}, 1};
  std::vector<batch_state> states;
  batch_run run{.advanced = [&](const batch_state& state) { states.push_back(state); }};
  const picks expected = kcenter_in_batches(points, limit, {3, 3}, {}, view(p.weights), &run);
  ASSERT_GT(states.size(), 4u);
  EXPECT_EQ(states.back().picks, expected);
  for (const batch_state& state : states) {
    EXPECT_TRUE(std::equal(state.picks.begin(), state.picks.end(), expected.begin()));
    for (const gain_model::width width : {gain_model::width{2, 2}, {100, 100}}) {
      batch_run resumed{.begin = state};
      EXPECT_EQ(kcenter_in_batches(points, limit, width, {}, view(p.weights), &resumed), expected);
    }
  }
}

TEST(ThresholdBatch, TakesFarFewerSweepsThanPicks) {
  std::mt19937 next(23);
  std::normal_distribution<float> normal;
  std::vector<float> x(5000 * 24);
  for (float& v : x) v = normal(next);
  batch_run counts;
  EXPECT_EQ(kcenter_in_batches({x.data(), 5000, 24}, {.picks = 300}, {512, 512}, {}, {}, &counts).size(), 300u);
  EXPECT_GE(counts.sweeps, 2);
  EXPECT_LE(counts.sweeps, 8);
}

/// Another pool that is asked for other numbers of proposals at a time.
class proposing : public weight_model {
 public:
  proposing(weight_model& pool, index_t at_once) : pool_(pool), at_once_(at_once) {}
  index_t rows() const override { return pool_.rows(); }
  double sweep(const picks& latest, const remaining& left) override { return pool_.sweep(latest, left); }
  candidate largest() override { return pool_.largest(); }
  candidate at(index_t row) override { return pool_.at(row); }
  picks propose(const std::vector<double>& units) override { return pool_.propose(units); }
  float nearest(index_t p, const std::vector<index_t>& accepted) override { return pool_.nearest(p, accepted); }
  index_t proposals_at_once() const override { return at_once_; }

 private:
  weight_model& pool_;
  index_t at_once_;
};

TEST(StaleRejection, ProposalsOfAnyNumberAtATime) {
  std::mt19937 next(24);
  std::normal_distribution<float> normal;
  std::vector<float> x(3000 * 5);
  for (float& v : x) v = normal(next);
  const matrix_view<const float> points{x.data(), 3000, 5};
  batch_run counts;
  const picks expected = kmeans_pp(cpu{1}, points, {.picks = 400}, 5, first_center::random, &counts);
  EXPECT_GT(counts.sweeps, 2);
  EXPECT_LT(counts.sweeps, 40);
  EXPECT_GT(counts.proposals, 400);
  for (const index_t at_once : {1, 7, 1024}) {
    const auto pool = kmeans_pp_model(cpu{2}, points, {});
    proposing other(*pool, at_once);
    EXPECT_EQ(stale_rejection(other, {.picks = 400}, 5, first_center::random), expected);
  }
}

TEST(StaleRejection, GoesOnFromWhereverItStood) {
  std::mt19937 next(28);
  const integer_problem p(next);
  const matrix_view<const float> points{p.points.data(), p.rows, p.cols};
  const factored_rows factored{{p.plane.data(), p.rows, 2}, points, true};
  allowance limit{.picks = p.rows, .cost = view(p.cost), .budget = 3 * p.rows / 2};
  limit.apart = spacing{{p.plane.data(), p.rows, 2}, 1};
  const auto expect_to_go_on = [&](auto&& select) {
    std::vector<batch_state> states;
    batch_run run{.advanced = [&](const batch_state& state) { states.push_back(state); }};
    const picks expected = select(&run);
    ASSERT_GT(states.size(), 2u);
    for (const batch_state& state : states) {
      batch_run resumed{.begin = state};
      EXPECT_EQ(select(&resumed), expected);
    }
  };
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    expect_to_go_on(
        [&](batch_run* run) { return kmeans_pp(cpu{2}, points, limit, seed, first_center::random, run); });
    expect_to_go_on([&](batch_run* run) {
      return kmeans_pp(cpu{2}, factored, limit, seed, first_center::largest_norm, run);
    });
  }
}

TEST(BatchRun, RefusesToGoOnFromWhatIsNoStateOfIt) {
  const std::vector<float> line = {0, 9, 4, 4};
  const std::vector<std::int64_t> cost = {1, 1, 1, 7};
  allowance limit{.picks = 3, .cost = view(cost), .budget = 3};
  limit.apart = spacing{{line.data(), 4, 1}, 0.5f};
  const auto refused = [&](const batch_state& begin, const std::string& words) {
    batch_run run{.begin = begin};
    const matrix_view<const float> points{line.data(), 4, 1};
    reference::expect_refused<value_error>([&] { kcenter(cpu{}, points, limit, {}, {}, &run); },
                                           "kcenter: cannot go on from " + words);
    reference::expect_refused<value_error>(
        [&] { kmeans_pp(cpu{}, points, limit, 1, first_center::random, &run); },
        "kmeans_pp: cannot go on from " + words);
  };
  refused({{{4, 0}}, 0}, "row 4, which is not among the rows 0 to 3");
  refused({{{-1, 0}}, 0}, "row -1");
  refused({{{1, 0}, {1, 0}}, 0}, "row 1 twice");
  refused({{{3, 0}}, 0}, "row 3, which may not be picked there");
  refused({{{0, 0}, {1, 0}, {2, 0}, {3, 0}}, 0}, "4 picks of 3");
  refused({{}, -1}, "-1 proposals");
}

}  // namespace
}  // namespace poolwise
