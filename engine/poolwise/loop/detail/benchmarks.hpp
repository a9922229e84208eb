// The published experiments, and what their files share. Not part of the public interface.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "poolwise/loop/benchmark.hpp"

namespace poolwise {

std::span<const benchmark_entry> lu2023_benchmarks();

/// The curves of one of the benchmark's strategies.
const std::vector<learning_curve>& curves_of(const benchmark& what, const benchmark_runs& runs,
                                             const std::string& strategy);

std::vector<double> measured(const std::vector<learning_curve>& curves,
                             double (*measure)(const learning_curve&));

/// p of the two-sided paired t test where a is above b on average, else 1.
double p_of_winning(std::span<const double> a, std::span<const double> b);

}  // namespace poolwise
