// A caller's program as a learner: one that works, and every way in which one can fail.
#include "poolwise/learn/command_learner.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/files/signals.hpp"

namespace poolwise {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

// Nearest centroid, with the standard library alone; each member subtracts its own number from its logits.
constexpr const char* centroid_program = R"PY(
import json, math, os, struct, sys

def load(path):
    raw = open(path, 'rb').read()
    size = struct.unpack('<H', raw[8:10])[0]
    header = eval(raw[10:10 + size])
    count = math.prod(header['shape'])
    return header['shape'], struct.unpack('<%d%s' % (count, {'<f4': 'f', '<i4': 'i'}[header['descr']]), raw[10 + size:])

def save(path, shape, values, code='f'):
    kind = {'f': '<f4', 'd': '<f8', 'e': '<f2', 'i': '<i4'}[code]
    header = str({'descr': kind, 'fortran_order': False, 'shape': tuple(shape)})
    header += ' ' * (-(len(header) + 11) % 64) + '\n'
    with open(path, 'wb') as f:
        f.write(b'\x93NUMPY\x01\x00' + struct.pack('<H', len(header)) + header.encode())
        f.write(struct.pack('<%d%s' % (len(values), code), *values))

verb, folder = sys.argv[-2:]
members, code = int(os.environ.get('MEMBERS', 0)), os.environ.get('CODE', 'f')
if verb == 'fit':
    (rows, cols), x = load(folder + '/features.npy')
    _, y = load(folder + '/labels.npy')
    sums = {}
    for i in range(rows):
        total, count = sums.get(y[i], ([0.0] * cols, 0))
        sums[y[i]] = ([a + b for a, b in zip(total, x[i * cols:(i + 1) * cols])], count + 1)
    json.dump({c: [a / n for a in t] for c, (t, n) in sums.items()}, open(folder + '/model.json', 'w'))
else:
    (rows, cols), x = load(folder + '/query.npy')
    centroids = {int(c): m for c, m in json.load(open(folder + '/model.json')).items()}
    one = []
    for i in range(rows):
        row = x[i * cols:(i + 1) * cols]
        one += [-sum((a - b) ** 2 for a, b in zip(row, centroids[c])) for c in sorted(centroids)]
    values = [v - m for m in range(max(members, 1)) for v in one]
    shape = [rows, len(centroids)]
    save(folder + '/logits.npy', [members] + shape if members else shape, values, code)
)PY";

class CommandLearner : public testing::Test {
 protected:
  CommandLearner() {
    std::string pattern = (fs::temp_directory_path() / "poolwise-XXXXXX").string();
    root = mkdtemp(pattern.data());
    folder = root / "files";
  }
  ~CommandLearner() override { fs::remove_all(root); }

  /// A shell script's command line. `$1` in it is the verb and `$2` the folder.
  std::string script(const std::string& text) {
    const fs::path file = root / ("script" + std::to_string(++scripts));
    std::ofstream(file) << text;
    return "sh '" + file.string() + "'";
  }

  std::string centroid(const std::string& environment = "") {
    const fs::path file = root / "centroid.py";
    std::ofstream(file) << centroid_program;
    return environment + " python3 '" + file.string() + "'";
  }

  command_learner learner_of(const std::string& command, index_t members = 1, seconds timeout = seconds(60)) {
    return command_learner({command, 2, members, folder, timeout});
  }

  static void fit(command_learner& model) { model.fit({x.data(), 4, 2}, {y.data(), 4}); }

  static std::vector<float> predict(command_learner& model) {
    std::vector<float> logits(std::size_t(model.members() * 2 * 2), NAN);
    model.predict({query.data(), 2, 2}, {logits.data(), model.members(), 2, 2});
    return logits;
  }

  /// What the call says when it fails, which it must.
  template <class Call>
  static std::string refusal(Call call) {
    try {
      call();
    } catch (const command_error& e) {
      return e.what();
    }
    ADD_FAILURE() << "no command_error was thrown";
    return "";
  }

