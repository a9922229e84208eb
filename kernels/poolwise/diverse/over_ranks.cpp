#include "poolwise/diverse/over_ranks.hpp"

#include <algorithm>
#include <numeric>
#include <string>
#include <unordered_map>
#include <utility>

#include "poolwise/core/detail/message.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/diverse/detail/gain_shard.hpp"

namespace poolwise {
namespace {

/// The place of a number among those of this rank, or -1.
index_t place_of(const rank_rows& mine, index_t number) {
  const auto at = std::lower_bound(mine.numbers.begin(), mine.numbers.end(), number);
  return at == mine.numbers.end() || *at != number ? -1 : index_t(at - mine.numbers.begin());
}

class sharded_gains : public gain_model {
 public:
  sharded_gains(gain_shard& mine, const rank_rows& rows, const allowance& limit)
      : mine_(mine),
        rows_(rows),
        limit_(limit),
        cols_(rows.points.cols()),
        quota_(limit.quota.begin(), limit.quota.end()) {}

  void sweep(const std::vector<candidate>& latest, const remaining& left) override {
    bring(latest);
    std::vector<pick_values> picks;
    for (const candidate& pick : latest) {
      const row_values& known = known_.at(pick.row);
      picks.push_back({known.point.data(), pick.score});
      if (!quota_.empty()) --quota_[std::size_t(known.group)];
    }
    mine_.lower_by(picks);
    for (const candidate& pick : latest)
      if (const index_t place = place_of(rows_, pick.row); place >= 0) mine_.retire(place);
    const allowance here{.picks = left.picks(),
                         .group = limit_.group,
                         .quota = {quota_.data(), index_t(quota_.size())},
                         .barred = limit_.barred};
    mine_.sweep({}, remaining(here));
  }

  std::vector<candidate> best(index_t count) override {
    message_writer out;
    for (const candidate& c : mine_.best(count)) out.add(rows_.numbers[std::size_t(c.row)]).add(c.score);
    std::vector<candidate> of_all;
    for (const auto& bytes : rows_.ranks.allgather(out.bytes()))
      for (message_reader in(bytes); !in.done();) {
        const auto number = in.value<index_t>();
        of_all.push_back({number, in.value<float>()});
      }
    std::sort(of_all.begin(), of_all.end(), before);
    of_all.resize(std::min(of_all.size(), std::size_t(count)));
    return of_all;
  }

  std::vector<candidate> chain(const std::vector<candidate>& shortlist, candidate rival,
                               remaining& left) override {
    bring(shortlist);
    std::vector<index_t> numbers;
    for (const candidate& c : shortlist) numbers.push_back(c.row);
    std::sort(numbers.begin(), numbers.end());  // ties to the lower place are ties to the lower number
    const auto place = [&](index_t number) {
      return index_t(std::lower_bound(numbers.begin(), numbers.end(), number) - numbers.begin());
    };
    std::vector<float> points, gains(numbers.size());
    std::vector<index_t> group;
    for (const index_t number : numbers) {
      const row_values& known = known_.at(number);
      points.insert(points.end(), known.point.begin(), known.point.end());
      if (!quota_.empty()) group.push_back(known.group);
    }
    std::vector<candidate> among = shortlist;
    for (candidate& c : among) {
      c.row = place(c.row);
      gains[std::size_t(c.row)] = c.score;
    }
    const auto model = mine_.of_shortlist({points.data(), index_t(numbers.size()), cols_}, gains);
    const allowance here{.picks = left.picks(),
                         .group = {group.data(), index_t(group.size())},
                         .quota = {quota_.data(), index_t(quota_.size())}};
    remaining left_here(here);
    std::vector<candidate> picks = model->chain(among, {place(rival.row), rival.score}, left_here);
    for (candidate& c : picks) {
      c.row = numbers[std::size_t(c.row)];
      left.take(c.row);
    }
    return picks;
  }

  /// Rows of a shortlist travel: many picks a pass are dearer in bytes than passes are.
  width shortlist_width() const override { return {.first = 1024, .most = 4096, .sweeps = 20}; }

 private:
  struct row_values {
    std::vector<float> point;
    index_t group = 0;
  };

  /// From now on all ranks know these rows.
  void bring(const std::vector<candidate>& some) {
    message_writer out;
    bool news = false;
    for (const candidate& c : some) {
      if (known_.contains(c.row)) continue;
      news = true;
      const index_t place = place_of(rows_, c.row);
      if (place < 0) continue;
      out.add(c.row).add_row(rows_.points.row(place), std::size_t(cols_));
      if (!quota_.empty()) out.add(limit_.group[place]);
    }
    if (!news) return;
    for (const auto& bytes : rows_.ranks.allgather(out.bytes()))
      for (message_reader in(bytes); !in.done();) {
        row_values& row = known_[in.value<index_t>()];
        row.point.resize(std::size_t(cols_));
        in.row(row.point.data(), row.point.size());
        if (!quota_.empty()) row.group = in.value<index_t>();
      }
    for (const candidate& c : some)
      if (!known_.contains(c.row))
        throw value_error("no rank has row " + std::to_string(c.row) + "; pass a state of the same selection");
  }

  gain_shard& mine_;
  const rank_rows& rows_;
  const allowance& limit_;
  index_t cols_;
  std::vector<index_t> quota_;                     // that are left
  std::unordered_map<index_t, row_values> known_;  // by number: what all ranks have been told
};

}  // namespace

std::vector<candidate> batches_over_ranks(gain_shard& mine, const rank_rows& rows, const allowance& limit,
                                          batch_run* run) {
  sharded_gains gains(mine, rows, limit);
  return threshold_batches(gains, {.picks = limit.picks}, run);
}

std::vector<float> values_of(const rank_rows& mine, std::span<const index_t> numbers) {
  const index_t cols = mine.points.cols();
  message_writer out;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    if (const index_t place = place_of(mine, numbers[i]); place >= 0)
      out.add(std::uint64_t(i)).add_row(mine.points.row(place), std::size_t(cols));
  std::vector<float> values(numbers.size() * std::size_t(cols));
  for (const auto& bytes : mine.ranks.allgather(out.bytes()))
    for (message_reader in(bytes); !in.done();) {
      const auto at = in.value<std::uint64_t>();
      in.row(values.data() + at * std::uint64_t(cols), std::size_t(cols));
    }
  return values;
}

candidate first_of_all(const rank_group& ranks, candidate mine) {
  message_writer out;
  out.add(mine.row).add(mine.score);
  candidate first;
  for (const auto& bytes : ranks.allgather(out.bytes())) {
    message_reader in(bytes);
    candidate other;
    other.row = in.value<index_t>();
    other.score = in.value<float>();
    if (other.row >= 0 && (first.row < 0 || before(other, first))) first = other;
  }
  return first;
}

}  // namespace poolwise
