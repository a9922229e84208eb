// Rows of a table that train, then rows that test. Not part of the public interface.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/files/table.hpp"
#include "poolwise/loop/loop.hpp"

namespace poolwise {

/// Some rows of a table: `trained` to learn from, then those to test on.
struct table_part {
  index_t trained = 0, cols = 0;
  std::vector<double> features;      ///< [rows, cols]
  std::vector<std::int32_t> labels;  ///< [rows]

  index_t rows() const { return index_t(labels.size()); }
  matrix_view<const double> view() const { return {features.data(), rows(), cols}; }
};

/// The same in fp32, for run_loop.
class table_pool {
 public:
  explicit table_pool(table_part part)
      : part_(std::move(part)), features_(part_.features.begin(), part_.features.end()) {}

  labelled_pool pool() const {
    const index_t pool = part_.trained, test = part_.rows() - pool, cols = part_.cols;
    return {{features_.data(), pool, cols},
            {features_.data() + pool * cols, test, cols},
            {part_.labels.data(), pool},
            {part_.labels.data() + pool, test}};
  }

 private:
  table_part part_;
  std::vector<float> features_;
};

table_part parted(const labelled_table& data, std::span<const index_t> train, std::span<const index_t> test);

/// Each feature less its mean over the rows that train, divided by their standard deviation (ddof 0), or by 1
/// where it is constant.
table_part standardised(table_part part);

/// The numbers of all rows, shuffled as numpy's default_rng(seed) does it.
std::vector<index_t> shuffled_rows(index_t rows, std::uint64_t seed);

}  // namespace poolwise
