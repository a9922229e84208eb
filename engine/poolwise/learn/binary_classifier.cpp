#include "poolwise/learn/binary_classifier.hpp"

#include <libsvm/svm.h>

#include <array>
#include <cmath>
#include <memory>
#include <numeric>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/learn/detail/checks.hpp"
#include "poolwise/learn/softmax_regression.hpp"

namespace poolwise {
namespace {

void require_features(const char* call, matrix_view<const double> x) {
  if (x.rows < 1 || x.cols < 1)
    throw shape_error(std::string(call) + ": x is [" + std::to_string(x.rows) + ", " + std::to_string(x.cols) +
                      "]; pass at least one row and feature");
  require_finite(call, x);
}

void require_two_classes(const char* call, index_t rows_of_x, std::span<const index_t> rows,
                         std::span<const std::int32_t> labels) {
  if (rows.empty() || rows.size() != labels.size())
    throw shape_error(std::string(call) + ": got " + std::to_string(rows.size()) + " rows and " +
                      std::to_string(labels.size()) + " labels; pass one label a row, and at least one");
  std::array<bool, 2> seen{};
  for (std::size_t k = 0; k < rows.size(); ++k) {
    if (rows[k] < 0 || rows[k] >= rows_of_x)
      throw value_error(std::string(call) + ": there is no row " + std::to_string(rows[k]) + "; x has " +
                        std::to_string(rows_of_x));
    if (labels[k] != 0 && labels[k] != 1)
      throw value_error(std::string(call) + ": label " + std::to_string(labels[k]) + " of row " +
                        std::to_string(rows[k]) + " is neither 0 nor 1; a binary classifier knows two classes");
    seen[std::size_t(labels[k])] = true;
  }
  if (!seen[0] || !seen[1])
    throw value_error(std::string(call) + ": all labels are " + std::to_string(labels[0]) +
                      "; pass rows of both classes");
}

void require_decidable(const char* call, bool fitted, index_t rows_of_x, index_t first, index_t count) {
  if (!fitted) throw error(std::string(call) + ": nothing has been fitted yet; call fit first");
  if (first < 0 || first > rows_of_x - count)
    throw shape_error(std::string(call) + ": got places for " + std::to_string(count) + " rows from " +
                      std::to_string(first) + " on, but x has " + std::to_string(rows_of_x) + " rows");
}

struct free_model {
  void operator()(svm_model* model) const { svm_free_and_destroy_model(&model); }
};

class rbf_svm : public binary_classifier {
 public:
  rbf_svm(matrix_view<const double> x, const svm_options& options)
      : x_(x), c_(options.c), gamma_(options.gamma > 0 ? options.gamma : 1 / double(x.cols)) {
    if (!(options.c > 0) || !(options.gamma >= 0) || !std::isfinite(options.c + options.gamma))
      throw value_error("make_rbf_svm: c is " + std::to_string(options.c) + " and gamma " +
                        std::to_string(options.gamma) + "; pass a finite c > 0 and gamma >= 0");
    require_features("make_rbf_svm", x);
    // LIBSVM talks on standard output unless it is told not to.
    static const bool silenced = (svm_set_print_string_function([](const char*) {}), true);
    (void)silenced;
    constexpr index_t bytes_a_pair = sizeof(svm_node) + sizeof(double);
    for (index_t i = 0; i < x.rows; ++i) squares_.push_back(dot(i, i));
    tabled_ = x.rows <= options.table_bytes / bytes_a_pair / x.rows;
    if (!tabled_) return;
    std::vector<index_t> all(static_cast<std::size_t>(x.rows));
    std::iota(all.begin(), all.end(), index_t(0));
    nodes_ = nodes_of(all);
    for (index_t i = 0; i < x.rows; ++i)
      for (index_t j = 0; j < x.rows; ++j) kernel_.push_back(kernel(i, j));
  }

  void fit(std::span<const index_t> rows, std::span<const std::int32_t> labels) override {
    require_two_classes("rbf_svm::fit", x_.rows, rows, labels);
    std::vector<svm_node> own;
    if (!tabled_) own = nodes_of(rows);
    std::vector<svm_node*> nodes;
    std::vector<double> targets;
    for (std::size_t k = 0; k < rows.size(); ++k) {
      nodes.push_back(tabled_ ? nodes_.data() + rows[k] * (x_.rows + 1) : own.data() + k * (rows.size() + 1));
      targets.push_back(labels[k] == 0 ? 1 : -1);  // +1 comes first in LIBSVM, whatever the first row is
    }
    svm_problem problem{int(rows.size()), targets.data(), nodes.data()};
    svm_parameter parameters{};
    parameters.svm_type = C_SVC;
    parameters.kernel_type = PRECOMPUTED;  // LIBSVM's own takes libm's exp, which follows the CPU
    parameters.cache_size = 100;
    parameters.eps = 1e-3;
    parameters.C = c_;
    parameters.shrinking = 1;
    const std::unique_ptr<svm_model, free_model> model(svm_train(&problem, &parameters));
    weights_.clear();
    supports_.clear();
    for (int s = 0; s < model->l; ++s) {
      weights_.push_back(-model->sv_coef[0][s]);  // LIBSVM's decision is positive for class 0
      supports_.push_back(rows[std::size_t(model->sv_indices[s] - 1)]);
    }
    bias_ = model->rho[0];
  }

