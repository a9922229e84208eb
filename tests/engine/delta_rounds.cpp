// Rounds over pools that grow: the batch is that of a round that reads all, and only what is new is read.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <thread>

#include "poolwise/campaign/rounds.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/files/output.hpp"
#include "reference/batches.hpp"
#include "reference/scratch.hpp"

namespace poolwise::test {
namespace {

using reference::normals;
using reference::scratch_folder;
namespace fs = std::filesystem;

constexpr index_t first_rows = 20'000, new_rows = 200, classes = 16, features = 2;
constexpr std::int64_t begin_ms = 1'767'225'600'000;

void save(const fs::path& file, const std::vector<float>& values, index_t cols) {
  write_npy(file, matrix_view<const float>{values.data(), index_t(values.size()) / cols, cols});
}

/// A campaign over [first_rows] of outputs in one file, and the same pool grown by another file. What was read
/// counts from its second reading on, when its times are past; `rest` waits for that.
struct grown_pool {
  scratch_folder at;
  std::string logits = at / "logits.npy", more = at / "more.npy", whole = at / "whole.npy";
  std::string features_of = at / "features.npy", more_features = at / "more-features.npy";
  std::string folder = at / "c";

  explicit grown_pool(const std::string& strategy, const std::string& other = "") {
    std::vector<float> x = normals(first_rows * classes, 1), y = normals(new_rows * classes, 2);
    save(logits, x, classes);
    save(more, y, classes);
    x.insert(x.end(), y.begin(), y.end());
    save(whole, x, classes);
    save(features_of, normals(first_rows * features, 3), features);
    save(more_features, normals(new_rows * features, 4), features);
    campaign::init(folder,
                   "[campaign]\nname = \"grows\"\n[query]\nstrategy = \"" + strategy +
                       "\"\nbatch = 20\nseed = 3\naudit = 0.1\n" + other,
                   begin_ms);
    grow({features_of});
    rest();
  }

