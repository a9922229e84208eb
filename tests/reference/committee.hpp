// The disagreements of a committee by their definitions, one row at a time, in long double.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "reference/score.hpp"

namespace poolwise::reference {

/// The members' distributions of one row.
struct committee {
  std::vector<distribution> members;

  std::size_t size() const { return members.size(); }
  std::size_t classes() const { return members[0].p.size(); }
  real mean(std::size_t c) const {
    real sum = 0;
    for (const auto& m : members) sum += m.p[c];
    return sum / real(size());
  }
  real consensus_entropy() const {
    real sum = 0;
    for (std::size_t c = 0; c < classes(); ++c) sum += surprise(mean(c), std::log(mean(c)));
    return sum;
  }
  real bald() const {
    real sum = 0;
    for (const auto& m : members) sum += m.entropy();
    return consensus_entropy() - sum / real(size());
  }
  real kl_to_consensus(std::size_t e) const {
    real sum = 0;
    for (std::size_t c = 0; c < classes(); ++c) {
      const real p = members[e].p[c];
      if (p != 0) sum += p * (members[e].log_p[c] - std::log(mean(c)));
    }
    return sum;
  }
  real mean_kl() const {
    real sum = 0;
    for (std::size_t e = 0; e < size(); ++e) sum += kl_to_consensus(e);
    return sum / real(size());
  }
  real max_kl() const {
    real largest = 0;
    for (std::size_t e = 0; e < size(); ++e) largest = std::max(largest, kl_to_consensus(e));
    return largest;
  }
  real vote_share(std::size_t c) const {
    real votes = 0;
    for (const auto& m : members) votes += m.argmax == c;
    return votes / real(size());
  }
  real vote_entropy() const {
    real sum = 0;
    for (std::size_t c = 0; c < classes(); ++c) sum += surprise(vote_share(c), std::log(vote_share(c)));
    return sum;
  }
  real variation_ratio() const {
    real largest = 0;
    for (std::size_t c = 0; c < classes(); ++c) largest = std::max(largest, vote_share(c));
    return 1 - largest;
  }
  real mean_std() const {
    real sum = 0;
    for (std::size_t c = 0; c < classes(); ++c) {
      real squares = 0;
      for (const auto& m : members) squares += (m.p[c] - mean(c)) * (m.p[c] - mean(c));
      sum += std::sqrt(squares / real(size()));
    }
    return sum / real(classes());
  }
};

}  // namespace poolwise::reference
