// One query over the shards of many ranks, beside the same in one process.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <numeric>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "poolwise/cluster/communicator.hpp"
#include "poolwise/cluster/sharded_select.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/interruption.hpp"
#include "reference/asked.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

constexpr index_t classes = 4, features = 6, members = 3, groups = 3;

/// A pool with what strategies need, and ties: each tenth row is one before it.
struct whole_pool {
  std::vector<float> logits, committee, embeddings, labels;
  std::vector<index_t> group, labelled, excluded;
  pool_inputs inputs;

  explicit whole_pool(index_t rows = 400) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    for (auto [values, count] : {std::pair{&logits, classes}, {&embeddings, features}})
      for (index_t i = 0; i < rows; ++i)
        for (index_t c = 0; c < count; ++c)
          values->push_back(i % 10 == 9 ? (*values)[std::size_t((i - 7) * count + c)] : normal(random));
    for (index_t i = 0; i < members * rows * classes; ++i) committee.push_back(normal(random));
    for (index_t i = 0; i < rows; ++i) {
      group.push_back(i * i % 7 % groups);
      labels.push_back(float(i % 3));
    }
    for (index_t i = 11; i < rows; i += 31) labelled.push_back(i);
    for (index_t i = 5; i < rows; i += 41) excluded.push_back(i);
    inputs.rows = rows;
    inputs.model = matrix_view<const float>{logits.data(), rows, classes};
    inputs.embeddings = matrix_view<const float>{embeddings.data(), rows, features};
    std::vector<real_matrix> each;
    for (index_t m = 0; m < members; ++m)
      each.push_back(matrix_view<const float>{committee.data() + m * rows * classes, rows, classes});
    inputs.committee = committee_outputs(each);
    inputs.labels = {labels.data(), rows};
    inputs.labelled = labelled;
    inputs.excluded = excluded;
  }
};

/// A copy of some rows of a pool, in that order.
struct shard_of_pool {
  std::vector<index_t> numbers;
  std::vector<std::vector<float>> kept;
  std::vector<index_t> group, labelled, excluded;
  pool_shard shard;

  shard_of_pool(const pool_inputs& whole, std::vector<index_t> some) : numbers(std::move(some)) {
    const auto count = index_t(numbers.size());
    pool_inputs& part = shard.pool;
    part.rows = count;
    kept.reserve(3 + members);
    const auto copy = [&](matrix_view<const float> x) {
      auto& values = kept.emplace_back();
      for (const index_t n : numbers) values.insert(values.end(), x.row(n), x.row(n) + x.cols);
      return matrix_view<const float>{values.data(), count, x.cols};
    };
    part.model = copy(std::get<0>(*whole.model));
    part.embeddings = copy(*whole.embeddings);
    std::vector<real_matrix> each;
    for (const real_matrix& member : whole.committee->each()) each.push_back(copy(std::get<0>(member)));
    part.committee = committee_outputs(each);
    part.labels = {copy({whole.labels.data, whole.rows, 1}).data, count};
    for (index_t i = 0; i < count; ++i) {
      const index_t n = numbers[std::size_t(i)];
      if (!whole.group.empty()) group.push_back(whole.group[n]);
      if (std::count(whole.labelled.begin(), whole.labelled.end(), n) > 0) labelled.push_back(i);
      if (std::count(whole.excluded.begin(), whole.excluded.end(), n) > 0) excluded.push_back(i);
    }
    part.group = {group.data(), index_t(group.size())};
    part.labelled = labelled;
    part.excluded = excluded;
    shard.numbers = numbers;
  }
};

enum class cut { equal, ragged, one_empty };

/// Which rows each rank has.
std::vector<std::vector<index_t>> parts_of(index_t rows, int ranks, cut how, bool shuffled) {
  std::vector<index_t> all(static_cast<std::size_t>(rows));
  std::iota(all.begin(), all.end(), index_t{0});
  if (shuffled) std::shuffle(all.begin(), all.end(), std::mt19937(9));
  const int sharing = how == cut::one_empty && ranks > 1 ? ranks - 1 : ranks;
  std::vector<std::vector<index_t>> parts(static_cast<std::size_t>(ranks));
  for (index_t i = 0; i < rows; ++i) {
    const double at = double(i) / double(rows);
    const int r = std::min(sharing - 1, int((how == cut::ragged ? at * at : at) * sharing));
    parts[std::size_t(how == cut::one_empty && r > 0 ? r + ranks - sharing : r)].push_back(all[std::size_t(i)]);
  }
  return parts;
}

