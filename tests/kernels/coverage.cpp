// Batches over graphs, against naive greedy over dense matrices in double, pick for pick.
#include "poolwise/diverse/coverage.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/diverse/detail/models.hpp"
#include "poolwise/diverse/probcover.hpp"
#include "reference/batches.hpp"
#include "reference/errors.hpp"
#include "reference/greedy.hpp"
#include "reference/narrow.hpp"
#include "reference/neighbours.hpp"

namespace poolwise {
namespace {

using reference::normal_rows;
using reference::picks;
using reference::view;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr std::int64_t all_there_is = std::numeric_limits<std::int64_t>::max();

similarity_graph graph_of(const std::vector<std::vector<double>>& similarity) {
  const auto rows = index_t(similarity.size());
  std::vector<index_t> which;
  std::vector<float> values;
  for (const auto& row : similarity)
    for (index_t j = 0; j < rows; ++j) {
      which.push_back(j);
      values.push_back(float(row[std::size_t(j)]));
    }
  return {cpu{1}, {which.data(), rows, rows}, {values.data(), rows, rows}};
}

std::vector<std::vector<double>> dense(const similarity_graph& graph) {
  std::vector<std::vector<double>> all(std::size_t(graph.rows()),
                                       std::vector<double>(std::size_t(graph.rows())));
  for (index_t i = 0; i < graph.rows(); ++i)
    for (const auto& edge : graph.of(i)) all[std::size_t(i)][edge.row] = double(edge.similarity);
  return all;
}

/// Quarters: sums are exact in double and in fp32, and ties abound. Every fourth row repeats another.
std::vector<std::vector<double>> quarters(std::size_t rows, std::mt19937& next) {
  std::vector<std::vector<double>> s(rows, std::vector<double>(rows, 0.0));
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < i; ++j)
      if (next() % 4 == 0) s[i][j] = s[j][i] = double(next() % 5) / 4;
    s[i][i] = 1;
  }
  for (std::size_t i = 3; i < rows; i += 4)
    for (std::size_t j = 0; j < rows; ++j)
      if (j != i && j != i - 2) s[i][j] = s[j][i] = s[i - 2][j];
  return s;
}

/// A problem in both forms. The bits of `which` say which of its parts it has.
struct problem {
  reference::graph_problem dense;
  similarity_graph graph;
  std::vector<float> weights;
  std::vector<index_t> labelled, group, quota{9, 4, 0, 30};
  allowance limit;

  problem(std::mt19937& next, unsigned which)
      : dense{quarters(1 + next() % 60, next), {}, {}, {}, all_there_is, std::size_t(next() % 70)},
        graph(graph_of(dense.similarity)) {
    const std::size_t rows = dense.similarity.size();
    limit.picks = index_t(dense.picks);
    dense.weights.assign(rows, 1.0);
    dense.cost.assign(rows, 0);
    if (which & 1)
      for (const std::size_t row : std::set<std::size_t>{next() % rows, next() % rows}) {
        dense.labelled.push_back(row);
        labelled.push_back(index_t(row));
      }
    if (which & 2) {
      for (double& w : dense.weights) w = double(next() % 5) / 2;
      weights.assign(dense.weights.begin(), dense.weights.end());
    }
    if (which & 4) {
      // Gains per unit of cost are compared without rounding where costs are powers of two.
      for (auto& c : dense.cost) c = which & 32 ? std::int64_t{1} << next() % 4 : std::int64_t(next() % 6);
      dense.per_cost = limit.per_cost = (which & 32) != 0;
      dense.budget = limit.budget = std::int64_t(next() % 60);
      limit.cost = view(dense.cost);
    }
    if (which & 8) {
      for (std::size_t i = 0; i < rows; ++i) dense.group.push_back(next() % 4);
      dense.quota.assign(quota.begin(), quota.end());
      group.assign(dense.group.begin(), dense.group.end());
      limit.group = view(group);
      limit.quota = view(quota);
    }
    if (which & 16) {
      for (std::size_t i = 0; i < rows; ++i) dense.barred.push_back(next() % 3 == 0);
      limit.barred = view(dense.barred);
    }
  }
  problem(const problem&) = delete;
};

