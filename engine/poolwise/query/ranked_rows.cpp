#include "poolwise/query/detail/ranked_rows.hpp"

#include <algorithm>
#include <vector>

#include "poolwise/core/rows.hpp"
#include "poolwise/pool/detail/gather.hpp"

namespace poolwise {
namespace {

/// How many rows are scored at a time: so few that their scores stay in a cache, and members that are added up,
/// too.
index_t rows_at_once(const stage_input& x) {
  const parts needed = x.what->needs();
  const bool in_one_array = needed.has(part::committee) && x.pool.committee->cube();
  if (in_one_array || needed.has(part::predictions) || x.what->does(trait::compares_rows))
    return std::max<index_t>(1, x.rows());
  if (!std::holds_alternative<cpu>(x.on)) return index_t{1} << 24;  // a device has tiles of its own
  if (!needed.has(part::committee)) return index_t{1} << 18;
  return std::clamp<index_t>((index_t{1} << 22) / std::max<index_t>(1, x.pool.committee->cols()), 1024,
                             index_t{1} << 18);
}

/// Calls body(some rows of x, begin, end) for all of them, in order.
template <class Body>
void for_some_rows(const stage_input& x, Body body) {
  const index_t most = rows_at_once(x);
  for (index_t begin = 0; begin < x.rows(); begin += most) {
    const index_t end = std::min(x.rows(), begin + most);
    stage_input some = x;
    some.pool = rows_between(x.pool, begin, end, x.what->needs());
    some.first_row = x.first_row + begin;
    some.known = rows_between(x.known, begin, end);
    if (!x.pool_rows.empty())
      some.pool_rows = x.pool_rows.subspan(std::size_t(begin), std::size_t(end - begin));
    body(some, begin, end);
  }
}

}  // namespace

void score_rows(const stage_input& x, vector_view<float> scores) {
  if (!x.known.empty()) {
    std::copy(x.known.begin(), x.known.end(), scores.begin());
    return;
  }
  for_some_rows(x, [&](const stage_input& some, index_t begin, index_t end) {
    x.what->entry->score(some, rows_between(scores, begin, end));
  });
}

void score_inner(const stage_input& x, vector_view<float> scores) {
  stage_input of_inner = x;
  of_inner.what = x.what->inner.get();
  of_inner.known = {};
  score_rows(of_inner, scores);
}

best_of_rows best_ranked(const stage_input& x, index_t k) {
  const strategy_entry& by = *x.what->entry;
  const allowance& limit = x.limit;
  const bool limited = limit.priced() || !limit.group.empty();
  if (by.fused && !limited && x.known.empty())
    return best_rows(x.on, *x.pool.model, x.pool.model_kind, *by.fused, k, limit.barred);
  const cpu host = host_of(x.on);
  const remaining left(limit);
  top_k_state state(k);
  nan_rows invalid;
  std::vector<float> buffer;
  std::vector<std::uint8_t> ruled_out;
  for_some_rows(x, [&](const stage_input& some, index_t begin, index_t end) {
    buffer.resize(std::size_t(end - begin));
    const vector_view<float> scores{buffer.data(), end - begin};
    score_rows(some, scores);
    const auto barred = rows_between(limit.barred, begin, end);
    nan_rows unscored;
    if (limited) {
      unscored = find_nan(host, scores, barred);
      ruled_out.resize(buffer.size());
      for (index_t i = begin; i < end; ++i) ruled_out[std::size_t(i - begin)] = left.ruled_out(i);
      state.add(host, scores, begin, {ruled_out.data(), end - begin});
    } else {
      unscored = state.add(host, scores, begin, barred);
    }
    if (unscored.count > 0) unscored.first += begin;
    invalid += unscored;
  });
  return {state.best(), invalid};
}

}  // namespace poolwise
