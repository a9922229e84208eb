// The C ABI against the C++ library under it, and against callers who get it wrong.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "poolwise.h"
#include "poolwise/query/select.hpp"
#include "poolwise/query/strategy.hpp"
#include "poolwise/topk/topk.hpp"
#include "reference/scratch.hpp"

namespace poolwise {
namespace {

// The structs as they were first: none of these numbers may change, a size may grow.
static_assert(sizeof(poolwise_matrix) == 48 && offsetof(poolwise_matrix, stride) == 32 &&
              offsetof(poolwise_matrix, type) == 40);
static_assert(sizeof(poolwise_query) == 120 && offsetof(poolwise_query, batch) == 16 &&
              offsetof(poolwise_query, budgets) == 48 && offsetof(poolwise_query, groups) == 72 &&
              offsetof(poolwise_query, seed) == 104 && offsetof(poolwise_query, skip_invalid) == 116);
static_assert(sizeof(poolwise_run) == 56 && offsetof(poolwise_run, threads) == 16 &&
              offsetof(poolwise_run, memory) == 24 && offsetof(poolwise_run, user) == 48);
static_assert(sizeof(poolwise_progress) == 32 && offsetof(poolwise_progress, seconds) == 24);
static_assert(sizeof(poolwise_needs) == 56 && offsetof(poolwise_needs, most_seconds) == 48);
static_assert(sizeof(poolwise_summary) == 104 && offsetof(poolwise_summary, of_optimum) == 32 &&
              offsetof(poolwise_summary, neighbours) == 72);
static_assert(sizeof(poolwise_pick) == 48 && offsetof(poolwise_pick, score) == 24 &&
              offsetof(poolwise_pick, cost) == 32);
static_assert(sizeof(poolwise_strategy) == 72 && offsetof(poolwise_strategy, parameters) == 64);
static_assert(sizeof(poolwise_parameter) == 48 && offsetof(poolwise_parameter, standard) == 24);
static_assert(POOLWISE_STOPPED == 1 && POOLWISE_ARGUMENT == 2 && POOLWISE_USAGE == 3 && POOLWISE_SHAPE == 4 &&
              POOLWISE_VALUE == 5 && POOLWISE_BUDGET == 6 && POOLWISE_FORMAT == 7 && POOLWISE_IO == 8 &&
              POOLWISE_CONFLICT == 9 && POOLWISE_OUT_OF_MEMORY == 10 && POOLWISE_NO_CUDA == 11 &&
              POOLWISE_CUDA == 12 && POOLWISE_FAILED == 13);

constexpr index_t rows = 200, classes = 5, features = 7, members = 3;

poolwise_matrix matrix(const float* data, index_t cols, index_t of = rows) {
  poolwise_matrix x{};
  x.size = sizeof x;
  x.data = data;
  x.rows = of;
  x.cols = cols;
  return x;
}

poolwise_query ask(const char* strategy, index_t batch) {
  poolwise_query q{};
  q.size = sizeof q;
  q.strategy = strategy;
  q.batch = batch;
  return q;
}

/// The same pool for C and for C++, with everything that any strategy needs.
class CAbi : public testing::Test {
 protected:
  CAbi() {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    const auto filled = [&](std::vector<float>& values, index_t size) {
      values.resize(std::size_t(size));
      for (float& v : values) v = normal(random);
    };
    filled(logits_, rows * classes);
    filled(committee_, members * rows * classes);
    filled(embeddings_, rows * features);
    filled(predictions_, members * rows);
    filled(queries_, 4 * features);
    for (index_t i = 0; i < rows; ++i) cost_.push_back(1 + i % 7), group_.push_back(i % 2);
    inputs_.rows = rows;
    inputs_.model = matrix_view<const float>{logits_.data(), rows, classes};
    inputs_.committee = cube_view<const float>{committee_.data(), members, rows, classes};
    inputs_.embeddings = matrix_view<const float>{embeddings_.data(), rows, features};
    inputs_.predictions = cube_view<const float>{predictions_.data(), members, rows, 1};
    inputs_.queries = matrix_view<const float>{queries_.data(), 4, features};
    inputs_.private_rows = matrix_view<const float>{queries_.data(), 2, features};
    inputs_.labelled = labelled_;
    for (index_t i = 0; i < rows * classes; ++i) sets_.push_back(float(i % 3 == 0));
    inputs_.label_outputs = inputs_.model;
    inputs_.label_sets = matrix_view<const float>{sets_.data(), rows, classes};

    EXPECT_EQ(poolwise_pool_new(rows, &pool_), POOLWISE_OK);
    const auto outputs = matrix(logits_.data(), classes), points = matrix(embeddings_.data(), features),
               alike = matrix(queries_.data(), features, 4), unlike = matrix(queries_.data(), features, 2);
    std::vector<poolwise_matrix> each;
    for (index_t m = 0; m < members; ++m)
      each.push_back(matrix(committee_.data() + m * rows * classes, classes));
    EXPECT_EQ(poolwise_pool_set_outputs(pool_, &outputs, POOLWISE_LOGITS), POOLWISE_OK);
    EXPECT_EQ(poolwise_pool_set_committee(pool_, each.data(), members, POOLWISE_LOGITS), POOLWISE_OK);
    EXPECT_EQ(poolwise_pool_set_embeddings(pool_, &points), POOLWISE_OK);
    EXPECT_EQ(poolwise_pool_set_predictions(pool_, predictions_.data(), members, rows, 1), POOLWISE_OK);
    EXPECT_EQ(poolwise_pool_set_queries(pool_, &alike, nullptr), POOLWISE_OK);
    EXPECT_EQ(poolwise_pool_set_private(pool_, &unlike), POOLWISE_OK);
    const auto sets = matrix(sets_.data(), classes);
    EXPECT_EQ(poolwise_pool_set_label_outputs(pool_, &outputs, POOLWISE_LOGITS), POOLWISE_OK);
    EXPECT_EQ(poolwise_pool_set_label_sets(pool_, &sets), POOLWISE_OK);
    EXPECT_EQ(poolwise_pool_set_labelled(pool_, labelled_.data(), index_t(labelled_.size())), POOLWISE_OK);
  }
  ~CAbi() override { EXPECT_EQ(poolwise_pool_free(pool_), POOLWISE_OK); }

