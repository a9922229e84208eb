// Each call to the system fails in its turn, and a kill comes at any moment: an output is the old one or the
// new one, and whole.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <random>
#include <thread>

#include "reference/batches.hpp"
#include "run_command.hpp"

namespace poolwise::test {
namespace {

using reference::normals;

struct failure {
  const char* call;
  int code;
};

std::string name_of(const testing::TestParamInfo<failure>& info) {
  return std::string(info.param.call) + "_" + strerrorname_np(info.param.code);
}

class FailingCalls : public testing::TestWithParam<failure> {
 protected:
  scratch inputs_, outputs_;
  std::string logits_ = save(inputs_ / "logits.npy", normals(40 * 3, 1), 3);
  std::string embeddings_ = save(inputs_ / "embeddings.npy", normals(40 * 4, 2), 4);

  /// The n-th call fails. False where there are not so many.
  bool run_with(int n, const std::vector<std::string>& arguments, outcome& result) const {
    const std::string mark = inputs_ / "failed";
    std::filesystem::remove(mark);
    result = run(arguments, {std::string("LD_PRELOAD=") + POOLWISE_FAILING_CALL,
                             std::string("FAILING_CALL=") + GetParam().call + " " + std::to_string(n) + " " +
                                 std::to_string(GetParam().code) + " " + mark});
    return std::filesystem::exists(mark);
  }

  /// Calls `then` after each run in which a call failed. `state` may stay behind beside the output `name`.
  template <class Then>
  void check(const std::vector<std::string>& arguments, const std::string& name, const std::string& state,
             Then then) const {
    const std::string file = outputs_ / name, old = "the old one\n";
    ASSERT_EQ(run(arguments).code, 0);
    const std::string expected = contents(file);
    outcome result;
    bool failed = true;
    for (int n = 1; failed && n < 100; ++n) {
      SCOPED_TRACE(n);
      write_text(file, old);
      failed = run_with(n, arguments, result);
      const std::string found = contents(file);
      EXPECT_EQ(found, result.code == 0 ? expected : old);
      EXPECT_TRUE(result.code == 0 || result.code == 1 || result.code == 6) << result.code;
      EXPECT_EQ(result.err.find(std::strerror(ENOENT)), std::string::npos)
          << result.err;  // all is where it should be
      const auto lines = std::count(result.err.begin(), result.err.end(), '\n');
      EXPECT_TRUE(lines == 1 || (lines == 0 && result.code == 0)) << result.err;
      for (const std::string& left : outputs_.files()) EXPECT_TRUE(left == name || left == state) << left;
      if (failed) then(expected);
    }
    EXPECT_FALSE(failed);
  }
};

TEST_P(FailingCalls, OfScoresLeaveAWholeArray) {
  check({"score", "--logits", logits_, "--acquisition", "entropy", "--threads", "1", "--out",
         outputs_ / "scores.npy"},
        "scores.npy", "", [](const std::string&) {});
}

TEST_P(FailingCalls, OfASelectionLeaveWholePicksAndAStateToGoOnFrom) {
  const std::string state = outputs_ / "state", picks = outputs_ / "picks.csv";
  const std::vector<std::string> arguments = {
      "select", "--embeddings", embeddings_, "--strategy", "kcenter", "--batch", "5", "--threads",
      "1",      "--checkpoint", state,       "--out",      picks};
  check(arguments, "picks.csv", "state", [&](const std::string& expected) {
    if (!std::filesystem::exists(state)) return;
    const outcome next = run(arguments);
    EXPECT_EQ(next.code, 0) << next.err;
    EXPECT_EQ(contents(picks), expected);
    EXPECT_FALSE(std::filesystem::exists(state));
  });
}

INSTANTIATE_TEST_SUITE_P(All, FailingCalls,
                         testing::Values(failure{"open", EMFILE}, failure{"read", EIO},
                                         failure{"write", ENOSPC}, failure{"write", EINTR},
                                         failure{"fsync", EIO}, failure{"rename", EIO},
                                         failure{"rename", EACCES}, failure{"close", EIO},
                                         failure{"mmap", ENOMEM}, failure{"stat", EIO}, failure{"fstat", EIO}),
                         name_of);

TEST(Killed, AtAnyMomentAnOutputIsTheOldOneOrTheNew) {
  const scratch inputs, outputs;
  const std::string logits = save(inputs / "logits.npy", normals(100'000 * 3, 1), 3), old = "the old one\n";
  std::mt19937 random(5);
  for (const bool scores : {true, false}) {
    const std::string name = scores ? "scores.npy" : "picks.csv", file = outputs / name;
    const std::vector<std::string> arguments =
        scores
            ? std::vector<std::string>{"score", "--logits", logits, "--acquisition", "entropy", "--out", file}
            : std::vector<std::string>{"select",  "--logits", logits,  "--strategy", "margin",
                                       "--batch", "20000",    "--out", file};
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_EQ(run(arguments).code, 0);
    const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - begin;
    const std::string expected = contents(file);
    int killed = 0;
    for (int i = 0; i < 10; ++i) {
      write_text(file, old);
      const pid_t child = start(inputs, arguments);
      std::this_thread::sleep_for(whole * std::uniform_real_distribution<>(0.2, 1.1)(random));
      kill(child, SIGKILL);
      const outcome result = finish(inputs, child);
      killed += result.code == 128 + SIGKILL;
      const std::string found = contents(file);
      EXPECT_TRUE(found == expected || (found == old && result.code != 0)) << found.substr(0, 100);
    }
    EXPECT_GT(killed, 0);
    // What killed runs left is removed by the next one.
    ASSERT_EQ(run(arguments).code, 0);
    EXPECT_EQ(contents(file), expected);
    EXPECT_EQ(outputs.files(), std::vector<std::string>{name});
    std::filesystem::remove(file);
  }
}

}  // namespace
}  // namespace poolwise::test
