#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/diverse/batch_run.hpp"
#include "poolwise/diverse/detail/kmeans_pp_cuda.hpp"
#include "poolwise/diverse/detail/lazy_chain.hpp"
#include "poolwise/diverse/detail/lower_distances.hpp"
#include "poolwise/diverse/detail/models.hpp"
#include "poolwise/diverse/detail/rows_at_hand.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"

namespace poolwise {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// The rows of a matrix.
class plain_rows {
 public:
  plain_rows(const where& on, matrix_view<const float> points)
      : on_(on), points_(points), sweeper_(host_of(on), points), at_hand_(host_of(on), points) {}

  index_t count() const { return points_.rows; }

  void squared_norms(index_t begin, index_t end, float* norm2) const {
    canonical_squared_norms(rows_between(points_, begin, end), norm2);
  }

  /// distance[i] = min(distance[i], squared distance of row i to each of the rows `centers`).
  void lower(const std::vector<index_t>& centers, float* distance) {
    if constexpr (has_cuda)
      if (const auto* devices = std::get_if<offload>(&on_))
        return lower_distances_offload(*devices, points_, centers, {distance, count()});
    sweeper_.lower(centers, distance);
  }

  /// Rows with which others are compared one by one.
  void take(index_t row) { at_hand_.add(row); }
  void let_go() { at_hand_.clear(); }
  index_t taken() const { return at_hand_.count(); }

  /// d2[j] = squared distance of `row` and the j-th row that was taken.
  void squared_distances(index_t row, float* d2) const {
    const auto addresses = at_hand_.addresses();
    canonical_squared_distances(points_.row(row), {addresses.data(), index_t(addresses.size())}, points_.cols,
                                d2);
  }

 private:
  where on_;
  matrix_view<const float> points_;
  distance_sweeper sweeper_;
  rows_at_hand at_hand_;
};

/// Outer products a_i (x) h_i by their factors.
class outer_products {
 public:
  outer_products(const where& on, const factored_rows& points)
      : on_(on),
        points_(points),
        sweeper_(host_of(on), points),
        a_at_hand_(host_of(on), points.a),
        h_at_hand_(host_of(on), points.h),
        norm2_(std::size_t(points.a.rows)) {
    parallel_blocks(host_of(on), count(), weight_block,
                    [&](index_t, index_t begin, index_t end) { multiply_norms(begin, end); });
  }

  index_t count() const { return points_.a.rows; }

  void squared_norms(index_t begin, index_t end, float* norm2) const {
    for (index_t i = begin; i < end; ++i) norm2[i - begin] = float(norm2_[std::size_t(i)]);
  }

  void lower(const std::vector<index_t>& centers, float* distance) {
    if constexpr (has_cuda)
      if (const auto* devices = std::get_if<offload>(&on_))
        return lower_distances_offload(*devices, points_, norm2_, centers, {distance, count()});
    sweeper_.lower({norm2_.data(), count()}, centers, distance);
  }

  void take(index_t row) {
    a_at_hand_.add(row);
    h_at_hand_.add(row);
  }
  void let_go() {
    a_at_hand_.clear();
    h_at_hand_.clear();
  }
  index_t taken() const { return h_at_hand_.count(); }

  void squared_distances(index_t row, float* d2) const {
    const auto& [a, h, bias] = points_;
    const std::vector<index_t>& others = h_at_hand_.in_pool();
    const auto a_others = a_at_hand_.addresses(), h_others = h_at_hand_.addresses();
    std::vector<float> a_dot(others.size()), h_dot(others.size());
    canonical_dots(a.row(row), {a_others.data(), index_t(a_others.size())}, a.cols, a_dot.data());
    canonical_dots(h.row(row), {h_others.data(), index_t(h_others.size())}, h.cols, h_dot.data());
    for (std::size_t j = 0; j < others.size(); ++j)
      d2[j] = outer_squared_distance(norm2_[std::size_t(row)], norm2_[std::size_t(others[j])], a_dot[j],
                                     h_dot[j], bias);
  }

 private:
  void multiply_norms(index_t begin, index_t end) {
    float a_norm2[weight_block], h_norm2[weight_block];
    canonical_squared_norms(rows_between(points_.a, begin, end), a_norm2);
    canonical_squared_norms(rows_between(points_.h, begin, end), h_norm2);
    for (index_t i = begin; i < end; ++i) {
      const float a = a_norm2[i - begin], h = h_norm2[i - begin];
      if (a > largest_norm2 || h > largest_norm2) refuse_norm(i);
      norm2_[std::size_t(i)] = double(a) * (double(h) + double(points_.bias));
    }
  }

