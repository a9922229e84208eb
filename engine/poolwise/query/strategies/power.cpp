#include <string>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

constexpr stream power_stream{11};

/// The best k are drawn without replacement, each time with probability proportional to score^beta: an
/// exponential race, whose order is that of beta ln score with Gumbel noise (Efraimidis & Spirakis 2006; Kool
/// et al., ICML 2019). Values are 0 or more, so that a budget can divide them by costs; a score of 0 is drawn
/// last.
void score_power(const stage_input& x, vector_view<float> scores) {
  stage_input of_inner = x;
  of_inner.what = x.what->inner.get();
  of_inner.what->entry->score(of_inner, scores);
  const double beta = x.what->given["beta"];
  parallel_blocks(host_of(x.on), x.rows(), 4096, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      if (scores[i] < 0)
        throw value_error("power: row " + std::to_string(x.pool_row(i)) + " scores " +
                          std::to_string(scores[i]) + " by " + of_inner.what->text +
                          "; take a score that is never negative, such as margin");
      const double u =
          0x1p-54 + random_unit(x.asked->seed, power_stream, std::uint64_t(x.pool_row(i)), x.asked->round);
      scores[i] = float(fixed_exp(beta * fixed_log(double(scores[i]))) / -fixed_log(u));
    }
  });
}

}  // namespace

std::vector<strategy_entry> strategies_of_power() {
  return {{.name = "power",
           .kind = "acquisition",
           .formula = "drawn in proportion to score^beta, as PowerBALD: power(bald)",
           .source = "Kirsch et al. 2023",
           .does = trait::takes_score | trait::draws,
           .parameters = {{"beta", 1, above(0),
                           "how far large scores are preferred; 1: in proportion to the score"}},
           .score = score_power}};
}

}  // namespace poolwise
