// States that merge and travel as bytes: their laws, over random parts merged by random trees, and their bytes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "poolwise/committee/committee.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/exact_sum.hpp"
#include "poolwise/core/histogram.hpp"
#include "poolwise/metrics/drift.hpp"
#include "poolwise/metrics/evaluation.hpp"
#include "poolwise/topk/topk.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

using reference::message_of;
using bytes = std::vector<std::byte>;

/// Merges parts two by two, drawn each time, on their way through bytes.
template <class State>
State merged_by_a_tree(std::vector<State> parts, std::mt19937& draw) {
  while (parts.size() > 1) {
    std::shuffle(parts.begin(), parts.end(), draw);
    State one = State::from_bytes(parts.back().to_bytes());
    parts.pop_back();
    one.merge(State::from_bytes(parts.back().to_bytes()));
    parts.back() = std::move(one);
  }
  return parts.front();
}

/// Rows 0, 1, ..., items - 1 in parts: ragged, some of them empty, rows in any order.
std::vector<std::vector<index_t>> drawn_parts(index_t items, std::size_t parts, std::mt19937& draw) {
  std::vector<index_t> rows(static_cast<std::size_t>(items));
  for (index_t i = 0; i < items; ++i) rows[std::size_t(i)] = i;
  std::shuffle(rows.begin(), rows.end(), draw);
  std::vector<std::vector<index_t>> out(parts);
  for (const index_t row : rows) out[std::min<std::size_t>(draw() % parts, draw() % parts)].push_back(row);
  if (parts > 1) out[0].insert(out[0].end(), out[1].begin(), out[1].end());
  if (parts > 1) out[1].clear();
  return out;
}

/// `state_of` makes the state of some rows. Any partition and tree gives the bytes of the whole.
template <class State>
void expect_one_result(index_t items, const std::function<State(std::span<const index_t>)>& state_of) {
  std::mt19937 draw(7);
  std::vector<index_t> rows(static_cast<std::size_t>(items));
  for (index_t i = 0; i < items; ++i) rows[std::size_t(i)] = i;
  const bytes whole = state_of(rows).to_bytes();
  for (const std::size_t parts : {1, 2, 3, 4, 7, 40}) {
    SCOPED_TRACE(parts);
    std::vector<State> states;
    for (const auto& part : drawn_parts(items, parts, draw)) states.push_back(state_of(part));
    EXPECT_EQ(merged_by_a_tree(states, draw).to_bytes(), whole);
    State a = states.front(), b = states.back();
    a.merge(states.back());
    b.merge(states.front());
    EXPECT_EQ(a.to_bytes(), b.to_bytes());
  }
}

/// Bytes that are cut, longer, of a later version or altered in any bit are refused, and none is taken for
/// another state.
template <class State>
void expect_foreign_bytes_refused(const State& state, const std::string& name) {
  const bytes right = state.to_bytes();
  const auto refused = [](const bytes& from) {
    return message_of<format_error>([&] { State::from_bytes(from); });
  };
  EXPECT_EQ(State::from_bytes(right).to_bytes(), right);
  EXPECT_EQ(refused({}),
            name + "::from_bytes: got 0 bytes that are not a " + name + "; pass what to_bytes wrote");
  bytes other = right;
  other[7] = std::byte(9);
  EXPECT_EQ(refused(other),
            name +
                "::from_bytes: got version 9 of the bytes but this build reads version 1; pass what "
                "to_bytes wrote");
  for (std::size_t size = 0; size < right.size(); ++size)
    EXPECT_NE(refused({right.begin(), right.begin() + index_t(size)}), "") << size;
  for (std::size_t i = 0; i < right.size(); ++i) {
    other = right;
    other[i] ^= std::byte(1 << i % 8);
    EXPECT_NE(refused(other), "") << i;
  }
  other = right;
  other.push_back(std::byte(0));
  EXPECT_NE(refused(other), "");
}

std::vector<float> drawn_scores(index_t rows) {
  std::mt19937 draw(3);
  std::vector<float> scores(static_cast<std::size_t>(rows));
  for (float& s : scores) s = float(int(draw() % 64) - 32) / 8;  // with ties, and -0
  for (std::size_t i = 0; i < scores.size(); i += 9) scores[i] = i % 2 == 0 ? -0.0f : 0.0f;
  return scores;
}

