#include "poolwise/query/score_columns.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "poolwise/core/rows.hpp"
#include "poolwise/query/detail/ranked_rows.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

/// Those from `from` on that are of one kind, until one is not.
template <class Score>
std::vector<Score> run_of(std::span<const strategy> which, std::optional<Score> strategy_entry::*kind) {
  std::vector<Score> run;
  for (const strategy& s : which) {
    const std::optional<Score>& one = s.first().entry->*kind;
    if (!one) break;
    run.push_back(*one);
  }
  return run;
}

// A few hundred megabytes between two looks at the progress line.
index_t chunk_rows(index_t cols) {
  return std::max<index_t>(1, (index_t{1} << 26) / std::max<index_t>(1, cols));
}

void score_model(const where& on, const pool_inputs& pool, std::span<const acquisition> which,
                 matrix_view<float> out, const std::function<void(index_t)>& scored) {
  const index_t chunk = chunk_rows(cols_of(*pool.model));
  for (index_t begin = 0; begin < pool.rows; begin += chunk) {
    if (scored) scored(begin);
    const index_t end = std::min(pool.rows, begin + chunk);
    score(on, rows_between(*pool.model, begin, end), pool.model_kind, which, rows_between(out, begin, end));
  }
}

void score_one(const stage_input& x, matrix_view<float> out) {
  std::vector<float> column(std::size_t(x.rows()));
  score_rows(x, {column.data(), x.rows()});
  for (index_t i = 0; i < x.rows(); ++i) out(i, 0) = column[std::size_t(i)];
}

}  // namespace

void score_columns(const where& on, const pool_inputs& pool, std::span<const strategy> which,
                   matrix_view<float> scores, std::uint64_t seed, const std::function<void(index_t)>& scored) {
  const query_spec asked{.strategy = {}, .seed = seed};
  for (std::size_t c = 0; c < which.size();) {
    const auto of_model = run_of(which.subspan(c), &strategy_entry::fused);
    auto of_committee = run_of(which.subspan(c), &strategy_entry::disagrees);
    if (!pool.committee || !pool.committee->cube()) of_committee.clear();
    const std::size_t width = std::max<std::size_t>(1, of_model.size() + of_committee.size());
    const matrix_view<float> part{scores.data + c, scores.rows, index_t(width), scores.stride};
    if (!of_model.empty())
      score_model(on, pool, of_model, part, scored);
    else if (!of_committee.empty())
      score_committee(on, *pool.committee->cube(), pool.committee_kind, of_committee, part);
    else
      score_one({.on = on, .asked = &asked, .what = &which[c].first(), .pool = pool}, part);
    c += width;
  }
}

}  // namespace poolwise
