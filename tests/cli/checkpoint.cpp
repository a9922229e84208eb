// Selections that are killed, and go on.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csignal>
#include <random>
#include <thread>

#include "reference/batches.hpp"
#include "run_command.hpp"

namespace poolwise::test {
namespace {

using reference::normals;

constexpr index_t rows = 8'000, classes = 6, features = 24;

struct pool_folder : scratch {
  std::string logits = save(*this / "logits.npy", normals(rows* classes, 1), classes);
  std::string embeddings = save(*this / "embeddings.npy", normals(rows* features, 2), features);

  std::vector<std::string> select(const std::string& strategy, const std::string& picks) const {
    return {"select",  "--logits", logits,    "--embeddings", embeddings, "--strategy",       strategy,
            "--batch", picks,      "--apart", "0.1",          "--out",    *this / "picks.csv"};
  }
};

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(Checkpoint, KilledAtAnyMomentASelectionGoesOnToTheSameBatch) {
  const pool_folder pool;
  std::mt19937 random(3);
  for (const char* strategy : {"kcenter", "badge"}) {
    SCOPED_TRACE(strategy);
    const auto plain = pool.select(strategy, "800");
    const auto start_time = std::chrono::steady_clock::now();
    ASSERT_EQ(run(plain).code, 0);
    const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - start_time;
    const std::string expected = contents(pool / "picks.csv");
    std::filesystem::remove(pool / "picks.csv");

    const auto kept = with(plain, {"--checkpoint", pool / "state"});
    int killed = 0, resumed = 0, ended = 0;
    for (int i = 0; i < 20; ++i) {
      const pid_t child = start(pool, kept);
      // At any moment, and every other time as soon as there are picks to go on from.
      std::this_thread::sleep_for(whole * std::uniform_real_distribution<>(0, 0.9)(random));
      const auto is_over = [child] {
        siginfo_t seen{};
        return waitid(P_PID, id_t(child), &seen, WEXITED | WNOHANG | WNOWAIT) != 0 || seen.si_pid == child;
      };
      while (i % 2 == 1 && !std::filesystem::exists(pool / "state") && !is_over()) usleep(500);
      kill(child, SIGKILL);
      const outcome result = finish(pool, child);
      killed += result.code == 128 + SIGKILL;
      resumed += result.err.find("going on from") != std::string::npos;
      if (result.code != 0) continue;
      ++ended;
      EXPECT_EQ(contents(pool / "picks.csv"), expected);
      EXPECT_FALSE(std::filesystem::exists(pool / "state"));
    }
    EXPECT_GT(killed, 0);
    EXPECT_EQ(killed + ended, 20);
    const outcome last = run(kept);
    ASSERT_EQ(last.code, 0) << last.err;
    EXPECT_EQ(contents(pool / "picks.csv"), expected);
    EXPECT_FALSE(std::filesystem::exists(pool / "state"));
    EXPECT_GT(resumed + int(last.err.find("going on from") != std::string::npos), 0);
  }
}

TEST(Checkpoint, OfAnotherSelectionIsRefused) {
  const pool_folder pool;
  const auto kept = with(pool.select("badge", "800"), {"--checkpoint", pool / "state"});
  // A state is there as soon as the command is killed late enough.
  for (int wait_ms = 50; !std::filesystem::exists(pool / "state") && wait_ms < 10'000; wait_ms += 50) {
    const pid_t child = start(pool, kept);
    for (int waited = 0; waited < wait_ms && !std::filesystem::exists(pool / "state"); ++waited) usleep(1000);
    kill(child, SIGKILL);
    finish(pool, child);
  }
  ASSERT_TRUE(std::filesystem::exists(pool / "state"));
  const outcome other = run(with(kept, {"--seed", "1"}));
  EXPECT_EQ(other.code, 6);
  EXPECT_NE(other.err.find("state is of another selection"), std::string::npos) << other.err;
  EXPECT_TRUE(std::filesystem::exists(pool / "state"));
  write_text(pool / "state", "nonsense");
  const outcome damaged = run(kept);
  EXPECT_EQ(damaged.code, 6);
  EXPECT_NE(damaged.err.find("state is not a checkpoint"), std::string::npos) << damaged.err;
}

TEST(Checkpoint, LeavesNothingBehindAndNothingIsKeptOfATopK) {
  const pool_folder pool;
  for (const char* strategy : {"margin", "margin/10x/badge"}) {
    const outcome result = run(with(pool.select(strategy, "20"), {"--checkpoint", pool / "state"}));
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(pool.files().size(), 3u);  // two inputs and the picks
  }
}

TEST(Checkpoint, IsNotTheFileOfThePicks) {
  const pool_folder pool;
  const outcome refused = run(with(pool.select("kcenter", "5"), {"--checkpoint", pool / "./picks.csv"}));
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("--checkpoint: and --out name the same file"), std::string::npos) << refused.err;
}

TEST(Checkpoint, NamesThatAreNoPlaceForAStateAreRefusedBeforeTheRun) {
  const pool_folder pool;
  for (const char* place : {"-", "/dev/full", "/dev/stdout"})
    for (const bool dry : {false, true}) {
      auto arguments = with(pool.select("kcenter", "5"), {"--checkpoint", place});
      if (dry) arguments.push_back("--dry-run");
      const outcome refused = run(arguments);
      EXPECT_EQ(refused.code, 2) << place;
      EXPECT_NE(refused.err.find("is no regular file"), std::string::npos) << refused.err;
      EXPECT_EQ(refused.out, "");
    }
}

TEST(Checkpoint, TwoSelectionsOnOneFileConflict) {
  const pool_folder pool;
  const auto kept = with(pool.select("kcenter", "4000"), {"--checkpoint", pool / "state"});
  const pid_t first = start(pool, kept);
  for (int waited = 0; waited < 10'000 && !std::filesystem::exists(pool / "state"); ++waited) usleep(1000);
  const outcome second = run(with(kept, {"--seed", "1"}));
  EXPECT_EQ(second.code, 5) << second.err;
  EXPECT_NE(second.err.find("state is in use by another run"), std::string::npos) << second.err;
  kill(first, SIGTERM);
  EXPECT_EQ(finish(pool, first).code, 128 + SIGTERM);
  for (const std::string& name : pool.files()) EXPECT_EQ(name.find(".lock"), std::string::npos) << name;
}

}  // namespace
}  // namespace poolwise::test
