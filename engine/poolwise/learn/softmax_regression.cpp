#include "poolwise/learn/softmax_regression.hpp"

#include <cblas.h>
#include <lbfgs.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/learn/detail/checks.hpp"
#include "poolwise/learn/detail/row_product.hpp"

namespace poolwise {
namespace {

constexpr stream bootstrap_stream{4};

// Rows of one GEMM. A block stays in cache from logits to gradient. In ordinary fits it has fewer than 2^18
// products, from which on OpenBLAS would take more than one thread.
constexpr index_t fit_block = 64;
constexpr index_t predict_block = 1024;

/// mean_i -ln p(y_i | x_i) + l2/2 |W|^2 and its gradient, both in the layout [classes, features + 1].
class objective {
 public:
  objective(matrix_view<const float> x, vector_view<const std::int32_t> y, index_t classes, double l2)
      : rows_(x.rows),
        width_(x.cols + 1),
        classes_(classes),
        l2_(l2),
        y_(y),
        x_(std::size_t(rows_ * width_)),
        residuals_(std::size_t(std::min(rows_, fit_block) * classes_)) {
    for (index_t i = 0; i < rows_; ++i) {
      std::copy_n(x.row(i), x.cols, x_.data() + i * width_);
      x_[std::size_t(i * width_ + x.cols)] = 1.0;  // the factor of the bias
    }
  }

  double operator()(const double* parameters, double* gradient) {
    std::fill_n(gradient, classes_ * width_, 0.0);
    double loss = 0;
    for (index_t begin = 0; begin < rows_; begin += fit_block)
      loss += add_block(begin, std::min(fit_block, rows_ - begin), parameters, gradient);
    const double scale = 1.0 / double(rows_);
    double squares = 0;
    for (index_t c = 0; c < classes_; ++c)
      for (index_t j = 0; j < width_; ++j) {
        const index_t k = c * width_ + j;
        const double weight = j + 1 < width_ ? parameters[k] : 0.0;
        gradient[k] = scale * gradient[k] + l2_ * weight;
        squares += weight * weight;
      }
    return scale * loss + 0.5 * l2_ * squares;
  }

 private:
  double add_block(index_t begin, index_t count, const double* parameters, double* gradient) {
    const double* x = x_.data() + begin * width_;
    const int m = int(count), n = int(classes_), k = int(width_);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0, x, k, parameters, k, 0.0,
                residuals_.data(), n);
    double loss = 0;
    for (index_t i = 0; i < count; ++i) loss += to_residual(residuals_.data() + i * classes_, y_[begin + i]);
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, k, m, 1.0, residuals_.data(), n, x, k, 1.0,
                gradient, k);
    return loss;
  }

  /// Turns a row of logits into p - onehot(label) and returns -ln p(label).
  double to_residual(double* z, std::int32_t label) const {
    const double largest = *std::max_element(z, z + classes_);
    const double at_label = z[label] - largest;
    double sum = 0;  // >= 1, since exp(0) is in it
    for (index_t c = 0; c < classes_; ++c) sum += z[c] = std::exp(z[c] - largest);
    for (index_t c = 0; c < classes_; ++c) z[c] /= sum;
    z[label] -= 1.0;
    return std::log(sum) - at_label;
  }

  index_t rows_, width_, classes_;
  double l2_;
  vector_view<const std::int32_t> y_;
  std::vector<double> x_;  // [rows, features + 1]
  std::vector<double> residuals_;
};

struct descent {
  objective f;
  int iterations = 0;
};

lbfgsfloatval_t evaluate(void* instance, const lbfgsfloatval_t* parameters, lbfgsfloatval_t* gradient, int,
                         lbfgsfloatval_t) {
  return static_cast<descent*>(instance)->f(parameters, gradient);
}

int count_iteration(void* instance, const lbfgsfloatval_t*, const lbfgsfloatval_t*, lbfgsfloatval_t,
                    lbfgsfloatval_t, lbfgsfloatval_t, lbfgsfloatval_t, int, int k, int) {
  static_cast<descent*>(instance)->iterations = k;
  return 0;
}

void minimise(descent& d, std::vector<double>& parameters, const softmax_options& options) {
  // liblbfgs built with SSE2 wants its own alignment and padding.
  const int size = int(parameters.size());
  const std::unique_ptr<lbfgsfloatval_t, decltype(&lbfgs_free)> x(lbfgs_malloc(size), lbfgs_free);
  if (!x) throw std::bad_alloc();
  std::copy(parameters.begin(), parameters.end(), x.get());
  lbfgs_parameter_t settings;
  lbfgs_parameter_init(&settings);
  settings.epsilon = options.tolerance;
  settings.max_iterations = options.max_iterations;
  const int status = lbfgs(size, x.get(), nullptr, evaluate, count_iteration, &d, &settings);
  // Every other code ends a descent: at the tolerance, at the iteration limit, or in a line search that
  // rounding left without a lower point, after which x holds the lowest point met.
  if (status == LBFGSERR_OUTOFMEMORY) throw std::bad_alloc();
  std::copy_n(x.get(), size, parameters.begin());
}

