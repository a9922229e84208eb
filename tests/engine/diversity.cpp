// Strategies whose batch is greedy for a function of sets, against that function in double, and batches of rows
// that lie apart.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/query/select.hpp"
#include "reference/asked.hpp"
#include "reference/batches.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

constexpr index_t features = 5, beside = 3;
using rows_in_double = std::vector<std::vector<double>>;
using row_set = std::vector<index_t>;

struct example {
  index_t rows;
  std::vector<float> embeddings, queries, private_rows, weights, probabilities;
  row_set labelled, excluded;
  pool_inputs pool;

  explicit example(index_t count, unsigned seed = 1)
      : rows(count),
        embeddings(reference::normals(count * features, seed)),
        queries(reference::normals(beside * features, seed + 100)),
        private_rows(reference::normals(beside * features, seed + 200)) {
    for (index_t i = 0; i < rows; ++i) {
      const float p = 0.5f + 0.5f * float((i * 37) % rows) / float(rows);
      probabilities.insert(probabilities.end(), {p, 1 - p});
    }
  }

  const pool_inputs& view() {
    pool.rows = rows;
    pool.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
    pool.queries = matrix_view<const float>{queries.data(), beside, features};
    pool.private_rows = matrix_view<const float>{private_rows.data(), beside, features};
    pool.query_weights = {weights.data(), index_t(weights.size())};
    pool.model = matrix_view<const float>{probabilities.data(), rows, 2};
    pool.model_kind = outputs::probabilities;
    pool.labelled = labelled;
    pool.excluded = excluded;
    return pool;
  }

  bool may_be_picked(index_t i) const {
    return std::count(labelled.begin(), labelled.end(), i) + std::count(excluded.begin(), excluded.end(), i) ==
           0;
  }
  double margin(index_t i) const {
    const double p = double(probabilities[std::size_t(2 * i)]);
    return 1 - std::abs(2 * p - 1);
  }
};

rows_in_double in_double(const std::vector<float>& values) {
  rows_in_double rows;
  for (std::size_t i = 0; i < values.size(); i += features)
    rows.emplace_back(values.begin() + std::ptrdiff_t(i), values.begin() + std::ptrdiff_t(i + features));
  return rows;
}

double dot(const std::vector<double>& x, const std::vector<double>& y) {
  double sum = 0;
  for (std::size_t c = 0; c < x.size(); ++c) sum += x[c] * y[c];
  return sum;
}
double cosine(const std::vector<double>& x, const std::vector<double>& y) {
  return dot(x, y) / std::sqrt(dot(x, x) * dot(y, y));
}
double squared_distance(const std::vector<double>& x, const std::vector<double>& y) {
  double sum = 0;
  for (std::size_t c = 0; c < x.size(); ++c) sum += (x[c] - y[c]) * (x[c] - y[c]);
  return sum;
}

using set_function = std::function<double(const row_set&)>;

/// Each pick of the strategy gains what `f` gains by it, and no row would gain more. Gains agree within
/// `tolerance`.
void expect_greedy(example& of, const std::string& strategy, index_t picks, const set_function& f,
                   double tolerance = 2e-5, bool scores_are_gains = true) {
  SCOPED_TRACE(strategy);
  const batch chosen = select(cpu{}, of.view(), {.strategy = strategy, .batch = picks});
  ASSERT_EQ(chosen.picks.size(), std::size_t(picks));
  row_set taken;
  for (const pick& p : chosen.picks) {
    const double before = f(taken);
    const auto gain = [&](index_t i) {
      row_set with = taken;
      with.push_back(i);
      return f(with) - before;
    };
    double most = -std::numeric_limits<double>::infinity();
    for (index_t i = 0; i < of.rows; ++i)
      if (of.may_be_picked(i) && std::count(taken.begin(), taken.end(), i) == 0) most = std::max(most, gain(i));
    const double size = std::max(1.0, std::abs(most));
    ASSERT_NEAR(gain(p.row), most, tolerance * size) << "pick " << taken.size();
    if (scores_are_gains) {
      ASSERT_NEAR(p.score, most, tolerance * size);
    }
    taken.push_back(p.row);
  }
  const batch again = select(cpu{3}, of.pool, {.strategy = strategy, .batch = picks});
  EXPECT_EQ(rows_of(again), rows_of(chosen));
}

/// With all rows listed: half is the median over rows of the squared distance to the farthest.
double median_of_farthest(const rows_in_double& x, const example& of) {
  std::vector<double> farthest;
  const auto there = [&](std::size_t i) {
    return std::count(of.excluded.begin(), of.excluded.end(), index_t(i)) == 0;
  };
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!there(i)) continue;
    farthest.push_back(0);
    for (std::size_t j = 0; j < x.size(); ++j)
      if (there(j)) farthest.back() = std::max(farthest.back(), squared_distance(x[i], x[j]));
  }
  std::sort(farthest.begin(), farthest.end());
  return farthest[farthest.size() / 2];
}

