#include <algorithm>
#include <string>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/hash.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/query/detail/ranked_rows.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

constexpr stream power_stream{11}, softmax_stream{13}, softrank_stream{14};

/// An exponential variate of the row. The k rows of highest key ln w - ln exponential, which is ln w with
/// Gumbel noise, are drawn without replacement, each time with probability proportional to w: an exponential
/// race (Efraimidis & Spirakis 2006; Kool et al., ICML 2019).
///
/// A draw of a draw, as power(softmax(margin)), has noise of its own: its seed counts those inside it.
double exponential(const stage_input& x, stream of, index_t i) {
  std::uint64_t seed = x.asked->seed;
  for (const stage* at = x.what->inner.get(); at != nullptr; at = at->inner.get())
    if (at->entry->does.has(trait::draws)) seed = splitmix64(seed, 1);
  const double u = 0x1p-54 + random_unit(seed, of, std::uint64_t(x.pool_row(i)), x.asked->round);
  return -fixed_log(u);
}

/// Calls body(i) for each row.
template <class Body>
void for_each_row(const stage_input& x, Body body) {
  parallel_blocks(host_of(x.on), x.rows(), 4096, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) body(i);
  });
}

/// Drawn by score^beta. The values are e to the keys, and a score of 0 is drawn last.
void score_power(const stage_input& x, vector_view<float> scores) {
  score_inner(x, scores);
  const double beta = x.what->given["beta"];
  for_each_row(x, [&](index_t i) {
    if (scores[i] < 0)
      throw value_error("power: row " + std::to_string(x.pool_row(i)) + " scores " + std::to_string(scores[i]) +
                        " by " + x.what->inner->text +
                        "; take a score that is never negative, such as margin, or draw by softmax");
    scores[i] = float(fixed_exp(beta * fixed_log(double(scores[i]))) / exponential(x, power_stream, i));
  });
}

/// Drawn by exp(beta score). The values are the keys, in fp32.
void score_softmax(const stage_input& x, vector_view<float> scores) {
  score_inner(x, scores);
  const double beta = x.what->given["beta"];
  for_each_row(x, [&](index_t i) {
    scores[i] = float(beta * double(scores[i]) - fixed_log(exponential(x, softmax_stream, i)));
  });
}

/// Drawn by rank^-beta. Of equal scores the lower row has the better rank; barred rows have none.
void score_softrank(const stage_input& x, vector_view<float> scores) {
  score_inner(x, scores);
  const double beta = x.what->given["beta"];
  std::vector<candidate> ranked;
  ranked.reserve(std::size_t(x.rows()));
  for (index_t i = 0; i < x.rows(); ++i)
    if (scores[i] == scores[i] && (x.limit.barred.empty() || x.limit.barred[i] == 0))
      ranked.push_back({i, scores[i]});
  std::sort(ranked.begin(), ranked.end(), before);
  parallel_blocks(host_of(x.on), index_t(ranked.size()), 4096, [&](index_t, index_t begin, index_t end) {
    for (index_t r = begin; r < end; ++r) {
      const index_t i = ranked[std::size_t(r)].row;
      scores[i] = float(-beta * fixed_log(double(r + 1)) - fixed_log(exponential(x, softrank_stream, i)));
    }
  });
}

}  // namespace

/// Scores with noise, so that a batch is not of rows that are all alike.
std::vector<strategy_entry> strategies_of_stochastic() {
  return {{.name = "power",
           .kind = "acquisition",
           .formula = "drawn in proportion to score^beta, as PowerBALD: power(bald)",
           .source = "Kirsch et al. 2023",
           .does = trait::takes_score | trait::draws,
           .parameters = {{"beta", 1, above(0),
                           "how far large scores are preferred; 1: in proportion to the score"}},
           .score = score_power},
          {.name = "softmax",
           .kind = "acquisition",
           .formula = "drawn in proportion to exp(beta score)",
           .source = "Kirsch et al. 2023",
           .does = trait::takes_score | trait::draws,
           .parameters = {{"beta", 1, above(0),
                           "how far large scores are preferred: ln 2 / beta more is twice as likely"}},
           .score = score_softmax},
          {.name = "softrank",
           .kind = "acquisition",
           .formula = "drawn in proportion to rank^-beta, 1 of the highest score",
           .source = "Kirsch et al. 2023",
           .does = trait::takes_score | trait::draws | trait::compares_rows,
           .parameters = {{"beta", 1, above(0),
                           "how far the first are preferred; 1: the second is half as likely as the first"}},
           .score = score_softrank,
           .bytes = [](const strategy_size& size) { return size.rows * sizeof(candidate); }}};
}

}  // namespace poolwise
