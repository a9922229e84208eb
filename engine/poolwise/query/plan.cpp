#include "poolwise/query/plan.hpp"

#include <algorithm>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/query/detail/stage_times.hpp"
#include "poolwise/query/select.hpp"

namespace poolwise {
namespace {

constexpr std::uint64_t thread_bytes = std::uint64_t{1} << 20;

// What the threads hold of rows that they compare with the labelled ones; see `nearest`.
std::uint64_t nearest_bytes() { return std::uint64_t(threads_of(cpu{})) * (std::uint64_t{9} << 20); }

std::uint64_t bytes_of(const real_matrix& x) {
  return std::visit([](auto m) { return std::uint64_t(m.rows * m.cols) * sizeof(*m.data); }, x);
}

std::uint64_t bytes_of(const pool_inputs& pool) {
  std::uint64_t total = 0;
  if (pool.model) total += bytes_of(*pool.model);
  if (pool.label_outputs) total += bytes_of(*pool.label_outputs);
  if (pool.committee)
    for (index_t m = 0; m < pool.committee->members(); ++m) total += bytes_of(pool.committee->member(m));
  if (pool.embeddings) total += bytes_of(*pool.embeddings);
  if (pool.predictions)
    for (index_t m = 0; m < pool.predictions->members; ++m) total += bytes_of(pool.predictions->member(m));
  if (pool.targets)
    for (const real_matrix& member : pool.targets->each()) total += bytes_of(member);
  return total + std::uint64_t(pool.labels.size) * sizeof(float);
}

// Picks, twice while they grow, with their reasons and scores.
std::uint64_t batch_bytes(index_t picks) { return std::uint64_t(picks) * 3 * sizeof(pick); }

index_t expected_picks(const query& asked) {
  return std::clamp<index_t>(asked.limit().picks, 0, std::max<index_t>(0, asked.available()));
}

/// How many rows each stage of a query is given.
std::vector<index_t> rows_of_stages(const query& asked, index_t picks) {
  std::vector<index_t> rows = {asked.pool().rows};
  // Rows that meet the floors are kept beside the best ones.
  const index_t more = asked.spec().floor.empty() ? 0 : picks + index_t(asked.spec().floor.size());
  for (const stage& s : asked.what().stages)
    rows.push_back(std::min(rows.back(), s.keep.count(picks, rows.back()) + more));
  rows.pop_back();
  return rows;
}

strategy_size size_of(const where& on, const query& asked, const stage& s, index_t rows, index_t picks) {
  strategy_size size;
  const pool_inputs& pool = asked.pool();
  const parts needed = s.needs();
  size.given = &s.given;
  size.rows = std::uint64_t(rows);
  size.picks = std::uint64_t(picks);
  if (s.entry->does.has(trait::counts_labelled)) size.labelled = std::uint64_t(pool.labelled.size());
  if (needed.has(part::embeddings)) size.features = std::uint64_t(pool.embeddings->cols);
  if (needed.has(part::queries)) size.beside += std::uint64_t(pool.queries->rows);
  if (needed.has(part::private_rows)) size.beside += std::uint64_t(pool.private_rows->rows);
  if (needed.has(part::outputs)) size.classes = std::uint64_t(cols_of(*pool.model));
  if (needed.has(part::label_outputs)) size.classes = std::uint64_t(cols_of(*pool.label_outputs));
  if (needed.has(part::committee)) {
    size.members = std::uint64_t(pool.committee->members());
    size.classes = std::uint64_t(pool.committee->cols());
  }
  if (needed.has(part::predictions)) {
    size.members = std::uint64_t(pool.predictions->members);
    size.outputs = std::uint64_t(pool.predictions->cols);
  }
  if (needed.has(part::targets)) size.targets = std::uint64_t(pool.targets->rows());
  size.neighbours =
      resolved(asked.spec().neighbours, on, index_t(size.rows + size.labelled), index_t(size.features));
  return size;
}

/// What the stage allocates, and the scores that it is made of.
std::uint64_t strategy_bytes(const where& on, const query& asked, const stage& s, index_t rows, index_t picks) {
  std::uint64_t bytes = 0;
  for (const stage* at = &s; at != nullptr; at = at->inner.get())
    if (at->entry->bytes != nullptr) bytes += at->entry->bytes(size_of(on, asked, *at, rows, picks));
  return bytes;
}

// The masks of rows that are invalid or barred, and the scores that judge or rank them.
plan_step rank_step(const where& on, const query& asked, index_t picks) {
  const auto rows = std::uint64_t(asked.pool().rows);
  const stage& first = asked.what().first();
  plan_step step{"rank", rows * (1 + 1 + 4 + 4), 0, 0};
  if (asked.by_cosine()) step.bytes += bytes_of(*asked.pool().embeddings);
  if (asked.spec().budget || !asked.spec().budgets.empty())
    step.bytes += rows * sizeof(std::int64_t);  // how many picks they buy
  if (!asked.spec().floor.empty()) step.bytes += rows * (sizeof(float) + 2);
  if (first.entry->scores() || asked.needs(part::outputs) || asked.needs(part::label_outputs)) step.sweeps = 1;
  if (asked.needs(part::committee)) {
    // A thread has three rows of accumulators for 16 rows at a time, with blocks of members in fp64 beside
    // them.
    const auto cols = std::uint64_t(asked.pool().committee->cols());
    const auto members = std::uint64_t(asked.pool().committee->members());
    const std::uint64_t accumulators = members > 64 ? 9 : 3;
    step.bytes += accumulators * 64 * cols * std::uint64_t(threads_of(cpu{}));
    // Members that lie apart are added up, or brought together, some rows at a time.
    if (!asked.pool().committee->cube())
      step.bytes += (members + accumulators) * 4 * std::max(std::uint64_t{1} << 22, 1024 * cols);
  }
  if (first.entry->scores()) {
    step.bytes += strategy_bytes(on, asked, first, asked.pool().rows, picks);
    const strategy_size size = size_of(on, asked, first, asked.pool().rows, picks);
    step.bytes += size.labelled * (size.features + 1) * sizeof(float);
    const auto kept = std::uint64_t(first.keep.count(picks, asked.pool().rows));
    step.bytes += 4 * std::min(rows, 2 * kept + 64) * sizeof(candidate);
  }
  return step;
}

plan_step top_step(const query& asked, index_t picks) {
  const auto rows = std::uint64_t(asked.pool().rows);
  plan_step step{"take the best", batch_bytes(picks), 1, 0};
  // In the worst case rows are passed over up to the last.
  const auto walked = asked.limit().chooses() || asked.spec().apart ? rows : 2 * std::uint64_t(picks) + 64;
  step.bytes += 4 * std::min(rows, walked) * sizeof(candidate);
  // Which rows may be bought, and in each of some batches that are compared.
  if (asked.limit().priced() || !asked.limit().group.empty())
    step.bytes += rows * 2 + 256 * std::uint64_t(picks);
  if (!asked.spec().floor.empty()) step.bytes += rows * 2;
  return step;
}

// Passes over the rows that the picks of a batch share: at most so many, on bench/kernels/diverse.cpp's data.
index_t expected_sweeps(index_t picks) { return std::min(picks, 4 + picks / 500); }

/// A stage behind the first, or a first one that picks. `gathered`: whether its rows are copies.
plan_step stage_step(const where& on, const query& asked, const stage& s, bool gathered, index_t rows,
                     index_t picks) {
  const strategy_size size = size_of(on, asked, s, rows, picks);
  plan_step step{s.text, batch_bytes(picks) + strategy_bytes(on, asked, s, rows, picks),
                 s.entry->scores() ? 1 : expected_sweeps(picks), 0};
  // The picks of a sweep are copied for it, and once more as words or bytes; none is longer than a chain of
  // 16384.
  step.bytes += std::min<std::uint64_t>(size.picks, 16384) * size.features * (4 + 2);
  // What each row would add to the picks, by which they are held against the best batch.
  if (s.entry->does.has(trait::leaves_gains) && (asked.limit().priced() || !asked.spec().floor.empty()))
    step.bytes += size.rows * (2 * sizeof(float) + 4 * sizeof(candidate));
  if (gathered) {
    const std::uint64_t outputs = (size.classes + size.outputs) * std::max<std::uint64_t>(1, size.members);
    step.bytes += size.rows * (4 * (size.features + outputs) + 8 + 8 + 8 + 4 + 4 * sizeof(candidate));
  }
  if (s.entry->does.has(trait::counts_labelled) && !asked.pool().labelled.empty()) {
    step.bytes += size.labelled * (size.features + 1) * sizeof(float) + nearest_bytes();
    step.sweeps += 1;
  }
  return step;
}

// 4 B a row: how many picks it has met. Then copies of the picks and of the labelled rows.
std::uint64_t apart_bytes(const query& asked, index_t picks) {
  if (!asked.spec().apart) return 0;
  const pool_inputs& pool = asked.pool();
  const auto places = std::uint64_t(picks) * 2 + pool.labelled.size();
  return std::uint64_t(pool.rows) * 4 + places * std::uint64_t(pool.embeddings->cols) * sizeof(float);
}

}  // namespace

query_plan plan_memory(const where& on, const query& asked) {
  const index_t picks = expected_picks(asked);
  const std::vector<stage>& stages = asked.what().stages;
  const std::vector<index_t> rows = rows_of_stages(asked, picks);
  query_plan result;
  result.input_bytes = bytes_of(asked.pool());
  result.steps.push_back(rank_step(on, asked, picks));
  if (asked.what().score() != nullptr) result.steps.push_back(top_step(asked, picks));
  const bool ranked = stages.front().entry->scores();
  for (std::size_t s = ranked ? 1 : 0; s < stages.size(); ++s) {
    const index_t picked = s + 1 == stages.size() ? picks : stages[s].keep.count(picks, rows[s]);
    result.steps.push_back(stage_step(on, asked, stages[s], s > 0, rows[s], picked));
  }
  result.steps.back().bytes += apart_bytes(asked, picks);
  result.bytes = process_bytes + thread_bytes * std::uint64_t(threads_of(cpu{}));
  for (const plan_step& step : result.steps) {
    result.bytes += step.bytes;
    result.sweeps += step.sweeps;
  }
  return result;
}

query_plan plan(const where& on, const query& asked) {
  query_plan result = plan_memory(on, asked);
  const index_t picks = expected_picks(asked);
  const std::vector<index_t> rows = rows_of_stages(asked, picks);
  query_spec spec = asked.spec();
  // Few rows are to find their neighbours as all of them will.
  for (std::size_t s = 0; s < rows.size(); ++s)
    if (asked.what().stages[s].entry->does.has(trait::lists_neighbours))
      spec.neighbours = size_of(on, asked, asked.what().stages[s], rows[s], picks).neighbours;
  const auto times = stage_times(on, prepare(spec, asked.pool(), asked.words()), rows);
  if (times.empty()) run(on, asked);  // says why no row can be picked
  for (std::size_t s = 0; s < times.size(); ++s) {
    // The first step judges the rows; a stage that ranks first is the same step.
    result.steps[s + (asked.what().first().entry->scores() ? 0 : 1)].seconds = times[s].seconds;
    result.seconds += times[s].seconds;
    result.least_seconds += times[s].least;
    result.most_seconds += times[s].most;
  }
  return result;
}

}  // namespace poolwise
