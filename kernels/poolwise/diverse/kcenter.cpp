#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/diverse/detail/gain_shard.hpp"
#include "poolwise/diverse/detail/kcenter_cuda.hpp"
#include "poolwise/diverse/detail/lazy_chain.hpp"
#include "poolwise/diverse/detail/lower_distances.hpp"
#include "poolwise/diverse/detail/models.hpp"
#include "poolwise/diverse/detail/row_values.hpp"
#include "poolwise/diverse/detail/rows_at_hand.hpp"
#include "poolwise/diverse/kcenter.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {
namespace {

// A row of a shortlist that has missed as many picks catches up with them together with all others that have.
constexpr std::size_t far_behind = quantised_panel::width;

// Rows whose gains are brought up to date together, or not at all.
constexpr index_t part_rows = 2048, parts_at_once = 64;

/// The gain of a row is its squared distance to the nearest labelled or picked row, times its weight.
///
/// Gains of parts of the pool may be stale, and then bound what they would be: a part whose largest stale gain
/// does not reach the shortlist is not read until one does.
class farthest_first : public gain_shard {
 public:
  farthest_first(cpu on, matrix_view<const float> points, vector_view<const float> covered,
                 vector_view<const float> weights)
      : on_(on),
        points_(points),
        weights_(weights),
        sweeper_(on, points),
        shortlist_sweeper_(on, points),
        at_hand_(on, points),
        distance_(std::size_t(points.rows), std::numeric_limits<float>::infinity()),
        gain_(std::size_t(weights.size)),
        parts_(std::size_t(blocks_of(points.rows, part_rows))) {
    if (!covered.empty()) std::copy(covered.begin(), covered.end(), distance_.begin());
    // A weight of 0 makes a gain of 0 even where the distance is infinite.
    for (index_t i = 0; i < weights.size; ++i)
      if (weights[i] == 0) distance_[std::size_t(i)] = 0;
  }

