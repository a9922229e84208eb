#include "poolwise/diverse/detail/lower_distances.hpp"

#include <algorithm>
#include <limits>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/distance/detail/canonical.hpp"

namespace poolwise {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// Fewer centres than these share too little of a row's way through the cache to repay its narrowing.
constexpr index_t few_centers = 4;

constexpr index_t pairs_at_once = 128;

/// Rows of a tile at most.
constexpr index_t tallest = 96;

/// Rows that meet all centres together: they, narrowed, and a panel of centres stay in an L2 cache of 1 MiB.
index_t height_for(index_t cols) {
  const index_t row = std::max<index_t>(1, cols) * index_t(sizeof(float));
  return std::clamp(384 * 1024 / row / narrow_step * narrow_step, narrow_step, tallest);
}

/// Rows of a pool: the first `count`, or those of runs of `length`.
struct row_set {
  index_t count;
  const index_t* run = nullptr;
  index_t length = 1;
  index_t operator[](index_t i) const { return run == nullptr ? i : run[i / length] + i % length; }
};

/// The factor before the last is short next to it, and as exact as may be.
template <class Pairs>
grain grain_of(const Pairs&, int factor, grain fine) {
  return factor + 1 < Pairs::factors ? grain::words : fine;
}

/// Squared distances of rows. Products are those of rows without an origin among the centres.
class plain_pairs {
 public:
  static constexpr int factors = 1;

  plain_pairs(cpu on, matrix_view<const float> points, const std::vector<index_t>& centers)
      : points_(points), origin_(std::size_t(points.cols)), least_(points.cols) {
    for (const index_t center : centers) {
      for (index_t c = 0; c < points.cols; ++c)
        origin_[std::size_t(c)] += points.row(center)[c] / float(centers.size());
      settle_pages(on);
    }
  }

  matrix_view<const float> factor(int) const { return points_; }
  const float* origin() const { return origin_.data(); }
  double underflow() const { return least_.underflow(); }

  /// The part of a row, or of a centre, in the least that its distances can be; infinite if there is none.
  double part(const narrow_facts* const (&facts)[factors], index_t place, index_t) const {
    return least_.part(facts[0]->norm2[std::size_t(place)]);
  }

  void distances(index_t count, const index_t* rows, const index_t* centers, float* d2) const {
    const float *one[pairs_at_once] = {}, *other[pairs_at_once] = {};
    for (index_t p = 0; p < count; ++p) {
      one[p] = points_.row(rows[p]);
      other[p] = points_.row(centers[p]);
    }
    canonical_squared_distances(vector_view<const float* const>{one, count}, other, points_.cols, d2);
  }

 private:
  matrix_view<const float> points_;
  std::vector<float> origin_;  // their mean, roughly
  narrow_distance least_;
};

/// Squared distances of outer products.
///
/// They are put together in double, so that with M = |a|^2 (|h|^2 + bias) of either and P of the canonical
/// products they are at least (M_x + M_c) (1 - 2^-50) - 2 P. 2^-20 covers that, and what find_open_pairs and
/// the code round.
class outer_pairs {
 public:
  static constexpr int factors = 2;
  const float bias;

  outer_pairs(const factored_rows& points, vector_view<const double> norm2)
      : bias(points.bias ? 1.0f : 0.0f), points_(points), norm2_(norm2) {}

  matrix_view<const float> factor(int f) const { return f == 0 ? points_.a : points_.h; }
  const float* origin() const { return nullptr; }
  double underflow() const { return 0x1p-140; }

  double part(const narrow_facts* const (&facts)[factors], index_t place, index_t row) const {
    const bool fits =
        std::max(facts[0]->norm2[std::size_t(place)], facts[1]->norm2[std::size_t(place)]) < infinity;
    const double norm2 = norm2_[row];
    return fits && norm2 < 0x1p120 ? norm2 * (1 - 0x1p-20) : double(infinity);
  }

