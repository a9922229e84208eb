// A published experiment: its runs, and the figures that they must give. A new one is a file in benchmarks/
// (data, split, model, strategies, the published figures with their source), declared in detail/benchmarks.hpp
// and listed in benchmark_entries(); new data get a line in published_table.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "poolwise/core/where.hpp"
#include "poolwise/loop/experiment.hpp"
#include "poolwise/metrics/metrics.hpp"

namespace poolwise {

enum class agreement { within, at_least, at_most };

/// A figure of ours beside the published one.
struct figure {
  std::string name;
  double value = 0, published = 0, tolerance = 0;
  agreement kind = agreement::within;
  std::string source;

  bool holds() const;  ///< |value - published| <= tolerance, or no farther than that on the wrong side
};

struct benchmark_runs {
  std::vector<std::uint64_t> seeds;                 ///< those that ran
  std::vector<std::string> skipped;                 ///< why each of the others did not
  std::vector<std::vector<learning_curve>> curves;  ///< [strategy][seed]
};

struct benchmark {
  std::string name, title, protocol;
  std::vector<std::string> strategies;  ///< as parse_strategy reads them; the first is the one it is about
  std::string baseline = "random";      ///< the strategy that the others are compared with; it may be missing
  index_t quick_seeds = 10, full_seeds = 100;
  double target = 0.8;             ///< accuracy at which label efficiency is measured
  std::vector<std::string> notes;  ///< oddities of the data
  /// Why a seed is left out; none: it is not.
  std::function<std::optional<std::string>(std::uint64_t seed)> skips = [](std::uint64_t) {
    return std::nullopt;
  };
  /// One run on one thread. Called side by side.
  std::function<learning_curve(const std::string& strategy, std::uint64_t seed)> run;
  /// The published figures beside ours; those that need other seeds are left out.
  std::function<std::vector<figure>(const benchmark_runs&)> figures = [](const benchmark_runs&) {
    return std::vector<figure>{};
  };
};

/// Runs strategies x seeds: the same runs for any number of threads. Each finished run is written to
/// `folder`/STRATEGY-seed-SEED.csv, labels and accuracy, and read back where it stands there already; an empty
/// `folder` keeps nothing. `progress` is called after each run. throws value_error where `folder` holds the
/// runs of another protocol, or all seeds are left out; format_error for a curve there that is damaged or of
/// other rounds than the others; what a run threw.
benchmark_runs run_benchmark(cpu on, const benchmark& what, std::span<const std::uint64_t> seeds,
                             const std::filesystem::path& folder = {}, const progress_function& progress = {});

/// The user's choices.
struct benchmark_settings {
  std::filesystem::path data;  ///< empty: the data that come with Poolwise or its packages
  std::string query_model = "svm", task_model = "svm";  ///< of lu2023, as make_binary_classifier names them
};

struct benchmark_entry {
  const char* name;
  const char* summary;
  const char* source;
  bool in_all;        ///< runs under `all`: needs nothing of the user
  bool takes_models;  ///< heeds query_model and task_model
  benchmark (*make)(const benchmark_entry& entry, const benchmark_settings& settings);
};
std::span<const benchmark_entry> benchmark_entries();

/// throws value_error that names the nearest known word for an unknown one.
const benchmark_entry& find_benchmark(const std::string& name);

}  // namespace poolwise
