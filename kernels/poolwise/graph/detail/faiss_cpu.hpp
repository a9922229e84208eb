// For calls of FAISS on the CPU.
#pragma once

#include <omp.h>

#include <algorithm>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// OpenMP regions that others open, here FAISS's, take `threads` threads as long as this lives.
class openmp_threads {
 public:
  explicit openmp_threads(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~openmp_threads() { omp_set_num_threads(before_); }
  openmp_threads(const openmp_threads&) = delete;
  openmp_threads& operator=(const openmp_threads&) = delete;

 private:
  int before_;
};

/// The rows without padding between them, as FAISS takes them; `copy` holds them where they had some.
inline const float* dense(matrix_view<const float> x, std::vector<float>& copy) {
  if (x.stride == x.cols) return x.data;
  copy.resize(std::size_t(x.rows * x.cols));
  for (index_t i = 0; i < x.rows; ++i) std::copy_n(x.row(i), x.cols, copy.data() + i * x.cols);
  return copy.data();
}

}  // namespace poolwise