TEST(TopKStateLaws, AnyTreeOfAnyPartsGivesTheSameBytes) {
  const auto scores = drawn_scores(900);
  for (const index_t k : {0, 1, 10, 300, 2000}) {
    SCOPED_TRACE(k);
    expect_one_result<top_k_state>(900, [&](std::span<const index_t> rows) {
      top_k_state state(k);
      for (const index_t row : rows) state.add({row, scores[std::size_t(row)]});
      return state;
    });
  }
}

// A part that is computed and sent twice, as engines of tasks do, and parts that overlap.
TEST(TopKStateLaws, ARowCountsOnceHoweverOftenItComes) {
  const auto scores = drawn_scores(600);
  std::mt19937 draw(5);
  for (const index_t k : {1, 7, 50, 400}) {
    SCOPED_TRACE(k);
    top_k_state whole(k);
    for (index_t row = 0; row < 600; ++row) whole.add({row, scores[std::size_t(row)]});
    std::vector<top_k_state> parts;
    for (int copy = 0; copy < 5; ++copy)
      for (const auto& rows : drawn_parts(600, 4, draw)) {
        parts.emplace_back(k);
        for (const index_t row : rows) parts.back().add({row, scores[std::size_t(row)]});
      }
    EXPECT_EQ(merged_by_a_tree(parts, draw).to_bytes(), whole.to_bytes());
    top_k_state twice = whole;
    twice.merge(whole);
    twice.merge(twice);
    EXPECT_EQ(twice.to_bytes(), whole.to_bytes());
    // What one keeps after merges goes on as what the other does.
    EXPECT_EQ(twice.threshold().has_value(),
              whole.best().size() == std::size_t(k) && twice.threshold().has_value());
    twice.add({1000, 9.0f});
    whole.add({1000, 9.0f});
    EXPECT_EQ(twice.best(), whole.best());
  }
}

TEST(HistogramLaws, AnyTreeOfAnyPartsGivesTheSameBytes) {
  expect_one_result<histogram>(500, [](std::span<const index_t> rows) {
    histogram counts({3, 5});
    for (const index_t row : rows) counts.add(row * row % 15, row % 4);
    return counts;
  });
  expect_foreign_bytes_refused(histogram({2, 3}), "histogram");
  expect_foreign_bytes_refused(histogram({0}), "histogram");
}

TEST(Histogram, WrongUses) {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  for (const std::vector<index_t>& shape :
       {std::vector<index_t>{}, {-1}, {3, -2}, {index_t{1} << 41}, {index_t{1} << 32, index_t{1} << 32}})
    EXPECT_NE(message_of<shape_error>([&] { histogram{shape}; }), "");
  histogram counts({2});
  counts.add(1, most);
  EXPECT_NE(message_of<value_error>([&] { counts.add(2); }), "");
  EXPECT_NE(message_of<value_error>([&] { counts.add(-1); }), "");
  EXPECT_NE(message_of<value_error>([&] { counts.add(0, -1); }), "");
  EXPECT_NE(message_of<value_error>([&] { counts.add(1); }), "");
  histogram other({2});
  other.add(0);
  other.add(1);
  EXPECT_NE(message_of<value_error>([&] { other.merge(counts); }), "");
  EXPECT_EQ(other.items(), 2);  // nothing was added
  counts.add(0);
  EXPECT_NE(message_of<value_error>([&] { counts.items(); }), "");
  EXPECT_EQ(message_of<shape_error>([&] {
              counts.merge(histogram({1, 2}));
            }),
            "histogram::merge: got [1, 2] for a histogram that is [2]; give every part the same shape");
}

/// Values whose exponents are far from each other, and that cancel.
std::vector<double> wild_values(std::size_t count, int widest, std::mt19937& draw) {
  std::vector<double> values;
  while (values.size() < count) {
    const int exponent = int(draw() % std::uint32_t(2 * widest)) - widest;
    values.push_back(std::ldexp(double(draw()) - 0x1p31, exponent));
    if (draw() % 3 == 0) values.push_back(-values.back());
  }
  return values;
}

/// The sum rounded once, by partial sums that do not overlap (Shewchuk 1997; Python's math.fsum).
double sum_by_partials(const std::vector<double>& values) {
  std::vector<double> partials;
  for (double x : values) {
    std::size_t kept = 0;
    for (double y : partials) {
      if (std::abs(x) < std::abs(y)) std::swap(x, y);
      const double high = x + y, low = y - (high - x);
      if (low != 0) partials[kept++] = low;
      x = high;
    }
    partials.resize(kept);
    partials.push_back(x);
  }
  double high = 0, low = 0;
  std::size_t n = partials.size();
  if (n > 0) high = partials[--n];
  while (n > 0 && low == 0) {
    const double x = high, y = partials[--n];
    high = x + y;
    low = y - (high - x);
  }
  if (n > 0 && ((low < 0 && partials[n - 1] < 0) || (low > 0 && partials[n - 1] > 0))) {
    const double y = low * 2, x = high + y;
    if (y == x - high) high = x;
  }
  return high;
}

