// kcenter_beside: each row is compared with the labelled rows of one cell, which bounds its gain. Only rows of
// the largest bounds are compared with all labelled rows, and the picks are made among them. The bounds of the
// others then show that none of them would have been picked.
#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "poolwise/core/detail/gather.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/kcenter.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {
namespace {

// So many labelled rows have a cell of those that are nearest to them.
constexpr index_t cells = 64;

// Of a larger cell the first rows make the bound.
constexpr index_t most_of_cell = 256;

constexpr index_t row_block = 4096;

finite_rows judged(const std::vector<float>& values, index_t cols) {
  return finite_rows::judged(matrix_view<const float>{values.data(), index_t(values.size()) / cols, cols});
}

/// Labelled rows in cells.
class labelled_cells {
 public:
  labelled_cells(cpu on, matrix_view<const float> labelled)
      : heads_(finite_rows::judged(matrix_view<const float>{labelled.data, cells, labelled.cols,
                                                            labelled.stride * (labelled.rows / cells)})),
        first_(std::size_t(cells) + 1) {
    std::vector<float> d2(std::size_t(labelled.rows));
    std::vector<index_t> cell(d2.size()), order(d2.size());
    nearest(on, finite_rows::judged(labelled), heads_, {d2.data(), labelled.rows},
            {cell.data(), labelled.rows});
    std::iota(order.begin(), order.end(), index_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](index_t a, index_t b) { return cell[std::size_t(a)] < cell[std::size_t(b)]; });
    for (const index_t c : cell) ++first_[std::size_t(c) + 1];
    std::partial_sum(first_.begin(), first_.end(), first_.begin());
    by_cell_ = gather(on, labelled, order);
  }

  finite_rows heads() const { return heads_; }

  matrix_view<const float> of(index_t cell) const {
    const index_t begin = first_[std::size_t(cell)], end = first_[std::size_t(cell) + 1], cols = heads_.cols();
    return {by_cell_.data() + begin * cols, std::min(end - begin, most_of_cell), cols};
  }

 private:
  finite_rows heads_;
  std::vector<index_t> first_;
  std::vector<float> by_cell_;
};

class bounded_gains {
 public:
  bounded_gains(cpu on, finite_rows points, finite_rows labelled, vector_view<const std::uint8_t> barred,
                vector_view<const float> weights)
      : on_(on), points_(points), labelled_(labelled), weights_(weights), bound_(std::size_t(points.rows())) {
    const labelled_cells some(on, labelled);
    parallel_blocks(on, points.rows(), row_block, [&](index_t, index_t begin, index_t end) {
      std::vector<index_t> cell(std::size_t(end - begin));
      nearest(cpu{1}, rows_between(points, begin, end), some.heads(), {bound_.data() + begin, end - begin},
              {cell.data(), end - begin});
      float d2[most_of_cell];
      for (index_t i = begin; i < end; ++i) {
        const matrix_view<const float> near = some.of(cell[std::size_t(i - begin)]);
        canonical_squared_distances(near, points.row(i), d2);
        const float least = std::min(bound_[std::size_t(i)], *std::min_element(d2, d2 + near.rows));
        bound_[std::size_t(i)] = barred.empty() || barred[i] == 0 ? gain({i, least}) : none;
      }
    });
  }

  /// No row that is not compared gains more than this; below 0 where all are.
  float rest() const { return *std::max_element(bound_.begin(), bound_.end()); }
  index_t compared() const { return index_t(rows_.size()); }

  /// Compares so many more rows, those of the largest bounds, with all labelled rows.
  void compare(index_t more) {
    std::vector<index_t> rows;
    for (const candidate& c : top_k(on_, {bound_.data(), points_.rows()}, more))
      if (c.score >= 0) rows.push_back(c.row);
    std::sort(rows.begin(), rows.end());
    for (std::size_t begin = 0; begin < rows.size(); begin += row_block) {
      const std::span<const index_t> some(rows.data() + begin,
                                          std::min(rows.size() - begin, std::size_t(row_block)));
      const std::vector<float> places = gather(on_, points_.view(), some);
      const std::vector<float> d2 = distances_to(on_, judged(places, points_.cols()), labelled_);
      for (std::size_t i = 0; i < some.size(); ++i) {
        rows_.push_back({some[i], d2[i]});
        bound_[std::size_t(some[i])] = none;
      }
    }
  }

  /// How many that are not compared may gain as much.
  index_t above(float least) const {
    return std::count_if(bound_.begin(), bound_.end(),
                         [&](float bound) { return bound >= least && bound >= 0; });
  }

  /// The gain of the row of that rank, from 1, among those that are compared; 0 where they are fewer.
  float of_rank(index_t rank) const {
    if (index_t(rows_.size()) < rank) return 0;
    std::vector<float> all;
    for (const candidate& c : rows_) all.push_back(gain(c));
    std::nth_element(all.begin(), all.begin() + (rank - 1), all.end(), std::greater<>());
    return all[std::size_t(rank - 1)];
  }

