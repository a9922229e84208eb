#include <cmath>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {
namespace {

/// -ln p1 as -ln(1 - least confidence), by the series where that is small: sure rows keep their digits.
float log_of_confidence(float doubt) {
  const double u = double(doubt);
  if (u < 1e-3) return float(u * (1 + u * (0.5 + u / 3)));
  return float(-fixed_log(1 - u));
}

void score_log_confidence(const stage_input& x, vector_view<float> scores) {
  score(x.on, *x.pool.model, x.pool.model_kind, acquisition::least_confidence, scores);
  parallel_blocks(host_of(x.on), scores.size, 4096, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      if (!std::isnan(scores[i])) scores[i] = log_of_confidence(scores[i]);
  });
}

}  // namespace

/// The score of a token: its mean over a sequence is MNLP.
std::vector<strategy_entry> strategies_of_log_confidence() {
  return {{.name = "log_confidence",
           .kind = "acquisition",
           .formula = "-ln p1; MNLP as the mean over a sequence's tokens",
           .source = "Shen et al. 2018",
           .needs = part::outputs,
           .aliases = {"mnlp"},
           .score = score_log_confidence}};
}

}  // namespace poolwise
