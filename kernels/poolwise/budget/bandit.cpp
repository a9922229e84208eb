#include "poolwise/budget/bandit.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "poolwise/budget/audit.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

constexpr stream arm_stream{42};

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

}  // namespace poolwise