// Sums of 3 cosines in double, rounded to fp32 once.
TEST(QueryInformation, CoversTheQueriesGreedily) {
  example of(80);
  of.labelled = {3, 9};
  for (const bool weighted : {false, true}) {
    of.weights = weighted ? std::vector<float>{0.5f, 2, 0} : std::vector<float>{};
    const auto x = in_double(of.embeddings), q = in_double(of.queries);
    const auto like = [&](index_t i, std::size_t of_query) {
      return (weighted ? double(of.weights[of_query]) : 1.0) *
             std::max(0.0, cosine(x[std::size_t(i)], q[of_query]));
    };
    const auto flqmi = [&](double eta) {
      return [&, eta](const row_set& a) {
        double sum = 0;
        for (std::size_t k = 0; k < q.size(); ++k) {
          double most = 0;
          for (const index_t i : a) most = std::max(most, like(i, k));
          sum += most;
        }
        for (const index_t i : a) {
          double most = 0;
          for (std::size_t k = 0; k < q.size(); ++k) most = std::max(most, like(i, k));
          sum += eta * most;
        }
        return sum;
      };
    };
    expect_greedy(of, "flqmi", 20, flqmi(1), 1e-6);
    expect_greedy(of, "flqmi(eta=0.25)", 20, flqmi(0.25), 1e-6);
    expect_greedy(
        of, "gcmi", 20,
        [&](const row_set& a) {
          double sum = 0;
          for (const index_t i : a)
            for (std::size_t k = 0; k < q.size(); ++k) sum += 2 * like(i, k);
          return sum;
        },
        1e-6);
  }
}

// Similarities are in fp32, of 60 rows.
TEST(ConditionalCoverage, IsGreedyForMutualInformationAndConditionalGain) {
  example of(60);
  of.labelled = {4, 44};
  of.excluded = {7};
  const auto x = in_double(of.embeddings), q = in_double(of.queries), p = in_double(of.private_rows);
  const double half = median_of_farthest(x, of);
  const auto s = [&](const std::vector<double>& a, const std::vector<double>& b) {
    return 1 / (1 + squared_distance(a, b) / half);
  };
  const auto to = [&](std::size_t i, const rows_in_double& those) {
    double most = 0;
    for (const auto& one : those) most = std::max(most, s(x[i], one));
    return most;
  };
  const auto f = [&](double eta, double nu) {
    return [&, eta, nu](const row_set& a) {
      double sum = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        if (index_t(i) == 7) continue;
        double most = std::max(s(x[i], x[4]), s(x[i], x[44]));
        for (const index_t j : a) most = std::max(most, s(x[i], x[std::size_t(j)]));
        sum += std::max(0.0, std::min({most, eta * to(i, q), 1.0}) - nu * to(i, p));
      }
      return sum;
    };
  };
  const double no_bound = 1e9;
  expect_greedy(of, "flvmi(eta=0.9, neighbours=60)", 20, f(0.9, 0), 3e-6);
  expect_greedy(of, "flcg(nu=0.8, neighbours=60)", 20, f(no_bound, 0.8), 3e-6);
  expect_greedy(of, "flcmi(eta=1.2, nu=0.7, neighbours=60)", 20, f(1.2, 0.7), 3e-6);
  expect_greedy(
      of, "saturated_coverage(share=0.1, neighbours=60)", 20,
      [&](const row_set& a) {
        double sum = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
          if (index_t(i) == 7) continue;
          double all = 0, covered = s(x[i], x[4]) + s(x[i], x[44]);
          for (std::size_t j = 0; j < x.size(); ++j)
            if (j != 7) all += s(x[i], x[j]);
          for (const index_t j : a) covered += s(x[i], x[std::size_t(j)]);
          sum += std::min(covered, 0.1 * all);
        }
        return sum;
      },
      1e-5);
}