  /// What a predict says that runs `text`, after a fit that succeeded.
  std::string predict_refusal(const std::string& text) {
    auto model = learner_of(script("[ $1 = fit ] && exit 0\n" + text));
    fit(model);
    return refusal([&] { predict(model); });
  }

  static bool alive(pid_t pid) {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string number, name, state;
    stat >> number >> name >> state;
    return !state.empty() && state != "Z" && state != "X";
  }

  static bool dies_soon(pid_t pid) {
    for (int i = 0; i < 200 && alive(pid); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return !alive(pid);
  }

  pid_t pid_in(const char* name) const {
    pid_t pid = 0;
    std::ifstream(folder / name) >> pid;
    EXPECT_GT(pid, 0);
    return pid;
  }

  static void expect_no_child_left() {
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
  }

  // Centroids (0, 1) and (4, 1).
  static inline const std::vector<float> x{0, 0, 0, 2, 4, 0, 4, 2};
  static inline const std::vector<std::int32_t> y{0, 0, 1, 1};
  static inline const std::vector<float> query{0, 1, 3, 1};
  static inline const std::vector<float> squared_distances{0, -16, -9, -1};

  fs::path root, folder;
  int scripts = 0;
};

bool contains(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

TEST_F(CommandLearner, FitsAndPredicts) {
  auto model = learner_of(centroid());
  fit(model);
  EXPECT_EQ(predict(model), squared_distances);
  EXPECT_EQ(predict(model), squared_distances);
  expect_no_child_left();
}

TEST_F(CommandLearner, TakesEveryFloatTypeAndTheMemberAxis) {
  for (const char* code : {"f", "d", "e"}) {
    auto model = learner_of(centroid(std::string("MEMBERS=1 CODE=") + code));
    fit(model);
    EXPECT_EQ(predict(model), squared_distances) << code;
  }
}

TEST_F(CommandLearner, ReadsACommittee) {
  auto model = learner_of(centroid("MEMBERS=3"), 3);
  fit(model);
  EXPECT_EQ(predict(model), (std::vector<float>{0, -16, -9, -1, -1, -17, -10, -2, -2, -18, -11, -3}));
}

TEST_F(CommandLearner, AFolderIsOneWordWhateverItsName) {
  for (const char* name : {"two words", "it's", "a \"quoted\" $HOME `id` \\ name", "-dash", "new\nline", "*"}) {
    folder = root / name;
    auto model = learner_of(centroid());
    fit(model);
    EXPECT_EQ(predict(model), squared_distances) << name;
    EXPECT_TRUE(fs::exists(folder / "model.json")) << name;
  }
}

TEST_F(CommandLearner, ARelativeFolderIsMadeAbsolute) {
  const fs::path before = fs::current_path();
  fs::current_path(root);
  folder = "-relative";
  auto model = learner_of(script("echo \"$2\" > \"$2/seen\""));
  fit(model);
  fs::current_path(before);
  std::string seen;
  std::getline(std::ifstream(root / "-relative/seen"), seen);
  EXPECT_EQ(fs::path(seen), fs::canonical(root) / "-relative");
}

TEST_F(CommandLearner, TheProgramReadsAnEmptyStandardInput) {
  auto model = learner_of(script("read line; [ -z \"$line\" ]"), 1, seconds(20));
  EXPECT_NO_THROW(fit(model));
}

TEST_F(CommandLearner, MuchOutputNeitherBlocksNorIsKept) {
  auto model = learner_of(script("yes 0123456789 | head -c 3000000; echo the end >&2; exit 1"), 1, seconds(30));
  const std::string message = refusal([&] { fit(model); });
  EXPECT_TRUE(contains(message, "the end"));
  EXPECT_LT(message.size(), 3000u);
  EXPECT_GT(message.size(), 1900u);
}

TEST_F(CommandLearner, AStatusIsReportedWithTheLastWords) {
  auto model = learner_of(script("echo out; echo 'no such file: weights' >&2; exit 3"));
  const std::string message = refusal([&] { fit(model); });
  EXPECT_TRUE(contains(message, "status 3")) << message;
  EXPECT_TRUE(contains(message, "out\nno such file: weights")) << message;
  EXPECT_TRUE(contains(message, "fit " + folder.string())) << message;
  expect_no_child_left();
}

TEST_F(CommandLearner, SilenceIsReportedAsSuch) {
  auto model = learner_of(script("exit 3"));
  EXPECT_TRUE(contains(refusal([&] { fit(model); }), "it said nothing"));
}

TEST_F(CommandLearner, LastWordsBeginWithAWholeCharacterAndHoldNoZeroByte) {
  auto model = learner_of(
      script("i=0; while [ $i -lt 900 ]; do printf '\\303\\251\\303'; printf '\\251.'; i=$((i+1)); done;"
             "printf 'a\\000b'; exit 1"));
  const std::string message = refusal([&] { fit(model); });
  const auto start = message.find("last words:\n");
  ASSERT_NE(start, std::string::npos);
  EXPECT_NE(message[start + 12] & 0xc0, 0x80);
  EXPECT_TRUE(contains(message, "a b"));
}

TEST_F(CommandLearner, ASignalIsReported) {
  auto killed = learner_of(script("kill -9 $$"));
  EXPECT_TRUE(contains(refusal([&] { fit(killed); }), "status 137, the shell's word for signal 9"));
  auto shell_killed = learner_of("kill -9 $$; true");
  EXPECT_TRUE(contains(refusal([&] { fit(shell_killed); }), "was ended by signal 9"));
  expect_no_child_left();
}

TEST_F(CommandLearner, AMissingProgramIsReported) {
  auto model = learner_of("/no/such/program");
  const std::string message = refusal([&] { fit(model); });
  EXPECT_TRUE(contains(message, "status 127")) << message;
  EXPECT_TRUE(contains(message, "/no/such/program")) << message;
}

TEST_F(CommandLearner, AHangingProgramIsEndedWithAllItStarted) {
  auto model =
      learner_of(script("echo started >&2; sleep 1000 & echo $! > \"$2/inner\"; echo $$ > \"$2/outer\"; wait"),
                 1, seconds(1));
  const auto start = std::chrono::steady_clock::now();
  const std::string message = refusal([&] { fit(model); });
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(10));
  EXPECT_TRUE(contains(message, "after 1 s")) << message;
  EXPECT_TRUE(contains(message, "started")) << message;
  EXPECT_TRUE(dies_soon(pid_in("inner")));
  EXPECT_TRUE(dies_soon(pid_in("outer")));
  expect_no_child_left();
}

TEST_F(CommandLearner, WhoIgnoresSigtermIsKilled) {
  auto model = learner_of(script("trap '' TERM; (while :; do sleep 0.1; done) & echo $! > \"$2/inner\";"
                                 "echo $$ > \"$2/outer\"; wait"),
                          1, seconds(1));
  refusal([&] { fit(model); });
  EXPECT_TRUE(dies_soon(pid_in("inner")));
  EXPECT_TRUE(dies_soon(pid_in("outer")));
}

TEST_F(CommandLearner, SigtermLeavesTimeToCleanUp) {
  auto model = learner_of(script("trap 'sleep 0.3; echo tidy > \"'\"$2\"'/tidied\"; exit 0' TERM;"
                                 "while :; do sleep 0.1; done"),
                          1, seconds(1));
  refusal([&] { fit(model); });
  EXPECT_TRUE(fs::exists(folder / "tidied"));
}

TEST_F(CommandLearner, AChattyProgramCannotOutrunTheTimeout) {
  auto model = learner_of("exec yes", 1, seconds(1));
  EXPECT_TRUE(contains(refusal([&] { fit(model); }), "after 1 s"));
}

TEST_F(CommandLearner, AProcessLeftBehindIsNotWaitedFor) {
  auto model = learner_of(script("sleep 1000 & echo $! > \"$2/left\"; exit 0"), 1, seconds(30));
  const auto start = std::chrono::steady_clock::now();
  fit(model);
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(10));
  EXPECT_TRUE(alive(pid_in("left")));
  kill(pid_in("left"), SIGKILL);
}

