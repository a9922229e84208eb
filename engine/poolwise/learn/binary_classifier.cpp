#include "poolwise/learn/binary_classifier.hpp"

#include <libsvm/svm.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/learn/softmax_regression.hpp"

namespace poolwise {
namespace {

void require_two_classes(const char* call, matrix_view<const double> x, vector_view<const std::int32_t> y) {
  if (x.rows < 1 || x.cols < 1 || y.size != x.rows)
    throw shape_error(std::string(call) + ": x is [" + std::to_string(x.rows) + ", " + std::to_string(x.cols) +
                      "] but there are " + std::to_string(y.size) +
                      " labels; pass at least one row and feature, and one label a row");
  std::array<bool, 2> seen{};
  for (index_t i = 0; i < x.rows; ++i) {
    if (y[i] != 0 && y[i] != 1)
      throw value_error(std::string(call) + ": label " + std::to_string(y[i]) + " at row " + std::to_string(i) +
                        " is neither 0 nor 1; a binary classifier knows two classes");
    seen[std::size_t(y[i])] = true;
    for (index_t j = 0; j < x.cols; ++j)
      if (!std::isfinite(x(i, j)))
        throw value_error(std::string(call) + ": x is " + std::to_string(x(i, j)) + " at row " +
                          std::to_string(i) + ", column " + std::to_string(j) +
                          "; pass finite values, or leave the row out");
  }
  if (!seen[0] || !seen[1])
    throw value_error(std::string(call) + ": all labels are " + std::to_string(y[0]) +
                      "; pass rows of both classes");
}

void require_query(const char* call, matrix_view<const double> x, index_t features,
                   vector_view<double> values) {
  if (features == 0) throw error(std::string(call) + ": nothing has been fitted yet; call fit first");
  if (x.cols != features || values.size != x.rows)
    throw shape_error(std::string(call) + ": x is [" + std::to_string(x.rows) + ", " + std::to_string(x.cols) +
                      "] with " + std::to_string(values.size) + " places for values; pass the " +
                      std::to_string(features) + " features of the fit and one place a row");
}

struct free_model {
  void operator()(svm_model* model) const { svm_free_and_destroy_model(&model); }
};

class rbf_svm : public binary_classifier {
 public:
  explicit rbf_svm(svm_options options) : options_(options) {
    if (!(options.c > 0) || !(options.gamma >= 0) || !std::isfinite(options.c + options.gamma))
      throw value_error("make_rbf_svm: c is " + std::to_string(options.c) + " and gamma " +
                        std::to_string(options.gamma) + "; pass a finite c > 0 and gamma >= 0");
    // LIBSVM talks on standard output unless it is told not to.
    static const bool silenced = (svm_set_print_string_function([](const char*) {}), true);
    (void)silenced;
  }

  void fit(matrix_view<const double> x, vector_view<const std::int32_t> y) override {
    require_two_classes("rbf_svm::fit", x, y);
    const index_t width = x.cols + 1;
    std::vector<svm_node> nodes(std::size_t(x.rows * width));
    std::vector<svm_node*> rows;
    std::vector<double> targets;
    for (index_t i = 0; i < x.rows; ++i) {
      svm_node* row = nodes.data() + i * width;
      for (index_t j = 0; j < x.cols; ++j) row[j] = {int(j + 1), x(i, j)};
      row[x.cols] = {-1, 0};
      rows.push_back(row);
      targets.push_back(y[i] == 0 ? 1 : -1);  // +1 comes first in LIBSVM, whatever the first row is
    }
    svm_problem problem{int(x.rows), targets.data(), rows.data()};
    svm_parameter parameters{};
    parameters.svm_type = C_SVC;
    parameters.kernel_type = RBF;
    parameters.gamma = gamma(x.cols);
    parameters.cache_size = 100;
    parameters.eps = 1e-3;
    parameters.C = options_.c;
    parameters.shrinking = 1;
    const std::unique_ptr<svm_model, free_model> model(svm_train(&problem, &parameters));
    keep(*model, x.cols);
  }

