#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/query/detail/labelled_rows.hpp"
#include "poolwise/query/detail/linear_model.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

constexpr stream class_stream{62}, anywhere_stream{63};

/// For each class all rows in a line, by how far its probability is ahead of, or behind, the largest. Along a
/// line the middle of the shortest way between a labelled row of the class and one of another is next.
class class_lines {
 public:
  explicit class_lines(const stage_input& x)
      : x_(x), left_(x.limit), classes_(cols_of(*x.pool.model)), taken_(std::size_t(x.rows())) {
    const std::vector<index_t> known = classes_of("galaxy", x).of;
    std::vector<float> p = stage_probabilities(x);
    for (index_t i = 0; i < x.rows(); ++i)
      if (!is_barred(x, i)) members_.push_back(i);
    for (std::size_t n = 0; n < members_.size(); ++n) {
      const float* const own = p.data() + members_[n] * classes_;
      said_.push_back(index_t(std::max_element(own, own + classes_) - own));
      values_.insert(values_.end(), own, own + classes_);
    }
    label_.assign(members_.size(), -1);
    if (!known.empty()) {
      const std::vector<float> q = labelled_probabilities("galaxy", x);
      for (std::size_t l = 0; l < known.size(); ++l) {
        if (known[l] < 0) continue;
        members_.push_back(-1);
        label_.push_back(known[l]);
        said_.push_back(known[l]);
        values_.insert(values_.end(), q.data() + l * std::size_t(classes_),
                       q.data() + (l + 1) * std::size_t(classes_));
      }
    }
    order_.resize(std::size_t(lines()));
    parallel_blocks(host_of(x.on), lines(), 1, [&](index_t, index_t c, index_t) { make_line(c); });
    place_.assign(std::size_t(x.rows()), -1);
    for (std::size_t n = 0; n < members_.size(); ++n)
      if (members_[n] >= 0) place_[std::size_t(members_[n])] = index_t(n);
    values_ = {};
  }

  index_t picks_left() const { return left_.picks(); }

  /// Nobody knows its label yet: it counts as what the model says.
  void take(index_t row) {
    left_.take(row);
    taken_[std::size_t(row)] = 1;
    const auto n = std::size_t(place_[std::size_t(row)]);
    label_[n] = said_[n];
    ++picks_;
  }

  candidate next() {
    const index_t line = lines() == 1
                             ? 0
                             : index_t(random_bits(query_seed(*x_.asked), class_stream, std::uint64_t(picks_)) %
                                       std::uint64_t(lines()));
    index_t row = on_line(line);
    if (row < 0) row = anywhere();
    return row < 0 ? candidate{} : candidate{row, float(line)};
  }

 private:
  index_t lines() const { return classes_ > 2 ? classes_ : 1; }

  /// Those of the class that the model is surest of first; ties in the order of rows.
  void make_line(index_t c) {
    std::vector<std::pair<float, index_t>> line;
    for (std::size_t n = 0; n < members_.size(); ++n) {
      const float* const own = values_.data() + n * std::size_t(classes_);
      const float largest = *std::max_element(own, own + classes_);
      // Rows of which it is the first answer, else all equal, stand by how large it is.
      const float value = classes_ > 2 ? own[c] - largest + 1e-8f * largest : own[0];
      line.emplace_back(-value, index_t(n));
    }
    std::sort(line.begin(), line.end());
    for (const auto& [value, n] : line) order_[std::size_t(c)].push_back(n);
  }

  bool open(index_t n) const { return label_[std::size_t(n)] < 0; }
  bool allowed(index_t n) const {
    const index_t row = members_[std::size_t(n)];
    return row >= 0 && taken_[std::size_t(row)] == 0 && left_.eligible(row);
  }

  /// -1 where the class, or what is not of it, has no label, or nothing on the way is allowed.
  index_t on_line(index_t c) const {
    const std::vector<index_t>& line = order_[std::size_t(c)];
    const auto is_of = [&](index_t n) { return label_[std::size_t(n)] == c; };
    const auto size = index_t(line.size());
    index_t last = -1, first = -1, end = -1, shortest = std::numeric_limits<index_t>::max();
    for (index_t at = 0; at < size; ++at) {
      if (open(line[std::size_t(at)])) continue;
      if (last >= 0 && at - last > 1 && at - last < shortest &&
          is_of(line[std::size_t(at)]) != is_of(line[std::size_t(last)]))
        shortest = at - last, first = last + 1, end = at;
      last = at;
    }
    if (first >= 0) return nearest_allowed(line, (first + end - 1) / 2, first, end);
    return beside_cut(line, is_of);
  }

