#include <string>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/query/detail/mean_cosine.hpp"
#include "poolwise/query/detail/ranked_rows.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

/// A mean cosine below 0, which the counts of words in the paper do not have, counts as 0. Rows that are barred
/// or have no score are not there.
void score_density(const stage_input& x, vector_view<float> scores) {
  score_inner(x, scores);
  const matrix_view<const float> rows = *x.pool.embeddings;
  const std::vector<double> mean = mean_direction(host_of(x.on), rows, [&](index_t i) {
    return scores[i] == scores[i] && (x.limit.barred.empty() || x.limit.barred[i] == 0);
  });
  const double beta = x.what->given["beta"];
  parallel_blocks(host_of(x.on), rows.rows, 256, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      if (scores[i] < 0)
        throw value_error("density: row " + std::to_string(x.pool_row(i)) + " scores " +
                          std::to_string(scores[i]) + " by " + x.what->inner->text +
                          "; take a score that is never negative, such as margin");
      const double cosine = mean_cosine(rows.row(i), mean);
      const double density = cosine < 0 ? 0 : fixed_exp(beta * fixed_log(cosine));
      scores[i] = float(double(scores[i]) * density);
    }
  });
}

}  // namespace

std::vector<strategy_entry> strategies_of_density() {
  return {{.name = "density",
           .kind = "acquisition",
           .formula = "score * (mean_u cos(x, u))^beta, u of the unlabelled rows; a mean below 0 is 0",
           .source = "Settles & Craven 2008",
           .on_devices = "score",
           .needs = part::embeddings,
           .does = trait::takes_score | trait::compares_rows,
           .parameters = {{"beta", 1, above(0), "how far rows that are like many others are preferred"}},
           .aliases = {"informationdensity"},
           .score = score_density,
           .bytes = [](const strategy_size& size) { return mean_direction_bytes(size.features); }}};
}

}  // namespace poolwise
