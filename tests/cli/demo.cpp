// The main job on real data: the demo's figures must land where an independent run of the protocol did.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "run_command.hpp"

namespace poolwise::test {
namespace {

std::string fake_plotly(const scratch& folder) {
  std::ofstream(folder / "plotly.min.js") << "window.Plotly = {newPlot: function() {}};\n";
  return "POOLWISE_PLOTLY=" + (folder / "plotly.min.js");
}

#ifndef __SANITIZE_ADDRESS__  // too slow there; the smaller runs below take the same paths
// An independent numpy run of the protocol over 10 seeds gave: random .7824 (sd .003), margin + .0164, badge
// + .0140, entropy - .0441, kcenter - .0626, labels to 80 %: random 1,500, margin 750, badge 900.
TEST(Demo, LandsWhereAnIndependentRunOfTheProtocolDid) {
  const scratch folder;
  const outcome result = run({"demo", "--json", "--out", folder / "demo"}, {fake_plotly(folder)});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto demo = result.json();
  EXPECT_EQ(demo["schema"], "poolwise.demo/1");
  std::map<std::string, nlohmann::json> by_name;
  for (const auto& s : demo["strategies"]) by_name[s["name"]] = s;
  ASSERT_EQ(by_name.size(), 5u);
  EXPECT_NEAR(by_name["random"]["aubc_mean"], 0.7824, 0.012);
  EXPECT_GE(by_name["margin"]["minus_random"], 0.008);
  EXPECT_LE(by_name["margin"]["minus_random"], 0.025);
  EXPECT_LT(by_name["margin"]["p"], 0.01);
  EXPECT_GE(by_name["badge"]["minus_random"], 0.006);
  EXPECT_LE(by_name["badge"]["minus_random"], 0.022);
  EXPECT_LT(by_name["entropy"]["minus_random"], -0.02);
  EXPECT_LT(by_name["kcenter"]["minus_random"], -0.04);
  EXPECT_GE(by_name["random"]["labels_to_80"].get<double>() / by_name["margin"]["labels_to_80"].get<double>(),
            1.5);
  for (const auto& [name, s] : by_name) {
    EXPECT_EQ(s["curves"].size(), 5u) << name;
    EXPECT_EQ(s["curves"][0]["labels"].back(), 2100) << name;
    // Under one seed every strategy starts from the same labels and so from the same model.
    EXPECT_EQ(s["curves"][2]["accuracy"][0], by_name["random"]["curves"][2]["accuracy"][0]) << name;
  }
  EXPECT_TRUE(std::filesystem::exists(folder / "demo/report.html"));
  EXPECT_EQ(nlohmann::json::parse(contents(folder / "demo/demo.json")), demo);
}
#endif

TEST(Demo, WithoutTheDataItSaysHowToGetThem) {
  const scratch folder;
  const outcome result =
      run({"demo", "--data", folder / "none", "--out", folder / "demo"}, {fake_plotly(folder)});
  EXPECT_EQ(result.code, 6);
  EXPECT_NE(result.err.find("dataset-fashion-mnist"), std::string::npos) << result.err;
}

TEST(Demo, AUsersOwnTrainingProgramTakesPart) {
  const scratch folder;
  // Knows nothing: every class has the same logit.
  std::ofstream(folder / "train.py") << R"(import struct, sys
verb, folder = sys.argv[1:]
if verb == "predict":
    with open(folder + "/query.npy", "rb") as f:
        f.seek(8)
        size, = struct.unpack("<H", f.read(2))
        rows = eval(f.read(size))["shape"][0]
    header = ("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 10), }" % rows).encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    with open(folder + "/logits.npy", "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(40 * rows))
)";
  const std::vector<std::string> base = {"demo", "--json",       "--seeds", "1",     "--rounds",
                                         "1",    "--strategies", "random",  "--out", folder / "demo"};
  auto works = base;
  works.insert(works.end(), {"--train", "python3 '" + (folder / "train.py") + "'"});
  const outcome result = run(works, {fake_plotly(folder)});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_DOUBLE_EQ(result.json()["strategies"][0]["aubc_mean"], 0.1);  // ties go to class 0

  auto fails = base;
  fails.insert(fails.end(), {"--train", "echo no such model >&2; exit 3;"});
  const outcome failed = run(fails, {fake_plotly(folder)});
  EXPECT_EQ(failed.code, 1);
  EXPECT_NE(failed.err.find("no such model"), std::string::npos) << failed.err;
}

// Answers with the pixels' first ten columns; $1 is the verb and $2 the folder.
std::string slice_program(const scratch& folder, const std::string& name, const std::string& more) {
  std::ofstream(folder / name) << more << R"SH(
[ "$1" = fit ] || exec python3 -c "import struct, sys
with open(sys.argv[1] + '/query.npy', 'rb') as f:
    f.seek(8)
    size, = struct.unpack('<H', f.read(2))
    rows = eval(f.read(size))['shape'][0]
header = (\"{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 10), }\" % rows).encode()
header += b' ' * (63 - (10 + len(header)) % 64) + b'\\n'
with open(sys.argv[1] + '/logits.npy', 'wb') as f:
    f.write(b'\\x93NUMPY\\x01\\x00' + struct.pack('<H', len(header)) + header + bytes(40 * rows))" "$2"
)SH";
  return "sh '" + (folder / name) + "'";
}

TEST(Demo, AByteThatIsNoTextLosesNothing) {
  const scratch folder;
  const std::string program = slice_program(folder, "b\xff.sh", "echo seed $POOLWISE_SEED");
  const outcome result = run({"demo", "--train", program, "--strategies", "random", "--rounds", "1", "--seeds",
                              "1", "--seed", "7", "--out", folder / "d"},
                             {fake_plotly(folder)});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(std::filesystem::exists(folder / "d/report.html"));
  EXPECT_NE(
      nlohmann::json::parse(contents(folder / "d/demo.json"))["protocol"].dump().find("by these features"),
      std::string::npos);
  // Two fits and two predictions, each told the seed of the run.
  EXPECT_EQ(contents(folder / "d/training/random-7/output.txt"), "seed 7\nseed 7\nseed 7\nseed 7\n");
  EXPECT_NE(result.err.find("output.txt in the folders of"), std::string::npos) << result.err;
}

TEST(Demo, LastWordsOfAProgramStandOnLinesOfTheirOwn) {
  const scratch folder;
  const outcome result =
      run({"demo", "--train", "printf '50%%\\r100%%\\nTraceback:\\n\\tline \\033[1m\\n' >&2; exit 3;",
           "--strategies", "random", "--seeds", "1", "--out", folder / "d"},
          {fake_plotly(folder)});
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("its last words:\n100%\nTraceback:\n line \\x1b[1m\n"), std::string::npos)
      << result.err;
}

TEST(Demo, ASignalEndsTheTrainingProgramToo) {
  for (const int signal_number : {SIGINT, SIGHUP, SIGTERM, SIGKILL}) {
    SCOPED_TRACE(signal_number);
    const scratch folder;
    setenv("POOLWISE_PLOTLY", fake_plotly(folder).substr(16).c_str(), 1);
    // What the program starts is killed by all but SIGKILL, which leaves nobody to do it.
    const std::string train = signal_number == SIGKILL
                                  ? "echo $$ > '" + (folder / "pid") + "'; exec sleep 1000 #"
                                  : "sleep 1000 & echo $! > '" + (folder / "pid") + "'; wait #";
    const pid_t child =
        start(folder, {"demo", "--train", train, "--strategies", "random", "--out", folder / "d"});
    for (int waited = 0; waited < 20'000 && contents(folder / "pid").empty(); ++waited) usleep(1000);
    const pid_t program = std::atoi(contents(folder / "pid").c_str());
    ASSERT_GT(program, 0);
    kill(child, signal_number);
    EXPECT_EQ(finish(folder, child).code, 128 + signal_number);
    const auto ended = [&] {  // a zombie whose parent has not asked yet counts
      const std::string status = contents("/proc/" + std::to_string(program) + "/stat");
      return status.empty() || status.find(") Z ") != std::string::npos;
    };
    for (int waited = 0; waited < 5000 && !ended(); ++waited) usleep(1000);
    EXPECT_TRUE(ended());
  }
}

}  // namespace
}  // namespace poolwise::test
