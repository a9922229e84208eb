#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {

std::vector<strategy_entry> strategies_of_variance() {
  return {{.name = "variance",
           .kind = "disagreement",
           .formula = "mean over outputs of the variance over members",
           .source = "Cohn et al. 1996; RayChaudhuri & Hamey 1995",
           .needs = part::predictions,
           .aliases = {"predictivevariance"},
           .score = [](const stage_input& x, vector_view<float> scores) {
             predictive_variance(x.on, *x.pool.predictions, scores);
           }}};
}

}  // namespace poolwise
