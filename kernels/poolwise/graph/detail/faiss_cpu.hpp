// For calls of FAISS on the CPU.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Does `work`, which calls FAISS: regions that others open take `threads` threads, and what interrupts this
/// thread is thrown.
void with_faiss(int threads, const std::function<void()>& work);

/// The rows without padding between them, as FAISS takes them; `copy` holds them where they had some.
inline const float* dense(matrix_view<const float> x, std::vector<float>& copy) {
  if (x.stride == x.cols) return x.data;
  copy.resize(std::size_t(x.rows * x.cols));
  for (index_t i = 0; i < x.rows; ++i) std::copy_n(x.row(i), x.cols, copy.data() + i * x.cols);
  return copy.data();
}

}  // namespace poolwise
