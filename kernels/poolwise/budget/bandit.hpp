// How the picks of a round are shared out over ways of picking, by what these gained before.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// What came of one round.
struct arm_round {
  index_t picks = 0;                        ///< of all arms together
  std::vector<double> share;                ///< [arms] as `next_shares` gave them
  std::vector<std::optional<double>> gain;  ///< [arms] of its picks each, from 0 to 1; none: it had no pick
};

/// The shares of the next round, which add up to 1, of arms such as uncertainty, diversity and random draws:
/// none is below `least`, and the rest grows exponentially with the gains so far (Hedge, Freund & Schapire
/// 1997). All arms of a round are seen at once, unless one is so small that it may have had no pick: then its
/// gain counts for the rounds in which it had none (Auer et al. 2002, EXP3).
///
///   share_a = least + (1 - arms * least) * e^(rate * G_a) / sum_b e^(rate * G_b)
///   G_a     = sum over rounds of gain_a / min(1, share_a * picks),  rate = sqrt(8 ln(arms) / rounds)
///
/// Where all arms are seen, what is lost against the best arm alone is expected to be no more than
/// sqrt(rounds * ln(arms)), plus arms * least of the rounds.
///
/// Library-only: for what runs campaigns.
/// throws  shape_error (a round of another number of arms); value_error (a gain or share outside [0, 1], a
///         least that leaves nothing, no arm).
std::vector<double> next_shares(index_t arms, std::span<const arm_round> past, double least = 0.05);

/// How many of `picks` each arm has: its share of them, rounded up or down at random, a function of the
/// arguments (see rounded_at_random). Library-only: for what runs campaigns.
std::vector<index_t> picks_of_arms(std::span<const double> share, index_t picks, std::uint64_t seed,
                                   std::uint32_t round);

}  // namespace poolwise