  where on_;
  factored_rows points_;
  outer_product_sweeper sweeper_;
  rows_at_hand a_at_hand_, h_at_hand_;
  std::vector<double> norm2_;  // |a_i|^2 (|h_i|^2 + bias)
};

/// Weights are squared distances to the nearest pick, kept on the host; devices may lower them.
template <class Rows>
class host_weights : public weight_model {
 public:
  host_weights(const where& on, Rows points)
      : on_(host_of(on)),
        points_(std::move(points)),
        weight_(std::size_t(points_.count())),
        sums_(std::size_t(blocks_of(points_.count(), weight_block))) {
    parallel_blocks(on_, rows(), weight_block, [&](index_t, index_t begin, index_t end) {
      points_.squared_norms(begin, end, weight_.data() + begin);
    });
  }

  index_t rows() const override { return points_.count(); }

  double sweep(const std::vector<candidate>& latest, const remaining& left) override {
    proposals_.clear();
    points_.let_go();
    std::vector<index_t> centers;
    for (const candidate& pick : latest) centers.push_back(pick.row);
    if (!centers.empty()) {
      if (first_) forget_norms();
      points_.lower(centers, weight_.data());
    }
    for (const index_t row : centers) weight_[std::size_t(row)] = retired;
    const bool retire = centers.empty() || left.dwindles();
    parallel_blocks(on_, rows(), weight_block, [&](index_t block, index_t begin, index_t end) {
      if (retire)
        for (index_t i = begin; i < end; ++i)
          if (weight_[std::size_t(i)] >= 0 && !left.eligible(i)) weight_[std::size_t(i)] = retired;
      sums_[std::size_t(block)] = sum(weight_.data() + begin, end - begin);
    });
    std::partial_sum(sums_.begin(), sums_.end(), sums_.begin());
    return sums_.empty() ? 0 : sums_.back();
  }

  candidate largest() override {
    const auto largest = std::max_element(weight_.begin(), weight_.end());  // the first of equals
    return largest == weight_.end() || *largest < 0 ? candidate{} : at(largest - weight_.begin());
  }

  candidate at(index_t row) override { return {row, weight_[std::size_t(row)]}; }

  std::vector<candidate> propose(const std::vector<double>& units) override {
    std::vector<candidate> drawn;
    for (const double unit : units) drawn.push_back(at(draw(unit * sums_.back())));
    for (const candidate& c : drawn) proposals_.push_back(c.row);
    return drawn;
  }

  float nearest(index_t p, const std::vector<index_t>& accepted) override {
    if (accepted.empty()) return infinity;
    settle_far_pages(on_);
    while (points_.taken() < index_t(accepted.size()))
      points_.take(proposals_[std::size_t(accepted[std::size_t(points_.taken())])]);
    fresh_.resize(accepted.size());
    points_.squared_distances(proposals_[std::size_t(p)], fresh_.data());
    return *std::min_element(fresh_.begin(), fresh_.end());
  }

  index_t proposals_at_once() const override { return 16; }

 private:
  /// Nothing is near anything before the first pick.
  void forget_norms() {
    for (float& w : weight_)
      if (w != retired) w = infinity;
    first_ = false;
  }

  static double share_of(float weight) { return double(weight > 0 ? weight : 0); }

  static double sum(const float* weight, index_t rows) {
    double of_lane[weight_lanes] = {};
    index_t i = 0;
    for (; i + weight_lanes <= rows; i += weight_lanes)
      for (int lane = 0; lane < weight_lanes; ++lane) of_lane[lane] += share_of(weight[i + lane]);
    for (int lane = 0; i < rows; ++i, ++lane) of_lane[lane] += share_of(weight[i]);
    return std::accumulate(of_lane, of_lane + weight_lanes, 0.0);
  }

  index_t draw(double target) const {
    // A block without any share ends where it begins, at or below the target.
    auto block = std::upper_bound(sums_.begin(), sums_.end(), target);
    if (block == sums_.end()) block = std::lower_bound(sums_.begin(), sums_.end(), sums_.back());
    const index_t begin = (block - sums_.begin()) * weight_block;
    const index_t end = std::min(rows(), begin + weight_block);
    return draw_within(begin, end, target - (block == sums_.begin() ? 0 : *(block - 1)));
  }

  index_t draw_within(index_t begin, index_t end, double target) const {
    index_t run = begin;
    double before_run = 0, reached = 0;
    for (index_t first = begin; first < end && reached <= target; first += weight_run) {
      double share = 0;
      for (index_t i = first; i < std::min(end, first + weight_run); ++i)
        share += share_of(weight_[std::size_t(i)]);
      if (share == 0) continue;
      run = first;
      before_run = reached;
      reached += share;
    }
    index_t row = run;
    reached = before_run;
    for (index_t i = run; i < std::min(end, run + weight_run) && reached <= target; ++i) {
      if (share_of(weight_[std::size_t(i)]) == 0) continue;
      row = i;
      reached += share_of(weight_[std::size_t(i)]);
    }
    return row;
  }