TEST(Herding, CoversByAGaussianRowsThatCountByTheirScores) {
  example of(60);
  of.labelled = {4, 44, 45};
  const auto x = in_double(of.embeddings);
  const auto f = [&](double scale, bool by_score) {
    return [&, scale, by_score](const row_set& a) {
      double sum = 0;
      for (std::size_t i = 0; i < x.size(); ++i) {
        double most = 0;
        const auto meet = [&](index_t j) {
          most = std::max(most, std::exp(-squared_distance(x[i], x[std::size_t(j)]) / scale));
        };
        for (const index_t j : of.labelled) meet(j);
        for (const index_t j : a) meet(j);
        sum += most * (by_score ? of.margin(index_t(i)) : 1);
      }
      return sum;
    };
  };
  expect_greedy(of, "maxherding(bandwidth=1.5, neighbours=60)", 25, f(2.25, false), 3e-6);
  expect_greedy(of, "maxherding(neighbours=60)", 25, f(median_of_farthest(x, of), false), 3e-6);
  expect_greedy(of, "uherding(margin, bandwidth=1.5, neighbours=60)", 25, f(2.25, true), 3e-6);
  const double least =
      std::min({squared_distance(x[4], x[44]), squared_distance(x[4], x[45]), squared_distance(x[44], x[45])});
  expect_greedy(of, "uherding(margin, neighbours=60)", 25, f(least, true), 3e-6);
  reference::expect_refused<value_error>(
      [&] {
        std::fill(of.probabilities.begin(), of.probabilities.end(), 3.0f);
        of.view();
        of.pool.model_kind = outputs::logits;
        select(cpu{}, of.pool, {.strategy = "uherding(energy)", .batch = 3});
      },
      "never negative");
}

/// ln det of a symmetric matrix that is positive definite.
double log_determinant(rows_in_double a) {
  double sum = 0;
  for (std::size_t k = 0; k < a.size(); ++k) {
    sum += std::log(a[k][k]);
    for (std::size_t i = k + 1; i < a.size(); ++i)
      for (std::size_t j = k + 1; j < a.size(); ++j) a[i][j] -= a[i][k] * a[k][j] / a[k][k];
  }
  return sum;
}

/// The Gram matrix of rows by `like`, with noise^2 on its diagonal.
template <class Like>
rows_in_double gram(const rows_in_double& x, Like like, double noise) {
  rows_in_double s(x.size(), std::vector<double>(x.size()));
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t j = 0; j < x.size(); ++j) s[i][j] = like(x[i], x[j]) + (i == j ? noise * noise : 0);
  return s;
}

/// ln det(S_A - share^2 S_AG S_G^-1 S_GA), by adding one row of A at a time to the elimination of G.
double log_determinant_given(const rows_in_double& a, const rows_in_double& given, double share, double noise) {
  rows_in_double all = given;
  all.insert(all.end(), a.begin(), a.end());
  rows_in_double s = gram(all, cosine, noise);
  const rows_in_double alone = s;
  for (std::size_t k = 0; k < given.size(); ++k)
    for (std::size_t i = k + 1; i < s.size(); ++i)
      for (std::size_t j = k + 1; j < s.size(); ++j) s[i][j] -= s[i][k] * s[k][j] / s[k][k];
  rows_in_double left(a.size(), std::vector<double>(a.size()));
  const std::size_t g = given.size();
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < a.size(); ++j)
      left[i][j] = (1 - share * share) * alone[g + i][g + j] + share * share * s[g + i][g + j];
  return log_determinant(left);
}

TEST(LogDeterminants, AreGreedyForWhatTheirFormulasSay) {
  example of(50);
  const auto x = in_double(of.embeddings), q = in_double(of.queries), p = in_double(of.private_rows);
  const auto rows_at = [&](const row_set& a) {
    rows_in_double some;
    for (const index_t i : a) some.push_back(x[std::size_t(i)]);
    return some;
  };
  expect_greedy(of, "logdetmi(eta=0.9)", 15, [&](const row_set& a) {
    return log_determinant_given(rows_at(a), {}, 1, 0.1) - log_determinant_given(rows_at(a), q, 0.9, 0.1);
  });
  expect_greedy(of, "logdetcg(nu=0.8, noise=0.3)", 15,
                [&](const row_set& a) { return log_determinant_given(rows_at(a), p, 0.8, 0.3); });
  rows_in_double both = p;
  both.insert(both.end(), q.begin(), q.end());
  expect_greedy(of, "logdetcmi", 15, [&](const row_set& a) {
    return log_determinant_given(rows_at(a), p, 1, 0.1) - log_determinant_given(rows_at(a), both, 1, 0.1);
  });
  of.labelled = {1, 2, 30};
  const auto maxdet = [&](const row_set& a) {
    row_set all = of.labelled;
    all.insert(all.end(), a.begin(), a.end());
    return log_determinant(gram(rows_at(all), dot, 0.5));
  };
  expect_greedy(of, "maxdet(noise=0.5)", 15, maxdet, 2e-5, /*scores_are_gains=*/false);
  // In another unit, whose squares fp32 does not hold, the noise is the same share of a row.
  const auto expected = rows_of(select(cpu{}, of.view(), {.strategy = "maxdet(noise=0.5)", .batch = 15}));
  for (float& v : of.embeddings) v *= 0x1p80f;
  EXPECT_EQ(
      rows_of(select(cpu{}, of.view(), {.strategy = "maxdet(noise=604462909807314587353088)", .batch = 15})),
      std::vector<index_t>(expected));
}

