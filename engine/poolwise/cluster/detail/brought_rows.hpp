// Some rows of all ranks, brought to each of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "poolwise/cluster/communicator.hpp"
#include "poolwise/pool/pool.hpp"

namespace poolwise {

/// A pool of the rows that ranks give, in ascending order of their numbers. What is not by row is that of this
/// rank.
class brought_rows {
 public:
  /// rows     of `local`, those that this rank gives
  /// scores   of these rows
  /// needed   the parts that travel
  /// shown    of the others, those that the pool seems to have: their values say nothing
  brought_rows(communicator& all, const pool_inputs& local, std::span<const index_t> numbers,
               const std::vector<index_t>& rows, const std::vector<float>& scores, parts needed, parts shown);
  brought_rows(const brought_rows&) = delete;
  brought_rows& operator=(const brought_rows&) = delete;

  const pool_inputs& view() const { return view_; }
  std::span<const index_t> numbers() const { return numbers_; }
  vector_view<const float> scores() const { return {scores_.data(), index_t(scores_.size())}; }
  /// Shows as labelled the rows that are.
  void show_labelled() { view_.labelled = labelled_; }

 private:
  struct shape;

  /// Rows of a matrix in the precision that it has.
  class raw_rows {
   public:
    void begin(std::size_t format, index_t cols) {
      format_ = format;
      cols_ = cols;
    }
    std::size_t row_bytes() const {
      return std::size_t(cols_) * (format_ == 0 ? sizeof(float) : sizeof(float16));
    }
    void add(const std::byte* row) { values_.insert(values_.end(), row, row + row_bytes()); }
    real_matrix view(index_t rows) const;

   private:
    std::size_t format_ = 0;  // its place in real_matrix
    index_t cols_ = 0;
    std::vector<std::byte> values_;
  };

  void add(const std::vector<std::byte>& row, const shape& of, parts needed);
  void show(const pool_inputs& local, const shape& of, parts needed, parts shown);

  pool_inputs view_;
  std::vector<index_t> numbers_, group_, labelled_;
  std::vector<float> scores_, labels_, embeddings_, blank_;
  std::vector<std::vector<float>> predictions_;  // of each member
  std::vector<float> all_predictions_;
  std::vector<std::int64_t> cost_;
  std::vector<std::vector<std::int64_t>> also_cost_;
  raw_rows model_;
  std::vector<raw_rows> members_;
};

}  // namespace poolwise
