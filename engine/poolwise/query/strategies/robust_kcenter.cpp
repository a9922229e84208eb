#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "poolwise/core/detail/philox.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

constexpr stream robust_stream{25};

/// One of the farthest rows, twice as many of them as there may be outliers, drawn afresh for each pick. A row
/// that is no outlier is drawn with a chance of 1/2 at least while one lies as far.
class far_rows {
 public:
  explicit far_rows(const stage_input& x)
      : x_(x),
        left_(x.limit),
        away_(std::size_t(x.rows()), std::numeric_limits<float>::infinity()),
        now_(away_.size()),
        taken_(away_.size()) {
    if (x.labelled.rows > 0) away_ = distances_to(x.on, x.points(), finite_rows::judged(x.labelled));
    double there = 0;
    for (index_t i = 0; i < x.rows(); ++i) there += is_barred(x, i) ? 0 : 1;
    farthest_ = 2 * index_t(std::ceil(x.what->given["outliers"] * there));
  }

  index_t picks_left() const { return left_.picks(); }

  void take(index_t row) {
    left_.take(row);
    taken_[std::size_t(row)] = 1;
    ++picks_;
    const matrix_view<const float> points = *x_.pool.embeddings;
    squared_distances(x_.on, points, {points.row(row), points.cols}, {now_.data(), x_.rows()});
    for (std::size_t i = 0; i < away_.size(); ++i) away_[i] = std::min(away_[i], now_[i]);
  }

  candidate next() {
    std::vector<candidate> rows;
    for (index_t i = 0; i < x_.rows(); ++i)
      if (taken_[std::size_t(i)] == 0 && left_.eligible(i)) rows.push_back({i, away_[std::size_t(i)]});
    if (rows.empty()) return {};
    // Of no center all rows are as far.
    const bool none = rows.front().score == std::numeric_limits<float>::infinity();
    const auto count = none ? index_t(rows.size()) : std::clamp<index_t>(farthest_, 1, index_t(rows.size()));
    if (count < index_t(rows.size())) std::nth_element(rows.begin(), rows.begin() + count, rows.end(), before);
    std::sort(rows.begin(), rows.begin() + count, before);
    const double drawn = random_unit(query_seed(*x_.asked), robust_stream, std::uint64_t(picks_));
    return rows[std::size_t(std::min(count - 1, index_t(drawn * double(count))))];
  }

 private:
  const stage_input& x_;
  remaining left_;
  std::vector<float> away_, now_;  // squared distances to the nearest center, and to the last
  std::vector<std::uint8_t> taken_;
  index_t farthest_ = 0, picks_ = 0;
};

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  return pick_one_by_one<far_rows>("robust_kcenter", x, run);
}

}  // namespace

std::vector<strategy_entry> strategies_of_robust_kcenter() {
  return {
      {.name = "robust_kcenter",
       .kind = "diversity",
       .formula = "drawn of the 2 z farthest from everything labelled or picked, z = outliers * rows",
       .source = "Ding et al. 2019",
       .on_devices = "distances",
       .needs = part::embeddings,
       .does = trait::counts_labelled,
       .parameters = {{"outliers", 0.01, between(0, 1), "the share of rows that may stay far from all picks"}},
       .pick = pick,
       .reason = "drawn of the rows farthest from labelled and picked ones",
       .bytes = [](const strategy_size& size) {
         return size.rows * (2 * sizeof(float) + 1 + 2 * sizeof(candidate));
       }}};
}

}  // namespace poolwise
