#include "poolwise/diverse/detail/lower_distances.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/detail/pair_sweep.hpp"
#include "poolwise/diverse/detail/rows_at_hand.hpp"

namespace poolwise {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// Fewer centres than these share too little of a row's way through the cache to repay its quantising.
constexpr index_t few_centers = 4;

/// Rows that meet all centres together: they, quantised, and a panel of centres stay in an L2 cache of 1 MiB.
index_t height_for(index_t cols) {
  const index_t row = std::max<index_t>(1, cols) * index_t(sizeof(float));
  return std::clamp<index_t>(384 * 1024 / row / product_step * product_step, product_step, 96);
}

/// Rows of a pool: the first `count`, or those of runs of `length`.
struct row_set {
  index_t count;
  const index_t* run = nullptr;
  index_t length = 1;
  index_t operator[](index_t i) const { return run == nullptr ? i : run[i / length] + i % length; }
  bool far_apart() const { return run != nullptr && length == 1; }
};

/// Under a ceiling, rows that lie anywhere are taken few at a time: each can bring a large page of its file.
index_t rows_at_once(cpu on, row_set rows, index_t most) {
  constexpr index_t few = 4;
  return on.pages != nullptr && rows.far_apart() ? few : most;
}

/// The mean of some rows, roughly.
std::vector<float> mean_of(matrix_view<const float> points, const std::vector<index_t>& rows) {
  std::vector<float> mean(std::size_t(points.cols));
  for (const index_t row : rows)
    for (index_t c = 0; c < points.cols; ++c) mean[std::size_t(c)] += points.row(row)[c] / float(rows.size());
  return mean;
}

/// Squared distances of outer products.
///
/// They are put together in double, so that with M = |a|^2 (|h|^2 + bias) of either and P of the canonical
/// products they are at least (M_x + M_c) (1 - 2^-50) - 2 P. 2^-20 covers that, and what find_open_pairs and
/// the code round.
class outer_pairs {
 public:
  static constexpr int factors = 2;
  const float bias;

  outer_pairs(const factored_rows& points, vector_view<const double> norm2, const factored_rows& centers,
              vector_view<const double> center_norm2)
      : bias(points.bias ? 1.0f : 0.0f),
        points_(points),
        centers_(centers),
        norm2_(norm2),
        center_norm2_(center_norm2) {}

  matrix_view<const float> matrix(side of, int f) const {
    const factored_rows& x = of == side::rows ? points_ : centers_;
    return f == 0 ? x.a : x.h;
  }
  const float* origin() const { return nullptr; }
  double underflow() const { return 0x1p-140; }

  double part(side of, const factor_facts<outer_pairs>& facts, index_t place, index_t row) const {
    const bool fits =
        std::max(facts[0]->norm2[std::size_t(place)], facts[1]->norm2[std::size_t(place)]) < infinity;
    const double norm2 = of == side::rows ? norm2_[row] : center_norm2_[row];
    return fits && norm2 < 0x1p120 ? norm2 * (1 - 0x1p-20) : double(infinity);
  }

  template <class Row, class Center>
  void distances(index_t count, Row&& row, Center&& center, float* d2) const {
    const float *one[pairs_at_once], *other[pairs_at_once];
    float dot[factors][pairs_at_once];
    for (int f = 0; f < factors; ++f) {
      const auto x = matrix(side::rows, f), centers = matrix(side::references, f);
      index_t p = 0;
      do {
        one[p] = x.row(row(p));
        other[p] = centers.row(center(p));
      } while (++p < count);
      canonical_dots(vector_view<const float* const>{one, count}, other, x.cols, dot[f]);
    }
    for (index_t p = 0; p < count; ++p)
      d2[p] =
          outer_squared_distance(norm2_[row(p)], center_norm2_[center(p)], dot[0][p], dot[1][p], points_.bias);
  }