  cpu on_;
  Rows points_;
  bool first_ = true;          // no pick yet: weights are squared norms
  std::vector<float> weight_;  // and then squared distances to the nearest pick
  std::vector<double> sums_;   // of the weights up to the end of each block
  std::vector<index_t> proposals_;
  std::vector<float> fresh_;
};

/// Points are as Rows views them.
template <class Rows, class Points>
std::unique_ptr<weight_model> model_of(const where& on, const Points& points, const allowance& limit) {
  if (std::holds_alternative<cuda>(on)) refuse_host_limits("kmeans_pp", limit);
  if constexpr (has_cuda) {
    if (const auto* device = std::get_if<cuda>(&on)) return kmeans_pp_pool_cuda(*device, points, limit);
    if (const auto* devices = std::get_if<offload>(&on); devices != nullptr && !limit.needs_host())
      if (auto pool = kmeans_pp_pool_resident(*devices, points, limit)) return pool;
  }
  return std::make_unique<host_weights<Rows>>(on, Rows(on, points));
}

template <class Rows, class Points>
std::vector<candidate> draw_batch(const where& on, const Points& points, index_t rows, const allowance& limit,
                                  std::uint64_t seed, first_center first, batch_run* run) {
  require_build_for(on, "kmeans_pp");
  check_allowance("kmeans_pp", limit, rows);
  refuse_per_cost("kmeans_pp", limit);
  check_begin("kmeans_pp", run, limit, rows);
  return stale_rejection(*model_of<Rows>(on, points, limit), limit, seed, first, run);
}

}  // namespace

double widen_gradient(const where& on, matrix_view<float> a) {
  std::vector<float> of_block(std::size_t(blocks_of(a.rows, weight_block)));
  parallel_blocks(host_of(on), a.rows, weight_block, [&](index_t b, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      if (const float size = largest_size(a.row(i), a.cols); size < infinity)
        of_block[std::size_t(b)] = std::max(of_block[std::size_t(b)], size);
  });
  const float largest = of_block.empty() ? 0 : *std::max_element(of_block.begin(), of_block.end());
  if (!(largest > 0 && largest < 0x1p-20f)) return 1;
  const double scale = std::ldexp(1.0, -std::ilogb(largest));
  parallel_blocks(host_of(on), a.rows, weight_block, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      for (index_t c = 0; c < a.cols; ++c) a(i, c) = float(double(a(i, c)) * scale);
  });
  return scale;
}

void refuse_norm(index_t row) {
  throw value_error("kmeans_pp: the squared norm of row " + std::to_string(row) +
                    " leaves the range of fp32; scale the rows down");
}

std::unique_ptr<weight_model> kmeans_pp_model(const where& on, matrix_view<const float> points,
                                              const allowance& limit) {
  return model_of<plain_rows>(on, points, limit);
}

std::unique_ptr<weight_model> kmeans_pp_model(const where& on, const factored_rows& points,
                                              const allowance& limit) {
  return model_of<outer_products>(on, points, limit);
}

std::vector<candidate> kmeans_pp(const where& on, point_rows points, const allowance& limit, std::uint64_t seed,
                                 first_center first, batch_run* run) {
  require_build_for(on, "kmeans_pp");
  const matrix_view<const float> finite = points.require_distances(on, "kmeans_pp", "points");
  return draw_batch<plain_rows>(on, finite, finite.rows, limit, seed, first, run);
}

std::vector<candidate> kmeans_pp(const where& on, const factored_points& points, const allowance& limit,
                                 std::uint64_t seed, first_center first, batch_run* run) {
  require_build_for(on, "kmeans_pp");
  if (points.a.rows() != points.h.rows())
    throw shape_error("kmeans_pp: a has " + std::to_string(points.a.rows()) + " rows but h has " +
                      std::to_string(points.h.rows()) + "; pass both factors of the same rows");
  const finite_rows a = points.a.require_finite(on, "kmeans_pp", "a");
  const finite_rows h = points.h.require_finite(on, "kmeans_pp", "h");
  return draw_batch<outer_products>(on, factored_rows{a, h, points.bias}, a.rows(), limit, seed, first, run);
}

std::vector<candidate> badge(const where& on, const real_matrix& x, outputs kind, point_rows features,
                             const allowance& limit, std::uint64_t seed, bool bias, first_center first,
                             batch_run* run, double* widened) {
  const auto values = std::make_unique_for_overwrite<float[]>(std::size_t(rows_of(x) * cols_of(x)));
  const matrix_view<float> gradient{values.get(), rows_of(x), cols_of(x)};
  output_gradient(on, x, kind, gradient);
  const double scale = widen_gradient(on, gradient);
  if (widened != nullptr) *widened = scale;
  const point_rows a = features.judged() ? point_rows(finite_rows::judged(gradient)) : point_rows(gradient);
  return kmeans_pp(on, factored_points(a, features, bias), limit, seed, first, run);
}

}  // namespace poolwise
