#include "poolwise/learn/detail/row_product.hpp"

#include <algorithm>

#include "poolwise/core/detail/products.hpp"

namespace poolwise {

row_product::row_product(matrix_view<const float> weights, vector_view<const float> offset)
    : inputs_(weights.cols),
      outputs_(weights.rows),
      width_(whole_lines<float>(outputs_)),
      weights_(std::size_t(inputs_ * width_)),
      offset_(std::size_t(width_)) {
  for (index_t o = 0; o < outputs_; ++o)
    for (index_t i = 0; i < inputs_; ++i) weights_[std::size_t(i * width_ + o)] = weights(o, i);
  std::copy(offset.begin(), offset.end(), offset_.begin());
}

void row_product::operator()(matrix_view<const float> x, matrix_view<float> y) const {
  constexpr index_t block = 32;  // rows whose sums stay in cache
  std::vector<float> sums(std::size_t(std::min(block, x.rows) * width_));
  for (index_t begin = 0; begin < x.rows; begin += block) {
    const index_t count = std::min(block, x.rows - begin);
    for (index_t i = 0; i < count; ++i) std::copy(offset_.begin(), offset_.end(), sums.begin() + i * width_);
    add_products({x.row(begin), x.stride, 1}, {weights_.data(), inputs_, width_}, {sums.data(), count, width_});
    for (index_t i = 0; i < count; ++i) std::copy_n(sums.data() + i * width_, outputs_, y.row(begin + i));
  }
}

}  // namespace poolwise
