#include "poolwise/diverse/detail/stale_rejection.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_set>

#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

constexpr stream proposal_stream{2};

// Between two sweeps no more proposals are rejected than accepted, but for a few that short batches may waste.
constexpr index_t free_rejections = 8;

// The draws of proposal number n: which row, and whether it is accepted. Number 0 is the first pick.
double proposal_unit(std::uint64_t seed, index_t n) {
  return random_unit(seed, proposal_stream, std::uint64_t(n), 0);
}
double acceptance_unit(std::uint64_t seed, index_t n) {
  return random_unit(seed, proposal_stream, std::uint64_t(n), 1);
}

class rejection_sampler {
 public:
  rejection_sampler(weight_model& model, const allowance& limit, std::uint64_t seed, batch_run* run)
      : model_(model), left_(limit), seed_(seed), run_(run) {
    if (run == nullptr) return;
    for (const candidate& pick : run->begin.picks) take(pick);
    state_.proposals = run->begin.proposals;
  }

  std::vector<candidate> sample(first_center first) {
    if (left_.picks() == 0) return std::move(state_.picks);
    model_.sweep({}, left_);
    if (state_.picks.empty()) {
      const candidate start = first == first_center::largest_norm ? model_.largest() : any_eligible();
      if (start.row < 0) return {};
      take(start);
    }
    while (left_.picks() > 0) {
      const double total = sweep();
      if (!std::isfinite(total))
        throw value_error("kmeans_pp: squared distances leave the range of fp32; scale the rows down");
      if (total == 0) {
        take_lowest();
        break;
      }
      draw_batch();
      if (run_ != nullptr && run_->advanced && !latest_.empty()) run_->advanced(state_);
    }
    return std::move(state_.picks);
  }

 private:
  void take(candidate pick) {
    left_.take(pick.row);
    state_.picks.push_back(pick);
    latest_.push_back(pick);
    taken_.insert(pick.row);
  }

  /// Lowers the weights by the latest picks, of an earlier run perhaps: no more of them at a time than of a
  /// batch. Returns their sum.
  double sweep() {
    double total = 0;
    auto from = latest_.begin();
    do {
      const auto to = from + std::min<index_t>(most_proposals, latest_.end() - from);
      total = model_.sweep({from, to}, left_);
      from = to;
    } while (from != latest_.end());
    if (run_ != nullptr) ++run_->sweeps;
    latest_.clear();
    return total;
  }

  bool eligible(index_t row) const { return left_.eligible(row) && !taken_.contains(row); }

  candidate any_eligible() {
    index_t eligible_rows = 0;
    for (index_t i = 0; i < model_.rows(); ++i) eligible_rows += left_.eligible(i);
    if (eligible_rows == 0) return {};
    auto skip = std::min(eligible_rows - 1, index_t(proposal_unit(seed_, 0) * double(eligible_rows)));
    index_t row = 0;
    while (!left_.eligible(row) || skip-- > 0) ++row;
    return model_.at(row);
  }

  void take_lowest() {
    if (const auto lowest = model_.lowest_left(left_.picks())) {
      for (const index_t row : *lowest) take({row, 0.0f});
      return;
    }
    for (index_t i = 0; i < model_.rows() && left_.picks() > 0; ++i)
      if (eligible(i)) take({i, 0.0f});
  }

  /// Picks until the weights are to be made anew.
  void draw_batch() {
    std::vector<index_t> accepted;  // by their place among the proposals since the sweep
    std::vector<candidate> proposed;
    index_t p = 0;
    for (; p < most_proposals && left_.picks() > 0; ++p) {
      if (p - index_t(accepted.size()) > index_t(accepted.size()) + free_rejections) break;
      if (p == index_t(proposed.size())) propose(proposed);
      const candidate stale = proposed[std::size_t(p)];
      if (!eligible(stale.row)) continue;
      const float distance = std::min(stale.score, model_.nearest(p, accepted));
      // Strictly, so that a distance of 0 is never accepted.
      if (!(acceptance_unit(seed_, number_of(p)) * double(stale.score) < double(distance))) continue;
      accepted.push_back(p);
      take({stale.row, distance});
    }
    state_.proposals += p;
    if (run_ != nullptr) run_->proposals += p;
  }

  void propose(std::vector<candidate>& proposed) {
    const auto have = index_t(proposed.size());
    std::vector<double> units(std::size_t(std::min(model_.proposals_at_once(), most_proposals - have)));
    for (std::size_t j = 0; j < units.size(); ++j)
      units[j] = proposal_unit(seed_, number_of(have + index_t(j)));
    const auto more = model_.propose(units);
    proposed.insert(proposed.end(), more.begin(), more.end());
  }

  /// Of proposal p since the last sweep.
  index_t number_of(index_t p) const { return 1 + state_.proposals + p; }

  weight_model& model_;
  remaining left_;
  std::uint64_t seed_;
  batch_run* run_;
  batch_state state_;              // its proposals are those before the last sweep
  std::vector<candidate> latest_;  // picks since
  std::unordered_set<index_t> taken_;
};

double share_of(float weight) { return double(weight > 0 ? weight : 0); }

}  // namespace

double sum_of_block(const float* weights, index_t rows) {
  double of_lane[weight_lanes] = {};
  index_t i = 0;
  for (; i + weight_lanes <= rows; i += weight_lanes)
    for (int lane = 0; lane < weight_lanes; ++lane) of_lane[lane] += share_of(weights[i + lane]);
  for (int lane = 0; i < rows; ++i, ++lane) of_lane[lane] += share_of(weights[i]);
  return std::accumulate(of_lane, of_lane + weight_lanes, 0.0);
}

drawn drawn_block(const std::vector<double>& sums, double target) {
  // A block without any share ends where it begins, at or below the target.
  auto block = std::upper_bound(sums.begin(), sums.end(), target);
  if (block == sums.end()) block = std::lower_bound(sums.begin(), sums.end(), sums.back());
  return {block - sums.begin(), target - (block == sums.begin() ? 0 : *(block - 1))};
}

index_t drawn_row(const float* weights, index_t rows, double target) {
  index_t run = 0;
  double before_run = 0, reached = 0;
  for (index_t first = 0; first < rows && reached <= target; first += weight_run) {
    double share = 0;
    for (index_t i = first; i < std::min(rows, first + weight_run); ++i) share += share_of(weights[i]);
    if (share == 0) continue;
    run = first;
    before_run = reached;
    reached += share;
  }
  index_t row = run;
  reached = before_run;
  for (index_t i = run; i < std::min(rows, run + weight_run) && reached <= target; ++i) {
    if (share_of(weights[i]) == 0) continue;
    row = i;
    reached += share_of(weights[i]);
  }
  return row;
}

std::vector<candidate> stale_rejection(weight_model& model, const allowance& limit, std::uint64_t seed,
                                       first_center first, batch_run* run) {
  return rejection_sampler(model, limit, seed, run).sample(first);
}

}  // namespace poolwise