TEST(RowsBesideThePool, AreRefusedWhereTheyDoNotFit) {
  example of(20);
  const auto refused = [&](const char* strategy, const char* text) {
    reference::expect_refused<error>([&] { select(cpu{}, of.pool, {.strategy = strategy, .batch = 3}); }, text);
  };
  of.view();
  of.pool.private_rows.reset();
  refused("flcg", "needs embeddings to be unlike; give them (pool_inputs::private_rows)");
  of.view();
  of.pool.private_rows = matrix_view<const float>{of.private_rows.data(), 2, features - 1};
  for (const char* strategy : {"flcg", "logdetcg", "flcmi", "logdetcmi"})
    refused(strategy, "private rows are [2, 4]");
  of.queries[features] = INFINITY;
  of.view();
  for (const char* strategy : {"flqmi", "gcmi", "flvmi", "logdetmi"}) refused(strategy, "query 1");
}

TEST(FeatureCoverage, IsGreedyForRootsOfSums) {
  example of(60);
  of.labelled = {3, 5};
  const auto x = in_double(of.embeddings);
  expect_greedy(
      of, "feature_coverage", 20,
      [&](const row_set& a) {
        std::vector<double> sums(features, 0.0);
        const auto add = [&](index_t i) {
          for (std::size_t c = 0; c < features; ++c) sums[c] += std::max(0.0, x[std::size_t(i)][c]);
        };
        for (const index_t i : of.labelled) add(i);
        for (const index_t i : a) add(i);
        double sum = 0;
        for (const double one : sums) sum += std::sqrt(one);
        return sum;
      },
      1e-6);
}

/// p - onehot(argmax p).
std::vector<double> gradient(const example& of, index_t i) {
  const double p = double(of.probabilities[std::size_t(2 * i)]),
               q = double(of.probabilities[std::size_t(2 * i + 1)]);
  return p >= q ? std::vector<double>{p - 1, q} : std::vector<double>{p, q - 1};
}

TEST(GradientCoresets, CraigCoversGradients) {
  example of(60);
  of.excluded = {8};
  std::vector<double> farthest;
  const auto d2 = [&](index_t i, index_t j) { return squared_distance(gradient(of, i), gradient(of, j)); };
  for (index_t i = 0; i < of.rows; ++i) {
    if (i == 8) continue;
    farthest.push_back(0);
    for (index_t j = 0; j < of.rows; ++j)
      if (j != 8) farthest.back() = std::max(farthest.back(), d2(i, j));
  }
  std::sort(farthest.begin(), farthest.end());
  const double half = farthest[farthest.size() / 2];
  expect_greedy(
      of, "craig(neighbours=60)", 10,
      [&](const row_set& a) {
        double sum = 0;
        for (index_t i = 0; i < of.rows; ++i) {
          double most = 0;
          for (const index_t j : a) most = std::max(most, 1 / (1 + d2(i, j) / half));
          sum += i == 8 ? 0 : most;
        }
        return sum;
      },
      1e-5);
}

/// a (x) [h; 1]
std::vector<double> outer(const std::vector<double>& a, const std::vector<double>& h) {
  std::vector<double> g;
  for (const double one : a) {
    for (const double value : h) g.push_back(one * value);
    g.push_back(one);
  }
  return g;
}

// The reference finds weights by projected gradients.
TEST(GradientCoresets, GradmatchIsOrthogonalMatchingPursuit) {
  example of(40);
  of.labelled = {0, 1};
  const auto x = in_double(of.embeddings);
  rows_in_double g;
  for (index_t i = 0; i < of.rows; ++i) g.push_back(outer(gradient(of, i), x[std::size_t(i)]));
  std::vector<double> all(g[0].size(), 0.0);
  for (std::size_t i = 2; i < g.size(); ++i)
    for (std::size_t k = 0; k < all.size(); ++k) all[k] += g[i][k];
  const batch chosen = select(cpu{}, of.view(), {.strategy = "gradmatch(lambda=0.5)", .batch = 6});
  std::vector<double> rest = all, w;
  row_set taken;
  for (const pick& p : chosen.picks) {
    double most = -1e9;
    for (index_t i = 2; i < of.rows; ++i)
      if (std::count(taken.begin(), taken.end(), i) == 0) most = std::max(most, dot(g[std::size_t(i)], rest));
    ASSERT_NEAR(dot(g[std::size_t(p.row)], rest), most, 1e-5 * std::max(1.0, std::abs(most))) << taken.size();
    ASSERT_NEAR(p.score, most, 1e-5 * std::max(1.0, std::abs(most)));
    taken.push_back(p.row);
    w.push_back(0);
    double trace = 0;
    for (const index_t s : taken) trace += dot(g[std::size_t(s)], g[std::size_t(s)]) + 0.5;
    for (int step = 0; step < 5'000; ++step) {
      rest = all;
      for (std::size_t s = 0; s < w.size(); ++s)
        for (std::size_t k = 0; k < rest.size(); ++k) rest[k] -= w[s] * g[std::size_t(taken[s])][k];
      for (std::size_t s = 0; s < w.size(); ++s)
        w[s] = std::max(0.0, w[s] + (dot(g[std::size_t(taken[s])], rest) - 0.5 * w[s]) / trace);
    }
  }
}

