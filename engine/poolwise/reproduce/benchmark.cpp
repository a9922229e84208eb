#include "poolwise/reproduce/benchmark.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/files/read_file.hpp"
#include "poolwise/reproduce/detail/benchmarks.hpp"
#include "poolwise/reproduce/detail/curve_file.hpp"

namespace poolwise {
namespace {

std::filesystem::path csv_of(const std::filesystem::path& folder, std::string strategy, std::uint64_t seed) {
  std::replace(strategy.begin(), strategy.end(), '/', '-');
  return folder / (strategy + "-seed-" + std::to_string(seed) + ".csv");
}

/// Runs of another protocol must not be read back as runs of this one.
void claim(const std::filesystem::path& folder, const benchmark& what) {
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem)
    throw io_error("run_benchmark: cannot make the folder " + printable(folder.string()) + ": " +
                   problem.message() + "; choose another");
  const auto file = folder / "protocol.txt";
  const std::string text = what.name + ": " + what.protocol + "\n";
  if (!std::filesystem::exists(file)) return write_text(file, text);
  if (read_file("run_benchmark", file) != text)
    throw value_error(
        "run_benchmark: " + printable(folder.string()) +
        " holds runs of another protocol, which its protocol.txt tells; choose another folder or delete "
        "that one");
}

/// The labels of most curves; of two that are equally many, the longer.
std::vector<index_t> usual_labels(const benchmark_runs& runs) {
  std::map<std::vector<index_t>, index_t> count;
  for (const auto& curves : runs.curves)
    for (const learning_curve& curve : curves) ++count[curve.labels];
  const auto usual = std::max_element(count.begin(), count.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second, a.first.size()) < std::pair(b.second, b.first.size());
  });
  return usual->first;
}

/// A file that was cut short is a curve still, but of other rounds than all the others.
void require_usual_labels(const learning_curve& curve, const std::vector<index_t>& usual,
                          const std::filesystem::path& file) {
  if (curve.labels == usual) return;
  throw format_error("run_benchmark: " + printable(file.string()) + " holds " +
                     std::to_string(curve.labels.size()) + " rounds, to " +
                     std::to_string(curve.labels.back()) + " labels, but other runs hold " +
                     std::to_string(usual.size()) + ", to " + std::to_string(usual.back()) +
                     "; delete the file to run it again");
}

}  // namespace

bool figure::holds() const {
  if (kind == agreement::at_least) return value >= published - tolerance;
  if (kind == agreement::at_most) return value <= published + tolerance;
  return std::abs(value - published) <= tolerance;
}

benchmark_runs run_benchmark(cpu on, const benchmark& what, std::span<const std::uint64_t> seeds,
                             const std::filesystem::path& folder, const progress_function& progress) {
  benchmark_runs runs;
  for (const std::uint64_t seed : seeds) {
    if (const auto reason = what.skips(seed))
      runs.skipped.push_back(*reason);
    else
      runs.seeds.push_back(seed);
  }
  if (runs.seeds.empty())
    throw value_error("run_benchmark: " + what.name + " leaves out every seed" +
                      (runs.skipped.empty() ? "" : " (" + runs.skipped[0] + ")") + "; pass others");
  if (!folder.empty()) claim(folder, what);
  std::vector<std::uint8_t> read_back(what.strategies.size() * runs.seeds.size());
  runs.curves.assign(what.strategies.size(), std::vector<learning_curve>(runs.seeds.size()));
  run_grid(
      on, what.strategies.size(), runs.seeds.size(), 1,
      [&](std::size_t s, std::size_t k, const std::function<void()>& step) {
        const auto file = csv_of(folder, what.strategies[s], runs.seeds[k]);
        auto kept = folder.empty() ? std::nullopt : read_curve(file);
        read_back[s * runs.seeds.size() + k] = kept.has_value();
        runs.curves[s][k] = kept ? std::move(*kept) : what.run(what.strategies[s], runs.seeds[k]);
        if (!folder.empty() && read_back[s * runs.seeds.size() + k] == 0) write_curve(file, runs.curves[s][k]);
        step();
      },
      progress);
  const std::vector<index_t> usual = usual_labels(runs);
  for (std::size_t s = 0; s < what.strategies.size(); ++s)
    for (std::size_t k = 0; k < runs.seeds.size(); ++k)
      if (read_back[s * runs.seeds.size() + k] != 0)
        require_usual_labels(runs.curves[s][k], usual, csv_of(folder, what.strategies[s], runs.seeds[k]));
  return runs;
}

const std::vector<learning_curve>& curves_of(const benchmark& what, const benchmark_runs& runs,
                                             const std::string& strategy) {
  const auto found = std::find(what.strategies.begin(), what.strategies.end(), strategy);
  return runs.curves.at(std::size_t(found - what.strategies.begin()));
}

double minus_baseline(const benchmark& what, const benchmark_runs& runs, const std::string& strategy) {
  return mean(measured(curves_of(what, runs, strategy), aubc)) -
         mean(measured(curves_of(what, runs, what.baseline), aubc));
}

double p_of_winning(std::span<const double> a, std::span<const double> b) {
  const paired_test test = paired_t(a, b);
  return test.mean > 0 ? test.p : 1;
}

std::span<const benchmark_entry> benchmark_entries() {
  static const std::vector<benchmark_entry> entries = [] {
    std::vector<benchmark_entry> all;
    for (const auto list :
         {lu2023_benchmarks(), tabular_benchmarks(), werner2024_benchmarks(), fmnist_benchmarks()})
      all.insert(all.end(), list.begin(), list.end());
    return all;
  }();
  return entries;
}

const benchmark_entry& find_benchmark(const std::string& name) {
  std::vector<std::string> names;
  for (const benchmark_entry& entry : benchmark_entries()) {
    if (entry.name == name) return entry;
    names.emplace_back(entry.name);
  }
  throw usage_error("reproduce: there is no benchmark \"" + printable(name, 80) + "\"; did you mean \"" +
                    nearest_word(name, names) + "\"? `poolwise reproduce list` has them all");
}

}  // namespace poolwise