void expect_equal(const picks& got, const std::vector<reference::pick>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t p = 0; p < got.size(); ++p) {
    ASSERT_EQ(got[p].row, expected[p].row) << "pick " << p;
    ASSERT_EQ(double(got[p].score), expected[p].gain) << "pick " << p;
  }
}

/// Calls check(picks) for shortlists of several lengths and numbers of threads over fresh pools.
template <class MakePool, class Check>
void for_each_width(MakePool&& make_pool, const allowance& limit, Check&& check) {
  for (const gain_model::width width : {gain_model::width{1, 1}, {1, 64}, {7, 7}, {1000, 1000}})
    for (const int threads : {1, 2, 5}) {
      SCOPED_TRACE(testing::Message() << "shortlists of " << width.first << ", " << threads << " threads");
      const std::unique_ptr<gain_model> pool = make_pool(cpu{threads});
      reference::narrow shortlists(*pool, width);
      check(threshold_batches(shortlists, limit));
    }
}

TEST(FacilityLocation, PickForPickAsANaiveLoop) {
  std::mt19937 next(1);
  for (unsigned trial = 0; trial < 128; ++trial) {
    SCOPED_TRACE(trial);
    const problem p(next, trial);
    const auto expected = reference::facility_location(p.dense);
    expect_equal(facility_location(cpu{1}, p.graph, p.limit, p.labelled, view(p.weights)), expected);
    for_each_width(
        [&](cpu on) {
          return facility_location_model(on, p.graph, p.labelled, view(p.weights), gain_factors(p.limit));
        },
        p.limit, [&](const picks& got) { expect_equal(got, expected); });
  }
}

// The better of greedy by gain and greedy by gain per unit of cost: (1 - 1/e) / 2 of the optimum at least.
TEST(FacilityLocation, TheBetterOfTwoOrdersIsNearTheOptimumOfSmallPools) {
  std::mt19937 next(17);
  double sum = 0, worst = 1;
  constexpr int pools = 200;
  for (int trial = 0; trial < pools; ++trial) {
    constexpr std::size_t rows = 9;
    reference::graph_problem p{quarters(rows, next), {}, std::vector<double>(rows, 1.0), {}, 0, rows};
    for (std::size_t i = 0; i < rows; ++i) p.cost.push_back(std::int64_t(1 + next() % 9));
    p.budget = std::int64_t(5 + next() % 15);
    const similarity_graph graph = graph_of(p.similarity);
    allowance limit{.picks = index_t(rows), .cost = view(p.cost), .budget = p.budget};
    double better = 0, optimum = 0;
    for (const bool per_cost : {false, true}) {
      limit.per_cost = per_cost;
      std::vector<std::size_t> chosen;
      for (const candidate& c : facility_location(cpu{1}, graph, limit)) chosen.push_back(std::size_t(c.row));
      better = std::max(better, reference::facility_location_of(p, chosen));
    }
    for (unsigned subset = 0; subset < 1u << rows; ++subset) {
      std::vector<std::size_t> chosen;
      std::int64_t cost = 0;
      for (std::size_t i = 0; i < rows; ++i)
        if (subset >> i & 1) chosen.push_back(i), cost += p.cost[i];
      if (cost <= p.budget) optimum = std::max(optimum, reference::facility_location_of(p, chosen));
    }
    sum += better / optimum;
    worst = std::min(worst, better / optimum);
  }
  std::cout << "mean " << sum / pools << " of the optimum, worst " << worst << "\n";
  EXPECT_GE(worst, (1 - std::exp(-1)) / 2);
  EXPECT_GE(sum / pools, .95);
}

TEST(GraphCut, PickForPickAsANaiveLoop) {
  std::mt19937 next(2);
  for (unsigned trial = 0; trial < 128; ++trial) {
    SCOPED_TRACE(trial);
    const problem p(next, trial & ~2u);
    const double lambda = 2 + double(trial % 3) / 2;
    const auto expected = reference::graph_cut(p.dense, lambda);
    expect_equal(graph_cut(cpu{1}, p.graph, lambda, p.limit, p.labelled), expected);
    for_each_width(
        [&](cpu on) { return graph_cut_model(on, p.graph, lambda, p.labelled, {}, gain_factors(p.limit)); },
        p.limit, [&](const picks& got) { expect_equal(got, expected); });
  }
}