TEST(FrankWolfe, TakesTheRowOfTheSteepestWay) {
  example of(50);
  of.labelled = {6};
  const auto x = in_double(of.embeddings);
  std::vector<double> all(features, 0.0), place(features, 0.0);
  double lengths = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i == 6) continue;
    lengths += std::sqrt(dot(x[i], x[i]));
    for (std::size_t c = 0; c < features; ++c) all[c] += x[i][c];
  }
  std::set<index_t> taken;
  for (const pick& p : select(cpu{}, of.view(), {.strategy = "frank_wolfe", .batch = 15}).picks) {
    std::vector<double> way = all;
    for (std::size_t c = 0; c < features; ++c) way[c] -= place[c];
    const auto along = [&](std::size_t i) { return dot(x[i], way) / std::sqrt(dot(x[i], x[i])); };
    double most = -1e9;
    for (index_t i = 0; i < of.rows; ++i)
      if (i != 6 && taken.count(i) == 0) most = std::max(most, along(std::size_t(i)));
    ASSERT_NEAR(p.score, most, 1e-5 * lengths);
    ASSERT_NEAR(along(std::size_t(p.row)), most, 1e-5 * lengths);
    taken.insert(p.row);
    std::vector<double> off = x[std::size_t(p.row)];
    const double scale = lengths / std::sqrt(dot(off, off));
    for (std::size_t c = 0; c < features; ++c) off[c] = off[c] * scale - place[c];
    const double step = dot(off, way) / dot(off, off);
    for (std::size_t c = 0; c < features; ++c) place[c] += step * off[c];
  }
}

TEST(RoundRobin, TakesTheMostSimilarRowOfEachQueryInTurn) {
  example of(90);
  of.labelled = {7};
  of.weights = {1, 0, 2};  // the second has no turn
  const auto x = in_double(of.embeddings), q = in_double(of.queries);
  std::set<index_t> taken = {7};
  std::size_t turn = 0;
  for (const pick& p : select(cpu{}, of.view(), {.strategy = "round_robin", .batch = 89}).picks) {
    index_t best = -1;
    for (index_t i = 0; i < of.rows; ++i)
      if (taken.count(i) == 0 &&
          (best < 0 || cosine(x[std::size_t(i)], q[turn]) > cosine(x[std::size_t(best)], q[turn])))
        best = i;
    ASSERT_EQ(p.row, best);
    ASSERT_NEAR(p.score, cosine(x[std::size_t(best)], q[turn]), 1e-6);
    taken.insert(best);
    turn = 2 - turn;
  }
}

TEST(GraphDensity, TakesItsOwnFromTheNeighboursOfAPick) {
  example of(50);
  of.labelled = {12};
  const auto x = in_double(of.embeddings);
  const double s = 1.3;
  const auto w = [&](index_t i, index_t j) {
    return std::exp(-squared_distance(x[std::size_t(i)], x[std::size_t(j)]) / (2 * s * s));
  };
  std::vector<double> density;
  for (index_t i = 0; i < of.rows; ++i) {
    double sum = 0;
    for (index_t j = 0; j < of.rows; ++j) sum += i == j ? 0 : w(i, j);
    density.push_back(sum / double(of.rows - 1));
  }
  std::set<index_t> taken;
  const auto take = [&](index_t i) {
    for (index_t j = 0; j < of.rows; ++j)
      if (j != i) density[std::size_t(j)] -= density[std::size_t(i)] * w(i, j);
    taken.insert(i);
  };
  take(12);
  for (const pick& p :
       select(cpu{}, of.view(), {.strategy = "graph_density(bandwidth=1.3, neighbours=49)", .batch = 20})
           .picks) {
    double most = -1e9;
    for (index_t i = 0; i < of.rows; ++i)
      if (taken.count(i) == 0) most = std::max(most, density[std::size_t(i)]);
    ASSERT_NEAR(density[std::size_t(p.row)], most, 1e-6);
    ASSERT_NEAR(p.score, most, 1e-6);
    take(p.row);
  }
}