/// What body(its communicator) throws, or nothing, on each rank.
template <class Body>
std::vector<std::string> on_ranks(int ranks, Body body) {
  auto all = thread_communicators(ranks);
  std::vector<std::string> thrown(std::size_t(ranks), "");
  std::vector<std::jthread> threads;
  for (int r = 0; r < ranks; ++r)
    threads.emplace_back([&, r] {
      const auto mine = std::move(all[std::size_t(r)]);
      try {
        body(*mine);
      } catch (const std::exception& e) {
        thrown[std::size_t(r)] = e.what();
      }
    });
  threads.clear();
  return thrown;
}

struct question {
  const char* strategy;
  index_t picks = 40;
  std::vector<index_t> quota = {}, floor = {};
  bool labelled = true;
  index_t rows = 400;
};

void PrintTo(const question& q, std::ostream* out) { *out << q.strategy; }

class SamePicks : public testing::TestWithParam<question> {};

TEST_P(SamePicks, OfAnyNumberOfRanksAndAnyPartition) {
  const question& q = GetParam();
  whole_pool whole(q.rows);
  query_spec spec;
  spec.strategy = q.strategy;
  spec.batch = q.picks;
  spec.quota = q.quota;
  spec.floor = q.floor;
  spec.seed = 5;
  if (!q.quota.empty() || !q.floor.empty()) whole.inputs.group = {whole.group.data(), q.rows};
  if (!q.labelled) whole.inputs.labelled = {};
  const batch expected = run(cpu{1}, prepare(spec, whole.inputs));
  ASSERT_FALSE(expected.picks.empty());
  for (const int ranks : {1, 2, 3, 4, 7})
    for (const cut how : {cut::equal, cut::ragged, cut::one_empty})
      for (const bool shuffled : {false, true}) {
        SCOPED_TRACE(std::to_string(ranks) + " ranks, cut " + std::to_string(int(how)) +
                     (shuffled ? " shuffled" : ""));
        const auto parts = parts_of(q.rows, ranks, how, shuffled);
        std::vector<batch> got(parts.size());
        const auto thrown = on_ranks(ranks, [&](communicator& all) {
          const shard_of_pool mine(whole.inputs, parts[std::size_t(all.rank())]);
          got[std::size_t(all.rank())] = run(cpu{1}, mine.shard, spec, all);
        });
        for (std::size_t r = 0; r < parts.size(); ++r) {
          ASSERT_EQ(thrown[r], "");
          ASSERT_EQ(rows_of(got[r]), rows_of(expected));
          EXPECT_EQ(got[r].remarks, expected.remarks);
          EXPECT_EQ(got[r].strategy, expected.strategy);
          for (std::size_t p = 0; p < expected.picks.size(); ++p) {
            EXPECT_EQ(got[r].picks[p].score, expected.picks[p].score);
            EXPECT_EQ(got[r].picks[p].reason, expected.picks[p].reason);
            EXPECT_EQ(got[r].picks[p].kept_by, expected.picks[p].kept_by);
            EXPECT_EQ(got[r].picks[p].id, expected.picks[p].id);
          }
        }
      }
}

INSTANTIATE_TEST_SUITE_P(
    Scores, SamePicks,
    testing::Values(question{"margin"}, question{"margin", 30, {20, 5, 8}},
                    question{"entropy", 30, {}, {4, 5, 6}}, question{"random"}, question{"power(margin)"},
                    question{"bald"}, question{"bald", 25, {9, 9, 9}}, question{"margin/10x/kcenter", 20},
                    question{"margin/30%/badge", 12}, question{"bald/8x/facility_location", 15},
                    question{"margin/60/entropy/3x/dpp", 10}, question{"margin/2x/kcenter", 30, {25, 2, 1}},
                    question{"margin", 700}, question{"margin/10x/power(bald)", 20}));

// Longer than a shortlist, and than a block of weights.
INSTANTIATE_TEST_SUITE_P(
    Diversity, SamePicks,
    testing::Values(question{"kcenter", 60, {}, {}, true, 2600}, question{"kcenter", 60, {}, {}, false, 2600},
                    question{"kcenter", 40, {9, 20, 9}, {}, true, 2600},
                    question{"maxdist", 30, {}, {}, false, 2600}, question{"weighted_kcenter", 400},
                    question{"dpp", 40, {}, {}, true, 2600}, question{"dpp(bandwidth=0.5)", 30, {5, 20, 9}},
                    question{"badge", 50, {}, {}, true, 2600}, question{"badge", 390}));

