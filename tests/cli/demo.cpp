// The main job on real data: the demo's figures must land where an independent run of the protocol did.
#include <gtest/gtest.h>

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
  // Knows nothing: every class has the same logit. Its name is no text, which must not lose the experiment.
  std::ofstream(folder / "tr\xffin.py") << R"(import os, struct, sys
verb, folder = sys.argv[1:]
print(verb, os.environ["POOLWISE_SEED"])
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
  const std::vector<std::string> base = {
      "demo",   "--json", "--seeds",       "1",      "--rounds", "1", "--strategies",
      "random", "--out",  folder / "demo", "--seed", "7"};
  auto works = base;
  works.insert(works.end(), {"--train", "python3 '" + (folder / "tr\xffin.py") + "'"});
  const outcome result = run(works, {fake_plotly(folder)});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_DOUBLE_EQ(result.json()["strategies"][0]["aubc_mean"], 0.1);  // ties go to class 0
  EXPECT_EQ(nlohmann::json::parse(contents(folder / "demo/demo.json")), result.json());
  EXPECT_TRUE(std::filesystem::exists(folder / "demo/report.html"));
  EXPECT_NE(result.json()["protocol"].dump().find("compare images do so by these features"), std::string::npos);
  EXPECT_NE(result.err.find("output.txt in the folders of"), std::string::npos) << result.err;
  EXPECT_EQ(contents(folder / "demo/training/random-7/output.txt"), "fit 7\npredict 7\nfit 7\npredict 7\n");

  if (!measured)
    return;  // a sanitizer takes half a minute for the features; command_learner.cpp has the failures
  auto fails = base;
  fails.insert(fails.end(),
               {"--train", "printf '9%%\\r99%%\\nTraceback:\\n\\tno such model \\033[1m\\n' >&2; exit 3;"});
  const outcome failed = run(fails, {fake_plotly(folder)});
  EXPECT_EQ(failed.code, 1);
  // On lines of their own, as a terminal would show them.
  EXPECT_NE(failed.err.find("its last words:\n99%\nTraceback:\n no such model \\x1b[1m\n"), std::string::npos)
      << failed.err;
}

}  // namespace
}  // namespace poolwise::test