TEST(NearLabels, SealsGoesOutwardFromLabelledRows) {
  example of(80);
  of.labelled = {3, 30, 61};
  of.excluded = {5};
  const auto x = in_double(of.embeddings);
  std::vector<float> place(80, 0.0f);
  for (const index_t l : of.labelled) {
    row_set order;
    for (index_t i = 0; i < of.rows; ++i)
      if (of.may_be_picked(i)) order.push_back(i);
    std::sort(order.begin(), order.end(), [&](index_t a, index_t b) {
      return squared_distance(x[std::size_t(a)], x[std::size_t(l)]) <
             squared_distance(x[std::size_t(b)], x[std::size_t(l)]);
    });
    for (std::size_t n = 0; n < 10; ++n)
      place[std::size_t(order[n])] = std::max(place[std::size_t(order[n])], 1 / float(n + 1));
  }
  row_set expected;
  for (index_t i = 0; i < of.rows; ++i)
    if (of.may_be_picked(i)) expected.push_back(i);
  std::stable_sort(expected.begin(), expected.end(),
                   [&](index_t a, index_t b) { return place[std::size_t(a)] > place[std::size_t(b)]; });
  expected.resize(40);
  EXPECT_EQ(rows_of(select(cpu{}, of.view(), {.strategy = "seals(neighbours=10)", .batch = 40})), expected);
  // As a stage it leaves the score the rows near labels.
  const auto chosen =
      rows_of(select(cpu{}, of.view(), {.strategy = "seals(neighbours=10)/20/margin", .batch = 5}));
  for (const index_t i : chosen) EXPECT_GT(place[std::size_t(i)], 0) << i;
}

TEST(NearLabels, CalIsTheMeanDivergenceFromLabelledNeighbours) {
  example of(80);
  of.labelled = {3, 30, 61, 70};
  const auto x = in_double(of.embeddings);
  const auto kl = [&](index_t from, index_t to) {
    double sum = 0;
    for (std::size_t c = 0; c < 2; ++c) {
      const auto p = double(of.probabilities[std::size_t(2 * from) + c]);
      const auto q = double(of.probabilities[std::size_t(2 * to) + c]);
      if (p > 0) sum += p * std::log(p / q);
    }
    return sum;
  };
  const batch chosen = select(cpu{}, of.view(), {.strategy = "cal(neighbours=2)", .batch = 76});
  ASSERT_EQ(chosen.picks.size(), 76u);
  float last = std::numeric_limits<float>::infinity();
  for (const pick& p : chosen.picks) {
    row_set near = of.labelled;
    std::sort(near.begin(), near.end(), [&](index_t a, index_t b) {
      return squared_distance(x[std::size_t(p.row)], x[std::size_t(a)]) <
             squared_distance(x[std::size_t(p.row)], x[std::size_t(b)]);
    });
    EXPECT_NEAR(p.score, (kl(near[0], p.row) + kl(near[1], p.row)) / 2, 1e-5) << p.row;
    EXPECT_LE(p.score, last);
    last = p.score;
  }
  of.probabilities[6] = NAN;  // of labelled row 3
  of.view();
  reference::expect_refused<value_error>([&] { select(cpu{}, of.pool, {.strategy = "cal", .batch = 3}); },
                                         "outputs of labelled row 3");
}

// ---- Clusters

// Three far groups of 8 rows, whose means are known.
struct groups_of_rows : example {
  groups_of_rows() : example(24) {
    for (index_t i = 0; i < 24; ++i)
      for (index_t f = 0; f < features; ++f) {
        float& value = embeddings[std::size_t(i * features + f)];
        value = 0.1f * value + (f == i % 3 ? 100.0f : 0.0f);
      }
  }
  /// The row of a group that is nearest to its mean by `weight`.
  template <class Weight>
  index_t nearest_to_mean(index_t group, Weight weight) const {
    const auto x = in_double(embeddings);
    std::vector<double> mean(features, 0.0);
    double total = 0;
    for (index_t i = group; i < 24; i += 3) {
      total += weight(i);
      for (std::size_t c = 0; c < features; ++c) mean[c] += weight(i) * x[std::size_t(i)][c];
    }
    for (double& value : mean) value /= total;
    index_t best = group;
    for (index_t i = group; i < 24; i += 3)
      if (squared_distance(x[std::size_t(i)], mean) < squared_distance(x[std::size_t(best)], mean)) best = i;
    return best;
  }
};

TEST(Centroids, AreTheRowsNearestToWeightedMeans) {
  groups_of_rows of;
  const auto one = [](index_t) { return 1.0; };
  const auto score = [&](index_t i) { return of.margin(i); };
  int asked = 0;
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    // k-means may begin with two centres in one group, and stay there: then it is not asked about.
    for (const bool weighted : {false, true}) {
      const auto rows = rows_of(select(
          cpu{}, of.view(), {.strategy = weighted ? "clue(margin)" : "kmeans", .batch = 3, .seed = seed}));
      if (std::set<index_t>{rows[0] % 3, rows[1] % 3, rows[2] % 3}.size() < 3) continue;
      ++asked;
      for (const index_t row : rows)
        EXPECT_EQ(row, weighted ? of.nearest_to_mean(row % 3, score) : of.nearest_to_mean(row % 3, one));
    }
  }
  EXPECT_GT(asked, 4);
  // Two groups have a label: the third is all that is left for a centre of its own.
  of.labelled = {0, 4};
  for (std::uint64_t seed = 0; seed < 5; ++seed)
    EXPECT_EQ(
        rows_of(select(cpu{}, of.view(), {.strategy = "incremental_kmeans", .batch = 1, .seed = seed})).size(),
        1u);
}