query_spec asking(const char* strategy, index_t picks) {
  query_spec spec;
  spec.strategy = strategy;
  spec.batch = picks;
  return spec;
}

/// What each of three ranks says where `change` has made its shard or its query another.
template <class Change>
std::vector<std::string> said_by_three(const whole_pool& whole, const query_spec& asked, Change change) {
  const auto parts = parts_of(whole.inputs.rows, 3, cut::equal, false);
  return on_ranks(3, [&](communicator& all) {
    all.set_deadline(std::chrono::seconds(5));
    shard_of_pool mine(whole.inputs, parts[std::size_t(all.rank())]);
    query_spec spec = asked;
    change(all.rank(), mine, spec);
    run(cpu{1}, mine.shard, spec, all);
  });
}

void expect_all_say(const std::vector<std::string>& said, const std::string& words) {
  for (const std::string& one : said) {
    EXPECT_EQ(one, said.front());
    EXPECT_NE(one.find(words), std::string::npos) << one;
    EXPECT_EQ(one.find('\n'), std::string::npos);
  }
}

TEST(Ranks, ThatDifferEndWithOneSentence) {
  const whole_pool whole;
  const query_spec margin = asking("margin", 10), kcenter = asking("kcenter", 10);
  const auto only = [](int rank, auto change) {
    return [=](int r, shard_of_pool& mine, query_spec& spec) {
      if (r == rank) change(mine, spec);
    };
  };
  expect_all_say(said_by_three(whole, margin, only(1, [](auto&, auto& spec) { spec.seed = 7; })),
                 "rank 1 has seed 7, but rank 0 has 0");
  expect_all_say(said_by_three(whole, margin, only(2, [](auto&, auto& spec) { spec.strategy = "entropy"; })),
                 "rank 2 has strategy entropy, but rank 0 has margin");
  expect_all_say(said_by_three(whole, kcenter,
                               only(0,
                                    [](auto& mine, auto&) {
                                      mine.shard.pool.embeddings = matrix_view<const float>{
                                          mine.kept[1].data(), mine.shard.pool.rows, 3, 6};
                                    })),
                 "rank 1 has features 6, but rank 0 has 3");
  expect_all_say(said_by_three(whole, margin, only(1, [](auto& mine, auto&) { mine.numbers[3] = 4; })),
                 "row 4 of the whole pool is on the ranks 2 times");
  expect_all_say(said_by_three(whole, margin, only(1, [](auto& mine, auto&) { mine.numbers[3] = 4000; })),
                 "rank 1: row 4000 is numbered so, but all ranks together have 400 rows");
}

TEST(Ranks, OneOfWhichFailsEndWithItsSentence) {
  const whole_pool whole;
  const auto nan_on = [](int rank, std::size_t part, index_t cols) {
    return [=](int r, shard_of_pool& mine, query_spec&) {
      if (r == rank) mine.kept[part][std::size_t(5 * cols)] = std::numeric_limits<float>::quiet_NaN();
    };
  };
  for (const auto& [strategy, part, cols] :
       {std::tuple{"margin", 0, classes}, {"margin/10x/kcenter", 1, features}, {"kcenter", 1, features}}) {
    const query_spec spec = asking(strategy, 10);
    const auto said = said_by_three(whole, spec, nan_on(2, std::size_t(part), cols));
    // The same as one process says.
    whole_pool same;
    (part == 0 ? same.logits
               : same.embeddings)[std::size_t((parts_of(400, 3, cut::equal, false)[2][5]) * cols)] =
        std::numeric_limits<float>::quiet_NaN();
    expect_all_say(said, reference::message_of<value_error>([&] { run(cpu{1}, prepare(spec, same.inputs)); }));
  }
  const auto labelled_twice = [](int r, shard_of_pool& mine, query_spec&) {
    if (r != 1) return;
    mine.labelled.push_back(mine.labelled[0]);
    mine.shard.pool.labelled = mine.labelled;
  };
  expect_all_say(said_by_three(whole, asking("margin", 10), labelled_twice), "rank 1: select: row ");
  const auto stops = [](int r, shard_of_pool&, query_spec&) {
    if (r == 0) throw value_error("shard-0.npy was cut short");
  };
  expect_all_say(
      [&] {
        auto said = on_ranks(3, [&](communicator& all) {
          together(all, [&] {
            shard_of_pool none(whole.inputs, {});
            query_spec spec;
            stops(all.rank(), none, spec);
            all.allgather({});
          });
        });
        return said;
      }(),
      "rank 0: shard-0.npy was cut short");
}

