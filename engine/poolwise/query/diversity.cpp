#include "poolwise/query/diversity.hpp"

#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/diverse.hpp"

namespace poolwise {
namespace {

std::vector<candidate> pick_kcenter(const diversity_problem& problem) {
  std::vector<float> covered;
  if (problem.labelled.rows > 0) {
    covered.resize(std::size_t(problem.rows));
    nearest(problem.on, problem.embeddings, problem.labelled, {covered.data(), problem.rows});
  }
  return kcenter(problem.on, problem.embeddings, problem.limit, {covered.data(), index_t(covered.size())});
}

std::uint64_t kcenter_bytes(const diversity_size& size) { return size.rows * (4 + 4 + 1); }

std::vector<candidate> pick_badge(const diversity_problem& problem) {
  const index_t classes = cols_of(*problem.model);
  std::vector<float> a(std::size_t(problem.rows * classes));
  output_gradient(problem.on, *problem.model, problem.model_kind, {a.data(), problem.rows, classes});
  const factored_rows gradient{{a.data(), problem.rows, classes}, problem.embeddings, /*bias=*/true};
  return kmeans_pp(problem.on, gradient, problem.limit, problem.seed);
}

std::uint64_t badge_bytes(const diversity_size& size) { return size.rows * (size.classes * 4 + 4 + 8 + 1); }

const diversity all[] = {
    {.name = "kcenter",
     .formula = "farthest from everything labelled or picked",
     .source = "Gonzalez 1985; Sener & Savarese 2018",
     .needs_outputs = false,
     .needs_committee = false,
     .needs_embeddings = true,
     .begins_with_labelled = true,
     .reason = "farthest from labelled and picked rows",
     .pick = pick_kcenter,
     .bytes = kcenter_bytes},
    {.name = "badge",
     .formula = "k-means++ on (p - onehot) (x) [h; 1]",
     .source = "Ash et al. 2020",
     .needs_outputs = true,
     .needs_committee = false,
     .needs_embeddings = true,
     .begins_with_labelled = false,
     .reason = "drawn by squared gradient distance",
     .pick = pick_badge,
     .bytes = badge_bytes},
};

}  // namespace

std::span<const diversity> diversities() { return all; }

}  // namespace poolwise