TEST(ClusterMargin, TakesTurnsAmongClustersOfTheBestRows) {
  groups_of_rows of;
  std::vector<index_t> order;
  for (index_t i = 0; i < 24; ++i) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](index_t a, index_t b) { return of.margin(a) > of.margin(b); });
  const std::set<index_t> best(order.begin(), order.begin() + 12);
  std::vector<index_t> sizes(3, 0);
  for (const index_t i : best) ++sizes[std::size_t(i % 3)];
  std::set<row_set> seen;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    const auto rows = rows_of(
        select(cpu{}, of.view(),
               {.strategy = "cluster_margin(margin, per_pick=2, distance=50)", .batch = 6, .seed = seed}));
    std::vector<index_t> count(3, 0);
    for (const index_t i : rows) {
      EXPECT_EQ(best.count(i), 1u) << i;
      ++count[std::size_t(i % 3)];
    }
    EXPECT_EQ(count, (std::vector<index_t>{2, 2, 2}));
    for (std::size_t n : {1, 2, 4, 5})
      EXPECT_LE(sizes[std::size_t(rows[n - 1] % 3)], sizes[std::size_t(rows[n] % 3)]);
    seen.insert(rows);
  }
  EXPECT_GT(seen.size(), 1u);
}

TEST(RobustKCenter, LeavesOutliersAlone) {
  example of(100);
  for (index_t f = 0; f < features; ++f) of.embeddings[std::size_t(42 * features + f)] = 1e6f;
  const auto x = in_double(of.embeddings);
  of.labelled = {0};
  int outliers = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    std::vector<index_t> centres = {0};
    for (const pick& p :
         select(cpu{}, of.view(), {.strategy = "robust_kcenter(outliers=0.02)", .batch = 2, .seed = seed})
             .picks) {
      const auto distance_of = [&](index_t i) {
        double least = 1e300;
        for (const index_t c : centres)
          least = std::min(least, squared_distance(x[std::size_t(i)], x[std::size_t(c)]));
        return least;
      };
      std::vector<double> away;
      for (index_t i = 0; i < of.rows; ++i) away.push_back(distance_of(i));
      std::sort(away.rbegin(), away.rend());
      EXPECT_GE(distance_of(p.row), away[3] * (1 - 1e-6));  // 2 * ceil(0.02 * 99) farthest
      centres.push_back(p.row);
      outliers += p.row == 42;
    }
  }
  EXPECT_LT(outliers, 10);  // kcenter would pick it every time
}

TEST(MaxDist, BeginsWithTheLongestRow) {
  example of(60);
  const auto x = in_double(of.embeddings);
  index_t longest = 0;
  for (index_t i = 0; i < of.rows; ++i)
    if (dot(x[std::size_t(i)], x[std::size_t(i)]) > dot(x[std::size_t(longest)], x[std::size_t(longest)]))
      longest = i;
  auto rows = rows_of(select(cpu{}, of.view(), {.strategy = "maxdist", .batch = 12}));
  EXPECT_EQ(rows.front(), longest);
  of.labelled = {longest};
  rows.erase(rows.begin());
  EXPECT_EQ(rows, rows_of(select(cpu{}, of.view(), {.strategy = "kcenter", .batch = 11})));
}

// ---- Rows that lie apart

double distance(const example& of, index_t i, index_t j) {
  const auto x = in_double(of.embeddings);
  return std::sqrt(squared_distance(x[std::size_t(i)], x[std::size_t(j)]));
}

TEST(Apart, TakesTheBestThatLieApartThenTheOthers) {
  example of(70);
  of.labelled = {5};
  const batch chosen = select(cpu{}, of.view(), {.strategy = "apart(margin, distance=2.5)", .batch = 69});
  row_set order, near = {5}, expected, others;
  for (index_t i = 0; i < of.rows; ++i)
    if (i != 5) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](index_t a, index_t b) { return of.margin(a) > of.margin(b); });
  for (const index_t i : order) {
    const bool apart =
        std::all_of(near.begin(), near.end(), [&](index_t j) { return distance(of, i, j) > 2.5; });
    (apart ? expected : others).push_back(i);
    if (apart) near.push_back(i);
  }
  EXPECT_GT(expected.size(), 3u);
  expected.insert(expected.end(), others.begin(), others.end());
  EXPECT_EQ(rows_of(chosen), expected);
}

