#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/diverse/detail/greedy.hpp"
#include "poolwise/diverse/diverse.hpp"

namespace poolwise {
namespace {

constexpr index_t unroll = 16;  // independent chains of the loops below, which compilers make into vectors

float gain_of(float distance, float weight) { return distance < 0 ? distance : weight * distance; }

/// Takes the minimum of each row's distance and its fresh one; returns the largest gain.
template <class Weight>
float lower(index_t rows, const float* fresh, Weight&& weight, float* distance) {
  float peak[unroll];
  std::fill_n(peak, unroll, retired);
  const auto lower_row = [&](index_t i, index_t lane) {
    distance[i] = fresh[i] < distance[i] ? fresh[i] : distance[i];
    const float gain = gain_of(distance[i], weight(i));
    peak[lane] = peak[lane] < gain ? gain : peak[lane];
  };
  index_t i = 0;
  for (; i + unroll <= rows; i += unroll)
    for (index_t lane = 0; lane < unroll; ++lane) lower_row(i + lane, lane);
  for (; i < rows; ++i) lower_row(i, 0);
  return *std::max_element(peak, peak + unroll);
}

/// The gain of a row is its squared distance to the nearest labelled or picked row, times its weight.
class farthest_first {
 public:
  farthest_first(matrix_view<const float> points, vector_view<const float> covered,
                 vector_view<const float> weights)
      : points_(points),
        weights_(weights),
        distance_(std::size_t(points.rows), std::numeric_limits<float>::infinity()),
        peak_(std::size_t(blocks_of(points.rows, sweep_block))) {
    if (!covered.empty()) std::copy(covered.begin(), covered.end(), distance_.begin());
    // A weight of 0 makes a gain of 0 even where the distance is infinite.
    for (index_t i = 0; i < weights.size; ++i)
      if (weights[i] == 0) distance_[std::size_t(i)] = 0;
  }

  index_t rows() const { return points_.rows; }

  void retire(index_t row) { distance_[std::size_t(row)] = retired; }

  void sweep(index_t block, index_t begin, index_t end, index_t latest) {
    float fresh[sweep_block];
    if (latest >= 0)
      canonical_squared_distances(rows_between(points_, begin, end), points_.row(latest), fresh);
    else
      std::fill_n(fresh, end - begin, std::numeric_limits<float>::infinity());
    float* const distance = distance_.data() + begin;
    peak_[std::size_t(block)] =
        weights_.empty() ? lower(
                               end - begin, fresh, [](index_t) { return 1.0f; }, distance)
                         : lower(
                               end - begin, fresh, [&](index_t i) { return weights_[begin + i]; }, distance);
  }

  candidate choose(index_t) const {
    const auto best = std::max_element(peak_.begin(), peak_.end());  // the first of equals: the lowest rows
    if (best == peak_.end() || *best < 0) return {};
    index_t row = (best - peak_.begin()) * sweep_block;
    while (gain(row) != *best) ++row;
    return {row, *best};
  }

 private:
  float gain(index_t row) const {
    return gain_of(distance_[std::size_t(row)], weights_.empty() ? 1.0f : weights_[row]);
  }

  matrix_view<const float> points_;
  vector_view<const float> weights_;
  std::vector<float> distance_;  // to the nearest labelled or picked row
  std::vector<float> peak_;      // the largest gain of each block
};

void check_values(const char* name, vector_view<const float> values, index_t rows, bool infinity_allowed) {
  const std::string call = std::string("kcenter: ") + name;
  if (values.empty()) return;
  if (values.size != rows)
    throw shape_error(call + " has " + std::to_string(values.size) + " places but points has " +
                      std::to_string(rows) + " rows; pass one per row, or none");
  for (index_t i = 0; i < rows; ++i)
    if (!(values[i] >= 0) || (!infinity_allowed && values[i] == std::numeric_limits<float>::infinity()))
      throw value_error(call + " of row " + std::to_string(i) + " is " + std::to_string(values[i]) +
                        (infinity_allowed ? "; it needs 0 or more" : "; it needs a finite number, 0 or more"));
}

}  // namespace

std::vector<candidate> kcenter(const where& on, matrix_view<const float> points, const allowance& limit,
                               vector_view<const float> covered, vector_view<const float> weights,
                               batch_counts*) {
  const cpu host = require_cpu(on, "kcenter");
  check_values("covered", covered, points.rows, true);
  check_values("weights", weights, points.rows, false);
  require_finite(on, "kcenter", "points", points);
  farthest_first model(points, covered, weights);
  return greedy(host, "kcenter", limit, model);
}

}  // namespace poolwise
