// A published experiment: what runs, and what must come out. A new one is a file in benchmarks/ (data, split,
// model, strategies, the published figures with their source) and a line in its list.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "poolwise/core/where.hpp"
#include "poolwise/metrics/metrics.hpp"
#include "poolwise/reproduce/lu2023.hpp"

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
  index_t quick_seeds = 10, full_seeds = 100;
  double target = 0.8;             ///< accuracy that label efficiency is told at
  std::vector<std::string> notes;  ///< what is odd about the data
  /// Why a seed is left out; none: it is not.
  std::function<std::optional<std::string>(std::uint64_t seed)> skips = [](std::uint64_t) {
    return std::nullopt;
  };
  /// One run on one thread. Called side by side.
  std::function<learning_curve(const std::string& strategy, std::uint64_t seed)> run;
  /// What the runs say about the published figures; those that need other seeds are left out.
  std::function<std::vector<figure>(const benchmark_runs&)> figures = [](const benchmark_runs&) {
    return std::vector<figure>{};
  };
};

/// Runs strategies x seeds, `threads` at a time; the same runs for any number. Each finished run is written to
/// `folder`/STRATEGY-seed-SEED.csv, labels and accuracy, and read back where it stands there already; an empty
/// `folder` keeps nothing. `progress` gets the share that is done, one call at a time. throws value_error where
/// `folder` holds the runs of another protocol, or all seeds are left out; what a run threw.
benchmark_runs run_benchmark(cpu on, const benchmark& what, std::span<const std::uint64_t> seeds,
                             const std::filesystem::path& folder = {},
                             const std::function<void(double share)>& progress = {});

/// What a user may choose.
struct benchmark_settings {
  std::filesystem::path data;  ///< empty: the data that come with Poolwise or its packages
  lu2023_models models;
};

struct benchmark_entry {
  const char* name;
  const char* summary;
  const char* source;
  bool in_all;        ///< runs under `all`: needs nothing of the user
  bool takes_models;  ///< heeds benchmark_settings::models
  benchmark (*make)(const benchmark_entry& entry, const benchmark_settings& settings);
};
std::span<const benchmark_entry> benchmark_entries();

/// throws value_error that names the nearest known word for an unknown one.
const benchmark_entry& find_benchmark(const std::string& name);

}  // namespace poolwise
