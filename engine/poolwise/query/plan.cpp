#include "poolwise/query/plan.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/query/detail/gather.hpp"

namespace poolwise {
namespace {

constexpr std::uint64_t thread_bytes = std::uint64_t{1} << 20;

// What the threads hold of rows that they compare with the labelled ones; see `nearest`.
std::uint64_t nearest_bytes() { return std::uint64_t(threads_of(cpu{})) * (std::uint64_t{9} << 20); }

template <class T>
std::uint64_t element_bytes(T) {
  return sizeof(*T{}.data);
}

std::uint64_t bytes_of(const pool_inputs& pool) {
  std::uint64_t total = 0;
  if (pool.model)
    total += std::visit([](auto x) { return std::uint64_t(x.rows * x.cols) * element_bytes(x); }, *pool.model);
  if (pool.committee)
    total += std::visit([](auto x) { return std::uint64_t(x.members * x.rows * x.cols) * element_bytes(x); },
                        *pool.committee);
  if (pool.embeddings) total += std::uint64_t(pool.embeddings->rows * pool.embeddings->cols) * sizeof(float);
  return total;
}

std::uint64_t batch_bytes(index_t picks) { return std::uint64_t(picks) * 2 * sizeof(pick); }

plan_step rank_step(const pool_inputs& pool, const selection_request& request) {
  // The mask, the rows that are invalid, the scores and the copy that says which rows are valid.
  plan_step step{"rank", std::uint64_t(pool.rows) * (1 + 1 + 4 + 4), 0, 0};
  if (!std::holds_alternative<std::monostate>(request.what.rank_by) || request.what.needs_outputs())
    step.sweeps = 1;
  if (request.what.needs_committee())  // per thread, three rows of accumulators for 16 rows at a time
    step.bytes += 3 * 64 * std::uint64_t(std::visit([](auto c) { return c.cols; }, *pool.committee)) *
                  std::uint64_t(threads_of(cpu{}));
  return step;
}

plan_step top_step(const pool_inputs& pool, const selection_request& request, index_t picks) {
  const bool priced = !request.limit.cost.empty();
  plan_step step{"take the best", batch_bytes(picks), 1, 0};
  // A price means a second vector of scores per cost, and in the worst case a walk over every row.
  step.bytes += priced ? std::uint64_t(pool.rows) * (4 + 4 * sizeof(candidate))
                       : 4 * std::uint64_t(std::min(pool.rows, 2 * picks + 64)) * sizeof(candidate);
  return step;
}

// Passes over the rows that the picks of a batch share: at most so many, on bench/kernels/diverse.cpp's data.
index_t expected_sweeps(index_t picks) { return std::min(picks, 4 + picks / 500); }

bool keeps_some(const selection_request& request) {
  return !std::holds_alternative<std::monostate>(request.what.rank_by);
}

diversity_size size_of(const where& on, const pool_inputs& pool, const selection_request& request,
                       index_t picks) {
  const diversity& what = *request.what.diversify;
  diversity_size size;
  size.rows = std::uint64_t(keeps_some(request) ? request.what.keep.count(picks, pool.rows) : pool.rows);
  size.picks = std::uint64_t(picks);
  if (what.begins_with_labelled) size.labelled = std::uint64_t(request.labelled.size());
  if (what.needs_embeddings) size.features = std::uint64_t(pool.embeddings->cols);
  if (what.needs_outputs) size.classes = std::uint64_t(cols_of(*pool.model));
  if (what.needs_committee)
    std::visit(
        [&](auto c) {
          size.members = std::uint64_t(c.members);
          size.classes = std::uint64_t(c.cols);
        },
        *pool.committee);
  size.neighbours =
      resolved(request.neighbours, on, index_t(size.rows + size.labelled), index_t(size.features));
  return size;
}

plan_step diverse_step(const where& on, const pool_inputs& pool, const selection_request& request,
                       index_t picks) {
  const diversity& what = *request.what.diversify;
  const diversity_size size = size_of(on, pool, request, picks);
  plan_step step{request.what.name, batch_bytes(picks) + what.bytes(size), expected_sweeps(picks), 0};
  // The picks of a sweep are copied for it, as words or bytes; none is longer than a chain of 16384.
  step.bytes += std::min<std::uint64_t>(size.picks, 16384) * size.features * 2;
  if (keeps_some(request)) {
    const std::uint64_t outputs = size.classes * std::max<std::uint64_t>(1, size.members);
    step.bytes += size.rows * (4 * (size.features + outputs) + 8 + 8 + 8 + 4 + 4 * sizeof(candidate));
  }
  if (what.begins_with_labelled && !request.labelled.empty()) {
    step.bytes += std::uint64_t(request.labelled.size()) * size.features * 4 + nearest_bytes();
    step.sweeps += 1;
  }
  return step;
}

// What was compared with how many picks, the picks, and what is labelled.
std::uint64_t apart_bytes(const pool_inputs& pool, const selection_request& request, index_t picks) {
  if (!request.apart) return 0;
  const auto places = std::uint64_t(picks) * 2 + request.labelled.size();
  return std::uint64_t(pool.rows) * 4 + places * std::uint64_t(pool.embeddings->cols) * sizeof(float);
}

index_t expected_picks(const pool_inputs& pool, const selection_request& request) {
  const index_t barred = index_t(request.labelled.size() + request.excluded.size());
  return std::clamp<index_t>(request.limit.picks, 0, std::max<index_t>(0, pool.rows - barred));
}

/// Neighbouring rows of the pool, which stand for all of them.
struct row_range {
  index_t begin, end;