void require_options(index_t classes, const softmax_options& options) {
  const auto refuse = [](const char* what, const std::string& got, const char* needs) {
    throw value_error(std::string("softmax_regression: ") + what + " is " + got + "; pass " + needs);
  };
  const auto valid = [](double x) { return std::isfinite(x) && x >= 0; };
  if (classes < 1) refuse("classes", std::to_string(classes), "at least 1");
  if (!valid(options.l2)) refuse("l2", std::to_string(options.l2), "a finite number that is not negative");
  if (!valid(options.tolerance))
    refuse("tolerance", std::to_string(options.tolerance), "a finite number that is not negative");
  if (options.max_iterations < 1)
    refuse("max_iterations", std::to_string(options.max_iterations), "at least 1");
}

}  // namespace

softmax_regression::softmax_regression(index_t classes, softmax_options options)
    : classes_(classes), options_(options) {
  require_options(classes, options);
}

void softmax_regression::fit(matrix_view<const float> x, vector_view<const std::int32_t> y) {
  require_training_set("softmax_regression::fit", x, y, classes_);
  if (x.cols >= std::numeric_limits<int>::max() / classes_)
    throw shape_error("softmax_regression::fit: " + std::to_string(classes_) + " classes of " +
                      std::to_string(x.cols) + " features are more parameters than liblbfgs can count; " +
                      "reduce the features, by PCA for one");
  require_finite("softmax_regression::fit", x);
  std::vector<double> parameters = parameters_;
  if (x.cols != features_) parameters.assign(std::size_t(classes_ * (x.cols + 1)), 0.0);
  descent d{objective(x, y, classes_, options_.of_sum ? options_.l2 / double(x.rows) : options_.l2)};
  minimise(d, parameters, options_);
  parameters_ = std::move(parameters);
  features_ = x.cols;
  iterations_ = d.iterations;
}

void softmax_regression::predict(matrix_view<const float> x, cube_view<float> logits) {
  require_query("softmax_regression::predict", x, features_, logits, 1, classes_);
  std::vector<float> weights, bias;
  for (index_t c = 0; c < classes_; ++c) {
    const auto first = parameters_.begin() + c * (features_ + 1);
    weights.insert(weights.end(), first, first + features_);
    bias.push_back(float(first[features_]));
  }
  const row_product product({weights.data(), classes_, features_}, {bias.data(), classes_});
  const matrix_view<float> out = logits.member(0);
  parallel_blocks(cpu{}, x.rows, predict_block, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) product(x.row(i), out.row(i));
  });
}

bootstrap_committee::bootstrap_committee(index_t members, index_t classes, std::uint64_t seed,
                                         softmax_options options)
    : seed_(seed) {
  if (members < 1)
    throw value_error("bootstrap_committee: members is " + std::to_string(members) + "; pass at least 1");
  committee_.assign(std::size_t(members), softmax_regression(classes, options));
}

void bootstrap_committee::fit(matrix_view<const float> x, vector_view<const std::int32_t> y) {
  require_training_set("bootstrap_committee::fit", x, y, classes());
  require_finite("bootstrap_committee::fit", x);
  parallel_blocks(cpu{}, members(), 1, [&](index_t m, index_t, index_t) {
    std::vector<float> resampled;
    std::vector<std::int32_t> labels;
    resampled.reserve(std::size_t(x.rows * x.cols));
    for (index_t i = 0; i < x.rows; ++i) {
      const double u = random_unit(seed_, bootstrap_stream, (std::uint64_t(m) << 32) + std::uint64_t(i));
      const index_t drawn = index_t(u * double(x.rows));
      resampled.insert(resampled.end(), x.row(drawn), x.row(drawn) + x.cols);
      labels.push_back(y[drawn]);
    }
    committee_[std::size_t(m)].fit({resampled.data(), x.rows, x.cols}, {labels.data(), x.rows});
  });
}

void bootstrap_committee::predict(matrix_view<const float> x, cube_view<float> logits) {
  require_query("bootstrap_committee::predict", x, committee_.front().features(), logits, members(), classes());
  for (index_t m = 0; m < members(); ++m)
    committee_[std::size_t(m)].predict(x, {logits.member(m).data, 1, x.rows, classes()});
}

}  // namespace poolwise
