#include <algorithm>
#include <limits>
#include <vector>

#include "poolwise/distance/distance.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

/// The rows, each in the cluster of its nearest center: a labelled row, or a pick.
class clusters {
 public:
  explicit clusters(const stage_input& x)
      : x_(x),
        left_(x.limit),
        centers_(x.labelled.rows),
        away_(std::size_t(x.rows()), std::numeric_limits<float>::infinity()),
        now_(away_.size()),
        center_(away_.size(), 0),
        taken_(away_.size()) {
    if (centers_ > 0)
      nearest(x.on, x.points(), finite_rows::judged(x.labelled), {away_.data(), x.rows()},
              {center_.data(), x.rows()});
  }

  index_t picks_left() const { return left_.picks(); }

  void take(index_t row) {
    left_.take(row);
    taken_[std::size_t(row)] = 1;
    const matrix_view<const float> points = *x_.pool.embeddings;
    squared_distances(x_.on, points, {points.row(row), points.cols}, {now_.data(), x_.rows()});
    for (std::size_t i = 0; i < away_.size(); ++i)
      if (now_[i] < away_[i]) away_[i] = now_[i], center_[i] = centers_;
    ++centers_;
  }

  /// The farthest row of the cluster whose squared distances have the largest sum; of no cluster that of the
  /// largest norm. Its row is -1 where none is allowed.
  candidate next() {
    if (centers_ == 0) {
      squared_norms(x_.on, *x_.pool.embeddings, {now_.data(), x_.rows()});
      candidate longest = best(now_, 0);
      longest.score = std::numeric_limits<float>::infinity();
      return longest;
    }
    // Which rows lie too near to a pick is known once they were looked at: then another cluster may be next.
    for (index_t of = largest(); of >= 0; of = largest())
      if (const candidate farthest = best(away_, of); farthest.row >= 0) return farthest;
    return {};
  }

 private:
  bool is_there(index_t i) const {
    return taken_[std::size_t(i)] == 0 && (x_.limit.barred.empty() || x_.limit.barred[i] == 0);
  }

  /// Of those with a row that may be picked; -1 where there is none.
  index_t largest() const {
    std::vector<double> sum(std::size_t(centers_), 0.0);
    std::vector<std::uint8_t> open(sum.size());
    for (index_t i = 0; i < x_.rows(); ++i) {
      if (!is_there(i)) continue;
      const auto of = std::size_t(center_[std::size_t(i)]);
      sum[of] += double(away_[std::size_t(i)]);
      if (open[of] == 0) open[of] = !left_.ruled_out(i);
    }
    index_t found = -1;
    for (index_t c = 0; c < centers_; ++c)
      if (open[std::size_t(c)] != 0 && (found < 0 || sum[std::size_t(c)] > sum[std::size_t(found)])) found = c;
    return found;
  }

  candidate best(const std::vector<float>& values, index_t of) const {
    candidate found;
    for (index_t i = 0; i < x_.rows(); ++i) {
      const candidate c{i, values[std::size_t(i)]};
      if (center_[std::size_t(i)] == of && taken_[std::size_t(i)] == 0 && (found.row < 0 || before(c, found)) &&
          left_.eligible(i))
        found = c;
    }
    return found;
  }

  const stage_input& x_;
  remaining left_;
  index_t centers_;
  std::vector<float> away_, now_;  // squared distances to the nearest center, and to the last
  std::vector<index_t> center_;    // before there are any, all rows are of one
  std::vector<std::uint8_t> taken_;
};

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  return pick_one_by_one<clusters>("lcmd", x, run);
}

std::uint64_t bytes(const strategy_size& size) {
  return size.rows * (2 * sizeof(float) + sizeof(index_t) + 1) +
         (size.picks + size.labelled) * (sizeof(double) + 1);
}

}  // namespace

std::vector<strategy_entry> strategies_of_lcmd() {
  return {{.name = "lcmd",
           .kind = "diversity",
           .formula = "farthest in the cluster of largest sum of d^2; a cluster has one labelled or picked row",
           .source = "Holzmueller et al. 2023",
           .on_devices = "distances",
           .needs = part::embeddings,
           .does = trait::counts_labelled,
           .aliases = {"largestclustermaxdist", "largestclustermaximumdistance"},
           .pick = pick,
           .reason = "farthest in the largest cluster about a labelled or picked row",
           .bytes = bytes}};
}

}  // namespace poolwise
