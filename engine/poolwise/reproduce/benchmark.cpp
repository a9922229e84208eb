#include "poolwise/reproduce/benchmark.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <mutex>

#include "poolwise/core/error.hpp"
#include "poolwise/core/parallel.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/files/read_file.hpp"
#include "poolwise/files/shared_file.hpp"
#include "poolwise/files/table.hpp"
#include "poolwise/query/strategy.hpp"
#include "poolwise/reproduce/detail/benchmarks.hpp"

namespace poolwise {
namespace {

std::string shortest(double value) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

std::filesystem::path csv_of(const std::filesystem::path& folder, std::string strategy, std::uint64_t seed) {
  std::replace(strategy.begin(), strategy.end(), '/', '-');
  return folder / (strategy + "-seed-" + std::to_string(seed) + ".csv");
}

void write_curve(const std::filesystem::path& file, const learning_curve& curve) {
  std::string text = "labels,accuracy\n";
  for (std::size_t r = 0; r < curve.labels.size(); ++r)
    text += std::to_string(curve.labels[r]) + "," + shortest(curve.accuracy[r]) + "\n";
  write_text(file, text);
}

// read_table takes the last column for classes, whose names are the accuracies as they were written.
std::optional<learning_curve> read_curve(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return std::nullopt;
  const labelled_table table = read_table(file);
  learning_curve curve;
  for (index_t r = 0; r < table.rows; ++r) {
    curve.labels.push_back(index_t(table.view()(r, 0)));
    const std::string& text = table.class_names[std::size_t(table.labels[std::size_t(r)])];
    double accuracy = -1;
    std::from_chars(text.data(), text.data() + text.size(), accuracy);
    if (!(accuracy >= 0 && accuracy <= 1))
      throw format_error("run_benchmark: " + printable(file.string()) + " has an accuracy of " +
                         printable(text, 80) + "; delete the file to run it again");
    curve.accuracy.push_back(accuracy);
  }
  aubc(curve);  // refuses labels that do not rise
  return curve;
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

}  // namespace

bool figure::holds() const {
  switch (kind) {
    case agreement::within:
      return std::abs(value - published) <= tolerance;
    case agreement::at_least:
      return value >= published - tolerance;
    case agreement::at_most:
      return value <= published + tolerance;
  }
  return false;
}

benchmark_runs run_benchmark(cpu on, const benchmark& what, std::span<const std::uint64_t> seeds,
                             const std::filesystem::path& folder, const std::function<void(double)>& progress) {
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
  const index_t count = index_t(runs.seeds.size()), tasks = index_t(what.strategies.size()) * count;
  runs.curves.assign(what.strategies.size(), std::vector<learning_curve>(std::size_t(count)));
  std::mutex reporting;
  index_t finished = 0;
  parallel_blocks(on, tasks, 1, [&](index_t task, index_t, index_t) {
    const std::string& strategy = what.strategies[std::size_t(task / count)];
    const std::uint64_t seed = runs.seeds[std::size_t(task % count)];
    learning_curve& curve = runs.curves[std::size_t(task / count)][std::size_t(task % count)];
    const auto file = csv_of(folder, strategy, seed);
    if (auto kept = folder.empty() ? std::nullopt : read_curve(file)) {
      curve = std::move(*kept);
    } else {
      curve = what.run(strategy, seed);
      if (!folder.empty()) write_curve(file, curve);
    }
    const std::lock_guard lock(reporting);
    ++finished;
    if (progress) progress(double(finished) / double(tasks));
  });
  return runs;
}

labelled_table published_table(const benchmark_settings& settings, const std::string& set,
                               const std::string& file, const table_fingerprint& expected) {
  const auto place = settings.data.empty()
                         ? find_shared_file("reproduce", command_folder(), "data/" + file,
                                            "install Poolwise with its data, or pass --data FILE")
                         : settings.data;
  labelled_table data = read_table(place);
  const table_fingerprint print = fingerprint(data);
  if (print.ordered == expected.ordered) return data;
  throw value_error(
      "reproduce: " + printable(place.string()) +
      (print.rows == expected.rows
           ? " has the rows of " + set + " in another order, which other splits come of"
           : " is not " + set + " as it was published: a value, a row or a class differs") +
      "; nothing is scored against it. Use the file that comes with Poolwise, or `lu2023 --data`");
}

const std::vector<learning_curve>& curves_of(const benchmark& what, const benchmark_runs& runs,
                                             const std::string& strategy) {
  const auto found = std::find(what.strategies.begin(), what.strategies.end(), strategy);
  return runs.curves.at(std::size_t(found - what.strategies.begin()));
}

std::vector<double> measured(const std::vector<learning_curve>& curves,
                             double (*measure)(const learning_curve&)) {
  std::vector<double> values;
  for (const learning_curve& curve : curves) values.push_back(measure(curve));
  return values;
}

double mean_difference(const benchmark& what, const benchmark_runs& runs, const std::string& strategy,
                       const std::string& from) {
  return mean(measured(curves_of(what, runs, strategy), aubc)) -
         mean(measured(curves_of(what, runs, from), aubc));
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
