#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/core/philox.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/diverse/detail/greedy.hpp"
#include "poolwise/diverse/diverse.hpp"

namespace poolwise {
namespace {

/// The rows of a matrix.
class plain_rows {
 public:
  plain_rows(const where& on, matrix_view<const float> points) : points_(points) {
    require_finite(on, "kmeans_pp", "points", points);
  }

  index_t count() const { return points_.rows; }

  void squared_norms(index_t begin, index_t end, float* norm2) const {
    canonical_squared_norms(rows_between(points_, begin, end), norm2);
  }

  void squared_distances(index_t begin, index_t end, index_t center, float* d2) const {
    canonical_squared_distances(rows_between(points_, begin, end), points_.row(center), d2);
  }

 private:
  matrix_view<const float> points_;
};

/// Outer products a_i (x) h_i by their factors.
class outer_products {
 public:
  outer_products(const where& on, const factored_rows& points)
      : a_(points.a), h_(points.h), bias_(points.bias ? 1 : 0), norm2_(std::size_t(points.a.rows)) {
    if (a_.rows != h_.rows)
      throw shape_error("kmeans_pp: a has " + std::to_string(a_.rows) + " rows but h has " +
                        std::to_string(h_.rows) + "; pass both factors of the same rows");
    require_finite(on, "kmeans_pp", "a", a_);
    require_finite(on, "kmeans_pp", "h", h_);
    parallel_blocks(require_cpu(on, "kmeans_pp"), a_.rows, sweep_block,
                    [&](index_t, index_t begin, index_t end) { multiply_norms(begin, end); });
  }

  index_t count() const { return a_.rows; }

  void squared_norms(index_t begin, index_t end, float* norm2) const {
    for (index_t i = begin; i < end; ++i) norm2[i - begin] = float(norm2_[std::size_t(i)]);
  }

  /// The three products of equal rows are the same double, so that these are at distance 0 exactly. What
  /// rounding makes negative is raised to 0.
  void squared_distances(index_t begin, index_t end, index_t center, float* d2) const {
    float a_dot[sweep_block], h_dot[sweep_block];
    canonical_dots(rows_between(a_, begin, end), a_.row(center), a_dot);
    canonical_dots(rows_between(h_, begin, end), h_.row(center), h_dot);
    const double* const norm2 = norm2_.data() + begin;
    const double center_norm2 = norm2_[std::size_t(center)];
    for (index_t i = 0; i < end - begin; ++i) {
      const double d = norm2[i] + center_norm2 - 2 * (double(a_dot[i]) * (double(h_dot[i]) + bias_));
      d2[i] = float(d > 0 ? d : 0);
    }
  }

 private:
  void multiply_norms(index_t begin, index_t end) {
    float a_norm2[sweep_block], h_norm2[sweep_block];
    canonical_squared_norms(rows_between(a_, begin, end), a_norm2);
    canonical_squared_norms(rows_between(h_, begin, end), h_norm2);
    // Below half the range no dot product overflows, by Cauchy and Schwarz.
    constexpr float largest = std::numeric_limits<float>::max() / 2;
    for (index_t i = begin; i < end; ++i) {
      const float a = a_norm2[i - begin], h = h_norm2[i - begin];
      if (a > largest || h > largest)
        throw value_error("kmeans_pp: the squared norm of row " + std::to_string(i) +
                          " leaves the range of fp32; scale the rows down");
      norm2_[std::size_t(i)] = double(a) * (double(h) + bias_);
    }
  }

  matrix_view<const float> a_, h_;
  double bias_;                // what one more feature of 1 adds to every product of features
  std::vector<double> norm2_;  // |a_i|^2 (|h_i|^2 + bias)
};

constexpr index_t partial_sums = 8;

/// Takes the minimum of each row's distance and its fresh one; returns the sum over rows that are not retired.
/// Row i of the block goes to partial sum i mod 8: the order of additions is part of the result.
double lower_and_sum(index_t rows, const float* fresh, float* distance) {
  double sum[partial_sums] = {};
  const auto lower_row = [&](index_t i, index_t lane) {
    distance[i] = fresh[i] < distance[i] ? fresh[i] : distance[i];
    sum[lane] += double(distance[i] > 0 ? distance[i] : 0);
  };
  index_t i = 0;
  for (; i + partial_sums <= rows; i += partial_sums)
    for (index_t lane = 0; lane < partial_sums; ++lane) lower_row(i + lane, lane);
  for (index_t lane = 0; i < rows; ++i, ++lane) lower_row(i, lane);
  return std::accumulate(sum, sum + partial_sums, 0.0);
}

/// Draws rows with probability proportional to their squared distance to the nearest pick.
template <class Rows>
class distance_sampling {
 public:
  distance_sampling(const Rows& points, std::uint64_t seed, first_center first)
      : points_(points),
        seed_(seed),
        first_(first),
        distance_(std::size_t(points.count())),
        sum_(std::size_t(blocks_of(points.count(), sweep_block))) {}