  /// Where labelled rows of both kinds are neighbours, the open row that is nearest to a cut.
  template <class IsOf>
  index_t beside_cut(const std::vector<index_t>& line, IsOf is_of) const {
    const auto size = index_t(line.size());
    index_t found = -1, nearest = size + 1, open_before = -1;
    for (index_t at = 0; at + 1 < size; ++at) {  // a cut between another class and this one, from its left
      if (allowed(line[std::size_t(at)])) open_before = at;
      if (open(line[std::size_t(at)]) || open(line[std::size_t(at + 1)]) || open_before < 0) continue;
      if (!is_of(line[std::size_t(at)]) && is_of(line[std::size_t(at + 1)]) && nearest >= at - open_before)
        nearest = at - open_before, found = open_before;
    }
    index_t open_behind = -1;
    for (index_t at = size - 1; at > 0; --at) {  // and from its right
      if (allowed(line[std::size_t(at)])) open_behind = at;
      if (open(line[std::size_t(at)]) || open(line[std::size_t(at - 1)]) || open_behind < 0) continue;
      if (is_of(line[std::size_t(at)]) && !is_of(line[std::size_t(at - 1)]) && nearest > open_behind - at)
        nearest = open_behind - at, found = open_behind;
    }
    return found < 0 ? -1 : members_[std::size_t(line[std::size_t(found)])];
  }

  /// Of the places from `first` to before `end` that which is nearest to `middle`; the left one of two.
  index_t nearest_allowed(const std::vector<index_t>& line, index_t middle, index_t first, index_t end) const {
    for (index_t off = 0; off < end - first; ++off)
      for (const index_t at : {middle - off, middle + off})
        if (at >= first && at < end && allowed(line[std::size_t(at)]))
          return members_[std::size_t(line[std::size_t(at)])];
    return -1;
  }

  index_t anywhere() const {
    index_t found = -1;
    std::uint64_t least = 0;
    for (index_t i = 0; i < x_.rows(); ++i) {
      if (taken_[std::size_t(i)] != 0 || is_barred(x_, i)) continue;
      const std::uint64_t bits =
          random_bits(query_seed(*x_.asked), anywhere_stream, std::uint64_t(x_.pool_row(i)));
      if ((found < 0 || bits < least) && left_.eligible(i)) found = i, least = bits;
    }
    return found;
  }

  const stage_input& x_;
  remaining left_;
  index_t classes_, picks_ = 0;
  std::vector<index_t> members_;             // rows that may be picked; -1 for each labelled one, behind them
  std::vector<index_t> label_, said_;        // [members] the class, -1 where it is open; the model's answer
  std::vector<float> values_;                // [members, classes]
  std::vector<std::vector<index_t>> order_;  // [lines] members
  std::vector<index_t> place_;               // [rows] among the members
  std::vector<std::uint8_t> taken_;
};

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  return pick_one_by_one<class_lines>("galaxy", x, run);
}

std::uint64_t bytes(const strategy_size& size) {
  const std::uint64_t members = size.rows + size.labelled, lines = size.classes > 2 ? size.classes : 1;
  return members * (3 * size.classes * sizeof(float) + 2 * lines * sizeof(index_t) + 9 * sizeof(index_t) + 1) +
         std::uint64_t(threads_of(cpu{})) * members * 2 * 16 + size.labelled * 4 * sizeof(index_t);
}

}  // namespace

std::vector<strategy_entry> strategies_of_galaxy() {
  return {{.name = "galaxy",
           .kind = "diversity",
           .formula =
               "the middle of the shortest way along rows by p_c - max p between a label of class c and one of "
               "another; c is drawn",
           .source = "Zhang et al. 2022",
           .on_devices = "none",
           .needs = part::outputs | part::labels,
           .does = trait::counts_labelled,
           .pick = pick,
           .reason = "between a label of a class and one of another, by the outputs",
           .bytes = bytes}};
}

}  // namespace poolwise