/// Every row of `dense` as often as `vertex` names it, in the order of it.
template <class T>
std::vector<T> repeated(const std::vector<T>& of, const std::vector<index_t>& vertex) {
  std::vector<T> all;
  for (const index_t v : vertex) all.push_back(of[std::size_t(v)]);
  return all;
}

TEST(FacilityLocation, OverVerticesWithCopiesItIsThatOverAllCopies) {
  std::mt19937 next(23);
  for (unsigned trial = 0; trial < 32; ++trial) {
    SCOPED_TRACE(trial);
    const std::size_t vertices = 1 + next() % 20;
    const auto similarity = quarters(vertices, next);
    const similarity_graph graph = graph_of(similarity);
    std::vector<index_t> vertex(vertices + next() % 60);
    std::vector<float> weights(vertices, 0.0f);
    for (std::size_t i = 0; i < vertex.size(); ++i) {
      vertex[i] = index_t(i < vertices ? i : next() % vertices);
      ++weights[std::size_t(vertex[i])];
    }
    reference::graph_problem all{repeated(similarity, vertex), {}, {}, {}, 0, vertex.size()};
    for (auto& row : all.similarity) row = repeated(row, vertex);
    all.weights.assign(vertex.size(), 1.0);
    for (std::size_t i = 0; i < vertex.size(); ++i) all.cost.push_back(std::int64_t{1} << next() % 4);
    all.budget = std::int64_t(5 * vertex.size() / 2);
    all.per_cost = trial % 2 != 0;
    allowance limit{.picks = index_t(vertex.size()), .cost = view(all.cost), .budget = all.budget};
    limit.per_cost = all.per_cost;
    // The naive loop does not know which of the rows that gain nothing are copies.
    std::vector<reference::pick> expected = reference::facility_location(all);
    const auto no_gain = [](const reference::pick& pick) { return pick.gain == 0; };
    expected.erase(std::find_if(expected.begin(), expected.end(), no_gain), expected.end());
    for_each_width(
        [&](cpu on) {
          return facility_location_model(on, graph, {}, view(weights), gain_factors(limit), vertex);
        },
        limit,
        [&](picks got) {
          ASSERT_GE(got.size(), expected.size());
          for (auto rest = got.begin() + std::ptrdiff_t(expected.size()); rest != got.end(); ++rest)
            ASSERT_EQ(rest->score, 0);
          got.resize(expected.size());
          expect_equal(got, expected);
        });
    const picks got =
        facility_location(cpu{}, graph, {.picks = limit.picks}, {}, view(weights), nullptr, vertex);
    ASSERT_EQ(got.size(), vertex.size());
    std::set<index_t> first;
    for (std::size_t i = 0; i < vertices; ++i) first.insert(vertex[std::size_t(got[i].row)]);
    ASSERT_EQ(first.size(), vertices);
  }
}

