// The sums over members that a disagreement is formed from. All of them need the members' entropies, which are
// NaN where a member has no distribution; few need their values.
#pragma once

#include <algorithm>
#include <span>

#include "poolwise/committee/committee.hpp"

namespace poolwise {

constexpr bool needs_votes(disagreement d) {
  return d == disagreement::vote_entropy || d == disagreement::variation_ratio;
}
constexpr bool needs_means(disagreement d) { return !needs_votes(d); }
constexpr bool needs_deviations(disagreement d) { return d == disagreement::mean_std; }
constexpr bool needs_entropies(disagreement d) { return d == disagreement::bald || d == disagreement::max_kl; }
constexpr bool needs_divergences(disagreement d) { return d == disagreement::max_kl; }

/// Whether any of `which` does.
constexpr bool any(std::span<const disagreement> which, bool (*needs)(disagreement)) {
  return std::any_of(which.begin(), which.end(), needs);
}

}  // namespace poolwise
