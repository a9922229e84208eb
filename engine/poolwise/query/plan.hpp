// What a query will take, before it runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {

struct plan_step {
  std::string name;
  std::uint64_t bytes = 0;  ///< allocated while the step runs, beside the inputs
  index_t sweeps = 0;       ///< passes over the step's rows
  double seconds = 0;
};

/// What a process takes before it holds any of a query: code, thread stacks, the libraries' own buffers. A
/// ceiling is for what comes on top.
inline constexpr std::uint64_t process_bytes = std::uint64_t{64} << 20;

struct query_plan {
  std::uint64_t input_bytes = 0;  ///< of the arrays; a mapped file counts against the page cache, not the run
  std::uint64_t bytes = 0;        ///< an upper bound on what the process takes beside the inputs
  index_t sweeps = 0;
  double seconds = 0;  ///< drawn on from runs of the stages on few rows
  double least_seconds = 0, most_seconds = 0;
  std::vector<plan_step> steps;
};

/// The memory a query needs beside its inputs, and its passes over the pool. Computes nothing of it.
query_plan plan_memory(const where& on, const query& asked);

/// plan_memory with times: runs each stage on few rows and on more of them, for about a second at most, and
/// draws on from there. Throws what `run` throws for such a query, except for
/// what only a full look at the data shows.
query_plan plan(const where& on, const query& asked);

}  // namespace poolwise
