// A published experiment as a page: curves, verdicts, and the statistics the field reports.
#pragma once

#include "poolwise/report/report.hpp"
#include "poolwise/reproduce/benchmark.hpp"

namespace poolwise {

/// "agrees" or "MISSED", and what ours had to be: "0.78400 within 0.01".
std::string verdict(const figure& f);
std::string expectation(const figure& f);

/// The report without its environment. The number of seeds stands in every table's caption.
experiment_report report_benchmark(const benchmark& what, const benchmark_runs& runs,
                                   std::span<const figure> figures);

}  // namespace poolwise