TEST(ExactSum, IsRoundedOnce) {
  std::mt19937 draw(11);
  for (const int widest : {1, 20, 300, 900})
    for (int repeat = 0; repeat < 50; ++repeat) {
      const auto values = wild_values(1 + draw() % 60, widest, draw);
      exact_sum sum;
      for (const double value : values) sum.add(value);
      EXPECT_EQ(sum.value(), sum_by_partials(values)) << widest << " " << repeat;
    }
  const double least = std::numeric_limits<double>::denorm_min(), most = std::numeric_limits<double>::max();
  exact_sum sum;
  for (const double value : {most, most, least, -most, -most, least}) sum.add(value);
  EXPECT_EQ(sum.value(), 2 * least);
  for (const double value : {most, most}) sum.add(value);
  EXPECT_EQ(sum.value(), std::numeric_limits<double>::infinity());
  // Halves between two doubles go to the even one, beyond them up.
  exact_sum half;
  half.add(0x1p53);
  half.add(1);
  EXPECT_EQ(half.value(), 0x1p53);
  half.add(least);
  EXPECT_EQ(half.value(), 0x1p53 + 2);
  EXPECT_NE(message_of<value_error>([&] { half.add(NAN); }), "");
  EXPECT_NE(message_of<value_error>([&] { half.add(-INFINITY); }), "");
}

TEST(ExactSumLaws, AnyTreeOfAnyPartsGivesTheSameBytes) {
  std::mt19937 draw(13);
  const auto values = wild_values(400, 300, draw);
  const auto sum_of = [&](auto state) {
    return [&values, state](std::span<const index_t> rows) {
      auto sum = state;
      for (const index_t row : rows) sum.add(values[std::size_t(row)]);
      return sum;
    };
  };
  expect_one_result<exact_sum>(400, sum_of(exact_sum()));
  expect_one_result<moments>(400, sum_of(moments()));
  expect_foreign_bytes_refused(sum_of(exact_sum())(std::vector<index_t>{3, 4}), "exact_sum");
  expect_foreign_bytes_refused(sum_of(moments())(std::vector<index_t>{3, 4}), "moments");
}

TEST(Moments, DoNotCancel) {
  // 1e9 + {4, 7, 13, 16}: the mean is 1e9 + 10 and the variance 22.5, of which plain sums of squares keep
  // nothing.
  moments of;
  for (const double value : {4.0, 7.0, 13.0, 16.0}) of.add(1e9 + value);
  EXPECT_EQ(of.mean(), 1e9 + 10);
  EXPECT_EQ(of.variance(), 22.5);
  const mean_estimate mean = estimate_mean(of);
  EXPECT_EQ(mean.value, 1e9 + 10);
  EXPECT_DOUBLE_EQ(mean.standard_error, std::sqrt(22.5 / 3));
  EXPECT_NEAR(mean.bounds.high - mean.value, 3.182446305284263 * mean.standard_error, 1e-6);  // t(3) at 97.5 %
  moments same;
  for (int i = 0; i < 3; ++i) same.add(0.1);
  EXPECT_EQ(same.variance(), 0);
  EXPECT_NE(message_of<value_error>([&] { same.add(0x1p501); }), "");
  EXPECT_NE(message_of<shape_error>([&] { estimate_mean(moments()); }), "");
  EXPECT_TRUE(std::isinf(estimate_mean([] {
                           moments one;
                           one.add(3);
                           return one;
                         }())
                             .bounds.high));
}