TEST_F(CommandLearner, ALostStatusIsNoSuccess) {
  const auto before = signal(SIGCHLD, SIG_IGN);
  auto model = learner_of(script("exit 0"), 1, seconds(10));
  const std::string message = refusal([&] { fit(model); });
  signal(SIGCHLD, before);
  EXPECT_TRUE(contains(message, "SIGCHLD")) << message;
}

TEST_F(CommandLearner, EndsWithTheProcessThatRunsIt) {
  for (const int number : {SIGINT, SIGHUP, SIGTERM, SIGKILL}) {
    SCOPED_TRACE(number);
    const fs::path named = root / "inner";
    fs::remove(named);
    // What the program starts is killed by all but SIGKILL, which leaves nobody to do it.
    auto model = learner_of(number == SIGKILL ? "echo $$ > '" + named.string() + "'; exec sleep 1000 #"
                                              : "sleep 1000 & echo $! > '" + named.string() + "'; wait #");
    const pid_t child = fork();
    if (child == 0) {
      clean_up_on_signals(6);
      fit(model);
      _exit(0);
    }
    pid_t inner = 0;
    for (int waited = 0; inner == 0 && waited < 10'000; ++waited) {
      usleep(1000);
      std::ifstream(named) >> inner;
    }
    ASSERT_GT(inner, 0);
    kill(child, number);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == number) << status;
    const auto ended = [&] {  // a zombie whose new parent has not asked yet counts
      std::ifstream file("/proc/" + std::to_string(inner) + "/stat");
      std::string text;
      return !std::getline(file, text) || contains(text, ") Z ");
    };
    for (int waited = 0; waited < 5000 && !ended(); ++waited) usleep(1000);
    EXPECT_TRUE(ended());
  }
}

