// Published figures, held against the command; and data that must not be scored.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <map>
#include <sstream>

#include "run_command.hpp"

namespace poolwise::test {
namespace {

std::string fake_plotly(const scratch& folder) {
  std::ofstream(folder / "plotly.min.js") << "window.Plotly = {newPlot: function() {}};\n";
  return "POOLWISE_PLOTLY=" + (folder / "plotly.min.js");
}

const std::string shipped = std::filesystem::path(POOLWISE_COMMAND).parent_path() / "share/poolwise/data/";

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

outcome reproduce_file(const scratch& folder, const std::string& what, const std::string& text) {
  std::ofstream(folder / "x.csv") << text;
  return run({"reproduce", what, "--data", folder / "x.csv", "--seeds", "0-9"});
}

/// Two classes that one column tells apart, and a constant one where `constant` says so.
std::string made_up(int rows, bool constant = false) {
  std::string text = constant ? "a,b,class\n" : "a,class\n";
  for (int i = 0; i < rows; ++i)
    text += std::to_string(i * 37 % 101) + (constant ? ",3," : ",") + (i * 37 % 101 < 50 ? "x\n" : "y\n");
  return text;
}

TEST(Reproduce, SonarSeedBySeedToTheDigit) {
  const scratch folder;
  const std::vector<std::string> arguments = {"reproduce", "lu2023-sonar", "--seeds",     "0-2",
                                              "--json",    "--out",        folder / "out"};
  const std::vector<std::string> environment = {fake_plotly(folder)};
  const outcome first = run(arguments, environment);
  ASSERT_EQ(first.code, 0) << first.err;
  const auto result = first.json();
  const auto& seeds = result["seeds"];
  ASSERT_EQ(seeds.size(), 3u);
  const double published[] = {.78400, .81399, .71326};
  for (std::size_t k = 0; k < 3; ++k) {
    EXPECT_NEAR(seeds[k]["aubc_lu2023"].get<double>(), published[k], 2e-5) << k;
    // One figure has one name.
    EXPECT_EQ(result["figures"][k]["name"], "sonar: AUBC_lu2023 of margin, seed " + std::to_string(k));
    EXPECT_EQ(result["figures"][k]["value"], seeds[k]["aubc_lu2023"]);
  }
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

// Other kernels of BLAS, and libm without fma, stand for other machines: each once gave other figures here. Our
// own targets are forced in tests/engine/any_cpu.cpp.
TEST(Reproduce, FiguresAreThoseOfAnyMachine) {
  const auto figures = [](const std::string& threads, const std::vector<std::string>& environment) {
    const outcome result =
        run({"reproduce", "tabular-lr-spam", "--seeds", "0,1", "--json", "--threads", threads}, environment);
    EXPECT_EQ(result.code, 0) << result.err;
    auto json = result.json();
    json.erase("benchmarks");  // hold times
    return json;
  };
  const auto here = figures("1", {});
  EXPECT_EQ(here["seeds"].size(), 2u);
  EXPECT_EQ(figures("2", {"OPENBLAS_CORETYPE=Prescott"}), here);
  EXPECT_EQ(figures("2", {"GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4"}), here);
}

TEST(Reproduce, UsageErrorsExitWith2) {
  const auto refused = [](std::vector<std::string> arguments, const std::string& says) {
    arguments.insert(arguments.begin(), "reproduce");
    const outcome result = run(arguments);
    EXPECT_EQ(result.code, 2) << result.err;
    EXPECT_NE(result.err.find(says), std::string::npos) << result.err;
  };
  refused({"lu2023-sonar", "--seeds", "9-1"}, "\"9-1\" runs backwards");
  refused({"lu2023-sonar", "--seeds", "0-100000"}, "more than 100,000 seeds");
  refused({"lu2023-sonar", "--seeds", "0-99999,7"}, "more than 100,000 seeds");
  for (const char* seeds : {"-1", "1,", ",1", "1-", "1--2", "x", "1,,2"})
    refused({"lu2023-sonar", "--seeds", seeds}, "names no seeds");
  refused({"lu2023-sonr"}, "did you mean \"lu2023-sonar\"");
  refused({"all", "--data", "x.csv"}, "--data belongs to one benchmark");
  refused({"lu2023"}, "needs a data set");
  refused({"tabular-lr", "--query-model", "lr"}, "has a model of its own");
}

TEST(Reproduce, AnInterruptedRunGoesOnWhereItWas) {
  const scratch folder;
  const std::vector<std::string> arguments = {"reproduce", "lu2023-sonar", "--seeds",     "0-7",
                                              "--json",    "--out",        folder / "out"};
  const std::string runs = folder / "out/lu2023-sonar";
  const auto finished = [&] {
    std::map<std::string, std::filesystem::file_time_type> files;
    std::error_code none_yet;
    for (const auto& file : std::filesystem::directory_iterator(runs, none_yet))
      if (file.path().extension() == ".csv") files[file.path()] = std::filesystem::last_write_time(file);
    return files;
  };
  const pid_t child = start(folder, arguments, {fake_plotly(folder)});
  while (finished().size() < 2 && waitpid(child, nullptr, WNOHANG) == 0) usleep(2000);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  const auto before = finished();
  ASSERT_GE(before.size(), 2u);
  EXPECT_FALSE(std::filesystem::exists(folder / "out/reproduce.json"));

  const outcome resumed = run(arguments, {fake_plotly(folder)}),
                whole = run({arguments.begin(), arguments.end() - 2});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  ASSERT_EQ(whole.code, 0) << whole.err;
  for (const auto& [file, written] : before) EXPECT_EQ(finished()[file], written) << file;
  EXPECT_EQ(finished().size(), 24u);
  EXPECT_EQ(resumed.json()["runs"], whole.json()["runs"]);
  EXPECT_EQ(resumed.json()["figures"], whole.json()["figures"]);

  // Runs of one protocol are never taken for another's.
  auto other = arguments;
  other.insert(other.end(), {"--task-model", "lr"});
  const outcome refused = run(other, {fake_plotly(folder)});
  EXPECT_EQ(refused.code, 6);
  EXPECT_NE(refused.err.find("another protocol"), std::string::npos) << refused.err;
}

TEST(Reproduce, ADamagedCurveIsRefusedByItsLine) {
  const scratch folder;
  const auto refused = [&](const std::string& curve, const std::string& line) {
    std::filesystem::create_directories(folder / "out/lu2023-sonar");
    std::ofstream(folder / "out/lu2023-sonar/margin-seed-0.csv") << curve;
    const outcome result =
        run({"reproduce", "lu2023-sonar", "--seeds", "0", "--out", folder / "out"}, {fake_plotly(folder)});
    EXPECT_EQ(result.code, 6) << curve;
    const std::string place =
        line.empty() ? "margin-seed-0.csv holds 2 rounds" : "margin-seed-0.csv line " + line;
    EXPECT_NE(result.err.find(place), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("delete the file to run it again"), std::string::npos) << result.err;
  };
  refused("", "1");
  refused("rows,accuracy\n20,0.5\n", "1");
  refused("labels,accuracy\n", "1");
  refused("labels,accuracy\n20,0.5\n20,0.6\n", "3");
  refused("labels,accuracy\n\n", "1");
  refused("labels,accuracy\n20,0.5\n21,0.6", "3");  // whose digits may be cut
  for (const char* row :
       {"20,1.5", "20,half", "20,nan", "twenty,0.5", "20.5,0.5", "1e300,0.5", "20", "20,0.5,1"})
    refused(std::string("labels,accuracy\n") + row + "\n", "2");
  for (const char* rows : {"20,0.5\n21,0.6\n", "20,0.5\n9223372036854775807,0.6\n"})
    refused(std::string("labels,accuracy\n") + rows, "");
}

TEST(Reproduce, QueryAndTaskModelsMayDiffer) {
  std::map<std::string, double> areas;
  for (const std::string query : {"svm", "lr"})
    for (const std::string task : {"svm", "lr"}) {
      const outcome result = run({"reproduce", "lu2023-sonar", "--seeds", "0", "--json", "--query-model", query,
                                  "--task-model", task});
      ASSERT_EQ(result.code, 0) << result.err;
      const auto json = result.json();
      EXPECT_EQ(json["figures"].empty(), query + task != "svmsvm");  // published for these two alone
      const std::string protocol = json["benchmarks"][0]["protocol"];
      EXPECT_NE(protocol.find("query model " + query + ", task model " + task), std::string::npos) << protocol;
      for (const auto& one : json["runs"])
        areas[query + "-" + task + "-" + one["strategy"].get<std::string>()] = one["aubc"];
    }
  // Who queries matters to margin alone; who is measured, to all.
  for (const std::string task : {"svm", "lr"}) {
    EXPECT_NE(areas["svm-" + task + "-margin"], areas["lr-" + task + "-margin"]);
    EXPECT_EQ(areas["svm-" + task + "-random"], areas["lr-" + task + "-random"]);
    EXPECT_EQ(areas["svm-" + task + "-kcenter"], areas["lr-" + task + "-kcenter"]);
  }
  EXPECT_NE(areas["svm-svm-random"], areas["svm-lr-random"]);
  const outcome refused = run({"reproduce", "tabular-lr", "--seeds", "0", "--task-model", "lr"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("has a model of its own"), std::string::npos) << refused.err;
}

#ifndef __SANITIZE_ADDRESS__  // too slow there; its models have tests of their own
TEST(Reproduce, EveryBenchmarkRuns) {
  const outcome result = run({"reproduce", "all", "--seeds", "0", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  std::map<std::string, int> runs;
  const auto json = result.json();
  for (const auto& one : json["runs"]) ++runs[one["benchmark"]];
  const std::map<std::string, int> expected = {
      {"lu2023-sonar", 3},    {"lu2023-ionosphere", 3}, {"tabular-lr-digits", 3},
      {"tabular-lr-spam", 3}, {"tabular-lr-letter", 3}, {"tabular-lr-satellite", 3},
      {"tabular-lr-dna", 3},  {"werner2024-dna", 3},    {"fmnist-pca-lr", 5}};
  EXPECT_EQ(runs, expected);
}

TEST(Reproduce, TablesLandInTheirBands) {
  for (const char* name : {"tabular-lr-digits", "tabular-lr-spam", "tabular-lr-letter"}) {
    const outcome result = run({"reproduce", name, "--seeds", "0-4", "--json"});
    EXPECT_EQ(result.code, 0) << result.err;
    ASSERT_EQ(result.json()["figures"].size(), 1u) << name;
    EXPECT_TRUE(result.json()["figures"][0]["holds"].get<bool>()) << result.json()["figures"];
  }
}
#endif

TEST(Reproduce, SonarInAnotherOrderIsNotScored) {
  const scratch folder;
  auto lines = lines_of(contents(shipped + "sonar.csv"));
  ASSERT_EQ(lines.size(), 209u);
  std::swap(lines[1], lines[208]);
  const outcome turned = reproduce_file(folder, "lu2023-sonar", joined(lines));
  EXPECT_EQ(turned.code, 6);
  EXPECT_EQ(turned.out, "");
  EXPECT_NE(turned.err.find("has the rows of sonar in another order"), std::string::npos) << turned.err;
  lines[1][0] = '7';
  const outcome changed = reproduce_file(folder, "lu2023-sonar", joined(lines));
  EXPECT_EQ(changed.code, 6);
  EXPECT_NE(changed.err.find("is not sonar as it was published"), std::string::npos) << changed.err;
}

TEST(Reproduce, ASeedWhoseLabelsMissAClassIsLeftOutAloud) {
  const scratch folder;
  auto lines = lines_of(made_up(100));
  for (std::size_t i = 1; i < lines.size(); ++i) lines[i] = std::to_string(i) + (i <= 4 ? ",rare" : ",common");
  const outcome some = reproduce_file(folder, "lu2023", joined(lines));
  EXPECT_EQ(some.code, 0) << some.err;
  EXPECT_NE(some.err.find("left out: the initial labels of seed"), std::string::npos) << some.err;
  EXPECT_NE(some.err.find("miss class rare"), std::string::npos) << some.err;
  for (std::size_t i = 1; i < lines.size(); ++i) lines[i] = std::to_string(i) + ",common";
  const outcome one = reproduce_file(folder, "lu2023", joined(lines));
  EXPECT_EQ(one.code, 6);
  EXPECT_EQ(one.out, "");
  EXPECT_NE(one.err.find("1 classes; the protocol is for two"), std::string::npos) << one.err;
}

TEST(Reproduce, AConstantColumnIsSaid) {
  const scratch folder;
  const outcome said = reproduce_file(folder, "lu2023", made_up(60, true));
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_NE(said.err.find("column 2 of"), std::string::npos) << said.err;
  EXPECT_NE(said.err.find("is constant"), std::string::npos) << said.err;
  std::string all = "a,class\n";
  for (int i = 0; i < 60; ++i) all += i % 2 ? "3,x\n" : "3,y\n";
  const outcome refused = reproduce_file(folder, "lu2023", all);
  EXPECT_EQ(refused.code, 6);
  EXPECT_EQ(refused.out, "");
  EXPECT_NE(refused.err.find("every column of"), std::string::npos) << refused.err;
}

TEST(Reproduce, AFamilyRunsTogether) {
  EXPECT_EQ(run({"reproduce", "tabular-lr", "--seeds", "0", "--dry-run"}).code, 0);
  const outcome dry = run({"reproduce", "tabular-lr", "--seeds", "0", "--dry-run"});
  for (const char* set : {"digits", "spam", "letter", "satellite", "dna"})
    EXPECT_NE(dry.err.find(std::string("tabular-lr-") + set), std::string::npos) << dry.err;
  EXPECT_EQ(run({"reproduce", "tabular-lr", "--data", "x.csv"}).code, 2);
  const outcome unknown = run({"reproduce", "tabular-lr-digit"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_NE(unknown.err.find("did you mean \"tabular-lr-digits\""), std::string::npos) << unknown.err;
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