TEST(BoundedCoverage, IsGreedyBetweenItsBoundsAndRefusesOthers) {
  std::mt19937 next(29);
  for (unsigned trial = 0; trial < 24; ++trial) {
    SCOPED_TRACE(trial);
    const std::size_t rows = 2 + next() % 20;
    const auto similarity = quarters(rows, next);
    const similarity_graph graph = graph_of(similarity);
    std::vector<float> from, upto;
    for (std::size_t i = 0; i < rows; ++i) {
      if (trial % 3 != 0) from.push_back(float(next() % 5) / 4);
      if (trial % 3 != 1) upto.push_back(float(next() % 5) / 4);
    }
    reference::graph_problem all{
        similarity, {}, std::vector<double>(rows, 1.0), std::vector<std::int64_t>(rows, 0), 1, rows};
    if (trial % 2 != 0) all.labelled = {1};
    const auto value = [&](const std::vector<std::size_t>& chosen) {
      double sum = 0;
      for (std::size_t i = 0; i < rows; ++i) {
        double most = 0;
        for (const std::size_t j : chosen) most = std::max(most, similarity[i][j]);
        if (!upto.empty()) most = std::min(most, double(upto[i]));
        sum += std::max(0.0, most - (from.empty() ? 0.0 : double(from[i])));
      }
      return sum;
    };
    const std::vector<index_t> labelled(all.labelled.begin(), all.labelled.end());
    expect_equal(bounded_coverage(cpu{}, graph, {view(from), view(upto)}, {.picks = index_t(rows)}, labelled),
                 reference::greedy_for(all, value));
  }
  const similarity_graph graph = graph_of({{1, 0.5}, {0.5, 1}});
  const std::vector<float> wrong = {0, 2};
  reference::expect_refused<value_error>(
      [&] {
        bounded_coverage(cpu{}, graph, {view(wrong), {}}, {.picks = 1});
      },
      "a bound of row 1 is 2.000000; it must be from 0 to 1");
}

TEST(SaturatedCoverage, IsGreedyForSumsThatEnd) {
  std::mt19937 next(31);
  for (const double share : {0.125, 0.25, 0.5, 1.0}) {
    SCOPED_TRACE(share);
    const std::size_t rows = 17;
    const auto similarity = quarters(rows, next);
    reference::graph_problem all{
        similarity, {3}, std::vector<double>(rows, 1.0), std::vector<std::int64_t>(rows, 0), 1, rows};
    const auto value = [&](const std::vector<std::size_t>& chosen) {
      double sum = 0;
      for (std::size_t i = 0; i < rows; ++i) {
        double covered = 0, most = 0;
        for (const std::size_t j : chosen) covered += similarity[i][j];
        for (const double one : similarity[i]) most += share * one;
        sum += std::min(covered, most);
      }
      return sum;
    };
    const std::vector<index_t> labelled = {3};
    for (const int threads : {1, 3})
      expect_equal(
          saturated_coverage(cpu{threads}, graph_of(similarity), share, {.picks = index_t(rows)}, labelled),
          reference::greedy_for(all, value));
  }
  reference::expect_refused<value_error>([&] { saturated_coverage(cpu{}, graph_of({{1}}), 0, {.picks = 1}); },
                                         "share is 0.000000");
}

// ProbCover from the points: every time the ball that holds most rows not yet covered.
TEST(FacilityLocation, OverARadiusGraphIsMaximumCoverage) {
  std::mt19937 next(3);
  for (const float radius_d2 : {0.0f, 1.0f, 2.0f, 9.0f}) {
    SCOPED_TRACE(radius_d2);
    reference::points rows(150);
    std::vector<float> x;
    for (auto& row : rows)
      for (int c = 0; c < 3; ++c) {
        row.push_back(double(next() % 7));
        x.push_back(float(row.back()));
      }
    std::vector<bool> covered(150, false), gone(150, false);
    const auto within = [&](std::size_t i, std::size_t j) {
      return reference::squared_distance(rows[i], rows[j]) <= double(radius_d2);
    };
    const std::vector<index_t> labelled{4, 90};
    const auto take = [&](std::size_t row) {
      gone[row] = true;
      for (std::size_t i = 0; i < 150; ++i) covered[i] = covered[i] || within(i, row);
    };
    for (const index_t row : labelled) take(std::size_t(row));
    const auto graph = radius_graph(cpu{2}, {x.data(), 150, 3}, radius_d2, 150 * 150);
    const picks got = facility_location(cpu{2}, *graph, {.picks = 100}, labelled);
    ASSERT_EQ(got.size(), 100u);
    for (const candidate& pick : got) {
      candidate best{-1, -1};
      for (std::size_t j = 0; j < 150; ++j) {
        if (gone[j]) continue;
        index_t more = 0;
        for (std::size_t i = 0; i < 150; ++i) more += !covered[i] && within(i, j);
        if (const candidate other{index_t(j), float(more)}; before(other, best)) best = other;
      }
      ASSERT_EQ(pick, best);
      take(std::size_t(best.row));
    }
  }
}