  void sweep(const std::vector<candidate>& latest, const remaining& left) override {
    for (const candidate& pick : latest) {
      picks_.push_back(pick.row);
      ++lowered_;
      retire(pick.row);
    }
    if (!latest.empty() && !left.dwindles()) return;
    parallel_blocks(on_, points_.rows, part_rows, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i)
        if (distance_[std::size_t(i)] >= 0 && leaves_out(latest, left, i)) retire(i);
    });
  }

  std::vector<candidate> best(index_t count) override {
    std::vector<index_t> waiting(parts_.size());
    std::iota(waiting.begin(), waiting.end(), index_t{0});
    const auto ceiling = [&](index_t p) { return parts_[std::size_t(p)].ceiling; };
    std::stable_sort(waiting.begin(), waiting.end(),
                     [&](index_t a, index_t b) { return ceiling(a) > ceiling(b); });
    top_k_state top(count);
    std::vector<candidate> rows;
    auto next = waiting.begin();
    // The first parts say what the others have to reach. Few rounds: threads wait for each other in every one.
    for (index_t some = blocks_of(index_t(parts_.size()), 16); next != waiting.end(); some *= 8) {
      const auto first = next;
      for (; next != waiting.end() && next - first < some; ++next)
        if (index_t(rows.size()) == count && ceiling(*next) < rows.back().score) break;
      if (next == first) break;
      update({first, next});
      for (auto p = first; p != next; ++p)
        top.add(cpu{1}, {gains() + *p * part_rows, size_of(*p)}, *p * part_rows);
      rows = top.best();
    }
    return without_retired(std::move(rows));
  }

  std::vector<candidate> chain(const std::vector<candidate>& shortlist, candidate rival,
                               remaining& left) override {
    at_hand_.clear();
    std::vector<entry> entries;
    for (const candidate& c : shortlist) entries.push_back({c, 0});
    candidate_heap<entry> waiting(std::move(entries));
    const auto lags = [&](entry& first, const std::vector<candidate>& picks) {
      if (first.seen == picks.size()) return false;
      if (picks.size() - first.seen >= far_behind)
        catch_up(first, waiting, picks, rival);
      else
        lower(first, picks);
      return true;
    };
    return lazy_chain(waiting, rival, left, lags, [](const entry&) {});
  }

  void lower_by(std::span<const pick_values> picks) override {
    for (const pick_values& pick : picks)
      brought_.insert(brought_.end(), pick.point, pick.point + points_.cols);
    lowered_ += picks.size();
  }

  void retire(index_t row) override {
    distance_[std::size_t(row)] = retired;
    if (!gain_.empty()) gain_[std::size_t(row)] = retired;
  }

  std::unique_ptr<gain_model> of_shortlist(matrix_view<const float> points,
                                           const std::vector<float>& gains) const override {
    return std::make_unique<farthest_first>(
        on_, points, vector_view<const float>{gains.data(), index_t(gains.size())}, vector_view<const float>{});
  }

  /// A row of a shortlist costs little more than one of a sweep.
  width shortlist_width() const override { return {.first = 1024, .most = 16384, .sweeps = 5}; }

 private:
  struct entry {
    candidate row;
    std::size_t seen;  // picks that have lowered its gain
  };

  /// Lowers the gains of `first` and of all others that are far behind, and leaves out what then comes after
  /// the rival.
  void catch_up(entry& first, candidate_heap<entry>& waiting, const std::vector<candidate>& picks,
                candidate rival) {
    waiting.rearrange([&](std::vector<entry>& others) {
      std::vector<entry*> behind{&first};
      for (entry& e : others)
        if (picks.size() - e.seen >= far_behind) behind.push_back(&e);
      std::vector<index_t> rows;
      std::size_t from = picks.size();
      for (const entry* e : behind) {
        rows.push_back(e->row.row);
        from = std::min(from, e->seen);
      }
      shortlist_sweeper_.lower_some(rows, rows_of({picks.begin() + std::ptrdiff_t(from), picks.end()}),
                                    distance_.data());
      for (entry* e : behind) {
        e->row.score = gain(e->row.row, distance_[std::size_t(e->row.row)]);
        e->seen = picks.size();
      }
      std::erase_if(others, [&](const entry& e) { return !before(e.row, rival); });
    });
  }

  void lower(entry& one, const std::vector<candidate>& picks) {
    float& distance = distance_[std::size_t(one.row.row)];
    distance = std::min(distance, nearest(one.row.row, picks, one.seen));
    one.row.score = gain(one.row.row, distance);
    one.seen = picks.size();
  }

  static std::vector<index_t> rows_of(const std::vector<candidate>& picks) {
    std::vector<index_t> rows;
    for (const candidate& pick : picks) rows.push_back(pick.row);
    return rows;
  }

  struct part {
    float ceiling = std::numeric_limits<float>::infinity();  // no gain in it is larger
    std::size_t seen = 0;                                    // picks that have lowered its gains
  };

  const float* gains() const { return gain_.empty() ? distance_.data() : gain_.data(); }

  /// Rows of a part.
  index_t size_of(index_t p) const { return std::min(part_rows, points_.rows - p * part_rows); }

  /// Lowers the gains of some parts by the picks that they have missed.
  void update(std::vector<index_t> some) {
    const auto seen = [&](index_t p) { return parts_[std::size_t(p)].seen; };
    std::sort(some.begin(), some.end(), [&](index_t a, index_t b) {
      return seen(a) < seen(b) || (seen(a) == seen(b) && a < b);  // only the last part of all may be short
    });
    for (auto from = some.begin(), to = from; from != some.end() && seen(*from) < lowered_; from = to) {
      std::vector<index_t> first;
      index_t count = 0;
      for (; to != some.end() && seen(*to) == seen(*from); ++to) {
        first.push_back(*to * part_rows);
        count += size_of(*to);
      }
      lower_parts(first, count, seen(*from));
    }
    parallel_blocks(on_, index_t(some.size()), parts_at_once, [&](index_t, index_t begin, index_t end) {
      for (index_t at = begin; at < end; ++at) set_ceiling(some[std::size_t(at)]);
    });
  }

  /// By the picks from number `from` on.
  void lower_parts(const std::vector<index_t>& first, index_t count, std::size_t from) {
    if (brought_.empty())
      return sweeper_.lower_runs(first, part_rows, count, {picks_.begin() + std::ptrdiff_t(from), picks_.end()},
                                 distance_.data());
    const float* const behind = brought_.data() + from * std::size_t(points_.cols);
    sweeper_.lower_runs_by(first, part_rows, count, {behind, index_t(lowered_ - from), points_.cols},
                           distance_.data());
  }

  /// Of a part whose distances are up to date.
  void set_ceiling(index_t p) {
    const index_t begin = p * part_rows, end = begin + size_of(p);
    if (!gain_.empty())
      for (index_t i = begin; i < end; ++i) gain_[std::size_t(i)] = gain(i, distance_[std::size_t(i)]);
    parts_[std::size_t(p)] = {*std::max_element(gains() + begin, gains() + end), lowered_};
  }

  float gain(index_t row, float distance) const {
    return distance < 0 || weights_.empty() ? distance : weights_[row] * distance;
  }

  float nearest(index_t row, const std::vector<candidate>& picks, std::size_t from) {
    settle_far_pages(on_);
    while (at_hand_.count() < index_t(picks.size())) at_hand_.add(picks[std::size_t(at_hand_.count())].row);
    const auto centers = at_hand_.addresses(from);
    fresh_.resize(centers.size());
    canonical_squared_distances(points_.row(row), {centers.data(), index_t(centers.size())}, points_.cols,
                                fresh_.data());
    return *std::min_element(fresh_.begin(), fresh_.end());
  }

  cpu on_;
  matrix_view<const float> points_;
  vector_view<const float> weights_;
  distance_sweeper sweeper_, shortlist_sweeper_;
  rows_at_hand at_hand_;         // picks of the chain
  std::vector<float> distance_;  // to the nearest labelled or picked row
  std::vector<float> gain_;      // where there are weights
  std::vector<part> parts_;
  std::vector<index_t> picks_;
  std::vector<float> brought_;  // the values of picks, where these are not by row
  std::size_t lowered_ = 0;     // picks, by row or brought
  std::vector<float> fresh_;
};