  void decide(index_t first, vector_view<double> values) const override {
    require_decidable("rbf_svm::decide", !supports_.empty(), x_.rows, first, values.size);
    for (index_t i = 0; i < values.size; ++i) {
      double value = bias_;
      for (std::size_t s = 0; s < supports_.size(); ++s)
        value += weights_[s] * (tabled_ ? kernel_[std::size_t((first + i) * x_.rows + supports_[s])]
                                        : kernel(first + i, supports_[s]));
      values[i] = value;
    }
  }

 private:
  double kernel(index_t a, index_t b) const {
    double sum = 0;
    for (index_t j = 0; j < x_.cols; ++j) sum += (x_(a, j) - x_(b, j)) * (x_(a, j) - x_(b, j));
    return fixed_exp(-gamma_ * sum);
  }

  double dot(index_t a, index_t b) const {
    double sum = 0;
    for (index_t j = 0; j < x_.cols; ++j) sum += x_(a, j) * x_(b, j);
    return sum;
  }

  /// LIBSVM's rows of a precomputed kernel, over pairs of these rows: each has its place from 1 on, then a
  /// value a row. LIBSVM trains on |a|^2 + |b|^2 - 2ab, summed in the order of the features, and these hold
  /// that to the bit; decisions are made on |a - b|^2.
  std::vector<svm_node> nodes_of(std::span<const index_t> rows) const {
    std::vector<svm_node> nodes;
    nodes.reserve(rows.size() * (rows.size() + 1));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      nodes.push_back({0, double(i + 1)});
      for (std::size_t j = 0; j < rows.size(); ++j) {
        const index_t a = rows[i], b = rows[j];
        const double apart = squares_[std::size_t(a)] + squares_[std::size_t(b)] - 2 * dot(a, b);
        nodes.push_back({int(j + 1), fixed_exp(-gamma_ * apart)});
      }
    }
    return nodes;
  }

  matrix_view<const double> x_;
  double c_, gamma_;
  bool tabled_ = false;
  std::vector<double> squares_;    // [rows]: |x|^2
  std::vector<svm_node> nodes_;    // of all rows, where they are tabled
  std::vector<double> kernel_;     // [rows, rows], likewise
  std::vector<double> weights_;    // [supports]
  std::vector<index_t> supports_;  // rows of x
  double bias_ = 0;
};

class logistic_regression : public binary_classifier {
 public:
  logistic_regression(matrix_view<const double> x, double c) : rows_(x.rows), cols_(x.cols), c_(c) {
    if (!(c > 0) || !std::isfinite(c))
      throw value_error("make_logistic_regression: c is " + std::to_string(c) +
                        "; pass a finite number above 0");
    require_features("make_logistic_regression", x);
    for (index_t i = 0; i < x.rows; ++i)
      for (index_t j = 0; j < x.cols; ++j) x_.push_back(float(x(i, j)));
  }

  void fit(std::span<const index_t> rows, std::span<const std::int32_t> labels) override {
    require_two_classes("logistic_regression::fit", rows_, rows, labels);
    std::vector<float> x;
    for (const index_t row : rows) x.insert(x.end(), features(row), features(row) + cols_);
    // Two classes of the softmax share w as w/2 and -w/2: hence the 2.
    model_ = std::make_unique<softmax_regression>(2, softmax_options{2 / c_, true, 1000, 1e-7});
    model_->fit({x.data(), index_t(rows.size()), cols_}, {labels.data(), index_t(labels.size())});
  }

  void decide(index_t first, vector_view<double> values) const override {
    require_decidable("logistic_regression::decide", model_ != nullptr, rows_, first, values.size);
    std::vector<float> logits(std::size_t(values.size * 2));
    model_->predict({features(first), values.size, cols_}, {logits.data(), 1, values.size, 2});
    for (index_t i = 0; i < values.size; ++i)
      values[i] = double(logits[std::size_t(2 * i + 1)]) - double(logits[std::size_t(2 * i)]);
  }

 private:
  const float* features(index_t row) const { return x_.data() + row * cols_; }

  index_t rows_, cols_;
  double c_;
  std::vector<float> x_;
  std::unique_ptr<softmax_regression> model_;
};

}  // namespace

std::unique_ptr<binary_classifier> make_rbf_svm(matrix_view<const double> x, svm_options options) {
  return std::make_unique<rbf_svm>(x, options);
}

std::unique_ptr<binary_classifier> make_logistic_regression(matrix_view<const double> x, double c) {
  return std::make_unique<logistic_regression>(x, c);
}

std::unique_ptr<binary_classifier> make_binary_classifier(const std::string& name,
                                                          matrix_view<const double> x) {
  if (name == "svm") return make_rbf_svm(x);
  if (name == "lr") return make_logistic_regression(x);
  throw value_error("make_binary_classifier: \"" + name + "\" is no binary classifier; use svm or lr");
}

}  // namespace poolwise
