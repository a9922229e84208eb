// A linear map of rows in fp32, each row on its own. Not part of the public interface.
#pragma once

#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// y = weights x + offset. Every output is one sum in the order of the inputs, products and sums rounded
/// apart: the same bits on any CPU, whichever rows are mapped together. A GEMM promises neither.
class row_product {
 public:
  /// weights [outputs, inputs], offset [outputs]; both are copied.
  row_product(matrix_view<const float> weights, vector_view<const float> offset);

  /// x [inputs], y [outputs].
  void operator()(const float* x, float* y) const;

 private:
  index_t inputs_, outputs_;
  std::vector<float> weights_;  // [tiles, inputs, tile], so that a tile of outputs is one run of memory
  std::vector<float> offset_;   // [tiles, tile]
};

}  // namespace poolwise
