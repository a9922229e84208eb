#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

/// Of one output over the members: the mean, and the squares of what they are off it.
struct moments {
  double mean = 0, squares = 0;
};

void score_ucb(const stage_input& x, vector_view<float> scores) {
  const cube_view<const float> predictions = *x.pool.predictions;
  const index_t members = predictions.members, outputs = predictions.cols;
  if (members < 1 || outputs < 1)
    throw shape_error("ucb: predictions is [" + std::to_string(members) + ", " +
                      std::to_string(predictions.rows) + ", " + std::to_string(outputs) +
                      "]; pass at least one member and one output");
  const double beta = x.what->given["beta"];
  const index_t block = std::max<index_t>(1, 4096 / outputs);
  parallel_blocks(host_of(x.on), x.rows(), block, [&](index_t, index_t begin, index_t end) {
    std::vector<moments> gathered(std::size_t((end - begin) * outputs));
    for (index_t m = 0; m < members; ++m) {
      const float* value = predictions.member(m).row(begin);
      for (moments& of : gathered) {
        const double off = double(*value++) - of.mean;
        of.mean += off / double(m + 1);
        of.squares += off * off * (double(m) / double(m + 1));
      }
    }
    auto of = gathered.begin();
    for (index_t i = begin; i < end; ++i) {
      double sum = 0;
      for (index_t c = 0; c < outputs; ++c, ++of)
        sum += of->mean + beta * std::sqrt(of->squares / double(members));
      sum /= double(outputs);
      scores[i] = std::isfinite(sum) ? float(sum) : std::numeric_limits<float>::quiet_NaN();
    }
  });
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
       .score = score_ucb}};
}

}  // namespace poolwise
