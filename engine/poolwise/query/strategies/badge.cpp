#include "poolwise/diverse/kmeans_pp.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  return badge(x.on, *x.pool.model, x.pool.model_kind, x.points(), x.limit, query_seed(*x.asked), /*bias=*/true,
               first_center::largest_norm, &run);
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
           .reason = "drawn by squared gradient distance",
           .bytes = bytes}};
}

}  // namespace poolwise
