// Strategies that are a page of their own, against slow references in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/query/select.hpp"
#include "reference/batches.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

constexpr index_t rows = 300, features = 13, queries = 4;

struct looked_for {
  std::vector<float> embeddings = reference::normals(rows * features, 1);
  std::vector<float> wanted = reference::normals(queries * features, 2);
  std::vector<float> weights;
  pool_inputs pool;

  const pool_inputs& view() {
    pool.rows = rows;
    pool.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
    pool.queries = matrix_view<const float>{wanted.data(), queries, features};
    pool.query_weights = {weights.data(), index_t(weights.size())};
    return pool;
  }
};

long double cosine(const float* x, const float* y) {
  long double xy = 0, xx = 0, yy = 0;
  for (index_t f = 0; f < features; ++f) {
    xy += (long double)x[f] * y[f];
    xx += (long double)x[f] * x[f];
    yy += (long double)y[f] * y[f];
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

// The length of a row, and of a query, is no part of it: neither one whose square leaves fp32.
TEST(Similar, RowsAndQueriesOfAnySizeHaveTheirDirection) {
  looked_for of;
  const query_spec spec{.strategy = "similar", .batch = rows};
  const batch expected = select(cpu{}, of.view(), spec);
  for (index_t i = 0; i < rows; ++i)
    for (index_t f = 0; f < features; ++f)
      of.embeddings[std::size_t(i * features + f)] *= i % 3 == 0 ? 0x1p90f : i % 3 == 1 ? 0x1p-90f : 1;
  for (std::size_t f = 0; f < of.wanted.size(); ++f) of.wanted[f] *= f < features ? 0x1p80f : 0x1p-80f;
  const batch got = select(cpu{}, of.view(), spec);
  ASSERT_EQ(got.picks.size(), expected.picks.size());
  for (std::size_t i = 0; i < got.picks.size(); ++i) {
    EXPECT_EQ(got.picks[i].row, expected.picks[i].row);
    EXPECT_EQ(got.picks[i].score, expected.picks[i].score);
  }
}

TEST(Similar, IsTheCosineToTheNearestQueryOrTheMean) {
  looked_for of;
  std::fill_n(of.embeddings.begin() + 7 * features, features, 0.0f);  // like nothing
  for (const bool weighted : {false, true})
    for (const bool mean : {false, true}) {
      of.weights = weighted ? std::vector<float>{1, 0, 2.5f, 0.5f} : std::vector<float>{};
      const batch all =
          select(cpu{}, of.view(), {.strategy = mean ? "similar(mean=1)" : "similar", .batch = rows});
      ASSERT_EQ(all.picks.size(), std::size_t(rows));
      for (const pick& p : all.picks) {
        long double largest = -2, sum = 0, total = 0;
        for (index_t q = 0; q < queries; ++q) {
          const long double weight = weighted ? (long double)of.weights[std::size_t(q)] : 1;
          const long double to = weight * cosine(&of.embeddings[std::size_t(p.row * features)],
                                                 &of.wanted[std::size_t(q * features)]);
          largest = std::max(largest, to);
          sum += to;
          total += weight;
        }
        // Three canonical dots of 13 terms, each within 13 * 2^-24 of |x| |y|, times weights up to 2.5.
        EXPECT_NEAR(p.score, double(mean ? sum / total : largest), 1e-5) << p.row;
      }
      const batch again =
          select(cpu{1}, of.pool, {.strategy = mean ? "similar(mean=1)" : "similar", .batch = 9});
      for (std::size_t i = 0; i < 9; ++i) EXPECT_EQ(again.picks[i].row, all.picks[i].row);
    }
}

TEST(Similar, RefusesQueriesThatDoNotFit) {
  looked_for of;
  const auto refused = [&](const char* text) {
    reference::expect_refused<value_error>([&] { select(cpu{}, of.pool, {.strategy = "similar", .batch = 3}); },
                                           text);
  };
  of.view();
  of.pool.queries.reset();
  refused("needs embeddings to be like");
  of.weights = {1, 1, 1, -1};
  of.view();
  refused("query 3");
  of.weights = {0, 0, 0, 0};
  of.view();
  refused("all queries have weight 0");
  of.weights.clear();
  of.wanted[5] = INFINITY;
  of.view();
  refused("query 0");
  of.wanted[5] = 1;
  of.embeddings[9 * features] = NAN;
  of.view();
  refused("row 9 has an embedding that is not finite");
}

// ---- Drawn rows

/// Chi-square of the ordered pairs that are drawn of rows of these weights against draws without replacement.
double chi_square_of_pairs(pool_inputs pool, const std::string& strategy, const std::vector<double>& weights) {
  constexpr int draws = 6'000;
  std::map<std::pair<index_t, index_t>, int> seen;
  for (std::uint64_t seed = 0; seed < draws; ++seed) {
    const batch two = select(cpu{1}, pool, {.strategy = strategy, .batch = 2, .seed = seed});
    ++seen[{two.picks[0].row, two.picks[1].row}];
  }
  double total = 0, chi2 = 0;
  for (const double w : weights) total += w;
  for (index_t i = 0; i < index_t(weights.size()); ++i)
    for (index_t j = 0; j < index_t(weights.size()); ++j) {
      const double first = weights[std::size_t(i)], second = weights[std::size_t(j)];
      if (i == j || first * second == 0) continue;
      const double expected = draws * first / total * second / (total - first), off = seen[{i, j}] - expected;
      chi2 += off * off / expected;
    }
  return chi2;
}

TEST(Stochastic, PairsAreDrawnWithoutReplacement) {
  std::vector<float> probabilities;
  const std::vector<double> scores = {0.3, 0.1, 0.5, 0.1, 0.4};
  for (const double p : scores) probabilities.insert(probabilities.end(), {float(1 - p), float(p)});
  probabilities.insert(probabilities.end(), {0.5f, 0.5f});  // has a label: no rank, and no draw
  pool_inputs pool;
  pool.rows = 6;
  pool.model = matrix_view<const float>{probabilities.data(), 6, 2};
  pool.model_kind = outputs::probabilities;
  const std::vector<index_t> labelled = {5};
  pool.labelled = labelled;
  const double rank[] = {3, 4, 1, 5, 2};  // of equal scores the lower row is before
  for (const double beta : {0.5, 2.0}) {
    std::vector<double> by_power, by_softmax, by_softrank;
    for (std::size_t i = 0; i < 5; ++i) {
      by_power.push_back(std::pow(scores[i], beta));
      by_softmax.push_back(std::exp(beta * scores[i]));
      by_softrank.push_back(std::pow(rank[i], -beta));
    }
    const std::string of = "(least_confidence, beta=" + std::to_string(beta) + ")";
    // Of 19 degrees of freedom: P(> 50.8) = 1e-4.
    EXPECT_LT(chi_square_of_pairs(pool, "power" + of, by_power), 50.8);
    EXPECT_LT(chi_square_of_pairs(pool, "softmax" + of, by_softmax), 50.8);
    EXPECT_LT(chi_square_of_pairs(pool, "softrank" + of, by_softrank), 50.8);
  }
}

TEST(Stochastic, RanksAreOfAllRowsHoweverManyThereAre) {
  constexpr index_t many = 300'000;  // more than are scored at a time
  std::vector<float> logits;
  for (index_t i = 0; i < many; ++i) logits.insert(logits.end(), {0, float(many - i) / 1e4f});
  pool_inputs pool;
  pool.rows = many;
  pool.model = matrix_view<const float>{logits.data(), many, 2};
  // Only the first can be first: the second is 2^-100 as likely.
  const batch last = select(cpu{}, pool, {.strategy = "softrank(margin, beta=100)", .batch = 3});
  for (index_t i = 0; i < 3; ++i) EXPECT_EQ(last.picks[std::size_t(i)].row, many - 1 - i);
  // Where the score that is drawn by sees all rows, so does the strategy that is made of it.
  EXPECT_EQ(select(cpu{}, pool, {.strategy = "softmax(softrank(margin, beta=100), beta=100)", .batch = 1})
                .picks[0]
                .row,
            many - 1);
}

TEST(Stochastic, ADrawOfADrawHasNoiseOfItsOwn) {
  const std::vector<float> logits = reference::normals(rows * 4, 6);
  pool_inputs pool;
  pool.rows = rows;
  pool.model = matrix_view<const float>{logits.data(), rows, 4};
  const auto scores_by = [&](const char* strategy) {
    std::vector<double> scores(std::size_t(rows), 0.0);
    for (const pick& p : select(cpu{1}, pool, {.strategy = strategy, .batch = rows}).picks)
      scores[std::size_t(p.row)] = double(p.score);
    return scores;
  };
  const auto plain = scores_by("margin"), once = scores_by("power(margin)"),
             twice = scores_by("power(power(margin))"), thrice = scores_by("power(power(power(margin)))");
  index_t same = 0;
  for (std::size_t i = 0; i < std::size_t(rows); ++i) {
    const double noise[] = {plain[i] / once[i], once[i] / twice[i], twice[i] / thrice[i]};
    for (const int other : {1, 2}) same += std::abs(noise[other] - noise[other - 1]) < 1e-4 * noise[other];
  }
  EXPECT_LT(same, rows / 20);
}

TEST(Stochastic, SoftmaxTakesNegativeScoresAndIgnoresWhatIsAddedToAll) {
  std::vector<float> logits = reference::normals(rows * 4, 3), shifted;
  for (const float z : logits) shifted.push_back(z + 8);
  pool_inputs pool;
  pool.rows = rows;
  pool.model = matrix_view<const float>{logits.data(), rows, 4};
  const query_spec spec{.strategy = "softmax(energy, beta=3)", .batch = 20, .seed = 5};
  const batch drawn = select(cpu{}, pool, spec);
  pool.model = matrix_view<const float>{shifted.data(), rows, 4};
  const batch again = select(cpu{3}, pool, spec);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(again.picks[i].row, drawn.picks[i].row);
}

// ---- Scores of outputs and embeddings

constexpr index_t classes = 5;

struct scored_rows {
  std::vector<float> logits = reference::normals(rows * classes, 4);
  std::vector<float> embeddings = reference::normals(rows * features, 5);
  pool_inputs pool;

  scored_rows() {
    for (index_t i = 0; i < rows; i += 3)  // confident ones
      logits[std::size_t(i * classes + i % classes)] += float(i % 24);
  }
  const pool_inputs& view() {
    pool.rows = rows;
    pool.model = matrix_view<const float>{logits.data(), rows, classes};
    pool.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
    return pool;
  }
};

std::vector<long double> softmax(const float* z) {
  long double total = 0;
  std::vector<long double> p;
  for (index_t c = 0; c < classes; ++c) total += std::exp((long double)z[c]);
  for (index_t c = 0; c < classes; ++c) p.push_back(std::exp((long double)z[c]) / total);
  return p;
}

std::vector<float> scores_by(const pool_inputs& pool, const char* name) {
  std::vector<float> scores(std::size_t(pool.rows));
  for (const pick& p : select(cpu{}, pool, {.strategy = name, .batch = pool.rows}).picks)
    scores[std::size_t(p.row)] = p.score;
  return scores;
}

TEST(Gradients, EglIsTheMeanLengthOfTheGradientOfTheLastLayer) {
  scored_rows of;
  const std::vector<float> got = scores_by(of.view(), "egl");
  for (index_t i = 0; i < rows; ++i) {
    const std::vector<long double> p = softmax(&of.logits[std::size_t(i * classes)]);
    long double expected = 0;
    for (index_t label = 0; label < classes; ++label) {
      long double squares = 0;  // of the gradient of every weight and of every bias
      for (index_t c = 0; c < classes; ++c)
        for (index_t f = 0; f <= features; ++f) {
          const long double h = f < features ? (long double)of.embeddings[std::size_t(i * features + f)] : 1;
          squares += (p[std::size_t(c)] - (c == label)) * (p[std::size_t(c)] - (c == label)) * h * h;
        }
      expected += p[std::size_t(label)] * std::sqrt(squares);
    }
    // Entries of the gradient are within 5e-6 of theirs relatively, and no term takes one from another.
    EXPECT_NEAR(got[std::size_t(i)], double(expected), 2e-5 * double(expected)) << i;
  }
}

TEST(Gradients, GiniIsOneLessTheSquares) {
  scored_rows of;
  const std::vector<float> got = scores_by(of.view(), "gini");
  for (index_t i = 0; i < rows; ++i) {
    const std::vector<long double> p = softmax(&of.logits[std::size_t(i * classes)]);
    long double expected = 0;
    for (const long double one : p) expected += one * (1 - one);
    EXPECT_NEAR(got[std::size_t(i)], double(expected), 2e-5 * double(expected)) << i;
  }
}

TEST(Gradients, RowsThatAreNoneAreNamed) {
  scored_rows of;
  of.logits[11 * classes] = NAN;
  const auto refused = [&](const char* strategy, const char* text) {
    reference::expect_refused<value_error>(
        [&] { select(cpu{}, of.view(), {.strategy = strategy, .batch = 3}); }, text);
  };
  refused("gini", "row 11 holds NaN");
  refused("egl", "row 11 holds NaN");
  of.logits[11 * classes] = 0;
  of.embeddings[7 * features + 2] = INFINITY;
  refused("egl", "row 7 has an embedding that is not finite");
  const float sure[] = {0, 1, 0, 0, 0};  // one that nothing can be learned of
  std::copy_n(sure, classes, of.logits.begin());
  of.view();
  of.pool.rows = 1;
  of.pool.model = matrix_view<const float>{of.logits.data(), 1, classes};
  of.pool.embeddings->rows = 1;
  of.pool.model_kind = outputs::probabilities;
  EXPECT_EQ(scores_by(of.pool, "gini")[0], 0);
  EXPECT_EQ(scores_by(of.pool, "egl")[0], 0);
}

// ---- Costs of mistakes

TEST(ExpectedCost, IsThatOfTheCheapestClass) {
  scored_rows of;
  std::vector<float> costs;
  for (index_t y = 0; y < classes; ++y)
    for (index_t d = 0; d < classes; ++d) costs.push_back(y == d ? 0 : float(1 + (3 * y + d) % 5));
  of.view();
  of.pool.cost_matrix = matrix_view<const float>{costs.data(), classes, classes};
  const std::vector<float> least = scores_by(of.pool, "expected_cost"),
                           margin = scores_by(of.pool, "cost_margin");
  for (index_t i = 0; i < rows; ++i) {
    const std::vector<long double> p = softmax(&of.logits[std::size_t(i * classes)]);
    std::vector<long double> expected(classes);
    for (index_t d = 0; d < classes; ++d)
      for (index_t y = 0; y < classes; ++y)
        expected[std::size_t(d)] += p[std::size_t(y)] * (long double)costs[std::size_t(y * classes + d)];
    std::sort(expected.begin(), expected.end());
    // Probabilities are within 3e-6 relatively, costs up to 5.
    EXPECT_NEAR(least[std::size_t(i)], double(expected[0]), 2e-5) << i;
    EXPECT_NEAR(margin[std::size_t(i)], double(5 - (expected[1] - expected[0])), 4e-5) << i;
  }
  // Where every mistake costs 1, they are the scores that know of no cost.
  for (index_t i = 0; i < classes * classes; ++i) costs[std::size_t(i)] = i % (classes + 1) == 0 ? 0 : 1;
  const std::vector<float> confidence = scores_by(of.pool, "least_confidence"),
                           gap = scores_by(of.pool, "margin"), plain = scores_by(of.pool, "expected_cost"),
                           apart = scores_by(of.pool, "cost_margin");
  for (std::size_t i = 0; i < rows; ++i) {
    EXPECT_NEAR(plain[i], confidence[i], 2e-6);
    EXPECT_NEAR(apart[i], gap[i], 2e-6);
  }
}

TEST(ExpectedCost, RefusesCostsThatAreNone) {
  scored_rows of;
  std::vector<float> costs(classes * classes, 1.0f);
  of.view();
  const auto refused = [&](auto wrong, const char* text) {
    reference::expect_refused<decltype(wrong)>(
        [&] { select(cpu{}, of.pool, {.strategy = "expected_cost", .batch = 3}); }, text);
  };
  refused(usage_error(""), "needs the costs of mistakes");
  of.pool.cost_matrix = matrix_view<const float>{costs.data(), 2, 2};
  refused(shape_error(""), "has 2 classes but the outputs have 5");
  of.pool.cost_matrix = matrix_view<const float>{costs.data(), 2, 3};
  refused(shape_error(""), "the cost matrix is [2, 3]");
  costs[7] = -1;
  of.pool.cost_matrix = matrix_view<const float>{costs.data(), classes, classes};
  refused(value_error(""), "the cost of taking class 1 for class 2 is -1");
}

// ---- Labels that are independent of each other

/// 40 rows of 70 labels, more than a word of bits; the labelled rows have some of them.
struct labelled_sets {
  static constexpr index_t rows = 40, labels = 70;
  std::vector<float> logits = reference::normals(rows * labels, 5), sets = std::vector<float>(rows * labels, 7);
  std::vector<index_t> labelled = {2, 9, 33}, excluded = {4};
  pool_inputs pool;

  labelled_sets() {
    for (const index_t row : labelled)
      for (index_t c = 0; c < labels; ++c)
        sets[std::size_t(row * labels + c)] = float((row * 31 + c * c) % 7 < 2);
    sets[33 * labels + 5] = NAN;  // not known whole: as if it had no label
    pool.rows = rows;
    pool.label_outputs = matrix_view<const float>{logits.data(), rows, labels};
    pool.label_sets = matrix_view<const float>{sets.data(), rows, labels};
    pool.labelled = labelled;
    pool.excluded = excluded;
  }
  bool given(index_t row, index_t c) const { return logits[std::size_t(row * labels + c)] > 0; }
  bool has(index_t row, index_t c) const { return sets[std::size_t(row * labels + c)] == 1; }
};

long double entropy_of(const std::vector<int>& counts) {
  long double all = 0, sum = 0;
  for (const int n : counts) all += n;
  for (const int n : counts)
    if (n > 0) sum -= n / all * std::log(n / all);
  return sum;
}

/// Of two sets, from the table of labels that both, one or neither has.
template <class A, class B>
long double set_distance(index_t labels, A a, B b) {
  std::vector<int> joint(4), of_a(2), of_b(2);
  for (index_t c = 0; c < labels; ++c) {
    ++joint[std::size_t(2 * a(c) + b(c))];
    ++of_a[std::size_t(a(c))];
    ++of_b[std::size_t(b(c))];
  }
  if (joint[0] + joint[3] == 0) return 1;
  const long double together = entropy_of(joint);
  return together == 0 ? 0 : (2 * together - entropy_of(of_a) - entropy_of(of_b)) / together;
}

TEST(IndependentLabels, CardinalityAndInconsistencyAreThoseOfTheDefinitions) {
  labelled_sets of;
  std::vector<index_t> open;
  for (index_t i = 0; i < of.rows; ++i)
    if (i != 4 && std::count(of.labelled.begin(), of.labelled.end(), i) == 0) open.push_back(i);
  double mean = 0;
  for (const index_t row : {2, 9})
    for (index_t c = 0; c < of.labels; ++c) mean += of.has(row, c) / 2.0;
  const auto by = [&](const char* strategy, int threads) {
    std::map<index_t, float> scores;
    for (const pick& p : select(cpu{threads}, of.pool, {.strategy = strategy, .batch = of.rows}).picks)
      scores[p.row] = p.score;
    return scores;
  };
  const auto lci = by("lci", 1), cvirs = by("cvirs", 1);
  ASSERT_EQ(lci.size(), open.size());
  for (const index_t i : open) {
    index_t labels = 0;
    long double distance = 0, votes = 0;
    for (index_t c = 0; c < of.labels; ++c) labels += of.given(i, c);
    for (const index_t row : {2, 9})
      distance +=
          set_distance(
              of.labels, [&](index_t c) { return of.given(i, c); }, [&](index_t c) { return of.has(row, c); }) /
          2;
    for (index_t c = 0; c < of.labels; ++c)
      for (const index_t other : open)
        votes += std::abs(of.logits[std::size_t(other * of.labels + c)]) >
                 std::abs(of.logits[std::size_t(i * of.labels + c)]);
    EXPECT_NEAR(lci.at(i), std::abs(double(labels) - mean), 1e-5);
    EXPECT_NEAR(cvirs.at(i), double(votes / (of.labels * (long double)(open.size() - 1)) * distance), 1e-6);
  }
  EXPECT_EQ(by("lci", 3), lci);
  EXPECT_EQ(by("cvirs", 3), cvirs);
}

TEST(IndependentLabels, LogitsAndTheirProbabilitiesAreRankedAlike) {
  labelled_sets of;
  std::vector<float> probs;
  for (const float z : of.logits) probs.push_back(1 / (1 + std::exp(-z)));
  pool_inputs by_probs = of.pool;
  by_probs.label_outputs = matrix_view<const float>{probs.data(), of.rows, of.labels};
  by_probs.label_kind = outputs::probabilities;
  for (const char* strategy :
       {"binary_entropy", "binary_entropy_max", "binary_confidence_mean", "binmin", "lci"}) {
    const batch a = select(cpu{}, of.pool, {.strategy = strategy, .batch = 7});
    const batch b = select(cpu{}, by_probs, {.strategy = strategy, .batch = 7});
    for (std::size_t i = 0; i < 7; ++i) EXPECT_EQ(a.picks[i].row, b.picks[i].row) << strategy;
  }
  // Equal sets are not unlike at all, and with nothing labelled the ranks alone count.
  for (index_t c = 0; c < of.labels; ++c)
    for (const index_t row : of.labelled) of.sets[std::size_t(row * of.labels + c)] = of.given(0, c);
  const batch same = select(cpu{}, of.pool, {.strategy = "cvirs", .batch = of.rows});
  for (const pick& p : same.picks) EXPECT_EQ(p.row == 0, p.score == 0);
  of.pool.labelled = of.pool.excluded = {};
  of.pool.label_sets.reset();
  const batch alone = select(cpu{}, of.pool, {.strategy = "cvirs", .batch = of.rows});
  double total = 0;
  for (const pick& p : alone.picks) total += double(p.score);
  EXPECT_NEAR(total, 0.5 * of.rows, 1e-4);  // Borda's count hands out a half a row
}

TEST(IndependentLabels, WrongUsesAreRefused) {
  labelled_sets of;
  const auto refused = [&](auto wrong, const char* strategy, const char* text) {
    reference::expect_refused<decltype(wrong)>(
        [&] { select(cpu{}, of.pool, {.strategy = strategy, .batch = 3}); }, text);
  };
  refused(usage_error(""), "margin", "needs model outputs");
  of.sets[2 * of.labels + 3] = 0.5f;
  refused(value_error(""), "lci", "label 3 of labelled row 2 is 0.500000; give 1");
  of.pool.label_sets = matrix_view<const float>{of.sets.data(), of.rows, 3};
  refused(shape_error(""), "cvirs", "label sets have 3 labels but label outputs have 70");
  of.pool.label_sets.reset();
  refused(usage_error(""), "cvirs", "needs the label sets of the labelled rows");
  of.logits[11 * of.labels + 6] = INFINITY;
  refused(value_error(""), "binmin", "row 11 holds +Inf in column 6");
  of.pool.embeddings = matrix_view<const float>{of.sets.data(), of.rows, 3};
  refused(value_error(""), "binary_entropy/10x/kcenter", "row 11 holds +Inf in column 6");
  for (float& z : of.logits) z = 0.25f;
  refused(value_error(""), "binary_entropy", "given as logits, but all lie from 0 to 1");
  of.pool.label_outputs = matrix_view<const float>{of.logits.data(), 3, of.labels};
  refused(shape_error(""), "binary_entropy", "label outputs have 3 rows but the pool has 40");
  of.pool.label_outputs = matrix_view<const float>{of.logits.data(), of.rows, 0};
  refused(shape_error(""), "binary_entropy", "label outputs have rows of 0 columns");
  of.pool.label_outputs.reset();
  refused(usage_error(""), "binary_entropy", "needs outputs of independent labels");
}

// ---- Density

TEST(Density, IsTheScoreTimesThePowerOfTheMeanCosine) {
  scored_rows of;
  for (index_t i = 0; i < rows; ++i)
    if (i % 5 != 0) of.embeddings[std::size_t(i * features)] += 1;  // most lie in one direction
  std::fill_n(of.embeddings.begin() + 9 * features, features, 0.0f);
  of.view();
  const std::vector<index_t> labelled = {4, 20}, excluded = {31};
  of.pool.labelled = labelled;
  of.pool.excluded = excluded;
  std::vector<float> entropy(rows);
  score(cpu{}, *of.pool.model, outputs::logits, acquisition::entropy, vector_view<float>{entropy.data(), rows});
  const auto row = [&](index_t i) { return &of.embeddings[std::size_t(i * features)]; };
  const auto barred = [](index_t i) { return i == 4 || i == 20 || i == 31; };
  for (const double beta : {1.0, 2.5}) {
    const batch all = select(
        cpu{}, of.pool, {.strategy = "density(entropy, beta=" + std::to_string(beta) + ")", .batch = rows - 3});
    ASSERT_EQ(all.picks.size(), std::size_t(rows - 3));
    int positive = 0;
    for (const pick& p : all.picks) {
      long double mean = 0;
      for (index_t u = 0; u < rows; ++u)
        if (!barred(u)) mean += cosine(row(p.row), row(u)) / (rows - 3);
      const double density = std::pow(std::max(0.0, double(mean)), beta);
      positive += density > 0;
      EXPECT_NEAR(p.score, double(entropy[std::size_t(p.row)]) * density, 1e-6) << p.row;
    }
    EXPECT_GT(positive, 150);
    const batch again = select(
        cpu{3}, of.pool, {.strategy = "density(entropy, beta=" + std::to_string(beta) + ")", .batch = 50});
    for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(again.picks[i].row, all.picks[i].row);
  }
}

TEST(Density, RefusesNegativeScoresAndLeavesRowsOutThatCannotBeJudged) {
  scored_rows of;
  reference::expect_refused<value_error>(
      [&] { select(cpu{}, of.view(), {.strategy = "density(energy)", .batch = 3}); }, "never negative");
  // Rows that are left out are like nothing: the others score as they do without them.
  scored_rows few;
  const auto without = [&](index_t from) {
    few.view();
    few.pool.rows = rows - from;
    few.pool.model = matrix_view<const float>{few.logits.data() + from * classes, rows - from, classes};
    few.pool.embeddings =
        matrix_view<const float>{few.embeddings.data() + from * features, rows - from, features};
    return select(cpu{}, few.pool, {.strategy = "density(margin)", .batch = 30, .invalid = on_invalid::skip});
  };
  few.logits[0] = NAN;
  few.embeddings[features] = NAN;
  const batch skipped = without(0), absent = without(2);
  EXPECT_EQ(skipped.skipped_rows, 2);
  for (std::size_t i = 0; i < 30; ++i) {
    EXPECT_EQ(skipped.picks[i].row, absent.picks[i].row + 2);
    EXPECT_NEAR(skipped.picks[i].score, absent.picks[i].score, 1e-6);
  }
}

// ---- Greedy batches, one row after the other

std::vector<index_t> rows_of(const batch& chosen) {
  std::vector<index_t> list;
  for (const pick& p : chosen.picks) list.push_back(p.row);
  return list;
}

double squared_distance(const float* x, const float* y) {
  double sum = 0;
  for (index_t f = 0; f < features; ++f) sum += (double(x[f]) - double(y[f])) * (double(x[f]) - double(y[f]));
  return sum;
}

/// By all distances, anew for each pick.
std::vector<index_t> lcmd_reference(const std::vector<float>& x, std::vector<index_t> centers,
                                    const std::vector<index_t>& excluded, std::size_t picks) {
  const auto row = [&](index_t i) { return &x[std::size_t(i * features)]; };
  const auto in = [](const std::vector<index_t>& list, index_t i) {
    return std::find(list.begin(), list.end(), i) != list.end();
  };
  std::vector<index_t> picked;
  while (picked.size() < picks) {
    std::vector<double> away, sum(centers.size());
    std::vector<std::size_t> of;
    const float zero[features] = {};
    for (index_t i = 0; i < rows; ++i) {
      away.push_back(centers.empty() ? squared_distance(row(i), zero) : INFINITY), of.push_back(0);
      for (std::size_t c = 0; c < centers.size(); ++c)
        if (const double d = squared_distance(row(i), row(centers[c])); d < away.back())
          away.back() = d, of.back() = c;
      if (!centers.empty() && !in(centers, i) && !in(excluded, i)) sum[of.back()] += away.back();
    }
    const std::size_t largest = std::size_t(std::max_element(sum.begin(), sum.end()) - sum.begin());
    index_t farthest = -1;
    for (index_t i = 0; i < rows; ++i)
      if (!in(centers, i) && !in(excluded, i) && of[std::size_t(i)] == largest &&
          (farthest < 0 || away[std::size_t(i)] > away[std::size_t(farthest)]))
        farthest = i;
    centers.push_back(farthest);
    picked.push_back(farthest);
  }
  return picked;
}

TEST(Lcmd, TakesTheFarthestOfTheLargestCluster) {
  scored_rows of;
  of.view();
  const std::vector<index_t> excluded = {3, 40};
  of.pool.excluded = excluded;
  for (const std::vector<index_t>& labelled : {std::vector<index_t>{}, std::vector<index_t>{7, 100, 250}}) {
    of.pool.labelled = labelled;
    const query_spec spec{.strategy = "lcmd", .batch = 60};
    const std::vector<index_t> picked = rows_of(select(cpu{1}, of.pool, spec));
    EXPECT_EQ(picked, lcmd_reference(of.embeddings, labelled, excluded, 60));
    EXPECT_EQ(rows_of(select(cpu{3}, of.pool, spec)), picked);
  }
}

TEST(Lcmd, IsNotKCenter) {
  // 40 rows about 0 at distances of 1, and one at 9 about a center at 6: it is the farthest, of a small
  // cluster.
  std::vector<float> x = {0, 6, 9};
  for (int i = 0; i < 40; ++i) x.push_back(i % 2 == 0 ? 1.0f : -1.0f);
  pool_inputs pool;
  pool.rows = index_t(x.size());
  pool.embeddings = matrix_view<const float>{x.data(), pool.rows, 1};
  const std::vector<index_t> labelled = {0, 1};
  pool.labelled = labelled;
  EXPECT_EQ(rows_of(select(cpu{}, pool, {.strategy = "kcenter", .batch = 1})), (std::vector<index_t>{2}));
  EXPECT_EQ(rows_of(select(cpu{}, pool, {.strategy = "lcmd", .batch = 1})), (std::vector<index_t>{3}));
}

/// By all cosines, anew for each pick.
std::vector<index_t> ranked_batch_reference(const std::vector<float>& x, const std::vector<float>& score,
                                            std::vector<index_t> taken, std::size_t picks) {
  const auto row = [&](index_t i) { return &x[std::size_t(i * features)]; };
  std::vector<index_t> picked;
  while (picked.size() < picks) {
    const double alpha = double(rows - index_t(taken.size())) / double(rows);
    index_t best = -1;
    double highest = 0;
    for (index_t i = 0; i < rows; ++i) {
      if (std::find(taken.begin(), taken.end(), i) != taken.end()) continue;
      long double like = -2, mean = 0;
      for (const index_t j : taken) like = std::max(like, cosine(row(i), row(j)));
      for (index_t j = 0; j < rows && taken.empty(); ++j) mean += cosine(row(i), row(j));
      const double value =
          taken.empty() ? double(mean) : alpha * double(1 - like) + (1 - alpha) * double(score[std::size_t(i)]);
      if (best < 0 || value > highest) best = i, highest = value;
    }
    taken.push_back(best);
    picked.push_back(best);
  }
  return picked;
}

TEST(RankedBatch, WeighsUncertaintyTheMoreTheMoreIsLabelled) {
  scored_rows of;
  std::fill_n(of.embeddings.begin() + 9 * features, features, 0.0f);  // like nothing
  of.view();
  std::vector<float> margin(rows);
  score(cpu{}, *of.pool.model, outputs::logits, acquisition::margin, vector_view<float>{margin.data(), rows});
  std::vector<index_t> most;
  for (index_t i = 0; i < 200; ++i) most.push_back(i);
  for (const std::vector<index_t>& labelled : {std::vector<index_t>{}, std::vector<index_t>{9, 100}, most}) {
    of.pool.labelled = labelled;
    const query_spec spec{.strategy = "ranked_batch(margin)", .batch = 40};
    const std::vector<index_t> picked = rows_of(select(cpu{1}, of.pool, spec));
    EXPECT_EQ(picked, ranked_batch_reference(of.embeddings, margin, labelled, 40));
    EXPECT_EQ(rows_of(select(cpu{3}, of.pool, spec)), picked);
  }
}

// ---- Predictions

TEST(Ucb, IsTheMeanAndSoManyDeviations) {
  constexpr index_t of_members = 4, outputs_of_row = 2;
  std::vector<float> predictions = reference::normals(of_members * rows * outputs_of_row, 6);
  pool_inputs pool;
  pool.rows = rows;
  pool.predictions = cube_view<const float>{predictions.data(), of_members, rows, outputs_of_row};
  for (const double beta : {0.0, 2.0}) {
    const std::vector<float> got = scores_by(pool, ("ucb(beta=" + std::to_string(beta) + ")").c_str());
    for (index_t i = 0; i < rows; ++i) {
      double expected = 0;
      for (index_t c = 0; c < outputs_of_row; ++c) {
        double sum = 0, squares = 0;
        for (index_t m = 0; m < of_members; ++m) {
          const double value = predictions[std::size_t((m * rows + i) * outputs_of_row + c)];
          sum += value;
          squares += value * value;
        }
        const double mean = sum / of_members;
        expected += (mean + beta * std::sqrt(squares / of_members - mean * mean)) / outputs_of_row;
      }
      EXPECT_NEAR(got[std::size_t(i)], expected, 1e-6 * (1 + std::abs(expected))) << i;
    }
  }
  predictions[5] = INFINITY;
  reference::expect_refused<value_error>([&] { select(cpu{}, pool, {.strategy = "ucb", .batch = 3}); },
                                         "row 2");
}

}  // namespace
}  // namespace poolwise
