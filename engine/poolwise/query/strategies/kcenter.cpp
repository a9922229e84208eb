#include "poolwise/diverse/kcenter.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "poolwise/core/detail/philox.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/over_ranks.hpp"
#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

constexpr stream first_stream{12};

/// The row that comes first of those that may be picked: drawn afresh for each seed and round, or that of the
/// largest weight.
std::optional<candidate> first_of(const stage_input& x, vector_view<const float> weights) {
  const remaining left(x.limit);
  std::optional<candidate> first;
  for (index_t i = 0; i < x.rows() && left.picks() > 0; ++i) {
    if (left.ruled_out(i)) continue;
    const auto drawn = float(random_unit(query_seed(*x.asked), first_stream, std::uint64_t(x.pool_row(i))));
    const candidate c{i, weights.empty() ? drawn : weights[i]};
    if (!first || before(c, *first)) first = c;
  }
  return first;
}

/// Where to begin when nothing is labelled or picked, and all rows are as far.
std::optional<candidate> begin(const stage_input& x, vector_view<const float> weights) {
  std::optional<candidate> first = first_of(x, weights);
  if (first) first->score = std::numeric_limits<float>::infinity();
  return first;
}

using picks = std::vector<candidate>;

/// `firsts`: the first pick where there is no other center, by weight; else by `weight`.
picks farthest(const stage_input& x, batch_run& run, const std::vector<float>& weight,
               const std::vector<float>& firsts = {}) {
  const vector_view<const float> weights{weight.data(), index_t(weight.size())};
  const std::vector<float>& by = firsts.empty() ? weight : firsts;
  if (x.labelled.rows == 0 && run.begin.picks.empty())
    if (const auto first = begin(x, {by.data(), index_t(by.size())})) run.begin.picks = {*first};
  return kcenter_beside(x.on, x.points(), finite_rows::judged(x.labelled), x.limit, weights, &run);
}

picks from_the_longest(const stage_input& x, batch_run& run) {
  std::vector<float> squares(std::size_t(x.rows()));
  if (x.labelled.rows == 0) squared_norms(x.on, *x.pool.embeddings, {squares.data(), x.rows()});
  return farthest(x, run, {}, squares);
}

picks farthest_over_ranks(const stage_input& x, const rank_group& ranks, batch_run& run,
                          const std::vector<float>& firsts = {}) {
  if (x.labelled.rows == 0 && run.begin.picks.empty()) {
    candidate mine = first_of(x, {firsts.data(), index_t(firsts.size())}).value_or(candidate{});
    if (mine.row >= 0) mine.row = x.pool_row(mine.row);
    if (const candidate first = first_of_all(ranks, mine); first.row >= 0 && x.limit.picks > 0)
      run.begin.picks = {{first.row, std::numeric_limits<float>::infinity()}};
  }
  const std::vector<float> covered = distances_to(x.on, x.points(), finite_rows::judged(x.labelled));
  return kcenter_over_ranks({host_of(x.on), ranks, x.points(), x.pool_rows}, x.limit,
                            {covered.data(), index_t(covered.size())}, &run);
}

picks longest_over_ranks(const stage_input& x, const rank_group& ranks, batch_run& run) {
  std::vector<float> squares(std::size_t(x.rows()));
  if (x.labelled.rows == 0) squared_norms(x.on, *x.pool.embeddings, {squares.data(), x.rows()});
  return farthest_over_ranks(x, ranks, run, squares);
}

/// The largest distance of a row to what is labelled or picked, times its score where that is a factor, less
/// than 0.
double radius_below_zero(const stage_input& x, const picks& of, const std::vector<float>& weights) {
  const auto embeddings = x.pool.embeddings.value();
  std::vector<index_t> rows;
  for (const candidate& c : of) rows.push_back(c.row);
  std::vector<float> centers = gather(host_of(x.on), embeddings, rows);
  for (index_t i = 0; i < x.labelled.rows; ++i)
    centers.insert(centers.end(), x.labelled.row(i), x.labelled.row(i) + embeddings.cols);
  const matrix_view<const float> all{centers.data(), index_t(rows.size()) + x.labelled.rows, embeddings.cols};
  std::vector<float> covered = distances_to(x.on, x.points(), finite_rows::judged(all));
  covered.resize(std::size_t(x.rows()), std::numeric_limits<float>::infinity());
  double largest = 0;
  for (index_t i = 0; i < x.rows(); ++i)
    if (x.limit.barred.empty() || x.limit.barred[i] == 0)
      largest = std::max(
          largest, double(covered[std::size_t(i)]) * (weights.empty() ? 1.0 : double(weights[std::size_t(i)])));
  return -largest;
}

std::uint64_t bytes(const strategy_size& size) {
  return kcenter_bytes(size.rows) + kcenter_beside_bytes(index_t(size.rows), index_t(size.picks),
                                                         index_t(size.features), index_t(size.labelled));
}

}  // namespace

std::vector<strategy_entry> strategies_of_kcenter() {
  return {
      {.name = "kcenter",
       .kind = "diversity",
       .formula = "farthest from everything labelled or picked",
       .source = "Gonzalez 1985; Sener & Savarese 2018",
       .needs = part::embeddings,
       .does = trait::counts_labelled,
       .aliases = {"coreset", "kcentergreedy", "coresetgreedy", "farthestfirst"},
       .pick = [](const stage_input& x, batch_run& run) { return farthest(x, run, {}); },
       .pick_over_ranks = [](const stage_input& x, const rank_group& ranks,
                             batch_run& run) { return farthest_over_ranks(x, ranks, run); },
       .reason = "farthest from labelled and picked rows",
       .worth = [](const stage_input& x, const picks& of) { return radius_below_zero(x, of, {}); },
       .bytes = bytes},
      {.name = "maxdist",
       .kind = "diversity",
       .formula = "as kcenter; of no labelled row it begins with the longest row",
       .source = "Yu & Kim 2010; Holzmueller et al. 2023",
       .needs = part::embeddings,
       .does = trait::counts_labelled,
       .pick = from_the_longest,
       .pick_over_ranks = longest_over_ranks,
       .reason = "farthest from labelled and picked rows",
       .worth = [](const stage_input& x, const picks& of) { return radius_below_zero(x, of, {}); },
       .bytes = [](const strategy_size& size) { return bytes(size) + size.rows * sizeof(float); }},
      {.name = "weighted_kcenter",
       .kind = "diversity",
       .formula = "score * squared distance as of kcenter",
       .source = "Sener & Savarese 2018",
       .needs = part::embeddings,
       .does = trait::counts_labelled,
       .pick = [](const stage_input& x, batch_run& run) { return farthest(x, run, row_worths(x)); },
       // Where it looks at all rows, no score has kept them.
       .pick_over_ranks = [](const stage_input& x, const rank_group& ranks,
                             batch_run& run) { return farthest_over_ranks(x, ranks, run); },
       .reason = "largest score times distance from labelled and picked rows",
       .worth = [](const stage_input& x, const picks& of) { return radius_below_zero(x, of, row_worths(x)); },
       .bytes = bytes}};
}

}  // namespace poolwise
