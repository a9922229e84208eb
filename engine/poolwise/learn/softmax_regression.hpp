// Multinomial logistic regression, and a bootstrap committee of it.
#pragma once

#include <cstdint>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/learn/learner.hpp"

namespace poolwise {

struct softmax_options {
  double l2 = 1e-4;     ///< weight of |W|^2 / 2 beside the mean negative log-likelihood; bias is free
  bool of_sum = false;  ///< beside the sum instead: 1 / l2 is then what others call C
  int max_iterations = 500;
  double tolerance = 1e-5;  ///< stop when |gradient| <= tolerance * max(1, |parameters|)
};

/// p(c | x) proportional to exp(w_c . x + b_c), fitted by L-BFGS (liblbfgs; Nocedal 1980) in double from the
/// parameters of the fit before, or from zero if that had other features: the objective is strictly convex
/// in all but a shift of the biases, so the start decides the time and, up to the tolerance, nothing else.
/// (A class without a label pulls its bias towards minus infinity; there the tolerance decides how far.)
/// A fit that reaches `max_iterations`, or a point where rounding hides any further descent, keeps the best
/// parameters met: that is no error.
///
/// fit      runs on one thread, so that runs may go side by side. Equal calls give equal bits on any CPU.
///          Takes 16 bytes a feature of every row.
///          throws also value_error for a NaN or infinite feature.
/// predict  logits in fp32. The bits of a row depend on that row and the parameters alone: not on the rows
///          beside it, the threads or the CPU. A row with a NaN gets NaN logits.
class softmax_regression : public learner {
 public:
  /// throws value_error unless classes >= 1, l2 and tolerance are finite and >= 0, max_iterations >= 1.
  explicit softmax_regression(index_t classes, softmax_options options = {});

  index_t classes() const override { return classes_; }
  void fit(matrix_view<const float> x, vector_view<const std::int32_t> y) override;
  void predict(matrix_view<const float> x, cube_view<float> logits) override;

  index_t features() const { return features_; }                         ///< of the last fit; 0 before any
  int iterations() const { return iterations_; }                         ///< of the last fit
  const std::vector<double>& parameters() const { return parameters_; }  ///< [classes, features + 1], bias last

 private:
  index_t classes_, features_ = 0;
  softmax_options options_;
  std::vector<double> parameters_;
  int iterations_ = 0;
};

/// `members` softmax regressions, each on a bootstrap resample of the labelled rows: place i of member m is
/// row floor(u rows), u drawn by Philox at (seed, m 2^32 + i). Members are fitted in parallel.
/// Breiman 1996; query by bagging: Abe & Mamitsuka 1998.
class bootstrap_committee : public learner {
 public:
  /// throws value_error unless members >= 1, and as softmax_regression.
  bootstrap_committee(index_t members, index_t classes, std::uint64_t seed, softmax_options options = {});

  index_t classes() const override { return committee_.front().classes(); }
  index_t members() const override { return index_t(committee_.size()); }
  void fit(matrix_view<const float> x, vector_view<const std::int32_t> y) override;
  void predict(matrix_view<const float> x, cube_view<float> logits) override;

  const softmax_regression& member(index_t m) const { return committee_[std::size_t(m)]; }

 private:
  std::uint64_t seed_;
  std::vector<softmax_regression> committee_;
};

}  // namespace poolwise