TEST(EvaluationCounts, OfShardsAreThoseOfTheWhole) {
  std::mt19937 draw(17);
  std::vector<std::int32_t> predicted, labels, slice;
  for (int i = 0; i < 300; ++i) {
    predicted.push_back(std::int32_t(draw() % 4));
    labels.push_back(std::int32_t(draw() % 4));
    slice.push_back(std::int32_t(draw() % 4) - 1);
  }
  const auto of = [&](std::span<const index_t> rows, const std::vector<std::int32_t>& from) {
    std::vector<std::int32_t> some;
    for (const index_t row : rows) some.push_back(from[std::size_t(row)]);
    return some;
  };
  expect_one_result<histogram>(300, [&](std::span<const index_t> rows) {
    return rows.empty() ? histogram({4, 4})
                        : confusion_matrix(of(rows, predicted), of(rows, labels), 4).counts();
  });
  expect_one_result<histogram>(300, [&](std::span<const index_t> rows) {
    return rows.empty() ? histogram({3, 2})
                        : counts_by_slice(of(rows, predicted), of(rows, labels), of(rows, slice), 3);
  });
  const auto whole = accuracy_by_slice(predicted, labels, slice, 3);
  const auto counted =
      accuracy_by_slice(histogram::from_bytes(counts_by_slice(predicted, labels, slice, 3).to_bytes()));
  ASSERT_EQ(whole.size(), counted.size());
  for (std::size_t s = 0; s < whole.size(); ++s) {
    EXPECT_EQ(whole[s].items, std::count(slice.begin(), slice.end(), std::int32_t(s)));
    EXPECT_EQ(whole[s].value, counted[s].value);
  }
  EXPECT_NE(message_of<shape_error>([&] { accuracy_by_slice(histogram({3, 3})); }), "");
  EXPECT_NE(message_of<shape_error>([&] { confusion_matrix(histogram({3, 3})); }), "");
  histogram two({2, 3});
  two.add(0);
  EXPECT_NE(message_of<shape_error>([&] { confusion_matrix{two}; }), "");
  histogram wrong({1, 2});
  wrong.add(0);
  EXPECT_NE(message_of<value_error>([&] { accuracy_by_slice(wrong); }), "");
}

TEST(DriftCounts, OfShardsAreThoseOfTheWhole) {
  std::mt19937 draw(19);
  std::vector<double> reference, now;
  for (int i = 0; i < 200; ++i) reference.push_back(double(draw() % 30) / 7);
  for (int i = 0; i < 350; ++i) now.push_back(double(draw() % 40) / 7);
  const auto bins = stability_bins::from_bytes(stability_bins(reference).to_bytes());
  expect_one_result<histogram>(350, [&](std::span<const index_t> rows) {
    std::vector<double> some;
    for (const index_t row : rows) some.push_back(now[std::size_t(row)]);
    return bins.count(some);
  });
  EXPECT_EQ(population_stability(bins.count(reference).counts(), bins.count(now).counts()),
            population_stability(reference, now));
  expect_foreign_bytes_refused(stability_bins(reference), "stability_bins");
  EXPECT_NE(message_of<value_error>([&] { bins.count(std::vector<double>{NAN}); }), "");
}

// Members on three machines, in their order: the bits of one process, with blocks of 64 members joined or not.
TEST(CommitteeState, GoesOnFromItsBytes) {
  constexpr disagreement all[] = {disagreement::bald, disagreement::vote_entropy, disagreement::mean_std};
  for (const index_t rows : {0, 1, 16, 37})
    for (const index_t members : {3, 130}) {
      const index_t cols = 5;
      SCOPED_TRACE(std::to_string(rows) + " rows, " + std::to_string(members) + " members");
      std::mt19937 draw(23);
      std::vector<std::vector<float>> logits;
      for (index_t m = 0; m < members; ++m) {
        logits.emplace_back();
        for (index_t i = 0; i < rows * cols; ++i) logits.back().push_back(float(draw() % 1000) / 100);
      }
      committee_accumulator whole(rows, cols, all), relayed(rows, cols, all);
      for (index_t m = 0; m < members; ++m) {
        const matrix_view<const float> member{logits[std::size_t(m)].data(), rows, cols, cols};
        whole.add(cpu{}, member, outputs::logits);
        if (m % 50 == 1) relayed = committee_accumulator::from_bytes(relayed.to_bytes());
        relayed.add(cpu{1}, member, outputs::logits);
      }
      EXPECT_EQ(relayed.to_bytes(), whole.to_bytes());
      const auto back = committee_accumulator::from_bytes(relayed.to_bytes());
      EXPECT_EQ(back.members(), members);
      std::vector<float> one(std::size_t(rows * 3)), other = one;
      whole.finish(cpu{}, {one.data(), rows, 3, 3});
      back.finish(cpu{}, {other.data(), rows, 3, 3});
      EXPECT_EQ(one, other);
      if (rows == 1) expect_foreign_bytes_refused(back, "committee_accumulator");
    }
}

}  // namespace
}  // namespace poolwise
