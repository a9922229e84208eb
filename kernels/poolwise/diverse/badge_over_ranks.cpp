#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "poolwise/core/detail/message.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/diverse/detail/gain_shard.hpp"
#include "poolwise/diverse/detail/lazy_chain.hpp"
#include "poolwise/diverse/detail/stale_rejection.hpp"
#include "poolwise/diverse/detail/weighed_rows.hpp"
#include "poolwise/diverse/over_ranks.hpp"

namespace poolwise {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Weights of the rows of all ranks, in blocks of neighbouring numbers.
///
/// A block is whole where one rank has all of its rows: that rank adds it up, and draws from it. Of the others
/// all ranks are told the weights. So the order of additions is that of one process.
class weights_of_ranks : public weight_model {
 public:
  weights_of_ranks(const rank_rows& mine, const factored_rows& points, const allowance& limit)
      : mine_(mine),
        points_(points),
        limit_(limit),
        rows_(mine.on, points),
        weight_(mine.numbers.size()),
        sums_(std::size_t(blocks_of(rows(), weight_block))) {
    rows_.squared_norms(0, rows_.count(), weight_.data());
    for (index_t begin = 0; begin < rows_.count();) {
      const index_t block = mine.numbers[std::size_t(begin)] / weight_block;
      index_t end = begin;
      while (end < rows_.count() && mine.numbers[std::size_t(end)] / weight_block == block) ++end;
      parts_.push_back({block, begin, end});
      begin = end;
    }
  }

  index_t rows() const override { return mine_.ranks.pool_rows; }

  double sweep(const std::vector<candidate>& latest, const remaining&) override {
    if (latest.empty()) {
      for (std::size_t i = 0; i < weight_.size(); ++i)
        if (!limit_.barred.empty() && limit_.barred[index_t(i)] != 0) weight_[i] = retired;
    } else {
      lower_by(latest);
    }
    proposals_.clear();
    proposed_.clear();
    among_.reset();
    known_.clear();
    add_up();
    return sums_.empty() ? 0 : sums_.back();
  }

  candidate largest() override {
    const auto most = std::max_element(weight_.begin(), weight_.end());  // the first of equals
    if (most == weight_.end() || *most < 0) return first_of_all(mine_.ranks, {});
    return first_of_all(mine_.ranks, {mine_.numbers[std::size_t(most - weight_.begin())], *most});
  }

  candidate at(index_t row) override {
    const index_t place = place_of(row);
    return first_of_all(mine_.ranks, place < 0 ? candidate{} : candidate{row, weight_[std::size_t(place)]});
  }

  std::vector<candidate> propose(const std::vector<double>& units) override {
    message_writer out;
    std::unordered_set<index_t> told;
    for (std::size_t u = 0; u < units.size(); ++u) {
      const index_t place = drawn_here(units[u] * sums_.back());
      if (place < 0) continue;
      const index_t number = mine_.numbers[std::size_t(place)];
      out.add(std::uint64_t(u)).add(number).add(weight_[std::size_t(place)]);
      if (!known_.contains(number) && told.insert(number).second) write_values(out, place);
    }
    std::vector<candidate> drawn_rows(units.size());
    for (const auto& bytes : mine_.ranks.allgather(out.bytes()))
      for (message_reader in(bytes); !in.done();) {
        candidate& c = drawn_rows[std::size_t(in.value<std::uint64_t>())];
        c.row = in.value<index_t>();
        c.score = in.value<float>();
        if (!known_.contains(c.row)) read_values(in, c.row);
      }
    for (const candidate& c : drawn_rows) {
      const std::vector<float>& values = known_.at(c.row);
      proposals_.push_back(c.row);
      proposed_.insert(proposed_.end(), values.begin(), values.end());
    }
    among_.emplace(mine_.on, factored(proposed_));
    return drawn_rows;
  }

