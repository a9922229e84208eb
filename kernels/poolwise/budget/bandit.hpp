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

/// Which of several strategies is asked for the next row, one row a round, by what their rows brought: EXP4.P
/// (Beygelzimer et al., AISTATS 2011) as ALBL takes it (Hsu & Lin, AAAI 2015). With w the weights, q the chance
/// of a row, and N strategies over T rounds:
///
///   share_i = (1 - N least) w_i / sum w + least,   least = sqrt(ln N / (N T)), 1/N at most
///   q(row)  = sum of the shares of the strategies that name it
///   w_i    *= exp(least / 2 (y_i + sqrt(ln(N / failure) / (N T)) / q(row_i))),   y_i = reward / q if row_i was
///   asked
///
/// The regret against the best strategy is O(sqrt(N T ln(N / failure))) but with probability `failure`.
/// Library-only: for what runs experiments.
class strategy_bandit {
 public:
  /// throws value_error for no strategy or round, or a failure outside (0, 1).
  strategy_bandit(index_t strategies, index_t rounds, double failure = 0.1);

  struct draw {
    index_t row = 0;
    double chance = 0;  ///< q(row): the answer weighs 1 over it in `weighted_accuracy`
  };

  std::vector<double> shares() const;

  /// One of `rows`, which each strategy would ask about; a function of the shares, the seed and the round.
  /// throws shape_error unless there is one for each strategy.
  draw choose(std::span<const index_t> rows, std::uint64_t seed, std::uint32_t round) const;

  /// What came of it, from 0 to 1. throws value_error for another reward, or where no row of `rows` was asked.
  void learn(std::span<const index_t> rows, const draw& asked, double reward);

 private:
  double chance_of(std::span<const index_t> rows, index_t row) const;

  double least_, bonus_;
  std::vector<double> weights_;
};

/// An answer that a model was right or wrong about, and the chance with which it was asked for.
struct weighted_answer {
  bool right = false;
  double chance = 1;
};

/// The accuracy of a model on a pool of `rows` rows, from answers of which each was drawn among them with its
/// chance: sum(right / chance) / (rows x answers), which ALBL takes for a reward. Unbiased whatever the chances
/// were, where each row had one, and above 1 at times. Library-only, as above. throws value_error for no answer
/// or row, or a chance outside (0, 1].
double weighted_accuracy(std::span<const weighted_answer> answers, index_t rows);

}  // namespace poolwise