TEST_F(CommandLearner, AnotherProcesssEndLeavesItAlone) {
  auto model = learner_of(script("sleep .3"));
  std::thread other([] {
    usleep(100'000);
    const pid_t child = fork();
    if (child == 0) {
      clean_up_on_signals(6);
      raise(SIGTERM);
    }
    waitpid(child, nullptr, 0);
  });
  fit(model);
  other.join();
}

TEST_F(CommandLearner, SigpipeIgnoredHereIsHeardThere) {
  const auto before = signal(SIGPIPE, SIG_IGN);
  auto model = learner_of(script("sh -c 'kill -PIPE $$; exit 0'; [ $? -gt 128 ]"));
  EXPECT_NO_THROW(fit(model));
  signal(SIGPIPE, before);
}

TEST_F(CommandLearner, NoLogitsAreReportedEvenIfOldOnesLie) {
  auto model = learner_of(centroid());
  fit(model);
  predict(model);
  ASSERT_TRUE(fs::exists(folder / "logits.npy"));
  EXPECT_TRUE(contains(predict_refusal("exit 0"), "left no"));
}

TEST_F(CommandLearner, UnusableLogitsAreReported) {
  const std::string write =
      "printf '\\223NUMPY\\001\\000\\166\\000' > \"$2/logits.npy\"; printf '%-117s\\n' \"";
  const auto header = [&](const std::string& kind, const std::string& shape) {
    return write + "{'descr': '" + kind + "', 'fortran_order': False, 'shape': " + shape +
           ", }\" >> \"$2/logits.npy\";";
  };
  const std::string four = "head -c 16 /dev/zero >> \"$2/logits.npy\"";
  EXPECT_TRUE(contains(predict_refusal(header("<f4", "(1, 4)") + four), "[1, 4]; write [1, 2, 2]"));
  EXPECT_TRUE(contains(predict_refusal(header("<f4", "(4,)") + four), "[4]; write"));
  EXPECT_TRUE(contains(predict_refusal(header("<f4", "(2, 1, 2)") + four), "[2, 1, 2]; write"));
  EXPECT_TRUE(contains(predict_refusal(header("<i4", "(2, 2)") + four), "int32"));
  const std::string truncated =
      predict_refusal(header("<f4", "(2, 2)") + "head -c 15 /dev/zero >> \"$2/logits.npy\"");
  EXPECT_TRUE(contains(truncated, "cannot use " + (folder / "logits.npy").string())) << truncated;
  EXPECT_TRUE(contains(predict_refusal("echo none > \"$2/logits.npy\""), "cannot use"));
  // The same writer, right: it is the faults above that were refused.
  auto model = learner_of(script("[ $1 = fit ] && exit 0\n" + header("<f4", "(2, 2)") + four));
  fit(model);
  EXPECT_EQ(predict(model), (std::vector<float>(4, 0.0f)));
}

TEST_F(CommandLearner, ATwoAxisAnswerIsNoCommittee) {
  auto model = learner_of(centroid(), 2);
  fit(model);
  EXPECT_TRUE(contains(refusal([&] { predict(model); }), "[2, 2]; write [2, 2, 2]"));
}

TEST_F(CommandLearner, AFailedFitLeavesNoModel) {
  auto model = learner_of(script("test ! -e \"$2/fitted\" && touch \"$2/fitted\""));
  fit(model);
  refusal([&] { fit(model); });
  try {
    predict(model);
    FAIL() << "nothing was thrown";
  } catch (const error& e) {
    EXPECT_TRUE(contains(e.what(), "call fit first")) << e.what();
  }
}

TEST_F(CommandLearner, NoRowsRunNothing) {
  auto model = learner_of(script("[ $1 = fit ]"));
  fit(model);
  EXPECT_NO_THROW(model.predict({nullptr, 0, 2}, {nullptr, 1, 0, 2}));
}

TEST_F(CommandLearner, AFolderThatCannotBeMade) {
  std::ofstream(root / "file") << "in the way";
  folder = root / "file" / "below";
  auto model = learner_of("true");
  EXPECT_THROW(fit(model), io_error);
}

TEST_F(CommandLearner, WrongOptions) {
  const auto refused = [](command_options options, const char* words) {
    try {
      command_learner model(std::move(options));
      ADD_FAILURE() << "nothing was thrown; expected: " << words;
    } catch (const value_error& e) {
      EXPECT_TRUE(contains(e.what(), words)) << e.what();
    }
  };
  refused({"", 2, 1, folder, seconds(1)}, "the command is empty");
  refused({"true", 2, 1, "", seconds(1)}, "the folder is empty");
  refused({"true", 0, 1, folder, seconds(1)}, "classes is 0");
  refused({"true", 2, 0, folder, seconds(1)}, "members is 0");
  refused({"true", 2, 1, folder, seconds(0)}, "timeout is 0 s");
}

TEST_F(CommandLearner, TheLongestTimeoutIsLong) {
  auto model = learner_of("true", 1, seconds::max());
  EXPECT_NO_THROW(fit(model));
}

TEST_F(CommandLearner, WrongUses) {
  auto model = learner_of("true");
  std::vector<float> logits(4);
  const auto ask = [&](index_t cols, index_t rows) {
    model.predict({query.data(), 2, cols}, {logits.data(), 1, rows, 2});
  };
  EXPECT_THROW(ask(2, 2), error);
  EXPECT_THROW(model.fit({x.data(), 4, 2}, {y.data(), 3}), shape_error);
  const std::vector<std::int32_t> beyond{0, 0, 1, 2};
  EXPECT_THROW(model.fit({x.data(), 4, 2}, {beyond.data(), 4}), value_error);
  fit(model);
  EXPECT_THROW(ask(1, 2), shape_error);
  EXPECT_THROW(ask(2, 1), shape_error);
}

}  // namespace
}  // namespace poolwise