  campaign open() const { return campaign::open(folder); }
  void rest() const { std::this_thread::sleep_for(std::chrono::milliseconds(70)); }
  void grow(const std::vector<std::string>& files) const {
    std::vector<part_file> arrays;
    for (const std::string& file : files) arrays.push_back({.part = "embeddings", .file = file});
    open().add_pool("", arrays, begin_ms);
  }
  static round_request asking(const std::vector<std::string>& files) {
    round_request request;
    for (const std::string& file : files) request.model.push_back({.part = "logits", .file = file});
    return request;
  }
  handed_out next(const std::vector<std::string>& files, const round_request& other = {}) const {
    campaign of = open();
    round_request request = other;
    request.model = asking(files).model;
    return next_round(of, cpu{}, request, begin_ms);
  }
  handed_out hand_out_next(const std::vector<std::string>& files) const {
    campaign of = open();
    return hand_out(of, cpu{}, asking(files), begin_ms);
  }
  void forget() const { fs::remove_all(fs::path(folder) / "rounds" / "kept"); }
};

std::vector<std::string> bodies(const handed_out& batch) {
  std::vector<std::string> all;
  for (const picked_item& one : batch.items) all.push_back(body_of(one));
  return all;
}

TEST(DeltaRounds, AGrownPoolIsReadWhereItIsNewAndGivesTheBatchThatReadingAllGives) {
  for (const char* strategy : {"margin", "entropy/10x/kcenter"}) {
    SCOPED_TRACE(strategy);
    const grown_pool pool(strategy);
    const handed_out first = pool.hand_out_next({pool.logits});
    EXPECT_EQ(first.reading.rows_scored, first_rows);
    pool.rest();
    pool.next({pool.logits});  // the digests are past their tick now
    pool.rest();
    const handed_out again = pool.next({pool.logits});
    EXPECT_EQ(again.reading.rows_scored, 0);
    pool.grow({pool.features_of, pool.more_features});
    const handed_out grown = pool.next({pool.logits, pool.more});
    EXPECT_EQ(grown.reading.rows_scored, new_rows);
    // The new rows, the picks, and a sample of 2,000 by which models are compared; k-center spreads by the
    // features of all rows.
    const std::uint64_t row = classes * sizeof(float), place = features * sizeof(float);
    const bool spreads = std::string(strategy) != "margin";
    EXPECT_LE(grown.reading.bytes_read,
              (new_rows + 2'020) * (row + place) + (spreads ? (first_rows + new_rows) * place : 0));
    EXPECT_EQ(grown.reading.bytes_kept, first_rows * sizeof(float) + 8);
    const handed_out known = pool.next({pool.logits, pool.more});
    EXPECT_EQ(known.reading.rows_scored, 0);
    pool.forget();
    const handed_out all = pool.next({pool.logits, pool.more});
    EXPECT_EQ(all.reading.rows_scored, first_rows + new_rows);
    EXPECT_GE(all.reading.bytes_read, (first_rows + new_rows) * row);
    const handed_out in_one = pool.next({pool.whole});
    EXPECT_EQ(bodies(grown), bodies(all));
    EXPECT_EQ(bodies(grown), bodies(known));
    EXPECT_EQ(bodies(grown), bodies(in_one));
    const handed_out recorded = pool.hand_out_next({pool.logits, pool.more});
    EXPECT_EQ(bodies(recorded), bodies(grown));
    campaign of = pool.open();
    EXPECT_EQ(replay(of, cpu{}, 2).difference, "");
  }
}

/// A grown pool whose scores and digests of before are kept.
struct grown_and_known : grown_pool {
  using grown_pool::grown_pool;
  void know() const {
    next({logits});
    rest();
    next({logits});
    rest();
    grow({features_of, more_features});
  }
};

TEST(DeltaRounds, ScoresAreMadeAgainWhereTheModelOrTheStrategyIsAnother) {
  const grown_and_known pool("margin");
  pool.know();
  // Another strategy of all rows, or other parameters of one.
  EXPECT_EQ(pool.next({pool.logits, pool.more}, {.strategy = "entropy"}).reading.rows_scored,
            first_rows + new_rows);
  EXPECT_EQ(pool.next({pool.logits, pool.more}).reading.rows_scored, first_rows + new_rows);
  // What the model says of the new rows changes: their scores alone.
  save(pool.more, normals(new_rows * classes, 9), classes);
  const handed_out changed = pool.next({pool.logits, pool.more});
  EXPECT_EQ(changed.reading.rows_scored, new_rows);
  // One number of the old file, in place, and its times put back: the system's own time of change is later.
  const auto written = fs::last_write_time(pool.logits);
  {
    std::fstream file(pool.logits, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-4, std::ios::end);
    const float value = 3;
    file.write(reinterpret_cast<const char*>(&value), sizeof value);
  }
  fs::last_write_time(pool.logits, written);
  const handed_out other = pool.next({pool.logits, pool.more});
  EXPECT_EQ(other.reading.rows_scored, first_rows);
  pool.forget();
  EXPECT_EQ(bodies(pool.next({pool.logits, pool.more})), bodies(other));
  // Draws, and scores that compare rows, are made of all rows.
  for (const char* all : {"random", "power(margin)"})
    EXPECT_EQ(pool.next({pool.logits, pool.more}, {.strategy = all}).reading.rows_scored,
              first_rows + new_rows);
}

TEST(DeltaRounds, WhatIsKeptCanBeLostOrDamaged) {
  const grown_and_known pool("margin");
  pool.know();
  const fs::path kept = fs::path(pool.folder) / "rounds" / "kept";
  const handed_out batch = pool.next({pool.logits, pool.more});
  for (int trial = 0; trial < 4; ++trial) {
    for (const auto& one : fs::directory_iterator(kept)) {
      if (trial == 3) {
        write_text(one.path(), "{\"x\": 1}");
        continue;
      }
      const auto bytes = fs::file_size(one.path());
      if (trial == 0) fs::resize_file(one.path(), bytes / 2);
      std::fstream file(one.path(), std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(std::streamoff(bytes / (trial == 1 ? 2 : 3)));
      file.put('\x5a');
    }
    EXPECT_EQ(bodies(pool.next({pool.logits, pool.more})), bodies(batch)) << trial;
  }
  // A folder that cannot be made, for a file has its name.
  fs::remove_all(kept);
  write_text(kept, "");
  EXPECT_EQ(bodies(pool.next({pool.logits, pool.more})), bodies(batch));
}

TEST(DeltaRounds, RowsThatCannotBeJudgedAreNamedAsEver) {
  const grown_and_known pool("margin");
  pool.know();
  std::vector<float> y = normals(new_rows * classes, 2);
  y[5 * classes] = NAN;
  save(pool.more, y, classes);
  const auto refusal = [&] {
    try {
      pool.next({pool.logits, pool.more});
    } catch (const value_error& problem) {
      return std::string(problem.what());
    }
    return std::string();
  };
  const std::string first = refusal();
  EXPECT_NE(first.find(std::to_string(first_rows + 5)), std::string::npos) << first;
  EXPECT_NE(first.find("NaN"), std::string::npos) << first;
  EXPECT_EQ(refusal(), first);  // by the scores that are kept now
  pool.forget();
  EXPECT_EQ(refusal(), first);
  // Outputs that are probabilities, files that do not fit each other, or not the pool.
  save(pool.more, std::vector<float>(new_rows * classes, 1.0f / classes), classes);
  EXPECT_THROW(pool.next({pool.logits, pool.more}), value_error);
  save(pool.more, normals(new_rows * (classes + 1), 2), classes + 1);
  EXPECT_THROW(pool.next({pool.logits, pool.more}), shape_error);
  EXPECT_THROW(pool.next({pool.logits}), shape_error);
}

TEST(DeltaRounds, CandidatesThatRunOutAreFollowedByOthersOfTheKeptScores) {
  // Of the 20 candidates many lie within the distance: the next ones are found by the same scores.
  const grown_and_known pool("margin/20/kcenter", "apart = 0.5\n");
  pool.know();
  const handed_out grown = pool.next({pool.logits, pool.more});
  EXPECT_EQ(grown.reading.rows_scored, new_rows);
  pool.forget();
  EXPECT_EQ(bodies(pool.next({pool.logits, pool.more})), bodies(grown));
}

}  // namespace
}  // namespace poolwise::test
