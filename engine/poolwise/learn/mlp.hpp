// A multilayer perceptron with two hidden layers.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "poolwise/core/types.hpp"
#include "poolwise/learn/learner.hpp"

namespace poolwise {

struct mlp_options {
  std::array<index_t, 2> hidden = {24, 12};  ///< units of each hidden layer
  int epochs = 50;                           ///< passes over the labelled rows
  index_t batch = 32;                        ///< rows a step
  double learning_rate = 0.005;
  double weight_decay = 0;
};

/// Logits of fully connected layers with rectified linear units between them, fitted by Adam (Kingma & Ba 2015)
/// on the mean negative log-likelihood. Every fit starts from the same weights (He et al.
/// 2015), drawn under the seed; so does the order of the rows in each pass: a fit depends on nothing that was
/// fitted before.
///
/// fit      runs on one thread, so that runs may go side by side. Equal calls give equal bits on any CPU.
///          throws also value_error for a NaN or infinite feature.
/// predict  logits in fp32; the bits of a row depend on that row and the weights alone.
class mlp : public learner {
 public:
  /// throws value_error unless classes, units, epochs and batch are >= 1, the rate is finite and > 0, the decay
  /// >= 0.
  mlp(index_t classes, std::uint64_t seed, mlp_options options = {});
  ~mlp() override;

  index_t classes() const override { return classes_; }
  void fit(matrix_view<const float> x, vector_view<const std::int32_t> y) override;
  void predict(matrix_view<const float> x, cube_view<float> logits) override;

 private:
  struct layers;
  index_t classes_, features_ = 0;
  std::uint64_t seed_;
  mlp_options options_;
  std::unique_ptr<const layers> layers_;  // of the last fit
};

}  // namespace poolwise
