// The published experiments, and what their files share. Not part of the public interface.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "poolwise/files/table.hpp"
#include "poolwise/reproduce/benchmark.hpp"

namespace poolwise {

std::span<const benchmark_entry> fmnist_benchmarks();
std::span<const benchmark_entry> lu2023_benchmarks();
std::span<const benchmark_entry> tabular_benchmarks();
std::span<const benchmark_entry> werner2024_benchmarks();

/// The table data/`file` that comes with Poolwise, or the one that the user names for it. throws value_error
/// unless it is, to the value and in the order of its rows, the `set` that was published.
labelled_table published_table(const benchmark_settings& settings, const std::string& set,
                               const std::string& file, const table_fingerprint& print);

/// The curves of one of the benchmark's strategies.
const std::vector<learning_curve>& curves_of(const benchmark& what, const benchmark_runs& runs,
                                             const std::string& strategy);

std::vector<double> measured(const std::vector<learning_curve>& curves,
                             double (*measure)(const learning_curve&));

/// Mean over the seeds of a strategy's AUBC less that of another.
double mean_difference(const benchmark& what, const benchmark_runs& runs, const std::string& strategy,
                       const std::string& from);

/// p of the two-sided paired t test where a is above b on average, else 1.
double p_of_winning(std::span<const double> a, std::span<const double> b);

}  // namespace poolwise