/// Plain greedy with each gain as the headers define it: a sum in double over all rows, ascending, as fp32.
template <class Gain, class Take>
picks plain(index_t rows, index_t count, Gain gain, Take take) {
  picks picked;
  std::vector<bool> gone(std::size_t(rows), false);
  while (index_t(picked.size()) < count) {
    candidate best{-1, -1};
    for (index_t j = 0; j < rows; ++j)
      if (const candidate other{j, float(gain(std::size_t(j)))}; !gone[std::size_t(j)] && before(other, best))
        best = other;
    picked.push_back(best);
    gone[std::size_t(best.row)] = true;
    take(std::size_t(best.row));
  }
  return picked;
}

// Similarities and weights of any bits: what rounds to the same is a tie, and a tie it stays for every width.
TEST(Coverage, RoundsAsItIsDefined) {
  const index_t rows = 150;
  auto x = normal_rows(rows, 3, 4);
  for (index_t i = 100; i < rows; ++i) std::copy_n(x.begin() + (i - 100) * 3, 3, x.begin() + i * 3);
  const auto graph = knn_similarities(cpu{}, {x.data(), rows, 3}, 12);
  const auto s = dense(graph);
  std::vector<float> weights;
  for (index_t i = 0; i < rows; ++i) weights.push_back(std::exp(x[std::size_t(3 * i)]));

  std::vector<double> covered(std::size_t(rows), 0.0), shared(covered);
  const picks located = plain(
      rows, rows,
      [&](std::size_t j) {
        double sum = 0;
        for (std::size_t i = 0; i < std::size_t(rows); ++i)
          sum += double(weights[i]) * std::max(0.0, s[i][j] - covered[i]);
        return sum;
      },
      [&](std::size_t j) {
        for (std::size_t i = 0; i < std::size_t(rows); ++i) covered[i] = std::max(covered[i], s[i][j]);
      });
  const picks separated = plain(
      rows, rows,
      [&](std::size_t j) {
        double sum = 0;
        for (std::size_t i = 0; i < std::size_t(rows); ++i) sum += s[i][j];
        return 2.5 * sum - s[j][j] - 2 * shared[j];
      },
      [&](std::size_t j) {
        for (std::size_t i = 0; i < std::size_t(rows); ++i) shared[i] += s[i][j];
      });
  for_each_width([&](cpu on) { return facility_location_model(on, graph, {}, view(weights)); }, {.picks = rows},
                 [&](const picks& got) { EXPECT_EQ(got, located); });
  for_each_width([&](cpu on) { return graph_cut_model(on, graph, 2.5, {}); }, {.picks = rows},
                 [&](const picks& got) { EXPECT_EQ(got, separated); });
  for (const picks& all : {located, separated})
    for (std::size_t p = 1; p < all.size(); ++p) EXPECT_LE(all[p].score, all[p - 1].score);
}

TEST(Coverage, TakesFarFewerSweepsThanPicks) {
  const index_t rows = 6000;
  const auto x = normal_rows(rows, 8, 5);
  const auto graph = knn_similarities(cpu{}, {x.data(), rows, 8}, 10);
  for (const auto& select : std::vector<std::function<picks(cpu, batch_run*)>>{
           [&](cpu on, batch_run*counts) {
             return facility_location(on, graph, {.picks = 1500}, {}, {}, counts);
           },
           [&](cpu on, batch_run*counts) {
             return graph_cut(on, graph, 2, {.picks = 1500}, {}, {}, counts);
           }}) {
    batch_run counts;
    const picks expected = select(cpu{1}, &counts);
    EXPECT_EQ(expected.size(), 1500u);
    EXPECT_GE(counts.sweeps, 1);
    EXPECT_LE(counts.sweeps, 50);
    for (const int threads : {2, 5}) EXPECT_EQ(select(cpu{threads}, nullptr), expected);

    std::vector<batch_state> states;
    batch_run watched{.advanced = [&](const batch_state& state) { states.push_back(state); }};
    select(cpu{2}, &watched);
    EXPECT_GT(states.size(), 1u);
    for (const batch_state& state : states) {
      batch_run resumed{.begin = state};
      EXPECT_EQ(select(cpu{2}, &resumed), expected);
    }
  }
}