std::unique_ptr<gain_model> model_of(const where& on, const kcenter_problem& problem, const allowance& limit) {
  if (!std::holds_alternative<cpu>(on)) refuse_host_limits("kcenter", limit);
  if constexpr (has_cuda) {
    if (const auto* device = std::get_if<cuda>(&on)) return kcenter_model(*device, problem, limit);
    if (const auto* devices = std::get_if<offload>(&on)) return kcenter_model(*devices, problem, limit);
  }
  return kcenter_model(require_cpu(on, "kcenter"), problem.points, problem.covered, problem.weights);
}

}  // namespace

std::unique_ptr<gain_model> kcenter_model(cpu on, matrix_view<const float> points,
                                          vector_view<const float> covered, vector_view<const float> weights) {
  return std::make_unique<farthest_first>(on, points, covered, weights);
}

std::vector<candidate> kcenter_over_ranks(const rank_rows& mine, const allowance& limit,
                                          vector_view<const float> covered, batch_run* run) {
  farthest_first gains(mine.on, mine.points, covered, {});
  return batches_over_ranks(gains, mine, limit, run);
}

std::vector<candidate> kcenter(const where& on, point_rows points, const allowance& limit,
                               vector_view<const float> covered, vector_view<const float> weights,
                               batch_run* run) {
  require_build_for(on, "kcenter");
  check_row_values(on, "kcenter", "covered", covered, points.rows(), true);
  check_row_values(on, "kcenter", "weights", weights, points.rows());
  check_allowance("kcenter", limit, points.rows());
  check_begin("kcenter", run, limit, points.rows());
  // The rows come last: to look through them costs a read of them all.
  kcenter_problem problem{points.require_distances(on, "kcenter", "points"), covered, weights};
  if (std::holds_alternative<cuda>(on)) refuse_per_cost("kcenter", limit);  // the weights lie on the device
  std::vector<float> by_cost = gain_factors(limit);
  for (index_t i = 0; i < weights.size && !by_cost.empty(); ++i) by_cost[std::size_t(i)] *= weights[i];
  if (!by_cost.empty()) problem.weights = {by_cost.data(), index_t(by_cost.size())};
  return threshold_batches(*model_of(on, problem, limit), limit, run);
}

}  // namespace poolwise
