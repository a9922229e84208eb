// A linear map of rows in fp32, each row on its own. Not part of the public interface.
#pragma once

#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// y = weights x + offset. Every output is one sum in the order of the inputs, from the offset on
/// (add_products): the same bits on any CPU, whichever rows are mapped together.
class row_product {
 public:
  /// weights [outputs, inputs], offset [outputs]; both are copied.
  row_product(matrix_view<const float> weights, vector_view<const float> offset);

  index_t outputs() const { return outputs_; }

  /// x [rows, inputs], y [rows, outputs].
  void operator()(matrix_view<const float> x, matrix_view<float> y) const;

 private:
  index_t inputs_, outputs_, width_;  // width: the outputs in whole lines
  std::vector<float> weights_;        // [inputs, width]
  std::vector<float> offset_;         // [width]
};

}  // namespace poolwise