// A pick may itself be what no limit allows any more; it covers all the same.
TEST(Coverage, GoesOnUnderLimits) {
  const index_t rows = 300;
  const auto x = normal_rows(rows, 4, 7);
  const auto graph = knn_similarities(cpu{}, {x.data(), rows, 4}, 8);
  std::vector<std::int64_t> cost;
  std::vector<index_t> group;
  const std::vector<index_t> quota{9, 4, 40};
  for (index_t i = 0; i < rows; ++i) {
    cost.push_back(1 + i % 5);
    group.push_back(i % 3);
  }
  allowance priced{.picks = 60}, shared = priced, spaced = priced;
  priced.cost = view(cost), priced.budget = 130;
  shared.group = view(group), shared.quota = view(quota);
  spaced.apart = spacing{{x.data(), rows, 4}, 0.5f};
  for (const allowance& limit : {priced, shared, spaced})
    for (const auto& select : std::vector<std::function<picks(batch_run*)>>{
             [&](batch_run* run) { return facility_location(cpu{}, graph, limit, {}, {}, run); },
             [&](batch_run* run) { return graph_cut(cpu{}, graph, 2, limit, {}, {}, run); }}) {
      const picks expected = select(nullptr);
      ASSERT_GT(expected.size(), 30u);
      for (index_t at = 0; at <= index_t(expected.size()); at += 7) {
        batch_run resumed{.begin = {{expected.begin(), expected.begin() + at}}};
        EXPECT_EQ(select(&resumed), expected) << at;
      }
    }
}

// The first picks of a larger batch are the smaller batch, which is as if it were labelled.
TEST(Coverage, BatchesNestAndGoOn) {
  const auto x = normal_rows(300, 4, 6);
  const auto graph = knn_similarities(cpu{}, {x.data(), 300, 4}, 8);
  for (const auto& select : std::vector<std::function<picks(index_t, const std::vector<index_t>&)>>{
           [&](index_t k, const auto&labelled) {
             return facility_location(cpu{}, graph, {.picks = k}, labelled);
           },
           [&](index_t k, const auto&labelled) {
             return graph_cut(cpu{}, graph, 3, {.picks = k}, labelled);
           }}) {
    const picks small = select(13, {}), large = select(60, {});
    EXPECT_TRUE(std::equal(small.begin(), small.end(), large.begin()));
    std::vector<index_t> labelled;
    for (const candidate& pick : small) labelled.push_back(pick.row);
    const picks rest = select(47, labelled);
    EXPECT_TRUE(std::equal(rest.begin(), rest.end(), large.begin() + 13, large.end()));
    labelled.push_back(labelled[0]);  // a row given twice is in A once
    EXPECT_EQ(select(47, labelled), rest);
  }
}

TEST(Coverage, EqualRowsInOrderAndFewRows) {
  const std::vector<float> same(5, 3.0f);
  const auto graph = knn_similarities(cpu{}, {same.data(), 5, 1}, 4);
  EXPECT_EQ(facility_location(cpu{}, graph, {.picks = 9}),
            (picks{{0, 5.0f}, {1, 0.0f}, {2, 0.0f}, {3, 0.0f}, {4, 0.0f}}));
  EXPECT_EQ(graph_cut(cpu{}, graph, 2, {.picks = 9}),
            (picks{{0, 9.0f}, {1, 7.0f}, {2, 5.0f}, {3, 3.0f}, {4, 1.0f}}));
  const std::vector<float> weights{0, 0, 0, 0, 0};
  EXPECT_EQ(facility_location(cpu{}, graph, {.picks = 2}, {}, view(weights)), (picks{{0, 0.0f}, {1, 0.0f}}));
  const auto alone = *radius_graph(cpu{}, {same.data(), 1, 1}, 1, 1);
  EXPECT_EQ(facility_location(cpu{}, alone, {.picks = 2}), (picks{{0, 1.0f}}));
  const std::vector<index_t> labelled{0};
  EXPECT_EQ(facility_location(cpu{}, alone, {.picks = 2}, labelled), picks{});
  const similarity_graph none(cpu{}, {}, {});
  EXPECT_EQ(facility_location(cpu{}, none, {.picks = 2}), picks{});
  EXPECT_EQ(graph_cut(cpu{}, none, 2, {.picks = 2}), picks{});
}