  float nearest(index_t p, const std::vector<index_t>& accepted) override {
    if (accepted.empty()) return infinity;
    while (among_->taken() < index_t(accepted.size())) among_->take(accepted[std::size_t(among_->taken())]);
    fresh_.resize(accepted.size());
    among_->squared_distances(p, fresh_.data());
    return *std::min_element(fresh_.begin(), fresh_.end());
  }

  std::optional<std::vector<index_t>> lowest_left(index_t count) override {
    message_writer out;
    index_t found = 0;
    for (std::size_t i = 0; i < weight_.size() && found < count; ++i)
      if (weight_[i] >= 0) {
        out.add(mine_.numbers[i]);
        ++found;
      }
    std::vector<index_t> lowest;
    for (const auto& bytes : mine_.ranks.allgather(out.bytes()))
      for (message_reader in(bytes); !in.done();) lowest.push_back(in.value<index_t>());
    std::sort(lowest.begin(), lowest.end());
    lowest.resize(std::min(lowest.size(), std::size_t(count)));
    return lowest;
  }

  /// Each time is an exchange, and brings the values of so many rows.
  index_t proposals_at_once() const override { return 256; }

 private:
  /// Rows of this rank in one block.
  struct part {
    index_t block, begin, end;
  };

  index_t width() const { return points_.a.cols + points_.h.cols; }
  index_t rows_of_block(index_t block) const { return std::min(weight_block, rows() - block * weight_block); }
  bool is_whole(const part& p) const { return p.end - p.begin == rows_of_block(p.block); }

  index_t place_of(index_t number) const {
    const auto at = std::lower_bound(mine_.numbers.begin(), mine_.numbers.end(), number);
    return at == mine_.numbers.end() || *at != number ? -1 : index_t(at - mine_.numbers.begin());
  }

  /// Both factors of a row, side by side.
  void write_values(message_writer& out, index_t place) const {
    out.add_row(points_.a.row(place), std::size_t(points_.a.cols));
    out.add_row(points_.h.row(place), std::size_t(points_.h.cols));
  }
  void read_values(message_reader& in, index_t number) {
    std::vector<float>& values = known_[number];
    values.resize(std::size_t(width()));
    in.row(values.data(), values.size());
  }
  factored_rows factored(const std::vector<float>& values) const {
    const index_t count = index_t(values.size()) / std::max<index_t>(1, width());
    return {{values.data(), count, points_.a.cols, width()},
            {values.data() + points_.a.cols, count, points_.h.cols, width()},
            points_.bias};
  }

  void lower_by(const std::vector<candidate>& latest) {
    message_writer out;
    bool news = false;
    for (const candidate& c : latest) {
      if (known_.contains(c.row)) continue;
      news = true;
      if (const index_t place = place_of(c.row); place >= 0) {
        out.add(c.row);
        write_values(out, place);
      }
    }
    if (news)
      for (const auto& bytes : mine_.ranks.allgather(out.bytes()))
        for (message_reader in(bytes); !in.done();) read_values(in, in.value<index_t>());
    std::vector<float> centers;
    for (const candidate& c : latest) {
      const std::vector<float>& values = known_.at(c.row);
      centers.insert(centers.end(), values.begin(), values.end());
    }
    if (std::exchange(first_, false))  // nothing is near anything before the first pick
      for (float& w : weight_)
        if (w != retired) w = infinity;
    rows_.lower_by(outer_products(mine_.on, factored(centers)), weight_.data());
    for (const candidate& c : latest)
      if (const index_t place = place_of(c.row); place >= 0) weight_[std::size_t(place)] = retired;
  }

