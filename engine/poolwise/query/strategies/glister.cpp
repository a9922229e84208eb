#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/query/detail/gradients.hpp"
#include "poolwise/query/detail/labelled_rows.hpp"
#include "poolwise/query/detail/linear_model.hpp"
#include "poolwise/query/detail/mean_cosine.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

/// By how much a gradient step on a row, at the label that the model predicts, lowers the loss of the labelled
/// rows. The last layer takes the step of each pick.
class lowered_loss {
 public:
  explicit lowered_loss(const stage_input& x)
      : x_(x),
        on_(host_of(x.on)),
        classes_(cols_of(*x.pool.model)),
        step_(x.what->given["step"]),
        a_(output_gradients(x)),
        h_{*x.pool.embeddings, 1 / x.unit},
        known_{x.labelled, 1 / x.unit},
        label_(classes_of("glister", x).of),
        values_(std::size_t(x.rows()), 0.0f) {
    for (std::size_t l = 0; l < label_.size(); ++l)
      if (label_[l] >= classes_)
        throw value_error("glister: labelled row number " + std::to_string(l) + " is of class " +
                          std::to_string(label_[l]) + ", and the outputs have " + std::to_string(classes_) +
                          "; give outputs with a column for each class");
    if (label_.empty()) return;
    for (const float p : labelled_probabilities("glister", x))
      z_.push_back(p > 0 ? fixed_log(double(p)) : -std::numeric_limits<double>::infinity());
  }

  void take(index_t row) {
    const index_t width = h_.width();
    std::vector<double> own(std::size_t(width), 0.0), other(own);
    h_.read(row, own.data());
    for (std::size_t l = 0; l < label_.size(); ++l) {
      known_.read(index_t(l), other.data());
      double along = 0;
      for (index_t f = 0; f < width; ++f) along += own[std::size_t(f)] * other[std::size_t(f)];
      for (index_t c = 0; c < classes_; ++c)
        z_[l * std::size_t(classes_) + std::size_t(c)] -=
            step_ * along * double(a_[std::size_t(row * classes_ + c)]);
    }
  }

  vector_view<const float> values() {
    const std::vector<double> slope = loss_slope();
    const index_t width = h_.width();
    constexpr auto most = double(std::numeric_limits<float>::max());
    parallel_blocks(on_, x_.rows(), 256, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        if (is_barred(x_, i)) continue;
        double sum = 0;
        for (index_t c = 0; c < classes_; ++c) {
          const double* const part = slope.data() + c * width;
          sum += double(a_[std::size_t(i * classes_ + c)]) *
                 (h_.scale * row_dot(h_.rows.row(i), part, h_.rows.cols) + part[width - 1]);
        }
        values_[std::size_t(i)] = float(std::clamp(step_ * sum, -most, most));
      }
    });
    return {values_.data(), x_.rows()};
  }

 private:
  /// [classes, width] of the mean loss of the labelled rows by the last layer's weights.
  std::vector<double> loss_slope() const {
    const index_t width = h_.width();
    std::vector<double> slope(std::size_t(classes_ * width), 0.0), row(std::size_t(width), 0.0),
        p(std::size_t(classes_), 0.0);
    double known = 0;
    for (const index_t one : label_) known += one >= 0;
    for (std::size_t l = 0; l < label_.size(); ++l) {
      if (label_[l] < 0) continue;
      const double* const z = z_.data() + l * std::size_t(classes_);
      const double top = *std::max_element(z, z + classes_);
      double whole = 0;
      for (index_t c = 0; c < classes_; ++c) whole += p[std::size_t(c)] = fixed_exp(z[c] - top);
      known_.read(index_t(l), row.data());
      for (index_t c = 0; c < classes_; ++c) {
        const double factor = (p[std::size_t(c)] / whole - (c == label_[l])) / known;
        for (index_t f = 0; f < width; ++f) slope[std::size_t(c * width + f)] += factor * row[std::size_t(f)];
      }
    }
    return slope;
  }

  const stage_input& x_;
  cpu on_;
  index_t classes_;
  double step_;
  std::vector<float> a_;  // [rows, classes] the gradients at the outputs
  design h_, known_;
  std::vector<index_t> label_;
  std::vector<float> values_;
  std::vector<double> z_;  // [labelled, classes] the outputs, by the weights of now
};

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  return pick_one_by_one<largest_value<lowered_loss>>("glister", x, run);
}

std::uint64_t bytes(const strategy_size& size) {
  return size.rows * (size.classes * sizeof(float) + sizeof(float) + 1) +
         2 * size.classes * (size.features + 2) * sizeof(double) + 4 * (size.features + 2) * sizeof(double) +
         size.labelled * (3 * size.classes * sizeof(double) + 4 * sizeof(index_t));
}

}  // namespace

std::vector<strategy_entry> strategies_of_glister() {
  return {{.name = "glister",
           .kind = "diversity",
           .formula =
               "max step <g_x, g of the labelled rows' mean loss>, after a step along g of each pick; g = (p "
               "- onehot) (x) [h; 1]",
           .source = "Killamsetty et al. 2021b",
           .on_devices = "outputs",
           .needs = part::outputs | part::embeddings | part::labels,
           .does = trait::counts_labelled,
           .parameters = {{"step", 0.01, above(0), "of the gradient, for each pick"}},
           .pick = pick,
           .reason = "a step on it lowers the loss of the labelled rows most",
           .bytes = bytes}};
}

}  // namespace poolwise