TEST(Gist, IsAtLeastTheShareOfTheBestBatchThatItSays) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    example of(14, seed);
    if (seed % 2 == 0) of.labelled = {2};
    const double lambda = seed % 3 == 0 ? 3 : 0.3;
    const batch chosen = select(
        cpu{}, of.view(), {.strategy = "gist(margin, lambda=" + std::to_string(lambda) + ")", .batch = 3});
    const auto worth = [&](const row_set& rows) {
      double sum = 0, least = std::numeric_limits<double>::infinity();
      for (std::size_t a = 0; a < rows.size(); ++a) {
        sum += of.margin(rows[a]);
        for (std::size_t b = 0; b < a; ++b) least = std::min(least, distance(of, rows[a], rows[b]));
        for (const index_t l : of.labelled) least = std::min(least, distance(of, rows[a], l));
      }
      return sum + lambda * least;
    };
    double best = 0;
    for (index_t a = 0; a < of.rows; ++a)
      for (index_t b = 0; b < a; ++b)
        for (index_t c = 0; c < b; ++c)
          if (of.may_be_picked(a) && of.may_be_picked(b) && of.may_be_picked(c))
            best = std::max(best, worth({a, b, c}));
    const double share = worth(rows_of(chosen)) / best;
    EXPECT_GE(share, 1 / 2.1);
    ASSERT_TRUE(chosen.of_optimum);
    EXPECT_LE(*chosen.of_optimum, share * (1 + 1e-6));
    EXPECT_GT(*chosen.of_optimum, 0.3);
  }
}

// ---- Strategies that change

TEST(Schedule, ThePhaseOfSoManyLabelsPicksAndNeedsItsPartsAlone) {
  example of(40);
  const auto chosen = [&](const char* strategy) {
    return select(cpu{}, of.pool, {.strategy = strategy, .batch = 5});
  };
  of.labelled = {1, 2};
  of.view();
  of.pool.model.reset();
  EXPECT_EQ(rows_of(chosen("kcenter@3,margin")), rows_of(chosen("kcenter")));
  EXPECT_EQ(chosen("kcenter@3,margin").strategy, "kcenter");
  of.labelled = {1, 2, 3};
  of.view();
  of.pool.embeddings.reset();
  EXPECT_EQ(rows_of(chosen("kcenter@3,margin")), rows_of(chosen("margin")));
  reference::expect_refused<usage_error>([&] { chosen("kcenter@4,margin"); }, "\"kcenter\" needs embeddings");
}

// ---- Draws

TEST(CoverageDraws, OneOfEachStratumOfScores) {
  example of(60);
  row_set order;
  for (index_t i = 0; i < of.rows; ++i) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](index_t a, index_t b) { return of.margin(a) > of.margin(b); });
  std::set<row_set> seen;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const auto rows =
        rows_of(select(cpu{}, of.view(), {.strategy = "stratified(margin)", .batch = 7, .seed = seed}));
    for (index_t r = 0; r < 7; ++r) {
      const auto begin = order.begin() + r * 60 / 7, end = order.begin() + (r + 1) * 60 / 7;
      EXPECT_EQ(std::count(begin, end, rows[std::size_t(r)]), 1);
    }
    seen.insert(rows);
  }
  EXPECT_EQ(seen.size(), 5u);
}

TEST(CoverageDraws, LightweightCoresetsAreDrawnHalfByTheDistanceToTheMean) {
  example of(6);
  of.excluded = {5};
  const auto x = in_double(of.embeddings);
  std::vector<double> mean(features, 0.0), weight;
  for (std::size_t i = 0; i < 5; ++i)
    for (std::size_t c = 0; c < features; ++c) mean[c] += x[i][c] / 5;
  double total = 0;
  for (std::size_t i = 0; i < 5; ++i) total += squared_distance(x[i], mean);
  for (std::size_t i = 0; i < 5; ++i) weight.push_back(0.1 + 0.5 * squared_distance(x[i], mean) / total);
  constexpr int draws = 4000;
  std::map<index_t, int> seen;
  for (std::uint64_t seed = 0; seed < draws; ++seed)
    ++seen
        [select(cpu{1}, of.view(), {.strategy = "lightweight_coreset", .batch = 1, .seed = seed}).picks[0].row];
  double chi2 = 0;
  for (index_t i = 0; i < 5; ++i) {
    const double expected = draws * weight[std::size_t(i)], off = seen[i] - expected;
    chi2 += off * off / expected;
  }
  EXPECT_LT(chi2, 18.5);  // of 4 degrees of freedom, exceeded once in 1,000
}

}  // namespace
}  // namespace poolwise