TEST(Ranks, AreRefusedWhatIsNotMadeOverThem) {
  const whole_pool whole;
  const auto none = [](int, shard_of_pool&, query_spec&) {};
  expect_all_say(said_by_three(whole, asking("typiclust", 10), none),
                 "strategy \"typiclust\", which looks at all rows at once, is not made over ranks yet");
  expect_all_say(said_by_three(whole, asking("lci", 10), none),
                 "looks at label outputs, label sets of other ranks");
  expect_all_say(said_by_three(whole, asking("margin/20/binmin", 10), none),
                 "looks at label outputs of other ranks");
  expect_all_say(said_by_three(whole, asking("density(margin)", 10), none),
                 "compares each row with all others");
  query_spec apart = asking("margin", 10);
  apart.apart = 0.5f;
  expect_all_say(said_by_three(whole, apart, none), "lie apart");
}

/// A rank that vanishes, or stops, at an exchange.
struct lost_rank {
  communicator& inner;
  std::uint64_t last;
  bool hangs;

  callback_communicator outer() {
    return {inner.rank(), inner.size(),
            [this](std::span<const std::byte> mine, communicator::milliseconds deadline) {
              if (inner.rank() == 1 && inner.traffic().rounds >= last) {
                if (hangs) std::this_thread::sleep_for(3 * deadline);
                if (!hangs) throw std::runtime_error("killed");
              }
              inner.set_deadline(deadline);
              return inner.allgather(mine);
            }};
  }
};

TEST(Ranks, ThatAreLostAtAnyExchangeEndAllOthers) {
  const whole_pool whole(1500);
  const auto parts = parts_of(1500, 3, cut::ragged, false);
  const query_spec spec = asking("kcenter", 30);
  std::uint64_t rounds = 0;
  for (std::uint64_t last = 0; last <= rounds; ++last) {
    const auto said = on_ranks(3, [&](communicator& inner) {
      lost_rank rank{inner, last == 0 ? 1000 : last - 1, false};
      auto all = rank.outer();
      const shard_of_pool mine(whole.inputs, parts[std::size_t(inner.rank())]);
      run(cpu{1}, mine.shard, spec, all);
      if (inner.rank() == 0) rounds = all.traffic().rounds;
    });
    if (last == 0) continue;  // the first time nobody is lost
    for (const int r : {0, 2}) EXPECT_EQ(said[std::size_t(r)].substr(0, 14), "rank 1 is gone") << last;
  }
  EXPECT_GT(rounds, 6u);
}

TEST(Ranks, OfWhichOneIsSilentEndAtTheDeadline) {
  const auto said = on_ranks(3, [&](communicator& inner) {
    lost_rank rank{inner, 1, true};
    auto all = rank.outer();
    all.set_deadline(communicator::milliseconds(40));
    for (int i = 0; i < 3; ++i) all.allgather({});
  });
  expect_all_say(said, "rank 1 did not answer within 40 ms");
}

TEST(Ranks, OneOfWhichIsInterruptedEndTogether) {
  const auto said = on_ranks(3, [&](communicator& all) {
    all.set_deadline(std::chrono::seconds(5));
    const interruptible look([&] {
      if (all.rank() == 2) throw std::runtime_error("stopped by Ctrl-C");
    });
    together(all, [&] {
      if (all.rank() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(250));
      for (int i = 0; i < 2; ++i) all.allgather({});
    });
  });
  expect_all_say(said, "rank 2: stopped by Ctrl-C");
}

