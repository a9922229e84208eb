#include "poolwise/learn/softmax_regression.hpp"

#include <lbfgs.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/detail/products.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/learn/detail/checks.hpp"
#include "poolwise/learn/detail/row_product.hpp"

namespace poolwise {
namespace {

constexpr stream bootstrap_stream{4};

constexpr index_t fit_block = 64;  // rows that stay in cache from logits to gradient
constexpr index_t predict_block = 1024;

/// mean_i -ln p(y_i | x_i) + l2/2 |W|^2 and its gradient, both in the layout [classes, features + 1].
class objective {
 public:
  objective(matrix_view<const float> x, vector_view<const std::int32_t> y, index_t classes, double l2)
      : rows_(x.rows),
        width_(x.cols + 1),
        stride_(whole_lines<double>(width_)),
        block_(whole_lines<double>(std::min(rows_, fit_block))),
        classes_(classes),
        l2_(l2),
        y_(y),
        x_(std::size_t(rows_ * stride_)),
        columns_(std::size_t(blocks_of(rows_, block_) * width_ * block_)),
        residuals_(std::size_t(classes * block_)),
        gradient_(std::size_t(classes * stride_)) {
    for (index_t i = 0; i < rows_; ++i) {
      double* row = x_.data() + i * stride_;
      std::copy_n(x.row(i), x.cols, row);
      row[x.cols] = 1.0;  // the factor of the bias
      double* column = columns_.data() + i / block_ * width_ * block_ + i % block_;
      for (index_t j = 0; j < width_; ++j) column[j * block_] = row[j];
    }
  }

  double operator()(const double* parameters, double* gradient) {
    std::fill(gradient_.begin(), gradient_.end(), 0.0);
    double loss = 0;
    for (index_t begin = 0; begin < rows_; begin += block_)
      loss += add_block(begin, std::min(block_, rows_ - begin), parameters);
    const double scale = 1.0 / double(rows_);
    double squares = 0;
    for (index_t c = 0; c < classes_; ++c)
      for (index_t j = 0; j < width_; ++j) {
        const index_t k = c * width_ + j;
        const double weight = j + 1 < width_ ? parameters[k] : 0.0;
        gradient[k] = scale * gradient_[std::size_t(c * stride_ + j)] + l2_ * weight;
        squares += weight * weight;
      }
    return scale * loss + 0.5 * l2_ * squares;
  }

 private:
  double add_block(index_t begin, index_t count, const double* parameters) {
    const matrix_view<double> z{residuals_.data(), classes_, block_};
    std::fill(residuals_.begin(), residuals_.end(), 0.0);
    add_products({parameters, width_, 1}, {columns_.data() + begin * width_, width_, block_}, z);
    const double loss = to_residuals({z.data, classes_, count, block_}, y_.data + begin);
    add_products({z.data, block_, 1}, {x_.data() + begin * stride_, count, stride_},
                 {gradient_.data(), classes_, stride_});
    return loss;
  }

  /// Turns logits [classes, rows] into p - onehot(label) and returns the sum of -ln p(label).
  static double to_residuals(matrix_view<double> z, const std::int32_t* labels) {
    double loss = 0;
    double largest[fit_block], sum[fit_block];
    std::copy_n(z.row(0), z.cols, largest);
    for (index_t c = 1; c < z.rows; ++c)
      for (index_t i = 0; i < z.cols; ++i) largest[i] = std::max(largest[i], z(c, i));
    for (index_t i = 0; i < z.cols; ++i) loss -= z(labels[i], i) - largest[i];
    std::fill_n(sum, z.cols, 0.0);  // >= 1 in the end, since exp(0) is in it
    for (index_t c = 0; c < z.rows; ++c)
      for (index_t i = 0; i < z.cols; ++i) sum[i] += z(c, i) = fixed_exp(z(c, i) - largest[i]);
    for (index_t c = 0; c < z.rows; ++c)
      for (index_t i = 0; i < z.cols; ++i) z(c, i) /= sum[i];
    for (index_t i = 0; i < z.cols; ++i) {
      z(labels[i], i) -= 1.0;
      loss += fixed_log(sum[i]);
    }
    return loss;
  }

  index_t rows_, width_, stride_, block_, classes_;  // stride: the width in whole lines
  double l2_;
  vector_view<const std::int32_t> y_;
  std::vector<double> x_;        // [rows, stride]
  std::vector<double> columns_;  // [blocks, width, rows of a block]: the same, by columns
  std::vector<double> residuals_, gradient_;
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
    product({x.row(begin), end - begin, x.cols, x.stride}, {out.row(begin), end - begin, out.cols, out.stride});
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
