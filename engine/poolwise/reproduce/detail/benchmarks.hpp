// The published experiments, and helpers that their files share.
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

/// The table that comes with Poolwise, or the one that the user names for it. throws value_error unless it is,
/// to the value and in the order of its rows, the one of that name that was published.
labelled_table published_table(const benchmark_settings& settings, const std::string& name);

/// The curves of one of the benchmark's strategies.
const std::vector<learning_curve>& curves_of(const benchmark& what, const benchmark_runs& runs,
                                             const std::string& strategy);

/// Mean over the seeds of a strategy's AUBC less that of the baseline.
double minus_baseline(const benchmark& what, const benchmark_runs& runs, const std::string& strategy);

/// p of the two-sided paired t test where the mean of a is above that of b, else 1.
double p_of_winning(std::span<const double> a, std::span<const double> b);

}  // namespace poolwise
