// How near rows are to each labelled row, by a Gaussian. Not part of the public interface.
#pragma once

#include <cstdint>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/query/detail/linear_model.hpp"

namespace poolwise {

/// exp(-d^2 / 2 s^2) of rows of a stage and those labelled rows whose label is known. s is the parameter
/// `bandwidth`, in the unit of the embeddings as they were given; 0: the root of the mean squared distance
/// between two rows of the stage.
class labelled_kernel {
 public:
  labelled_kernel(const char* call, const stage_input& x);

  const labelled_classes& classes() const { return classes_; }  ///< of the rows below
  index_t count() const { return index_t(classes_.of.size()); }
  index_t stride() const { return whole_lines<double>(count()); }
  double between(index_t l, index_t m) const;

  /// Calls body(row, rows, kernel) for blocks of rows: kernel is [rows, stride()], NaN where a row is not
  /// finite.
  template <class Body>
  void for_each_block(Body body) const;

 private:
  cpu on_;
  design h_;
  labelled_classes classes_;
  double scale_ = 1;             // of d^2
  std::vector<double> known_;    // [features, stride] the labelled rows, column by column
  std::vector<double> squares_;  // [count] their squared lengths
};

/// The mean squared distance between two of the rows that count, as they were given; 0 for none.
double mean_squared_distance(cpu on, const design& h, const std::vector<std::uint8_t>& counts);

std::uint64_t labelled_kernel_bytes(const strategy_size& size);

}  // namespace poolwise

#include "poolwise/core/rows.hpp"

namespace poolwise {

template <class Body>
void labelled_kernel::for_each_block(Body body) const {
  constexpr index_t block = 32;
  const index_t width = h_.width();
  parallel_blocks(holding(on_, block * width * index_t(sizeof(float))), h_.rows.rows, block,
                  [&](index_t, index_t begin, index_t end) {
                    std::vector<double> read(std::size_t((end - begin) * width), 0.0);
                    std::vector<double> kernel(std::size_t((end - begin) * stride()), 0.0);
                    for (index_t i = begin; i < end; ++i) h_.read(i, read.data() + (i - begin) * width);
                    if (count() > 0)
                      add_products({read.data(), width, 1}, {known_.data(), width, stride()},
                                   {kernel.data(), end - begin, stride()});
                    for (index_t i = 0; i < end - begin; ++i) {
                      double own = 0;
                      for (index_t f = 0; f < width; ++f) {
                        const double value = read[std::size_t(i * width + f)];
                        own += value * value;
                      }
                      for (index_t l = 0; l < count(); ++l) {
                        double& k = kernel[std::size_t(i * stride() + l)];
                        const double d2 = own + squares_[std::size_t(l)] - 2 * k;
                        k = d2 > 0 ? fixed_exp(-d2 * scale_) : d2 - d2 + 1;
                      }
                    }
                    body(begin, end - begin, kernel.data());
                  });
}

}  // namespace poolwise