 private:
  factored_rows points_, centers_;
  vector_view<const double> norm2_, center_norm2_;
};

template <class Pairs>
std::vector<reference_panel<Pairs>> panels_of(const Pairs& pairs, const std::vector<index_t>& centers,
                                              grain fine) {
  std::vector<reference_panel<Pairs>> panels;
  quantised_tile some(pairs, side::references, fine, quantised_panel::width);
  for (std::size_t begin = 0; begin < centers.size(); begin += quantised_panel::width) {
    const auto count = std::min<index_t>(quantised_panel::width, index_t(centers.size() - begin));
    some.load(pairs, count, [&](index_t j) { return centers[begin + std::size_t(j)]; });
    panels.emplace_back(some);
  }
  return panels;
}

template <class Pairs>
void lower_directly(cpu on, const Pairs& pairs, row_set rows, const std::vector<index_t>& centers,
                    float* distance) {
  parallel_blocks(
      on, rows.count, rows_at_once(on, rows, pairs_at_once), [&](index_t, index_t begin, index_t end) {
        float fresh[pairs_at_once];
        for (const index_t center : centers) {
          pairs.distances(
              end - begin, [&](index_t i) { return rows[begin + i]; }, [=](index_t) { return center; }, fresh);
          for (index_t i = begin; i < end; ++i)
            distance[rows[i]] = std::min(distance[rows[i]], fresh[i - begin]);
        }
        if (rows.far_apart()) settle_far_pages(on, unsigned(end - begin));
      });
}

/// A thread's tile of rows, which meets all panels.
template <class Pairs>
struct tile {
  row_tile<Pairs> rows;
  pair_sweep<Pairs> sweep;
  index_t idle = 0;  // distances that lowered nothing
};

template <class Pairs>
void lower_by(cpu on, const Pairs& pairs, pair_filter& filter, row_set rows,
              const std::vector<index_t>& centers, float* distance) {
  if (index_t(centers.size()) <= few_centers || filter.direct())
    return lower_directly(on, pairs, rows, centers, distance);
  const grain fine = filter.fine();
  const auto panels = panels_of(pairs, centers, fine);
  const index_t height = rows_at_once(on, rows, height_for(pairs.matrix(side::rows, Pairs::factors - 1).cols));
  // Nothing lowers a distance of 0, or one that is to stay.
  const auto reach = [distance](index_t row) { return distance[row] > 0 ? distance[row] : -1; };
  const auto lowers = [distance](index_t row, index_t, float d2) {
    const bool lower = d2 < distance[row];
    if (lower) distance[row] = d2;
    return lower;
  };
  per_thread tiles(on, rows.count, height, tile<Pairs>{{pairs, fine, height}, {pairs, height}});
  parallel_blocks(on, rows.count, height, [&](index_t, index_t begin, index_t end) {
    auto& mine = tiles.mine();
    mine.rows.load(pairs, end - begin, [&](index_t i) { return rows[begin + i]; });
    for (index_t i = 0; i < end - begin; ++i) mine.rows.limit(pairs, i, reach(mine.rows.id(i)));
    for (const auto& panel : panels) mine.idle += mine.sweep.meet(mine.rows, panel, reach, lowers);
    if (rows.far_apart()) settle_far_pages(on, unsigned(end - begin));
  });
  index_t idle = 0;
  for (const auto& of_thread : tiles.all()) idle += of_thread.idle;
  filter.count(fine, rows.count, index_t(centers.size()), idle);
}

void lower_plain(cpu on, matrix_view<const float> points, pair_filter& filter, row_set rows,
                 const std::vector<index_t>& in_pool, float* distance) {
  const rows_at_hand centers(on, points, in_pool);
  const plain_pairs pairs(points, centers.view(), mean_of(centers.view(), centers.numbers()));
  lower_by(on, pairs, filter, rows, centers.numbers(), distance);
}

}  // namespace

void distance_sweeper::lower(const std::vector<index_t>& centers, float* distance) {
  lower_plain(on_, points_, filter_, {points_.rows}, centers, distance);
}

void distance_sweeper::lower_runs(const std::vector<index_t>& first, index_t length, index_t count,
                                  const std::vector<index_t>& centers, float* distance) {
  lower_plain(on_, points_, filter_, {count, first.data(), length}, centers, distance);
}

void distance_sweeper::lower_runs_by(const std::vector<index_t>& first, index_t length, index_t count,
                                     matrix_view<const float> centers, float* distance) {
  std::vector<index_t> all(std::size_t(centers.rows));
  std::iota(all.begin(), all.end(), index_t{0});
  const plain_pairs pairs(points_, centers, mean_of(centers, all));
  lower_by(on_, pairs, filter_, {count, first.data(), length}, all, distance);
}

void outer_product_sweeper::lower(vector_view<const double> norm2, const std::vector<index_t>& centers,
                                  float* distance) {
  const rows_at_hand a(on_, points_.a, centers), h(on_, points_.h, centers);
  std::vector<double> room;
  const factored_rows there{a.view(), h.view(), points_.bias};
  const outer_pairs pairs(points_, norm2, there, h.values(norm2, room));
  lower_by(on_, pairs, filter_, {points_.a.rows}, h.numbers(), distance);
}

void outer_product_sweeper::lower_by_others(vector_view<const double> norm2, const factored_rows& centers,
                                            vector_view<const double> center_norm2, float* distance) {
  std::vector<index_t> all(std::size_t(centers.a.rows));
  std::iota(all.begin(), all.end(), index_t{0});
  const outer_pairs pairs(points_, norm2, centers, center_norm2);
  lower_by(on_, pairs, filter_, {points_.a.rows}, all, distance);
}

}  // namespace poolwise