  void decide(matrix_view<const double> x, vector_view<double> values) const override {
    require_query("rbf_svm::decide", x, features_, values);
    const double g = gamma(features_);
    const index_t supports = index_t(weights_.size());
    for (index_t i = 0; i < x.rows; ++i) {
      double value = bias_;
      for (index_t s = 0; s < supports; ++s)
        value += weights_[std::size_t(s)] *
                 std::exp(-g * squared_distance(x.row(i), supports_.data() + s * features_));
      values[i] = value;
    }
  }

 private:
  double gamma(index_t features) const { return options_.gamma > 0 ? options_.gamma : 1 / double(features); }

  double squared_distance(const double* a, const double* b) const {
    double sum = 0;
    for (index_t j = 0; j < features_; ++j) sum += (a[j] - b[j]) * (a[j] - b[j]);
    return sum;
  }

  /// The model's support vectors lie in the training set: copies outlive it. Its decision is positive for class
  /// 0.
  void keep(const svm_model& model, index_t features) {
    features_ = features;
    weights_.clear();
    supports_.clear();
    for (int s = 0; s < model.l; ++s) {
      weights_.push_back(-model.sv_coef[0][s]);
      for (index_t j = 0; j < features; ++j) supports_.push_back(model.SV[s][j].value);
    }
    bias_ = model.rho[0];
  }

  svm_options options_;
  index_t features_ = 0;
  std::vector<double> weights_, supports_;  // [supports], [supports, features]
  double bias_ = 0;
};

class logistic_regression : public binary_classifier {
 public:
  explicit logistic_regression(double c) : c_(c) {
    if (!(c > 0) || !std::isfinite(c))
      throw value_error("make_logistic_regression: c is " + std::to_string(c) +
                        "; pass a finite number above 0");
  }

  void fit(matrix_view<const double> x, vector_view<const std::int32_t> y) override {
    require_two_classes("logistic_regression::fit", x, y);
    // Two classes of the softmax share w as w/2 and -w/2, and its loss is a mean: hence the 2 and the rows.
    model_ = std::make_unique<softmax_regression>(2, softmax_options{2 / (c_ * double(x.rows)), 1000, 1e-7});
    const auto rounded = as_float(x);
    model_->fit({rounded.data(), x.rows, x.cols}, y);
  }

  void decide(matrix_view<const double> x, vector_view<double> values) const override {
    require_query("logistic_regression::decide", x, model_ ? model_->features() : 0, values);
    const auto rounded = as_float(x);
    std::vector<float> logits(std::size_t(x.rows * 2));
    model_->predict({rounded.data(), x.rows, x.cols}, {logits.data(), 1, x.rows, 2});
    for (index_t i = 0; i < x.rows; ++i)
      values[i] = double(logits[std::size_t(2 * i + 1)]) - double(logits[std::size_t(2 * i)]);
  }

 private:
  static std::vector<float> as_float(matrix_view<const double> x) {
    std::vector<float> out;
    for (index_t i = 0; i < x.rows; ++i)
      for (index_t j = 0; j < x.cols; ++j) out.push_back(float(x(i, j)));
    return out;
  }

  double c_;
  std::unique_ptr<softmax_regression> model_;
};

}  // namespace

std::unique_ptr<binary_classifier> make_rbf_svm(svm_options options) {
  return std::make_unique<rbf_svm>(options);
}

std::unique_ptr<binary_classifier> make_logistic_regression(double c) {
  return std::make_unique<logistic_regression>(c);
}

std::unique_ptr<binary_classifier> make_binary_classifier(const std::string& name) {
  if (name == "svm") return make_rbf_svm();
  if (name == "lr") return make_logistic_regression();
  throw value_error("make_binary_classifier: \"" + name + "\" is no binary classifier; use svm or lr");
}

}  // namespace poolwise