  index_t rows() const { return points_.count(); }

  void retire(index_t row) { distance_[std::size_t(row)] = retired; }

  void sweep(index_t block, index_t begin, index_t end, index_t latest) {
    float fresh[sweep_block];
    float* const distance = distance_.data() + begin;
    if (latest < 0) {
      points_.squared_norms(begin, end, fresh);
      for (index_t i = 0; i < end - begin; ++i)
        if (distance[i] != retired) distance[i] = fresh[i];
    } else {
      points_.squared_distances(begin, end, latest, fresh);
      sum_[std::size_t(block)] = lower_and_sum(end - begin, fresh, distance);
    }
  }

  candidate choose(index_t pick) {
    if (pick == 0) return choose_first();
    const double total = std::accumulate(sum_.begin(), sum_.end(), 0.0);
    if (!std::isfinite(total))
      throw value_error("kmeans_pp: squared distances leave the range of fp32; scale the rows down");
    if (total == 0) return lowest_left();
    return draw(random_unit(seed_, stream::kmeans_pp, std::uint64_t(pick)) * total);
  }

 private:
  candidate at(index_t row) const { return {row, distance_[std::size_t(row)]}; }

  /// Before the first pick `distance_` holds squared norms; after it, nothing is near anything.
  candidate choose_first() {
    const candidate first = first_ == first_center::largest_norm ? largest_left() : any_left();
    for (float& d : distance_)
      if (d != retired) d = std::numeric_limits<float>::infinity();
    return first;
  }

  candidate largest_left() const {
    const auto largest = std::max_element(distance_.begin(), distance_.end());  // the first of equals
    return largest == distance_.end() || *largest < 0 ? candidate{} : at(largest - distance_.begin());
  }

  candidate any_left() const {
    const auto left = rows() - index_t(std::count(distance_.begin(), distance_.end(), retired));
    if (left == 0) return {};
    auto skip = std::min(left - 1, index_t(random_unit(seed_, stream::kmeans_pp, 0) * double(left)));
    index_t row = 0;
    while (distance_[std::size_t(row)] == retired || skip-- > 0) ++row;
    return at(row);
  }

  candidate lowest_left() const {
    const auto left = std::find_if(distance_.begin(), distance_.end(), [](float d) { return d != retired; });
    return left == distance_.end() ? candidate{} : at(left - distance_.begin());
  }

  /// The row in whose share of [0, total) `target` lies. Should rounding put it past the last share, of a
  /// block or of all, the last row or block with any share is meant.
  candidate draw(double target) const {
    index_t block = -1;
    double before = 0, reached = 0;
    for (index_t b = 0; b < index_t(sum_.size()) && (block < 0 || reached <= target); ++b) {
      if (sum_[std::size_t(b)] == 0) continue;
      block = b;
      before = reached;
      reached += sum_[std::size_t(b)];
    }
    return draw_within(block, target - before);
  }

  candidate draw_within(index_t block, double target) const {
    const index_t end = std::min(rows(), (block + 1) * sweep_block);
    index_t row = -1;
    double reached = 0;
    for (index_t i = block * sweep_block; i < end && (row < 0 || reached <= target); ++i) {
      if (!(distance_[std::size_t(i)] > 0)) continue;
      row = i;
      reached += double(distance_[std::size_t(i)]);
    }
    return at(row);
  }

  const Rows& points_;
  std::uint64_t seed_;
  first_center first_;
  std::vector<float> distance_;  // to the nearest pick
  std::vector<double> sum_;      // of the distances of each block
};

template <class Rows>
std::vector<candidate> sample(cpu on, const Rows& points, const allowance& limit, std::uint64_t seed,
                              first_center first) {
  distance_sampling<Rows> model(points, seed, first);
  return greedy(on, "kmeans_pp", limit, model);
}

}  // namespace

std::vector<candidate> kmeans_pp(const where& on, matrix_view<const float> points, const allowance& limit,
                                 std::uint64_t seed, first_center first, batch_counts*) {
  const cpu host = require_cpu(on, "kmeans_pp");
  return sample(host, plain_rows(on, points), limit, seed, first);
}

std::vector<candidate> kmeans_pp(const where& on, const factored_rows& points, const allowance& limit,
                                 std::uint64_t seed, first_center first, batch_counts*) {
  const cpu host = require_cpu(on, "kmeans_pp");
  return sample(host, outer_products(on, points), limit, seed, first);
}

}  // namespace poolwise