  void add_up() {
    message_writer whole, split;
    std::uint64_t wholes = 0;
    for (const part& p : parts_) {
      const float* const weights = weight_.data() + p.begin;
      if (is_whole(p)) {
        whole.add(p.block).add(sum_of_block(weights, p.end - p.begin));
        ++wholes;
        continue;
      }
      split.add(p.block).add(std::uint64_t(p.end - p.begin));
      for (index_t i = p.begin; i < p.end; ++i)
        split.add(std::uint16_t(mine_.numbers[std::size_t(i)] % weight_block)).add(weight_[std::size_t(i)]);
    }
    message_writer out;
    out.add(wholes).add_row(whole.bytes().data(), whole.bytes().size());
    out.add_row(split.bytes().data(), split.bytes().size());
    split_.clear();
    for (const auto& bytes : mine_.ranks.allgather(out.bytes())) {
      message_reader in(bytes);
      for (auto left = in.value<std::uint64_t>(); left > 0; --left) {
        const auto block = in.value<index_t>();
        sums_[std::size_t(block)] = in.value<double>();
      }
      while (!in.done()) read_split(in);
    }
    for (const auto& [block, weights] : split_)
      sums_[std::size_t(block)] = sum_of_block(weights.data(), index_t(weights.size()));
    std::partial_sum(sums_.begin(), sums_.end(), sums_.begin());
  }

  void read_split(message_reader& in) {
    const auto block = in.value<index_t>();
    std::vector<float>& weights = split_[block];
    weights.resize(std::size_t(rows_of_block(block)), retired);
    for (auto left = in.value<std::uint64_t>(); left > 0; --left) {
      const auto at = in.value<std::uint16_t>();
      weights[at] = in.value<float>();
    }
  }

  /// The place of the row that a draw means, where this rank has it; else -1.
  index_t drawn_here(double target) const {
    const auto [block, within] = drawn_block(sums_, target);
    if (const auto told = split_.find(block); told != split_.end())
      return place_of(block * weight_block +
                      drawn_row(told->second.data(), index_t(told->second.size()), within));
    const auto p = std::lower_bound(parts_.begin(), parts_.end(), block,
                                    [](const part& one, index_t number) { return one.block < number; });
    if (p == parts_.end() || p->block != block) return -1;
    return p->begin + drawn_row(weight_.data() + p->begin, p->end - p->begin, within);
  }

  const rank_rows& mine_;
  factored_rows points_;
  const allowance& limit_;
  outer_products rows_;
  std::vector<float> weight_;  // squared norms, and then squared distances to the nearest pick
  std::vector<part> parts_;
  std::vector<double> sums_;                               // of the weights up to the end of each block of all
  std::unordered_map<index_t, std::vector<float>> split_;  // the weights of blocks that several ranks share
  std::unordered_map<index_t, std::vector<float>> known_;  // values of rows, by number, since the last sweep
  std::vector<index_t> proposals_;
  std::vector<float> proposed_;  // their values
  std::optional<outer_products> among_;
  bool first_ = true;  // no pick yet
  std::vector<float> fresh_;
};

}  // namespace

std::vector<candidate> badge_over_ranks(const rank_rows& mine, const real_matrix& x, outputs kind,
                                        const allowance& limit, std::uint64_t seed, batch_run* run,
                                        double* widened) {
  if (!limit.quota.empty())
    throw usage_error(
        "badge: quotas are not kept over ranks yet; run it in one process, or keep candidates first, "
        "as in margin/10x/badge");
  if (mine.ranks.pool_rows < 0)
    throw value_error(
        "badge: rows that cannot be judged are not left out over ranks yet; mend them, or exclude "
        "them and number the others anew");
  std::vector<float> values(std::size_t(rows_of(x) * cols_of(x)));
  const matrix_view<float> gradient{values.data(), rows_of(x), cols_of(x)};
  if (gradient.rows > 0) output_gradient(mine.on, x, kind, gradient);
  message_writer out;
  out.add(gradient.rows > 0 ? largest_gradient(mine.on, gradient) : 0.0f);
  float largest = 0;
  for (const auto& bytes : mine.ranks.allgather(out.bytes()))
    largest = std::max(largest, message_reader(bytes).value<float>());
  const double scale = widen_gradient(mine.on, gradient, largest);
  if (widened != nullptr) *widened = scale;
  weights_of_ranks weights(mine, {gradient, mine.points, true}, limit);
  return stale_rejection(weights, {.picks = limit.picks}, seed, first_center::largest_norm, run);
}

}  // namespace poolwise
