// Published figures, held against the command; and data that must not be scored.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "run_command.hpp"

namespace poolwise::test {
namespace {

TEST(Reproduce, SonarSeedBySeedToTheDigit) {
  const scratch folder;
  std::ofstream(folder / "plotly.min.js") << "window.Plotly = {newPlot: function() {}};\n";
  const std::vector<std::string> arguments = {"reproduce", "lu2023-sonar", "--seeds",     "0-2",
                                              "--json",    "--out",        folder / "out"};
  const std::vector<std::string> environment = {"POOLWISE_PLOTLY=" + (folder / "plotly.min.js")};
  const outcome first = run(arguments, environment);
  ASSERT_EQ(first.code, 0) << first.err;
  const auto result = first.json();
  const auto& seeds = result["seeds"];
  ASSERT_EQ(seeds.size(), 3u);
  const double published[] = {.78400, .81399, .71326};
  for (int k = 0; k < 3; ++k) EXPECT_NEAR(seeds[k]["aubc_lu2023"].get<double>(), published[k], 2e-5) << k;
  for (const auto& figure : result["figures"]) EXPECT_TRUE(figure["holds"].get<bool>()) << figure;
  EXPECT_TRUE(std::filesystem::exists(folder / "out/lu2023-sonar/report.html"));
  // A finished seed is read back: planted accuracies show, and miss their figures.
  const std::string finished = folder / "out/lu2023-sonar/margin-seed-0.csv";
  std::istringstream lines(contents(finished));
  std::ofstream planted(finished);
  for (std::string line; std::getline(lines, line);)
    planted << (line.rfind("labels", 0) == 0 ? line : line.substr(0, line.find(',')) + ",0.5") << '\n';
  planted.close();
  const outcome again = run(arguments, environment);
  EXPECT_EQ(again.code, 1) << again.err;
  EXPECT_NEAR(again.json()["seeds"][0]["aubc_lu2023"].get<double>(), 0.5 * 103 / 104, 1e-9);
}

TEST(Reproduce, WrongDataAreSaidAndNotScored) {
  const scratch folder;
  const auto refused = [&](const std::string& name, const std::string& text, const std::string& words) {
    std::ofstream(folder / name) << text;
    const outcome result =
        run({"reproduce", name == "sonar.csv" ? "lu2023-sonar" : "lu2023", "--data", folder / name});
    EXPECT_EQ(result.code, 6) << name;
    EXPECT_NE(result.err.find(words), std::string::npos) << result.err;
    EXPECT_EQ(result.out, "") << name;
  };
  std::string few = "a,class\n", one_class = few;
  for (int i = 0; i < 19; ++i) few += std::to_string(i) + (i % 2 ? ",x\n" : ",y\n");
  for (int i = 0; i < 90; ++i) one_class += std::to_string(i) + ",x\n";
  refused("few.csv", few, "19 rows");
  refused("one.csv", one_class, "1 classes");
  refused("sonar.csv", few, "is not sonar as it was published");
  refused("words.csv", "a,class\nhello,x\n", "line 2");
}

}  // namespace
}  // namespace poolwise::test