  void distances(index_t count, const index_t* rows, const index_t* centers, float* d2) const {
    float dot[factors][pairs_at_once];
    for (int f = 0; f < factors; ++f) {
      const auto x = factor(f);
      const float *one[pairs_at_once] = {}, *other[pairs_at_once] = {};
      for (index_t p = 0; p < count; ++p) {
        one[p] = x.row(rows[p]);
        other[p] = x.row(centers[p]);
      }
      canonical_dots(vector_view<const float* const>{one, count}, other, x.cols, dot[f]);
    }
    for (index_t p = 0; p < count; ++p)
      d2[p] = outer_squared_distance(norm2_[rows[p]], norm2_[centers[p]], dot[0][p], dot[1][p], points_.bias);
  }

 private:
  factored_rows points_;
  vector_view<const double> norm2_;
};

/// Up to narrow_panel::width centres, all their factors.
template <int Factors>
struct center_panel {
  const index_t* centers;
  std::vector<narrow_panel> of_factor;
  std::vector<float> base;  // for find_open_pairs
};

template <class Pairs>
std::vector<center_panel<Pairs::factors>> panels_of(cpu on, const Pairs& pairs,
                                                    const std::vector<index_t>& centers, grain fine) {
  std::vector<center_panel<Pairs::factors>> panels;
  for (std::size_t begin = 0; begin < centers.size(); begin += narrow_panel::width) {
    auto& panel = panels.emplace_back();
    panel.centers = centers.data() + begin;
    const auto count = std::min<index_t>(narrow_panel::width, index_t(centers.size() - begin));
    const narrow_facts* facts[Pairs::factors];
    for (int f = 0; f < Pairs::factors; ++f) {
      narrow_rows rows(grain_of(pairs, f, fine), pairs.factor(f).cols, count);
      for (index_t j = 0; j < count; ++j) rows.add(pairs.factor(f).row(panel.centers[j]), pairs.origin());
      panel.of_factor.emplace_back(rows);
    }
    for (int f = 0; f < Pairs::factors; ++f) facts[f] = &panel.of_factor[std::size_t(f)].facts();
    // Beyond the last centre nothing is ever close.
    panel.base.assign(std::size_t(panel.of_factor[0].places()), infinity);
    for (index_t j = 0; j < count; ++j)
      panel.base[std::size_t(j)] = open_base(pairs.part(facts, j, panel.centers[j]));
    settle_pages(on);
  }
  return panels;
}

/// A thread's tile of rows, and the pairs that it has found open.
template <class Pairs>
class tile {
 public:
  tile(const Pairs& pairs, row_set rows, grain fine, index_t height, float* distance)
      : pairs_(&pairs), row_(rows), distance_(distance), open_(std::size_t(height * narrow_panel::width)) {
    for (int f = 0; f < Pairs::factors; ++f) {
      rows_.emplace_back(grain_of(pairs, f, fine), pairs.factor(f).cols, height);
      tables_.emplace_back(std::size_t(narrow_height(height) * narrow_panel::width));
    }
  }

  void load(index_t begin, index_t end) {
    begin_ = begin;
    for (int f = 0; f < Pairs::factors; ++f) {
      auto& rows = rows_[std::size_t(f)];
      rows.clear();
      for (index_t i = begin; i < end; ++i) rows.add(pairs_->factor(f).row(row_[i]), pairs_->origin());
      facts_[f] = &rows.facts();
    }
    for (index_t i = begin; i < end; ++i) part_[i - begin] = pairs_->part(facts_, i - begin, row_[i]);
  }

  /// Lowers the distances of its rows by a panel.
  void meet(const center_panel<Pairs::factors>& panel) {
    float limit[tallest];
    const index_t count = rows_[0].rows();
    for (index_t i = 0; i < count; ++i) limit[i] = limit_of(part_[i], distance_[row_[begin_ + i]]);
    narrow_factor factor[Pairs::factors];
    for (std::size_t f = 0; f < Pairs::factors; ++f) {
      factor[f] = {&rows_[f], &panel.of_factor[f], tables_[f].data()};
      narrow_products(rows_[f], panel.of_factor[f], tables_[f].data());
    }
    index_t open;
    if constexpr (Pairs::factors == 1)
      open = find_open_pairs(factor[0], panel.base.data(), limit, open_.data());
    else
      open = find_open_pairs(factor[0], factor[1], pairs_->bias, panel.base.data(), limit, open_.data());
    for (index_t first = 0; first < open; first += pairs_at_once)
      settle(panel.centers, open_.data() + first, std::min(open - first, pairs_at_once));
  }