TEST(Coverage, WrongUsesAreRefused) {
  const std::vector<float> x{0, 1};
  const auto graph = *radius_graph(cpu{}, {x.data(), 2, 1}, 1, 4);
  const auto weighted = [&](const std::vector<float>& w) {
    return reference::message_of<error>([&] { facility_location(cpu{}, graph, {.picks = 1}, {}, view(w)); });
  };
  EXPECT_EQ(weighted({1, 1, 1}),
            "facility_location: weights has 3 places but there are 2 rows; pass one for each row, or none");
  EXPECT_EQ(weighted({1, -1}),
            "facility_location: weights of row 1 is -1.000000; it needs a finite number, 0 or more");
  EXPECT_EQ(weighted({nan, 1}),
            "facility_location: weights of row 0 is nan; it needs a finite number, 0 or more");
  EXPECT_EQ(weighted({3e38f, 3e38f}),
            "facility_location: the weights together leave the range of fp32; scale them down");
  for (const index_t row : {-1, 2}) {
    const std::vector<index_t> labelled{row};
    const std::string rest =
        ": labelled row " + std::to_string(row) + " is not in the graph, which has rows 0 to 1";
    EXPECT_EQ(
        reference::message_of<value_error>([&] { facility_location(cpu{}, graph, {.picks = 1}, labelled); }),
        "facility_location" + rest);
    EXPECT_EQ(reference::message_of<value_error>([&] { graph_cut(cpu{}, graph, 2, {.picks = 1}, labelled); }),
              "graph_cut" + rest);
  }
  for (const double lambda : {1.99, double(nan), 1e39, -3.0})
    EXPECT_EQ(
        reference::message_of<value_error>([&] { graph_cut(cpu{}, graph, lambda, {.picks = 1}); }),
        "graph_cut: lambda is " + std::to_string(lambda) + "; it needs a number from 2 on, far within fp32");
  EXPECT_EQ(reference::message_of<value_error>([&] { facility_location(cpu{}, graph, {.picks = -1}); }),
            "facility_location: the number of picks is -1; it must be 0 or more");
  EXPECT_EQ(reference::message_of<value_error>([&] { graph_cut(cpu{}, graph, 2, {.picks = -1}); }),
            "graph_cut: the number of picks is -1; it must be 0 or more");
  for (const index_t v : {-1, 2}) {
    const std::vector<index_t> vertex{0, v, 1};
    EXPECT_EQ(reference::message_of<value_error>(
                  [&] { facility_location(cpu{}, graph, {.picks = 1}, {}, {}, nullptr, vertex); }),
              "facility_location: the vertex of candidate 1 is " + std::to_string(v) +
                  " but there are vertices 0 to 1; pass one of them, or bar the candidate");
  }
  const std::vector<float> same(514, 1.0f);
  EXPECT_EQ(reference::message_of<value_error>([&] {
              probcover(cpu{}, matrix_view<const float>{same.data(), 514, 1}, {.picks = 1});
            }),
            "probcover: more than 256 pairs a row are at distance 0; leave equal rows out, or scale tiny "
            "embeddings up");
  const std::vector<float> half{1, .5f};
  EXPECT_EQ(
      reference::message_of<value_error>([&] { graph_cut(cpu{}, graph, 2, {.picks = 1}, {}, view(half)); }),
      "graph_cut: weights of row 1 is 0.500000; it needs 1 or more");
  EXPECT_THROW(facility_location(offload{}, graph, {.picks = 1}), no_cuda_error);
  EXPECT_THROW(graph_cut(cuda{}, graph, 2, {.picks = 1}), no_cuda_error);
}

}  // namespace
}  // namespace poolwise
