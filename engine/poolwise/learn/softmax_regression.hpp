// Multinomial logistic regression, and a bootstrap committee of it.
#pragma once

#include <cstdint>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/learn/learner.hpp"

namespace poolwise {

struct softmax_options {
  double l2 = 1e-4;         ///< weight of |W|^2 / 2 beside the mean negative log-likelihood; bias is free
  int max_iterations = 500;
  double tolerance = 1e-5;  ///< stop when |gradient| <= tolerance * max(1, |parameters|)
};

/// p(c | x) proportional to exp(w_c . x + b_c), fitted by L-BFGS (liblbfgs; Nocedal 1980) from the parameters
/// of the fit before: the objective is strictly convex in all but a shift of the biases, so the start
/// decides the time and, up to the tolerance, nothing else.
class softmax_regression : public learner {
 public:
  softmax_regression(index_t classes, softmax_options options = {});

  index_t classes() const override { return classes_; }
  void fit(matrix_view<const float> x, vector_view<const std::int32_t> y) override;
  void predict(matrix_view<const float> x, cube_view<float> logits) override;

  int iterations() const { return iterations_; }             ///< of the last fit
  const std::vector<double>& parameters() const { return parameters_; }  ///< [classes, features + 1]

 private:
  index_t classes_, features_ = 0;
  softmax_options options_;
  std::vector<double> parameters_;
  int iterations_ = 0;
};

/// `members` softmax regressions, each on a bootstrap resample of the labelled rows (drawn by Philox from
/// (seed, member, row)). Breiman 1996; query by bagging: Abe & Mamitsuka 1998.
class bootstrap_committee : public learner {
 public:
  bootstrap_committee(index_t members, index_t classes, std::uint64_t seed, softmax_options options = {});

  index_t classes() const override;
  index_t members() const override { return index_t(committee_.size()); }
  void fit(matrix_view<const float> x, vector_view<const std::int32_t> y) override;
  void predict(matrix_view<const float> x, cube_view<float> logits) override;

 private:
  std::uint64_t seed_;
  std::vector<softmax_regression> committee_;
};

}  // namespace poolwise
