#include "poolwise/budget/bandit.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "poolwise/budget/audit.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

constexpr stream arm_stream{42}, strategy_stream{43};

void check_rounds(index_t arms, std::span<const arm_round> past, double least) {
  if (arms < 1) throw value_error("next_shares: there are no arms; give at least one");
  if (!(least >= 0 && least * double(arms) <= 1))
    throw value_error("next_shares: the least share is " + std::to_string(least) + "; it must be from 0 to 1/" +
                      std::to_string(arms));
  for (const arm_round& round : past) {
    if (index_t(round.share.size()) != arms || index_t(round.gain.size()) != arms)
      throw shape_error("next_shares: a round has " + std::to_string(round.share.size()) + " shares and " +
                        std::to_string(round.gain.size()) + " gains but there are " + std::to_string(arms) +
                        " arms; give one of each for every arm");
    for (std::size_t a = 0; a < round.share.size(); ++a)
      if (!(round.share[a] >= 0 && round.share[a] <= 1) ||
          (round.gain[a] && !(*round.gain[a] >= 0 && *round.gain[a] <= 1)))
        throw value_error("next_shares: arm " + std::to_string(a) +
                          " has a share or a gain outside [0, 1]; scale the gains");
  }
}

}  // namespace

std::vector<double> next_shares(index_t arms, std::span<const arm_round> past, double least) {
  check_rounds(arms, past, least);
  std::vector<double> gains(std::size_t(arms), 0.0);
  for (const arm_round& round : past)
    for (std::size_t a = 0; a < gains.size(); ++a)
      if (round.gain[a] && round.share[a] > 0 && round.picks > 0)
        gains[a] += *round.gain[a] / std::min(1.0, round.share[a] * double(round.picks));
  const double rate = past.empty() ? 0 : std::sqrt(8 * std::log(double(arms)) / double(past.size()));
  const double most = *std::max_element(gains.begin(), gains.end());
  double sum = 0;
  for (double& g : gains) sum += g = std::exp(rate * (g - most));
  for (double& g : gains) g = least + (1 - double(arms) * least) * g / sum;
  return gains;
}

std::vector<index_t> picks_of_arms(std::span<const double> share, index_t picks, std::uint64_t seed,
                                   std::uint32_t round) {
  std::vector<double> expected;
  for (const double s : share) expected.push_back(s * double(picks));
  return rounded_at_random(expected, random_unit(seed, arm_stream, 0, round));
}

strategy_bandit::strategy_bandit(index_t strategies, index_t rounds, double failure) {
  if (strategies < 1 || rounds < 1)
    throw value_error("strategy_bandit: there are " + std::to_string(strategies) + " strategies and " +
                      std::to_string(rounds) + " rounds; give at least one of each");
  if (!(failure > 0 && failure < 1))
    throw value_error("strategy_bandit: the failure is " + std::to_string(failure) +
                      "; give a probability between 0 and 1");
  const double n = double(strategies), pulls = n * double(rounds);
  least_ = std::min(1 / n, std::sqrt(std::log(n) / pulls));
  bonus_ = std::sqrt(std::log(n / failure) / pulls);
  weights_.assign(std::size_t(strategies), 1.0);
}

std::vector<double> strategy_bandit::shares() const {
  double sum = 0;
  for (const double w : weights_) sum += w;
  std::vector<double> shares;
  for (const double w : weights_) shares.push_back((1 - double(weights_.size()) * least_) * w / sum + least_);
  return shares;
}

double strategy_bandit::chance_of(std::span<const index_t> rows, index_t row) const {
  const std::vector<double> all = shares();
  double chance = 0;
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i] == row) chance += all[i];
  return std::min(1.0, chance);
}

strategy_bandit::draw strategy_bandit::choose(std::span<const index_t> rows, std::uint64_t seed,
                                              std::uint32_t round) const {
  if (rows.size() != weights_.size())
    throw shape_error("strategy_bandit: " + std::to_string(rows.size()) + " rows were given by " +
                      std::to_string(weights_.size()) + " strategies; give one of each");
  const std::vector<double> all = shares();
  const double u = random_unit(seed, strategy_stream, 0, round);
  double below = 0;
  std::size_t i = 0;
  while (i + 1 < all.size() && (below += all[i]) <= u) ++i;
  return {rows[i], chance_of(rows, rows[i])};
}

void strategy_bandit::learn(std::span<const index_t> rows, const draw& asked, double reward) {
  if (!(reward >= 0 && reward <= 1))
    throw value_error("strategy_bandit: the reward is " + std::to_string(reward) + "; scale it from 0 to 1");
  if (rows.size() != weights_.size() || std::find(rows.begin(), rows.end(), asked.row) == rows.end())
    throw value_error("strategy_bandit: row " + std::to_string(asked.row) +
                      " was given by none of the strategies; pass the rows that it was chosen from");
  std::vector<double> chances;
  for (const index_t row : rows) chances.push_back(chance_of(rows, row));
  double most = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double gain = rows[i] == asked.row ? reward / asked.chance : 0;
    weights_[i] *= std::exp(least_ / 2 * (gain + bonus_ / chances[i]));
    most = std::max(most, weights_[i]);
  }
  for (double& w : weights_) w /= most;  // only their shares count
}

double weighted_accuracy(std::span<const weighted_answer> answers, index_t rows) {
  if (answers.empty() || rows < 1)
    throw value_error("weighted_accuracy: there are " + std::to_string(answers.size()) + " answers of " +
                      std::to_string(rows) + " rows; give at least one of each");
  double sum = 0;
  for (const weighted_answer& one : answers) {
    if (!(one.chance > 0 && one.chance <= 1))
      throw value_error("weighted_accuracy: an answer was drawn with the chance " + std::to_string(one.chance) +
                        "; give what it was drawn with, above 0");
    if (one.right) sum += 1 / one.chance;
  }
  return sum / double(rows) / double(answers.size());
}

}  // namespace poolwise
