#include "poolwise/query/diversity.hpp"

#include <algorithm>
#include <string>

#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/batch_bald.hpp"
#include "poolwise/diverse/diverse.hpp"
#include "poolwise/diverse/dpp.hpp"

namespace poolwise {
namespace {

std::vector<diverse_pick> because(const char* reason, const std::vector<candidate>& picks) {
  std::vector<diverse_pick> reasoned;
  for (const candidate& c : picks) reasoned.push_back({c, reason});
  return reasoned;
}

// The scores by which the candidates were kept, as factors of their gains.
vector_view<const float> worth_of(const diversity_problem& problem, const char* name) {
  for (const float score : problem.scores)
    if (score < 0)
      throw value_error("select: " + std::string(name) + " multiplies by the score of a row, and got " +
                        std::to_string(score) + "; rank by one that is never negative, such as margin");
  return problem.scores;
}

std::vector<candidate> farthest(const diversity_problem& problem, vector_view<const float> weights) {
  std::vector<float> covered;
  if (problem.labelled.rows > 0) {
    covered.resize(std::size_t(problem.rows));
    nearest(problem.on, problem.embeddings, problem.labelled, {covered.data(), problem.rows});
  }
  return kcenter(problem.on, problem.embeddings, problem.limit, {covered.data(), index_t(covered.size())},
                 weights);
}

std::vector<diverse_pick> pick_kcenter(const diversity_problem& problem) {
  return because("farthest from labelled and picked rows", farthest(problem, {}));
}

std::vector<diverse_pick> pick_weighted_kcenter(const diversity_problem& problem) {
  return because("largest score times distance from labelled and picked rows",
                 farthest(problem, worth_of(problem, "weighted_kcenter")));
}

std::uint64_t kcenter_bytes(const diversity_size& size) { return size.rows * (4 + 4 + 4 + 1); }

std::vector<diverse_pick> pick_badge(const diversity_problem& problem) {
  const index_t classes = cols_of(*problem.model);
  std::vector<float> a(std::size_t(problem.rows * classes));
  output_gradient(problem.on, *problem.model, problem.model_kind, {a.data(), problem.rows, classes});
  const factored_rows gradient{{a.data(), problem.rows, classes}, problem.embeddings, /*bias=*/true};
  return because("drawn by squared gradient distance",
                 kmeans_pp(problem.on, gradient, problem.limit, problem.seed));
}

std::uint64_t badge_bytes(const diversity_size& size) { return size.rows * (size.classes * 4 + 4 + 8 + 1); }

std::vector<diverse_pick> pick_dpp(const diversity_problem& problem) {
  return because("largest variance left by the picks",
                 dpp(problem.on, problem.embeddings, problem.limit, worth_of(problem, "dpp")));
}

// The factor, in blocks of 16 columns, of all rows; of the picks; and of the rows of a shortlist.
std::uint64_t dpp_bytes(const diversity_size& size) {
  const std::uint64_t columns = size.picks / 16 * 16 + 16;
  return 4 * columns * (size.rows + size.picks + std::min<std::uint64_t>(size.rows, 4096)) +
         size.rows * (4 + 8 + 4);
}

std::vector<diverse_pick> pick_batchbald(const diversity_problem& problem) {
  batch_counts counts;
  auto picks = because("most informative beside the labels of the picks",
                       batch_bald(problem.on, *problem.committee, problem.committee_kind, problem.limit,
                                  {.seed = problem.seed}, &counts));
  for (std::size_t p = std::size_t(counts.exact); p < picks.size(); ++p)
    picks[p].reason = "most informative beside the labels of the picks, estimated from a sample of these";
  return picks;
}

std::uint64_t batchbald_bytes(const diversity_size& size) {
  const auto most = std::uint64_t(joint_configurations{}.most);
  return 16 * (size.members + 1) * std::max<std::uint64_t>(8, most / std::max<std::uint64_t>(1, size.classes)) +
         size.rows * 110;
}

const diversity all[] = {
    {.name = "kcenter",
     .formula = "farthest from everything labelled or picked",
     .source = "Gonzalez 1985; Sener & Savarese 2018",
     .needs_outputs = false,
     .needs_committee = false,
     .needs_embeddings = true,
     .begins_with_labelled = true,
     .pick = pick_kcenter,
     .bytes = kcenter_bytes},
    {.name = "weighted_kcenter",
     .formula = "score * squared distance as of kcenter",
     .source = "Sener & Savarese 2018",
     .needs_outputs = false,
     .needs_committee = false,
     .needs_embeddings = true,
     .begins_with_labelled = true,
     .pick = pick_weighted_kcenter,
     .bytes = kcenter_bytes},
    {.name = "badge",
     .formula = "k-means++ on (p - onehot) (x) [h; 1]",
     .source = "Ash et al. 2020",
     .needs_outputs = true,
     .needs_committee = false,
     .needs_embeddings = true,
     .begins_with_labelled = false,
     .pick = pick_badge,
     .bytes = badge_bytes},
    {.name = "dpp",
     .formula = "det of score_i exp(-d_ij^2 / 2 s^2) score_j",
     .source = "Kulesza & Taskar 2012; Chen et al. 2018",
     .needs_outputs = false,
     .needs_committee = false,
     .needs_embeddings = true,
     .begins_with_labelled = false,
     .pick = pick_dpp,
     .bytes = dpp_bytes},
    {.name = "batchbald",
     .formula = "I(labels of the batch; member)",
     .source = "Kirsch et al. 2019",
     .needs_outputs = false,
     .needs_committee = true,
     .needs_embeddings = false,
     .begins_with_labelled = false,
     .pick = pick_batchbald,
     .bytes = batchbald_bytes},
};

}  // namespace

std::span<const diversity> diversities() { return all; }

}  // namespace poolwise
