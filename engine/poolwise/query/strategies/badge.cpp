#include <cmath>
#include <string>

#include "poolwise/diverse/kmeans_pp.hpp"
#include "poolwise/diverse/over_ranks.hpp"
#include "poolwise/pool/unit_rows.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

void remark(const stage_input& x, double scale) {
  if (scale != 1 && x.remarks != nullptr)
    x.remarks->push_back(
        "badge: the model is so certain that squared gradients leave the range of fp32: scores "
        "are of gradients times 2^" +
        std::to_string(std::ilogb(scale)) + ", which is exact");
}

std::vector<candidate> pick_over_ranks(const stage_input& x, const rank_group& ranks, batch_run& run) {
  double scale = 1;
  std::vector<candidate> picks =
      badge_over_ranks({host_of(x.on), ranks, x.points(), x.pool_rows}, *x.pool.model, x.pool.model_kind,
                       x.limit, query_seed(*x.asked), &run, &scale);
  remark(x, scale);
  return picks;
}

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  // Beside the bias small features are nothing, as they were given; large ones leave nothing of it.
  std::vector<float> as_given;
  finite_rows features = x.points();
  if (x.unit > 1) {
    as_given = scaled_rows(host_of(x.on), features, 1 / x.unit);
    features = finite_rows::judged(matrix_view<const float>{as_given.data(), features.rows(), features.cols()});
  }
  double scale = 1;
  std::vector<candidate> picks =
      badge(x.on, *x.pool.model, x.pool.model_kind, features, x.limit, query_seed(*x.asked),
            /*bias=*/x.unit >= 1, first_center::largest_norm, &run, &scale);
  remark(x, scale);
  return picks;
}

// Beside what k-means++ takes, the half of the gradients that is not the embeddings.
std::uint64_t bytes(const strategy_size& size) {
  return size.rows * size.classes * sizeof(float) + kmeans_pp_bytes(size.rows);
}

}  // namespace

std::vector<strategy_entry> strategies_of_badge() {
  return {{.name = "badge",
           .kind = "diversity",
           .formula = "k-means++ on (p - onehot) (x) [h; 1]",
           .source = "Ash et al. 2020",
           .needs = part::outputs | part::embeddings,
           .pick = pick,
           .pick_over_ranks = pick_over_ranks,
           .reason = "drawn by squared gradient distance",
           .bytes = bytes}};
}

}  // namespace poolwise
