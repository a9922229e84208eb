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
#include "poolwise/diverse/detail/weighed_rows.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"

namespace poolwise {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

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
      sums_[std::size_t(block)] = sum_of_block(weight_.data() + begin, end - begin);
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

  index_t draw(double target) const {
    const auto [block, within] = drawn_block(sums_, target);
    const index_t begin = block * weight_block;
    return begin + drawn_row(weight_.data() + begin, std::min(weight_block, rows() - begin), within);
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

float largest_gradient(const where& on, matrix_view<const float> a) {
  std::vector<float> of_block(std::size_t(blocks_of(a.rows, weight_block)));
  parallel_blocks(host_of(on), a.rows, weight_block, [&](index_t b, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      if (const float size = largest_size(a.row(i), a.cols); size < infinity)
        of_block[std::size_t(b)] = std::max(of_block[std::size_t(b)], size);
  });
  return of_block.empty() ? 0 : *std::max_element(of_block.begin(), of_block.end());
}

double widen_gradient(const where& on, matrix_view<float> a, float largest) {
  if (!(largest > 0 && largest < 0x1p-20f)) return 1;
  const double scale = std::ldexp(1.0, -std::ilogb(largest));
  parallel_blocks(host_of(on), a.rows, weight_block, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      for (index_t c = 0; c < a.cols; ++c) a(i, c) = float(double(a(i, c)) * scale);
  });
  return scale;
}

double widen_gradient(const where& on, matrix_view<float> a) {
  return widen_gradient(on, a, largest_gradient(on, a));
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
