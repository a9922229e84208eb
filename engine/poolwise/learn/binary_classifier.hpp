// Two-class models in double, for experiments whose published figures hang on the last digits.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "poolwise/core/types.hpp"

namespace poolwise {

class binary_classifier {
 public:
  virtual ~binary_classifier() = default;

  /// Fits on features [rows, features] and labels [rows] of 0 and 1, both present.
  /// throws shape_error; value_error (another label, one class only, a value that is not finite).
  virtual void fit(matrix_view<const double> x, vector_view<const std::int32_t> y) = 0;

  /// Writes the decision value of each row: positive says class 1, and the farther from 0 the surer.
  /// throws error before any fit, shape_error.
  virtual void decide(matrix_view<const double> x, vector_view<double> values) const = 0;
};

/// Support vector machine with the kernel exp(-gamma |x - x'|^2), by LIBSVM (Chang & Lin 2011) with its
/// defaults: shrinking, tolerance 1e-3. The class that LIBSVM puts first is 0, as scikit-learn does.
struct svm_options {
  double c = 1;
  double gamma = 0;  ///< 0: 1 / features
};
std::unique_ptr<binary_classifier> make_rbf_svm(svm_options options = {});

/// Logistic regression: minimises |w|^2 / 2 + c sum_i -ln p(y_i | x_i) over w and a free bias, by L-BFGS.
/// Features are rounded to fp32. The decision value is the logit of class 1.
std::unique_ptr<binary_classifier> make_logistic_regression(double c = 1);

/// "svm" or "lr". throws value_error for another name.
std::unique_ptr<binary_classifier> make_binary_classifier(const std::string& name);

}  // namespace poolwise
