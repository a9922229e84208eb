// Two-class models in double, for experiments whose published figures hang on the last digits.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// A model over the rows of one matrix: it is fitted on some of them, and decides any. It is no `learner`: rows
/// are named by their number, so that one table of all pairs serves every fit, and features stay in double.
class binary_classifier {
 public:
  virtual ~binary_classifier() = default;

  /// Fits on these rows, in this order, and their labels of 0 and 1, both present. throws shape_error unless
  /// there is a label for each row; value_error (a row that there is not, another label, one class only).
  virtual void fit(std::span<const index_t> rows, std::span<const std::int32_t> labels) = 0;

  /// Writes the decision values of the rows from `first` on, as many as there are places: positive says class
  /// 1, and the farther from 0 the surer. throws error before any fit, shape_error for rows that there are not.
  virtual void decide(index_t first, vector_view<double> values) const = 0;
};

struct svm_options {
  double c = 1;
  double gamma = 0;                          ///< 0: 1 / features
  index_t table_bytes = index_t{256} << 20;  ///< the kernel of all pairs is kept where it takes no more
};

/// Support vector machine with the kernel exp(-gamma |x - x'|^2), by LIBSVM (Chang & Lin 2011) with its
/// defaults: shrinking, tolerance 1e-3. The class that LIBSVM puts first is 0, as scikit-learn does. `x` [rows,
/// features] must outlive it. The results are the same to the bit with and without the table, which takes 24
/// bytes a pair of rows; without it a fit takes 16 a pair of its rows. throws shape_error for an x without rows
/// or features, value_error for one with a NaN or infinite value and unless c is finite and > 0, gamma finite
/// and >= 0.
std::unique_ptr<binary_classifier> make_rbf_svm(matrix_view<const double> x, svm_options options = {});

/// Logistic regression: minimises |w|^2 / 2 + c sum_i -ln p(y_i | x_i) over w and a free bias, by L-BFGS.
/// Features are rounded to fp32. The decision value is the logit of class 1. throws as make_rbf_svm.
std::unique_ptr<binary_classifier> make_logistic_regression(matrix_view<const double> x, double c = 1);

/// "svm" or "lr". throws value_error for another name.
std::unique_ptr<binary_classifier> make_binary_classifier(const std::string& name, matrix_view<const double> x);

}  // namespace poolwise