  /// The rows that gain more than any that is not compared, ascending, with their squared distances.
  std::vector<candidate> leaders() const {
    const float least = rest();
    std::vector<candidate> lead;
    std::copy_if(rows_.begin(), rows_.end(), std::back_inserter(lead),
                 [&](const candidate& c) { return gain(c) > least; });
    std::sort(lead.begin(), lead.end(), [](const candidate& a, const candidate& b) { return a.row < b.row; });
    return lead;
  }

  std::vector<candidate> pick_among(const std::vector<candidate>& some, index_t picks, batch_run& run) const {
    std::vector<index_t> rows;
    std::vector<float> covered, weights;
    for (const candidate& c : some) {
      rows.push_back(c.row);
      covered.push_back(c.score);
      if (!weights_.empty()) weights.push_back(weights_[c.row]);
    }
    const std::vector<float> places = gather(on_, points_.view(), rows);
    std::vector<candidate> picked =
        kcenter(on_, judged(places, points_.cols()), {.picks = picks},
                {covered.data(), index_t(covered.size())}, {weights.data(), index_t(weights.size())}, &run);
    for (candidate& c : picked) c.row = rows[std::size_t(c.row)];
    return picked;
  }

 private:
  static constexpr float none = -1;

  float gain(const candidate& c) const { return weights_.empty() ? c.score : weights_[c.row] * c.score; }

  cpu on_;
  finite_rows points_, labelled_;
  vector_view<const float> weights_;
  std::vector<float> bound_;     // [rows] of the gain of a row that is not compared
  std::vector<candidate> rows_;  // that are, with their squared distances
};

/// The picks; nothing where too many rows would have to be compared.
std::vector<candidate> pick_by_bounds(cpu on, finite_rows points, finite_rows labelled, const allowance& limit,
                                      vector_view<const float> weights, batch_run& run) {
  bounded_gains gains(on, points, labelled, limit.barred, weights);
  const auto may_compare = [&](index_t more) {
    return gains.compared() + more <= most_compared(points.rows());
  };
  for (index_t more = 1024 + 4 * limit.picks; may_compare(more);) {
    gains.compare(more);
    // No batch ends above the gain that so many rows have before its first pick.
    more = gains.above(gains.of_rank(limit.picks));
    if (!may_compare(more)) break;
    gains.compare(more);
    const std::vector<candidate> lead = gains.leaders();
    if (index_t(lead.size()) > most_leaders(points.rows(), limit.picks)) break;
    if (index_t(lead.size()) < limit.picks && gains.rest() >= 0) break;  // many gains are equal
    std::vector<candidate> picks = gains.pick_among(lead, limit.picks, run);
    if (gains.rest() < 0 || gains.rest() < picks.back().score) return picks;
    more = gains.above(picks.back().score) + 1;
  }
  return {};
}

/// Whether a sixteenth of the rows can do with few comparisons, where that is worth finding out.
bool promises(cpu on, finite_rows points, finite_rows labelled, const allowance& limit,
              vector_view<const float> weights) {
  constexpr index_t step = 16, least = 1 << 19;
  if (points.rows() < least) return true;
  const matrix_view<const float> all = points;
  const matrix_view<const float> some{all.data, all.rows / step, all.cols, all.stride * step};
  std::vector<float> weight;
  std::vector<std::uint8_t> barred;
  for (index_t i = 0; i < some.rows; ++i) {
    if (!weights.empty()) weight.push_back(weights[i * step]);
    if (!limit.barred.empty()) barred.push_back(limit.barred[i * step]);
  }
  const allowance part{.picks = 1 + limit.picks / step, .barred = {barred.data(), index_t(barred.size())}};
  batch_run run;
  return !pick_by_bounds(on, finite_rows::judged(some), labelled, part, {weight.data(), index_t(weight.size())},
                         run)
              .empty();
}

}  // namespace

std::vector<candidate> kcenter_beside(const where& on, finite_rows points, finite_rows labelled,
                                      const allowance& limit, vector_view<const float> weights,
                                      batch_run* run) {
  const auto* host = std::get_if<cpu>(&on);
  const bool by_number = !limit.chooses() && !limit.per_cost && limit.floor.empty() && limit.picks > 0;
  const bool begins = run == nullptr || run->begin.picks.empty();
  if (host != nullptr && by_number && begins && labelled.rows() >= many_labelled && points.cols() > 0 &&
      promises(*host, points, labelled, limit, weights)) {
    batch_run alone;
    std::vector<candidate> picks = pick_by_bounds(*host, points, labelled, limit, weights, alone);
    if (!picks.empty()) {
      if (run != nullptr) run->sweeps += alone.sweeps;
      if (run != nullptr && run->advanced) run->advanced({picks});
      return picks;
    }
  }
  const std::vector<float> covered = distances_to(on, points, labelled);
  return kcenter(on, points, limit, {covered.data(), index_t(covered.size())}, weights, run);
}

}  // namespace poolwise