  /// Distances that lowered nothing.
  index_t idle() const { return idle_; }

 private:
  /// Nothing lowers a distance of 0, or one that is to stay.
  float limit_of(double part, float distance) const {
    return distance <= 0 ? -infinity : open_limit(part, distance, pairs_->underflow());
  }

  void settle(const index_t* centers, const narrow_pair* pairs, index_t count) {
    index_t row[pairs_at_once], center[pairs_at_once];
    float fresh[pairs_at_once];
    for (index_t p = 0; p < count; ++p) {
      row[p] = row_[begin_ + pairs[p].row];
      center[p] = centers[pairs[p].place];
    }
    pairs_->distances(count, row, center, fresh);
    for (index_t p = 0; p < count; ++p) {
      float& distance = distance_[row[p]];
      idle_ += fresh[p] >= distance;
      distance = std::min(distance, fresh[p]);
    }
  }

  const Pairs* pairs_;
  row_set row_;
  float* distance_;
  std::vector<narrow_rows> rows_;
  std::vector<std::vector<float, line_allocator<float>>> tables_;
  std::vector<narrow_pair> open_;
  const narrow_facts* facts_[Pairs::factors] = {};
  double part_[tallest] = {};
  index_t begin_ = 0, idle_ = 0;
};

template <class Pairs>
void lower_directly(cpu on, const Pairs& pairs, row_set rows, const std::vector<index_t>& centers,
                    float* distance) {
  parallel_blocks(on, rows.count, pairs_at_once, [&](index_t, index_t begin, index_t end) {
    index_t row[pairs_at_once] = {}, other[pairs_at_once] = {};
    float fresh[pairs_at_once];
    const index_t count = end - begin;
    for (index_t i = 0; i < count; ++i) row[i] = rows[begin + i];
    for (const index_t center : centers) {
      std::fill_n(other, count, center);
      pairs.distances(count, row, other, fresh);
      for (index_t i = 0; i < count; ++i) distance[row[i]] = std::min(distance[row[i]], fresh[i]);
    }
  });
}

template <class Pairs>
void lower_by(cpu on, const Pairs& pairs, pair_filter& filter, row_set rows,
              const std::vector<index_t>& centers, float* distance) {
  if (index_t(centers.size()) <= few_centers || filter.direct())
    return lower_directly(on, pairs, rows, centers, distance);
  const grain fine = filter.fine();
  const auto panels = panels_of(on, pairs, centers, fine);
  const index_t height = height_for(pairs.factor(Pairs::factors - 1).cols);
  per_thread tiles(on, rows.count, height, tile<Pairs>(pairs, rows, fine, height, distance));
  parallel_blocks(on, rows.count, height, [&](index_t, index_t begin, index_t end) {
    auto& mine = tiles.mine();
    mine.load(begin, end);
    for (const auto& panel : panels) {
      mine.meet(panel);
      settle_pages(on);
    }
  });
  index_t idle = 0;
  for (const auto& of_thread : tiles.all()) idle += of_thread.idle();
  filter.count(fine, rows.count, index_t(centers.size()), idle);
}

}  // namespace

void distance_sweeper::lower(const std::vector<index_t>& centers, float* distance) {
  lower_by(on_, plain_pairs(on_, points_, centers), filter_, {points_.rows}, centers, distance);
}

void distance_sweeper::lower_runs(const std::vector<index_t>& first, index_t length, index_t count,
                                  const std::vector<index_t>& centers, float* distance) {
  const row_set rows{count, first.data(), length};
  lower_by(on_, plain_pairs(on_, points_, centers), filter_, rows, centers, distance);
}

void outer_product_sweeper::lower(vector_view<const double> norm2, const std::vector<index_t>& centers,
                                  float* distance) {
  lower_by(on_, outer_pairs(points_, norm2), filter_, {points_.a.rows}, centers, distance);
}

}  // namespace poolwise