  index_t size() const { return end - begin; }
  bool holds(index_t row) const { return begin <= row && row < end; }
};

template <class View>
View part_of(const View& x, row_range rows) {
  return rows_between(x, rows.begin, rows.end);
}

pool_inputs part_of(const pool_inputs& pool, row_range rows) {
  pool_inputs part = pool;
  part.rows = rows.size();
  if (part.model) part.model = part_of(*pool.model, rows);
  if (part.embeddings) part.embeddings = part_of(*pool.embeddings, rows);
  return part;
}

// A committee's members lie one after the other, so some of its rows are no cube; its probe scores them as so
// many times more rows of one model.
double committee_seconds(const where& on, const pool_inputs& pool, row_range rows) {
  pool_inputs one;
  one.rows = rows.size();
  one.model = std::visit([&](auto c) { return real_matrix(part_of(c.member(0), rows)); }, *pool.committee);
  one.model_kind = pool.committee_kind;
  selection_request request;  // of no picks: what it takes to rank
  request.what = parse_strategy("entropy");
  request.invalid = on_invalid::skip;
  const auto members = std::visit([](auto c) { return c.members; }, *pool.committee);
  return select(on, one, request).rank_seconds * double(members) * 2;
}

struct probe_times {
  double rank = 0, diversify = 0;
  index_t rows = 0, picks = 0;
};

// The labelled and excluded ones among `rows`, numbered from the first of these.
std::vector<index_t> barred_among(const selection_request& request, row_range rows) {
  std::vector<index_t> barred;
  for (const auto& list : {request.labelled, request.excluded})
    for (const index_t row : list)
      if (rows.holds(row)) barred.push_back(row - rows.begin);
  return barred;
}

// Nothing where none of the rows can be picked.
std::optional<probe_times> probe(const where& on, const pool_inputs& pool, const selection_request& request,
                                 row_range rows) {
  selection_request small = request;
  const std::vector<index_t> barred = barred_among(request, rows);
  small.labelled = {};
  small.excluded = barred;
  small.run = nullptr;
  small.invalid = on_invalid::skip;
  const bool priced = request.limit.budget != std::numeric_limits<std::int64_t>::max();
  small.limit.cost = priced ? part_of(request.limit.cost, rows) : vector_view<const std::int64_t>{};
  small.limit.group = part_of(request.limit.group, rows);
  // Limits that are there and rule out no row: what they buy may lie beyond these rows.
  const std::vector<index_t> ample(std::size_t(request.limit.quota.size), rows.size());
  small.limit.quota = {ample.data(), index_t(ample.size())};
  small.limit.budget = std::numeric_limits<std::int64_t>::max() - 1;  // buys as many rows as are valid
  small.limit.picks = std::min<index_t>(request.limit.picks, 64);
  probe_times times;
  times.rows = rows.size();
  pool_inputs part = part_of(pool, rows);
  gathered_outputs copies;
  if (std::holds_alternative<disagreement>(request.what.rank_by)) {
    times.rank = committee_seconds(on, pool, rows);
    small.what.rank_by = random_score{};
  }
  part.committee.reset();
  if (small.what.needs_committee()) {
    std::vector<index_t> all(static_cast<std::size_t>(rows.size()));
    std::iota(all.begin(), all.end(), rows.begin);
    part.committee = copies.rows_of(cpu{}, *pool.committee, all);
  }
  try {
    const batch result = select(on, part, small);
    times.rank += result.rank_seconds;
    times.diversify = result.diversify_seconds;
    times.picks = std::max<index_t>(1, index_t(result.picks.size()));
    return times;
  } catch (const budget_error&) {
    return std::nullopt;
  }
}

// Rows that say little of what grows faster than they do had better be many, as far as a second allows.
index_t first_probe(const pool_inputs& pool, const selection_request& request) {
  if (request.what.diversify == nullptr || !request.what.diversify->compares_all_pairs) return 4096;
  return std::clamp<index_t>(index_t(std::sqrt(2e10 / double(std::max<index_t>(1, pool.embeddings->cols)))),
                             4096, 16'384);
}

// A larger probe measures better; it stops growing once it has taken a tenth of a second. Rows of which none
// can be picked measure nothing: it goes on to those behind them.
probe_times probe(const where& on, const pool_inputs& pool, const selection_request& request) {
  std::optional<probe_times> last;
  const auto from = [&](index_t begin, index_t size) {
    return row_range{begin, std::min(pool.rows, begin + size)};
  };
  const index_t first = first_probe(pool, request);
  for (row_range rows = from(0, first); rows.size() > 0;) {
    const auto times = probe(on, pool, request, rows);
    if (times) last = times;
    if (last && (last->rank + last->diversify > 0.1 || rows.end == pool.rows)) break;
    rows = last ? from(rows.begin, 4 * rows.size()) : from(rows.end, rows.size());
  }
  if (!last) select(on, pool, request);  // says why no row can be picked
  return last.value_or(probe_times{0, 0, pool.rows, 1});
}

bool approximates(const diversity* what, knn_method neighbours) {
  return what != nullptr && what->lists_neighbours && neighbours != knn_method::exact;
}

// How the time of the second step grows when its rows become `scale` times as many.
double growth(const diversity* what, knn_method neighbours, double scale) {
  // What grows with rows^1.5 in an inverted file, and with their logarithm in a walk, is little of a probe.
  if (approximates(what, neighbours)) return std::pow(scale, 1.2);
  return what != nullptr && what->compares_all_pairs ? scale * scale : scale;
}

}  // namespace

query_plan plan_memory(const where& on, const pool_inputs& pool, const selection_request& request) {
  check_request(pool, request);
  const index_t picks = expected_picks(pool, request);
  query_plan result;
  result.input_bytes = bytes_of(pool);
  result.steps.push_back(rank_step(pool, request));
  result.steps.push_back(request.what.diversify == nullptr ? top_step(pool, request, picks)
                                                           : diverse_step(on, pool, request, picks));
  result.steps.back().bytes += apart_bytes(pool, request, picks);
  result.bytes = process_bytes + thread_bytes * std::uint64_t(threads_of(cpu{}));
  for (const plan_step& step : result.steps) {
    result.bytes += step.bytes;
    result.sweeps += step.sweeps;
  }
  return result;
}

query_plan plan(const where& on, const pool_inputs& pool, const selection_request& asked) {
  query_plan result = plan_memory(on, pool, asked);
  selection_request request = asked;
  const diversity* const diverse = request.what.diversify;
  const index_t picks = expected_picks(pool, request);
  // The probe is to find neighbours as the whole pool will.
  if (diverse && diverse->lists_neighbours) request.neighbours = size_of(on, pool, request, picks).neighbours;
  const probe_times times = probe(on, pool, request);
  const double rows_scale = double(pool.rows) / double(times.rows);
  const double picks_scale = double(picks) / double(times.picks);
  result.steps[0].seconds = times.rank * rows_scale;
  result.steps[1].seconds = times.diversify * growth(diverse, request.neighbours, rows_scale);
  if (diverse && !diverse->compares_all_pairs) result.steps[1].seconds *= picks_scale;
  for (const plan_step& step : result.steps) result.seconds += step.seconds;
  return result;
}

}  // namespace poolwise
