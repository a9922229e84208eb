#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/query/detail/member_moments.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

void score_ucb(const stage_input& x, vector_view<float> scores) {
  const cube_view<const float> predictions = *x.pool.predictions;
  const index_t members = predictions.members, outputs = predictions.cols;
  if (members < 1 || outputs < 1)
    throw shape_error("ucb: predictions is [" + std::to_string(members) + ", " +
                      std::to_string(predictions.rows) + ", " + std::to_string(outputs) +
                      "]; pass at least one member and one output");
  const double beta = x.what->given["beta"];
  const std::vector<moments> of = member_moments(host_of(x.on), predictions);
  for (index_t i = 0; i < x.rows(); ++i) {
    double sum = 0;
    for (index_t c = 0; c < outputs; ++c) {
      const moments& one = of[std::size_t(i * outputs + c)];
      sum += one.mean + beta * one.deviation;
    }
    sum /= double(outputs);
    scores[i] = std::isfinite(sum) ? float(sum) : std::numeric_limits<float>::quiet_NaN();
  }
}

}  // namespace

std::vector<strategy_entry> strategies_of_ucb() {
  return {
      {.name = "ucb",
       .kind = "disagreement",
       .formula = "mean + beta * standard deviation over members; their mean over outputs",
       .source = "Cox & John 1992; Srinivas et al. 2010",
       .on_devices = "none",
       .needs = part::predictions,
       .parameters = {{"beta", 1, at_least(0), "how far uncertain rows are preferred to large predictions"}},
       .aliases = {"upperconfidencebound"},
       .score = score_ucb,
       .bytes = [](const strategy_size& size) { return size.rows * size.outputs * sizeof(moments); }}};
}

}  // namespace poolwise
