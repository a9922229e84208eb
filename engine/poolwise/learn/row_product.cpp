#include "poolwise/learn/detail/row_product.hpp"

#include <algorithm>
#include <cstring>

#include "poolwise/core/detail/parallel.hpp"

namespace poolwise {
namespace {

// The vector extension of GCC and Clang: left to the vectoriser, the sums below leave their registers.
using lanes = float __attribute__((vector_size(16)));
constexpr index_t width = 4;
constexpr index_t tile = 4 * width;  // four independent sums hide the latency of an addition

lanes load(const float* p) {
  lanes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

}  // namespace

row_product::row_product(matrix_view<const float> weights, vector_view<const float> offset)
    : inputs_(weights.cols),
      outputs_(weights.rows),
      weights_(std::size_t(blocks_of(outputs_, tile) * inputs_ * tile)),
      offset_(std::size_t(blocks_of(outputs_, tile) * tile)) {
  for (index_t o = 0; o < outputs_; ++o) {
    float* packed = weights_.data() + o / tile * tile * inputs_ + o % tile;
    for (index_t i = 0; i < inputs_; ++i) packed[i * tile] = weights(o, i);
  }
  std::copy(offset.begin(), offset.end(), offset_.begin());
}

void row_product::operator()(const float* x, float* y) const {
  for (index_t first = 0; first < outputs_; first += tile) {
    const float* start = offset_.data() + first;
    lanes a = load(start), b = load(start + width), c = load(start + 2 * width), d = load(start + 3 * width);
    const float* w = weights_.data() + first * inputs_;
    for (index_t i = 0; i < inputs_; ++i, w += tile) {
      a += x[i] * load(w);
      b += x[i] * load(w + width);
      c += x[i] * load(w + 2 * width);
      d += x[i] * load(w + 3 * width);
    }
    const lanes sums[] = {a, b, c, d};
    std::memcpy(y + first, sums, std::size_t(std::min(tile, outputs_ - first)) * sizeof(float));
  }
}

}  // namespace poolwise
