// Selections that go on from a file: what tells them apart, and what is refused.
#include "poolwise/query/checkpoint.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/asked.hpp"
#include "reference/errors.hpp"
#include "reference/scratch.hpp"

namespace poolwise {
namespace {

constexpr index_t rows = 300, classes = 3, features = 5;

struct case_of {
  std::vector<float> logits, embeddings, committee;
  std::vector<std::int64_t> cost;
  std::vector<index_t> group, quota{200, 200}, labelled{1, 2}, excluded{3};
  pool_inputs pool;
  asked request;

  case_of() {
    for (index_t i = 0; i < rows * classes; ++i) logits.push_back(float(i * i % 17) / 3);
    for (index_t i = 0; i < rows * features; ++i) embeddings.push_back(float(i * i % 101));
    for (index_t i = 0; i < 2 * rows * classes; ++i) committee.push_back(float(i * i % 13) / 2);
    for (index_t i = 0; i < rows; ++i) cost.push_back(1 + i % 3), group.push_back(i % 2);
    request.spec.strategy = "kcenter";
    request.spec.batch = 40;
    request.spec.budget = 500;
  }

  std::uint64_t fingerprint(const where& on = cpu{}) {
    pool.rows = rows;
    pool.model = matrix_view<const float>{logits.data(), rows, classes};
    pool.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
    pool.committee = cube_view<const float>{committee.data(), 2, rows, classes};
    request.labelled = labelled;
    request.excluded = excluded;
    request.cost = {cost.data(), rows};
    request.group = {group.data(), rows};
    request.spec.quota = quota;
    return poolwise::fingerprint(on, prepared(pool, request));
  }
};

TEST(Fingerprint, IsTheSameOnAnyThreadsAndOfRowsWhereverTheyLie) {
  case_of q;
  const std::uint64_t one = q.fingerprint(cpu{1});
  for (const int threads : {2, 5}) EXPECT_EQ(q.fingerprint(cpu{threads}), one);
  std::vector<float> wide;
  for (index_t i = 0; i < rows; ++i) {
    wide.insert(wide.end(), q.embeddings.begin() + i * features, q.embeddings.begin() + (i + 1) * features);
    wide.push_back(-1);
  }
  q.pool.embeddings = matrix_view<const float>{wide.data(), rows, features, features + 1};
  EXPECT_EQ(poolwise::fingerprint(cpu{}, prepared(q.pool, q.request)), one);
}

TEST(Fingerprint, ChangesWithEverythingThatThePicksDependOn) {
  const std::vector<std::function<void(case_of&)>> changes = {
      [](case_of& q) { q.logits[7] += 1; },
      [](case_of& q) { q.logits.back() = -q.logits.back() - 1; },
      [](case_of& q) { q.embeddings[rows * features - 1] += 1; },
      [](case_of& q) { std::swap(q.embeddings[0], q.embeddings[8]); },
      [](case_of& q) { q.committee[0] += 1; },
      [](case_of& q) { q.cost[4] += 1; },
      [](case_of& q) { q.group[4] ^= 1; },
      [](case_of& q) { q.quota[1] -= 1; },
      [](case_of& q) { q.labelled[0] = 0; },
      [](case_of& q) {
        q.labelled = {1}, q.excluded = {2, 3};
      },
      [](case_of& q) { q.request.spec.seed = 1; },
      [](case_of& q) { q.request.spec.round = 1; },
      [](case_of& q) { q.request.spec.batch = 41; },
      [](case_of& q) { q.request.spec.budget = 501; },
      [](case_of& q) { q.request.spec.apart = 0.0f; },
      [](case_of& q) { q.request.spec.neighbours = knn_method::exact; },
      [](case_of& q) { q.request.spec.invalid = on_invalid::skip; },
      [](case_of& q) { q.request.spec.strategy = "margin/10x/kcenter"; },
      [](case_of& q) { q.pool.model_kind = outputs::probabilities; },
  };
  case_of unchanged;
  std::set<std::uint64_t> seen = {unchanged.fingerprint()};
  EXPECT_TRUE(seen.insert(unchanged.fingerprint(offload{})).second);
  for (std::size_t i = 0; i < changes.size(); ++i) {
    case_of q;
    changes[i](q);
    EXPECT_TRUE(seen.insert(q.fingerprint()).second) << "change " << i;
  }
}

TEST(Checkpoint, GivesBackWhatWasWritten) {
  const reference::scratch_folder folder;
  const checkpoint saved(folder.path() / "picks", 7);
  EXPECT_EQ(saved.read(), std::nullopt);
  const batch_state state{{{4, std::numeric_limits<float>::infinity()}, {0, 0.25f}}, 9};
  saved.write(batch_state{});
  EXPECT_EQ(saved.read(), batch_state{});
  saved.write(state);
  EXPECT_EQ(saved.read(), state);
  EXPECT_EQ(checkpoint(folder.path() / "picks", 7).read(), state);
  remove_checkpoint(folder.path() / "picks");
  EXPECT_EQ(saved.read(), std::nullopt);
  remove_checkpoint(folder.path() / "picks");
}

TEST(Checkpoint, RefusesWhatIsNotItsOwn) {
  const reference::scratch_folder folder;
  const auto file = folder.path() / "picks";
  const checkpoint saved(file, 7);
  saved.write({{{4, 1.0f}, {0, 0.25f}}, 9});
  reference::expect_refused<value_error>([&] { checkpoint(file, 8).read(); }, "is of another selection");

  const std::string good = reference::read_file(file);
  for (std::size_t at = 8; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = char(bad[at] ^ 4);
    reference::write_file(file, bad);
    reference::expect_refused<format_error>([&] { saved.read(); }, "is damaged; remove it");
  }
  for (const std::size_t size : {good.size() - 1, good.size() - 16}) {
    reference::write_file(file, good.substr(0, size));
    reference::expect_refused<format_error>([&] { saved.read(); }, "is damaged");
  }
  reference::write_file(file, "row,score\n1,2\n");
  reference::expect_refused<format_error>([&] { saved.read(); }, "is not a checkpoint");
  reference::write_file(file, "");  // as mktemp leaves it
  EXPECT_EQ(saved.read(), std::nullopt);
  std::string later = good;
  later[7] = 3;
  reference::write_file(file, later);
  reference::expect_refused<format_error>([&] { saved.read(); }, "has version 3");
}

TEST(Checkpoint, IsKeptInRegularFilesAlone) {
  const reference::scratch_folder folder;
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  std::filesystem::create_symlink("/dev/full", folder / "link");
  for (const std::filesystem::path& place :
       {std::filesystem::path("-"), std::filesystem::path("/dev/full"), std::filesystem::path("/dev/null"),
        folder.path(), folder / "fifo", folder / "link"})
    reference::expect_refused<usage_error>([&] { checkpoint(place, 7); }, "is no regular file");
  reference::expect_refused<io_error>([&] { checkpoint(folder / std::string(300, 'n'), 7); },
                                      "File name too long");
}

TEST(Checkpoint, ALinkIsWrittenThroughAndStays) {
  const reference::scratch_folder folder;
  std::filesystem::create_directory(folder / "scratch");
  std::filesystem::create_symlink("scratch/state", folder / "link");
  const checkpoint saved(folder / "link", 7);
  const batch_state state{{{4, 0.5f}}, 9};
  saved.write(state);
  EXPECT_EQ(checkpoint(folder / "scratch/state", 7).read(), state);
  EXPECT_EQ(saved.read(), state);
  remove_checkpoint(folder / "link");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_TRUE(std::filesystem::is_empty(folder / "scratch"));
}

TEST(Checkpoint, OneSelectionAtATimeHoldsIt) {
  const reference::scratch_folder folder;
  std::filesystem::create_symlink("state", folder / "link");
  {
    checkpoint one(folder / "state", 7), other(folder / "link", 8);
    one.lock();
    one.write(batch_state{});
    reference::expect_refused<conflict_error>([&] { other.lock(); }, "is in use by another run");
    remove_checkpoint(folder / "state");  // it is not ours to remove
    EXPECT_TRUE(std::filesystem::exists(folder / "state"));
  }
  checkpoint next(folder / "state", 7);
  next.lock();
  EXPECT_EQ(folder.names(), (std::set<std::string>{".state.lock", "link", "state"}));
}

// Every state that a selection passes through is one that it goes on from to the same batch.
TEST(Checkpoint, SelectGoesOnFromAnyState) {
  for (const char* name : {"kcenter",
                           "badge",
                           "dpp",
                           "facility_location",
                           "probcover",
                           "graph_cut",
                           "margin/200/kcenter",
                           "entropy/5x/badge",
                           "margin/200/weighted_kcenter",
                           "margin/200/dpp",
                           "margin/200/lcmd",
                           "ranked_batch(margin)",
                           "maxdist",
                           "maxdet",
                           "frank_wolfe",
                           "feature_coverage",
                           "robust_kcenter",
                           "graph_density",
                           "uherding(margin)",
                           "margin/200/gradmatch",
                           "saturated_coverage",
                           "craig",
                           "round_robin",
                           "flqmi",
                           "logdetcmi"}) {
    SCOPED_TRACE(name);
    case_of q;
    q.fingerprint();
    q.request.spec.strategy = name;
    q.request.spec.apart = 0.5f;
    q.pool.queries = matrix_view<const float>{q.embeddings.data(), 2, features};
    q.pool.private_rows = matrix_view<const float>{q.embeddings.data() + 50, 2, features};
    const reference::scratch_folder folder;
    const auto file = folder.path() / "picks";
    const query whole = prepared(q.pool, q.request);
    std::vector<batch_state> states;
    const batch expected =
        run(cpu{2}, whole, {.advanced = [&](const batch_state& state) { states.push_back(state); }});
    ASSERT_FALSE(states.empty());
    for (const batch_state& state : states) {
      // A state speaks of the rows of the pool, whatever the strategy counts.
      for (std::size_t i = 0; i < state.picks.size(); ++i) EXPECT_EQ(state.picks[i].row, expected.picks[i].row);
      checkpoint(file, fingerprint(cpu{}, whole)).write(state);
      index_t resumed = -1;
      const batch got = run(cpu{1}, whole, {.checkpoint = file, .resumed = [&](const batch_state& from) {
                                              resumed = index_t(from.picks.size());
                                            }});
      EXPECT_EQ(resumed, index_t(state.picks.size()));
      ASSERT_EQ(got.picks.size(), expected.picks.size());
      for (std::size_t i = 0; i < got.picks.size(); ++i) {
        EXPECT_EQ(got.picks[i].row, expected.picks[i].row);
        EXPECT_EQ(got.picks[i].score, expected.picks[i].score);
      }
    }
  }
}

}  // namespace
}  // namespace poolwise