TEST(Ranks, GoOnFromTheCheckpointOfOtherRanks) {
  const whole_pool whole(2600);
  const std::string file = testing::TempDir() + "poolwise_cluster_checkpoint";
  for (const char* strategy : {"kcenter", "dpp", "badge"}) {
    const query_spec spec = asking(strategy, 120);
    const std::vector<index_t> expected = rows_of(run(cpu{1}, prepare(spec, whole.inputs)));
    query_run how;
    how.checkpoint = file;
    const auto pick_on = [&](int ranks, bool stops) {
      const auto parts = parts_of(2600, ranks, cut::ragged, ranks == 4);
      std::vector<index_t> resumed_from(static_cast<std::size_t>(ranks), 0);
      const auto said = on_ranks(ranks, [&](communicator& all) {
        const shard_of_pool mine(whole.inputs, parts[std::size_t(all.rank())]);
        query_run here = how;
        here.resumed = [&](const batch_state& from) {
          resumed_from[std::size_t(all.rank())] = index_t(from.picks.size());
        };
        here.advanced = [&](const batch_state&) {
          if (stops && all.rank() == 1) throw std::runtime_error("ended");
        };
        EXPECT_EQ(rows_of(run(cpu{1}, mine.shard, spec, all, here)), expected);
      });
      for (const std::string& one : said) EXPECT_EQ(one, stops ? "rank 1: ended" : "");
      return resumed_from;
    };
    pick_on(3, true);
    for (const index_t picks : pick_on(4, false)) EXPECT_GT(picks, 0) << strategy;
    std::filesystem::remove(file);
  }
}

TEST(Ranks, GiveAndGetBytesThatAreCounted) {
  on_ranks(3, [](communicator& all) {
    const std::vector<std::byte> mine(std::size_t(all.rank()), std::byte(7));
    const auto got = all.allgather(mine);
    ASSERT_EQ(got.size(), 3u);
    for (std::size_t r = 0; r < 3; ++r) EXPECT_EQ(got[r], std::vector<std::byte>(r, std::byte(7)));
    EXPECT_EQ(all.broadcast(mine, 2).size(), 2u);
    EXPECT_EQ(all.traffic().rounds, 2u);
    EXPECT_EQ(all.traffic().bytes_sent, std::uint64_t(2 * 9 + all.rank() + (all.rank() == 2 ? 2 : 0)));
  });
}

// The figures that the documents quote.
TEST(Large, KCenterOfAMillionRowsOnEightRanksIsFewRoundsAndBytes) {
  constexpr index_t many = 1000000, cols = 128;
  std::vector<float> values(std::size_t(many * cols));
  std::mt19937_64 random(1);
  for (index_t i = 0; i < many; ++i)
    for (index_t c = 0; c < cols; ++c)  // a hundred clusters
      values[std::size_t(i * cols + c)] =
          float((i % 100) * (c + 3) % 17) / 8 + float(std::int64_t(random() >> 40)) / float(1 << 24);
  pool_inputs whole;
  whole.rows = many;
  whole.embeddings = matrix_view<const float>{values.data(), many, cols};
  const query_spec spec = asking("kcenter", 1000);
  const auto before = std::chrono::steady_clock::now();
  const batch expected = run(cpu{1}, prepare(spec, whole));
  const auto between = std::chrono::steady_clock::now();
  std::vector<cluster_traffic> traffic(8);
  const auto said = on_ranks(8, [&](communicator& all) {
    const index_t begin = many / 8 * all.rank();
    pool_inputs part;
    part.rows = many / 8;
    part.embeddings = matrix_view<const float>{values.data() + begin * cols, part.rows, cols};
    const batch got = run(cpu{1}, {part, {}}, spec, all);
    EXPECT_EQ(rows_of(got), rows_of(expected));
    traffic[std::size_t(all.rank())] = all.traffic();
  });
  const auto after = std::chrono::steady_clock::now();
  EXPECT_EQ(said, std::vector<std::string>(8, ""));
  std::uint64_t bytes = 0;
  for (const cluster_traffic& t : traffic) bytes += t.bytes_sent;
  std::printf("rounds %llu, bytes %llu (%.2f %% of the pool), one process %.2f s, 8 ranks %.2f s\n",
              static_cast<unsigned long long>(traffic[0].rounds), static_cast<unsigned long long>(bytes),
              100.0 * double(bytes) / double(many * cols * 4),
              std::chrono::duration<double>(between - before).count(),
              std::chrono::duration<double>(after - between).count());
  EXPECT_LE(traffic[0].rounds, 30u);
  EXPECT_LE(bytes, std::uint64_t(many * cols * 4 / 25));
}

}  // namespace
}  // namespace poolwise