  std::vector<float> logits_, committee_, embeddings_, predictions_, queries_, sets_;
  std::vector<index_t> labelled_ = {0, 17, 199}, group_;
  std::vector<std::int64_t> cost_;
  pool_inputs inputs_;
  poolwise_pool* pool_ = nullptr;
};

std::vector<index_t> rows_of(const poolwise_batch* batch) {
  const std::int64_t* first = nullptr;
  std::int64_t count = 0;
  EXPECT_EQ(poolwise_batch_rows(batch, &first, &count), POOLWISE_OK) << poolwise_message();
  return {first, first + count};
}

void expect_equal(const poolwise_batch* got, const batch& expected) {
  poolwise_summary all{};
  all.size = sizeof all;
  ASSERT_EQ(poolwise_batch_summary(got, &all), POOLWISE_OK);
  ASSERT_EQ(all.picks, index_t(expected.picks.size()));
  EXPECT_EQ(all.strategy, expected.strategy);
  EXPECT_EQ(all.cost, expected.cost());
  EXPECT_EQ(all.skipped_rows, expected.skipped_rows);
  EXPECT_EQ(std::isnan(all.of_optimum), !expected.of_optimum);
  EXPECT_EQ(all.neighbours != nullptr, expected.neighbours.has_value());
  ASSERT_EQ(all.remarks, index_t(expected.remarks.size()));
  ASSERT_EQ(all.stages, index_t(expected.kept_by.size()));
  const std::vector<index_t> in_order = rows_of(got);
  poolwise_pick p{};
  p.size = sizeof p;
  for (index_t i = 0; i < all.picks; ++i) {
    const pick& wanted = expected.picks[std::size_t(i)];
    ASSERT_EQ(poolwise_batch_pick(got, i, &p), POOLWISE_OK);
    EXPECT_EQ(p.row, wanted.row);
    EXPECT_EQ(in_order[std::size_t(i)], wanted.row);
    EXPECT_EQ(p.score, wanted.score);
    EXPECT_EQ(p.cost, wanted.cost);
    EXPECT_EQ(p.id, wanted.id);
    EXPECT_EQ(p.reason, wanted.reason);
  }
  for (index_t s = 0; s < all.stages; ++s) {
    const char* stage = nullptr;
    const float* scores = nullptr;
    ASSERT_EQ(poolwise_batch_stage(got, s, &stage, &scores), POOLWISE_OK);
    EXPECT_EQ(stage, expected.kept_by[std::size_t(s)]);
    for (index_t i = 0; i < all.picks; ++i)
      EXPECT_EQ(scores[i], expected.picks[std::size_t(i)].kept_by[std::size_t(s)]);
  }
}

bool has_parts(const pool_inputs& pool, const char* strategy) {
  const poolwise::strategy what = parse_strategy(strategy);
  for (unsigned one = 1; one != 0; one <<= 1)
    if (what.needs(part(one)) && !pool.has(part(one))) return false;
  return true;
}

TEST_F(CAbi, PicksAsTheLibraryDoesByEveryStrategy) {
  ASSERT_EQ(poolwise_strategy_count(), index_t(strategies().size()));
  for (index_t i = 0; i < poolwise_strategy_count(); ++i) {
    poolwise_strategy one{};
    one.size = sizeof one;
    ASSERT_EQ(poolwise_strategy_at(i, &one), POOLWISE_OK);
    const strategy_entry& entry = strategies()[std::size_t(i)];
    SCOPED_TRACE(one.name);
    EXPECT_EQ(one.needs, entry.needs_text());
    ASSERT_EQ(one.parameters, index_t(entry.parameters.size()));
    for (index_t j = 0; j < one.parameters; ++j) {
      poolwise_parameter given{};
      given.size = sizeof given;
      ASSERT_EQ(poolwise_parameter_at(i, j, &given), POOLWISE_OK);
      EXPECT_STREQ(given.name, entry.parameters[std::size_t(j)].name);
      EXPECT_EQ(given.standard, entry.parameters[std::size_t(j)].standard);
    }
    const std::string staged = "margin/50/" + std::string(one.example);
    for (const char* const name : {one.example, staged.c_str()}) {
      const poolwise_query q = ask(name, 8);
      poolwise_batch* got = nullptr;
      // A part that no call of C sets is missed as it is missed in C++.
      if (!has_parts(inputs_, name)) {
        EXPECT_EQ(poolwise_select(pool_, &q, nullptr, &got), POOLWISE_USAGE) << poolwise_message();
        continue;
      }
      ASSERT_EQ(poolwise_select(pool_, &q, nullptr, &got), POOLWISE_OK) << poolwise_message();
      expect_equal(got, select(cpu{}, inputs_, {.strategy = name, .batch = 8}));
      EXPECT_EQ(poolwise_batch_free(got), POOLWISE_OK);
    }
  }
}

TEST_F(CAbi, HeedsEveryLimit) {
  std::vector<std::string> names;
  std::vector<const char*> ids;
  for (index_t i = 0; i < rows; ++i) names.push_back("item " + std::to_string(i));
  for (const std::string& name : names) ids.push_back(name.c_str());
  const std::vector<index_t> excluded = {3, 4}, quota = {20, 3}, floor = {0, 2};
  const std::vector<std::int64_t> hours(std::size_t(rows), 2);
  ASSERT_EQ(poolwise_pool_set_ids(pool_, ids.data(), rows), POOLWISE_OK) << poolwise_message();
  ASSERT_EQ(poolwise_pool_set_excluded(pool_, excluded.data(), 2), POOLWISE_OK);
  ASSERT_EQ(poolwise_pool_set_costs(pool_, nullptr, cost_.data(), rows), POOLWISE_OK);
  ASSERT_EQ(poolwise_pool_set_costs(pool_, "hours", hours.data(), rows), POOLWISE_OK);
  ASSERT_EQ(poolwise_pool_set_groups(pool_, group_.data(), rows), POOLWISE_OK);
  const row_ids called(names);
  inputs_.ids = &called;
  inputs_.excluded = excluded;
  inputs_.cost = {cost_.data(), rows};
  inputs_.also_cost = {{"hours", {hours.data(), rows}}};
  inputs_.group = {group_.data(), rows};

  const std::int64_t budget = 30, at_most = 20;
  const char* const hours_of = "hours";
  const float apart = 0.5f;
  poolwise_query q = ask("margin/100/kcenter", 0);
  q.budget = &budget;
  q.budget_of = &hours_of;
  q.budget_limits = &at_most;
  q.budgets = 1;
  q.quota = quota.data();
  q.floor = floor.data();
  q.groups = 2;
  q.apart = &apart;
  q.metric = "cosine";
  q.seed = 7;
  q.round = 3;
  logits_[std::size_t(9 * classes)] = std::nanf("");
  q.skip_invalid = 1;
  poolwise_batch* got = nullptr;
  ASSERT_EQ(poolwise_select(pool_, &q, nullptr, &got), POOLWISE_OK) << poolwise_message();
  const batch expected = select(cpu{}, inputs_,
                                {.strategy = "margin/100/kcenter",
                                 .budget = budget,
                                 .budgets = {{"hours", at_most}},
                                 .quota = quota,
                                 .floor = floor,
                                 .apart = apart,
                                 .distance = metric::cosine,
                                 .seed = 7,
                                 .round = 3,
                                 .invalid = on_invalid::skip});
  EXPECT_LE(expected.picks.size(), 10u);
  expect_equal(got, expected);
  EXPECT_EQ(poolwise_batch_free(got), POOLWISE_OK);
}

TEST_F(CAbi, ScoresAndKeepsTheBest) {
  const char* const names[] = {"margin", "bald", "variance"};
  std::vector<float> scores(std::size_t(rows * 4), -5);
  ASSERT_EQ(poolwise_score(pool_, names, 3, 0, nullptr, scores.data(), 4), POOLWISE_OK) << poolwise_message();
  std::vector<float> margins(static_cast<std::size_t>(rows));
  score(cpu{}, *inputs_.model, outputs::logits, acquisition::margin, {margins.data(), rows});
  for (index_t i = 0; i < rows; ++i) {
    EXPECT_EQ(scores[std::size_t(i * 4)], margins[std::size_t(i)]);
    EXPECT_EQ(scores[std::size_t(i * 4 + 3)], -5) << "between the rows";
  }
  std::int64_t best[5], found = -1;
  float values[5];
  ASSERT_EQ(poolwise_top_k(margins.data(), rows, 5, best, values, &found), POOLWISE_OK);
  ASSERT_EQ(found, 5);
  const auto expected = top_k(cpu{}, {margins.data(), rows}, 5);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(best[i], expected[std::size_t(i)].row);
    EXPECT_EQ(values[i], expected[std::size_t(i)].score);
  }
  ASSERT_EQ(poolwise_top_k(margins.data(), 3, 5, nullptr, nullptr, &found), POOLWISE_OK);
  EXPECT_EQ(found, 3);
}

// A committee's mean stands for the outputs; half precision is read as it lies.
TEST_F(CAbi, TakesOutputsOfEveryTypeAndACommitteeForThem) {
  const std::vector<std::uint16_t> halves(std::size_t(rows * classes), 0x3c00);
  for (const std::int32_t type : {POOLWISE_FLOAT16, POOLWISE_BFLOAT16}) {
    auto x = matrix(nullptr, classes);
    x.data = halves.data();
    x.type = type;
    ASSERT_EQ(poolwise_pool_set_outputs(pool_, &x, POOLWISE_LOGITS), POOLWISE_OK);
    const char* const name = "entropy";
    std::vector<float> scores(static_cast<std::size_t>(rows));
    ASSERT_EQ(poolwise_score(pool_, &name, 1, 0, nullptr, scores.data(), 0), POOLWISE_OK);
    EXPECT_NEAR(scores[7], std::log(double(classes)), 1e-6);
  }
  poolwise_pool* other = nullptr;
  ASSERT_EQ(poolwise_pool_new(rows, &other), POOLWISE_OK);
  const auto member = matrix(committee_.data(), classes);
  ASSERT_EQ(poolwise_pool_set_committee(other, &member, 1, POOLWISE_LOGITS), POOLWISE_OK);
  const poolwise_query q = ask("margin", 4);
  poolwise_batch* got = nullptr;
  ASSERT_EQ(poolwise_select(other, &q, nullptr, &got), POOLWISE_OK) << poolwise_message();
  pool_inputs alone;
  alone.rows = rows;
  alone.model = matrix_view<const float>{committee_.data(), rows, classes};
  std::vector<index_t> expected;
  for (const pick& p : select(cpu{}, alone, {.strategy = "margin", .batch = 4}).picks)
    expected.push_back(p.row);
  EXPECT_EQ(rows_of(got), expected);
  EXPECT_EQ(poolwise_batch_free(got), POOLWISE_OK);
  EXPECT_EQ(poolwise_pool_free(other), POOLWISE_OK);
}

struct calls {
  int made = 0, stop_at = 0;
  std::int64_t picks = 0;
  bool throws = false;
};

int counted(const poolwise_progress* now, void* user) {
  auto& seen = *static_cast<calls*>(user);
  EXPECT_EQ(now->size, sizeof *now);
  EXPECT_EQ(now->of, 20);
  EXPECT_GE(now->picks, seen.picks);
  seen.picks = now->picks;
  if (seen.throws) throw std::runtime_error("thrown by a callback");
  return ++seen.made == seen.stop_at ? 1 : 0;
}

TEST_F(CAbi, TheCallbackIsToldAndCanStop) {
  const poolwise_query q = ask("kcenter", 20);
  poolwise_run how{};
  how.size = sizeof how;
  how.progress = counted;
  for (const int stop_at : {0, 1, 2}) {
    calls seen{.stop_at = stop_at};
    how.user = &seen;
    poolwise_batch* got = nullptr;
    const poolwise_status end = poolwise_select(pool_, &q, &how, &got);
    if (stop_at == 0) {
      ASSERT_EQ(end, POOLWISE_OK) << poolwise_message();
      EXPECT_EQ(seen.picks, 20);
      EXPECT_EQ(poolwise_batch_free(got), POOLWISE_OK);
    } else {
      EXPECT_EQ(end, POOLWISE_STOPPED);
      EXPECT_EQ(seen.made, stop_at);
      EXPECT_EQ(got, nullptr);
    }
  }
  calls seen{.throws = true};
  how.user = &seen;
  poolwise_batch* got = nullptr;
  EXPECT_EQ(poolwise_select(pool_, &q, &how, &got), POOLWISE_FAILED);
  EXPECT_STREQ(poolwise_message(), "poolwise_select: thrown by a callback");
}

TEST_F(CAbi, APlanAndACheckpointWork) {
  const poolwise_query q = ask("kcenter", 20);
  poolwise_needs needs{};
  needs.size = sizeof needs;
  ASSERT_EQ(poolwise_plan(pool_, &q, nullptr, &needs), POOLWISE_OK) << poolwise_message();
  EXPECT_EQ(needs.input_bytes,
            std::uint64_t(rows * (2 * classes + members * classes + features + members)) * 4);
  EXPECT_GT(needs.bytes, 0u);
  const reference::scratch_folder folder;
  const std::string file = folder / "state";
  poolwise_run how{};
  how.size = sizeof how;
  how.checkpoint = file.c_str();
  calls seen{.stop_at = 2};
  how.progress = counted;
  how.user = &seen;
  poolwise_batch* got = nullptr;
  ASSERT_EQ(poolwise_select(pool_, &q, &how, &got), POOLWISE_STOPPED);
  how.progress = nullptr;
  std::ofstream(folder / "other") << "no state";
  const std::string other = folder / "other";
  how.checkpoint = other.c_str();
  EXPECT_EQ(poolwise_select(pool_, &q, &how, &got), POOLWISE_FORMAT);
  how.checkpoint = file.c_str();
  ASSERT_EQ(poolwise_select(pool_, &q, &how, &got), POOLWISE_OK) << poolwise_message();
  expect_equal(got, select(cpu{}, inputs_, {.strategy = "kcenter", .batch = 20}));
  EXPECT_FALSE(std::filesystem::exists(file));
  EXPECT_EQ(poolwise_batch_free(got), POOLWISE_OK);
}

// A program built with a later header passes more, and gets zeros for what this library lacks.
TEST_F(CAbi, StructsMayGrow) {
  struct grown {
    poolwise_query known;
    std::int64_t later;
  } q{ask("margin", 2), 0};
  q.known.size = sizeof q;
  poolwise_batch* got = nullptr;
  ASSERT_EQ(poolwise_select(pool_, &q.known, nullptr, &got), POOLWISE_OK) << poolwise_message();
  struct {
    poolwise_pick known;
    std::int64_t later;
  } p{{}, 7};
  p.known.size = sizeof p;
  ASSERT_EQ(poolwise_batch_pick(got, 0, &p.known), POOLWISE_OK);
  EXPECT_EQ(p.known.size, sizeof p);
  EXPECT_EQ(p.later, 0);
  EXPECT_EQ(poolwise_batch_free(got), POOLWISE_OK);
  q.later = 1;
  EXPECT_EQ(poolwise_select(pool_, &q.known, nullptr, &got), POOLWISE_ARGUMENT);
  EXPECT_NE(std::string(poolwise_message()).find("load a newer library"), std::string::npos);
}

/// A call that is wrong, how it ends, and a part of the sentence.
struct wrong_use {
  const char* says;
  poolwise_status status;
  std::function<poolwise_status()> call;
};

void expect_refusals(const std::vector<wrong_use>& uses) {
  for (const wrong_use& use : uses) {
    SCOPED_TRACE(use.says);
    EXPECT_EQ(use.call(), use.status) << poolwise_message();
    EXPECT_NE(std::string(poolwise_message()).find(use.says), std::string::npos) << poolwise_message();
    EXPECT_EQ(std::string(poolwise_message()).find("poolwise_"), 0u) << poolwise_message();
  }
}

TEST_F(CAbi, WrongArraysAreRefused) {
  const auto good = matrix(logits_.data(), classes);
  const auto with = [&](auto change) {
    poolwise_matrix x = good;
    change(x);
    return poolwise_pool_set_outputs(pool_, &x, POOLWISE_LOGITS);
  };
  constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  poolwise_pool* none = nullptr;
  expect_refusals({
      {"pool is NULL", POOLWISE_ARGUMENT, [&] { return poolwise_pool_set_outputs(nullptr, &good, 0); }},
      {"pool is NULL", POOLWISE_ARGUMENT, [&] { return poolwise_pool_new(5, nullptr); }},
      {"0 rows", POOLWISE_VALUE, [&] { return poolwise_pool_new(0, &none); }},
      {"poolwise_matrix is NULL", POOLWISE_ARGUMENT,
       [&] { return poolwise_pool_set_outputs(pool_, nullptr, 0); }},
      {"kind is 2", POOLWISE_ARGUMENT, [&] { return poolwise_pool_set_outputs(pool_, &good, 2); }},
      {"set it to sizeof(poolwise_matrix)", POOLWISE_ARGUMENT,
       [&] { return with([](auto& x) { x.size = 0; }); }},
      {"set it to sizeof(poolwise_matrix)", POOLWISE_ARGUMENT,
       [&] { return with([](auto& x) { x.size = ~0ull; }); }},
      {"outputs are NULL", POOLWISE_ARGUMENT, [&] { return with([](auto& x) { x.data = nullptr; }); }},
      {"[-1, 5]", POOLWISE_ARGUMENT, [&] { return with([](auto& x) { x.rows = -1; }); }},
      {"199 rows", POOLWISE_SHAPE, [&] { return with([](auto& x) { x.rows = 199; }); }},
      {"stride of 4", POOLWISE_SHAPE, [&] { return with([](auto& x) { x.stride = 4; }); }},
      {"no memory holds", POOLWISE_SHAPE, [&] { return with([](auto& x) { x.stride = huge; }); }},
      {"type 9", POOLWISE_ARGUMENT, [&] { return with([](auto& x) { x.type = 9; }); }},
      {"reserved", POOLWISE_ARGUMENT, [&] { return with([](auto& x) { x.reserved = 1; }); }},
      {"members are -1", POOLWISE_ARGUMENT, [&] { return poolwise_pool_set_committee(pool_, &good, -1, 0); }},
      {"members are NULL", POOLWISE_ARGUMENT,
       [&] { return poolwise_pool_set_committee(pool_, nullptr, 2, 0); }},
      {"member", POOLWISE_SHAPE, [&] { return poolwise_pool_set_committee(pool_, nullptr, 0, 0); }},
      {"no memory holds", POOLWISE_SHAPE,
       [&] { return poolwise_pool_set_predictions(pool_, predictions_.data(), huge, rows, 1); }},
      {"labelled rows are NULL", POOLWISE_ARGUMENT,
       [&] { return poolwise_pool_set_labelled(pool_, nullptr, 1); }},
      {"3 rows", POOLWISE_SHAPE, [&] { return poolwise_pool_set_costs(pool_, nullptr, cost_.data(), 3); }},
      {"name is empty", POOLWISE_ARGUMENT,
       [&] { return poolwise_pool_set_costs(pool_, "", cost_.data(), rows); }},
      {"id of row 0 is NULL", POOLWISE_ARGUMENT,
       [&] {
         const std::vector<const char*> ids(rows, nullptr);
         return poolwise_pool_set_ids(pool_, ids.data(), rows);
       }},
      {"a", POOLWISE_VALUE,
       [&] {
         const std::vector<const char*> ids(rows, "a");
         return poolwise_pool_set_ids(pool_, ids.data(), rows);
       }},
  });
}

TEST_F(CAbi, WrongQueriesAreRefused) {
  poolwise_batch* got = nullptr;
  const auto with = [&](auto change) {
    poolwise_query q = ask("margin", 5);
    change(q);
    return poolwise_select(pool_, &q, nullptr, &got);
  };
  const auto on = [&](auto change) {
    const poolwise_query q = ask("margin", 5);
    poolwise_run how{};
    how.size = sizeof how;
    change(how);
    return poolwise_select(pool_, &q, &how, &got);
  };
  const std::int64_t budget = 3;
  const char *const unknown = "mergin", *const kcenter = "kcenter";
  float scores[rows];
  std::int64_t found = 0;
  const poolwise_query good = ask("margin", 5);
  expect_refusals({
      {"poolwise_query is NULL", POOLWISE_ARGUMENT,
       [&] { return poolwise_select(pool_, nullptr, nullptr, &got); }},
      {"batch is NULL", POOLWISE_ARGUMENT, [&] { return poolwise_select(pool_, &good, nullptr, nullptr); }},
      {"sizeof(poolwise_query)", POOLWISE_ARGUMENT, [&] { return with([](auto& q) { q.size = 8; }); }},
      {"strategy is NULL", POOLWISE_ARGUMENT, [&] { return with([](auto& q) { q.strategy = nullptr; }); }},
      {"margin", POOLWISE_USAGE, [&] { return with([](auto& q) { q.strategy = "mergin"; }); }},
      {"batch is -1", POOLWISE_ARGUMENT, [&] { return with([](auto& q) { q.batch = -1; }); }},
      {"neither poolwise_query.batch nor", POOLWISE_USAGE, [&] { return with([](auto& q) { q.batch = 0; }); }},
      {"give poolwise_pool_set_costs", POOLWISE_USAGE,
       [&] { return with([&](auto& q) { q.budget = &budget; }); }},
      {"budget_of are NULL", POOLWISE_ARGUMENT, [&] { return with([](auto& q) { q.budgets = 1; }); }},
      {"groups is -1", POOLWISE_ARGUMENT, [&] { return with([](auto& q) { q.groups = -1; }); }},
      {"neighbours", POOLWISE_VALUE, [&] { return with([](auto& q) { q.neighbours = "near"; }); }},
      {"metric", POOLWISE_USAGE, [&] { return with([](auto& q) { q.metric = "manhattan"; }); }},
      {"sizeof(poolwise_run)", POOLWISE_ARGUMENT, [&] { return on([](auto& r) { r.size = 1; }); }},
      {"threads is -2", POOLWISE_ARGUMENT, [&] { return on([](auto& r) { r.threads = -2; }); }},
      {"device", POOLWISE_VALUE, [&] { return on([](auto& r) { r.device = "tpu"; }); }},
      {"poolwise_run.device", POOLWISE_NO_CUDA, [&] { return on([](auto& r) { r.device = "cuda:77"; }); }},
      {"poolwise_run.memory", POOLWISE_VALUE, [&] { return on([](auto& r) { r.memory = 1; }); }},
      {"no strategy", POOLWISE_ARGUMENT,
       [&] { return poolwise_score(pool_, nullptr, 0, 0, nullptr, scores, 0); }},
      {"margin", POOLWISE_USAGE, [&] { return poolwise_score(pool_, &unknown, 1, 0, nullptr, scores, 0); }},
      {"needs cost matrix, which the pool lacks", POOLWISE_USAGE,
       [&] {
         const char* const costly = "expected_cost";
         return poolwise_score(pool_, &costly, 1, 0, nullptr, scores, 0);
       }},
      {"is no score", POOLWISE_USAGE,
       [&] { return poolwise_score(pool_, &kcenter, 1, 0, nullptr, scores, 0); }},
      {"scores is NULL", POOLWISE_ARGUMENT,
       [&] { return poolwise_score(pool_, &unknown, 1, 0, nullptr, nullptr, 0); }},
      {"k is -1", POOLWISE_ARGUMENT,
       [&] { return poolwise_top_k(scores, rows, -1, nullptr, nullptr, &found); }},
      {"needs is NULL", POOLWISE_ARGUMENT, [&] { return poolwise_plan(pool_, &good, nullptr, nullptr); }},
      {"which count from 0", POOLWISE_ARGUMENT,
       [&] {
         poolwise_strategy one{sizeof one, {}, {}, {}, {}, {}, {}, {}, 0};
         return poolwise_strategy_at(1000, &one);
       }},
  });
  EXPECT_EQ(got, nullptr);
  logits_[std::size_t(5 * classes)] = std::nanf("");
  const std::vector<index_t> twice = {5, 5};
  expect_refusals({{"poolwise_query.skip_invalid", POOLWISE_VALUE, [&] { return with([](auto&) {}); }}});
  poolwise_pool_set_excluded(pool_, twice.data(), 2);
  expect_refusals({{"row 5 is given twice", POOLWISE_VALUE, [&] { return with([](auto&) {}); }}});
}

TEST_F(CAbi, HandlesThatAreNoneAreRefused) {
  poolwise_pool* freed = nullptr;
  ASSERT_EQ(poolwise_pool_new(1, &freed), POOLWISE_OK);
  ASSERT_EQ(poolwise_pool_free(freed), POOLWISE_OK);
  poolwise_pool* next = nullptr;
  ASSERT_EQ(poolwise_pool_new(1, &next), POOLWISE_OK);
  EXPECT_NE(next, freed);
  int mine = 0;
  auto* const foreign = reinterpret_cast<poolwise_pool*>(&mine);
  auto* const batch_of_pool = reinterpret_cast<poolwise_batch*>(pool_);
  const poolwise_query q = ask("margin", 1);
  poolwise_batch* got = nullptr;
  const std::int64_t* first = nullptr;
  std::int64_t count = 0;
  expect_refusals({
      {"one that was freed", POOLWISE_ARGUMENT, [&] { return poolwise_pool_free(freed); }},
      {"pass what poolwise_pool_new gave", POOLWISE_ARGUMENT,
       [&] { return poolwise_select(freed, &q, nullptr, &got); }},
      {"is no handle", POOLWISE_ARGUMENT, [&] { return poolwise_pool_set_labelled(foreign, nullptr, 0); }},
      {"pass what poolwise_select gave", POOLWISE_ARGUMENT,
       [&] { return poolwise_batch_rows(batch_of_pool, &first, &count); }},
      {"is no handle", POOLWISE_ARGUMENT, [&] { return poolwise_batch_free(batch_of_pool); }},
  });
  EXPECT_EQ(poolwise_pool_free(nullptr), POOLWISE_OK);
  EXPECT_EQ(poolwise_batch_free(nullptr), POOLWISE_OK);
  EXPECT_EQ(poolwise_pool_free(next), POOLWISE_OK);
}

TEST_F(CAbi, EachThreadHasItsMessage) {
  EXPECT_EQ(poolwise_pool_new(-1, nullptr), POOLWISE_ARGUMENT);
  const std::string mine = poolwise_message();
  std::vector<std::thread> others;
  for (int i = 0; i < 4; ++i)
    others.emplace_back([&, i] {
      EXPECT_STREQ(poolwise_message(), "");
      const poolwise_query q = ask(i % 2 == 0 ? "margin/50/kcenter" : "no such", 5);
      poolwise_batch* got = nullptr;
      for (int turn = 0; turn < 3; ++turn) {
        EXPECT_EQ(poolwise_select(pool_, &q, nullptr, &got), i % 2 == 0 ? POOLWISE_OK : POOLWISE_USAGE);
        if (i % 2 == 0) {
          EXPECT_EQ(poolwise_batch_free(got), POOLWISE_OK);
        }
      }
    });
  for (std::thread& other : others) other.join();
  EXPECT_EQ(poolwise_message(), mine);
}

TEST(CStatus, HasAName) {
  EXPECT_STREQ(poolwise_status_name(POOLWISE_OK), "ok");
  EXPECT_STREQ(poolwise_status_name(POOLWISE_FAILED), "failed");
  EXPECT_STREQ(poolwise_status_name(-1), "unknown");
  EXPECT_STREQ(poolwise_status_name(14), "unknown");
}

}  // namespace
}  // namespace poolwise
