// A classifier of the labelled rows, fitted in closed form. Not part of the public interface.
#pragma once

#include <utility>
#include <vector>

#include "poolwise/core/detail/products.hpp"
#include "poolwise/query/detail/linear_model.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {

/// Least squares on the labelled rows with a penalty `lambda` on all weights. The targets of class c are 1 -
/// 1/C for its own rows and -1/C for others, so that outputs sum to 0, and 1/C more to 1.
class linear_classifier {
 public:
  linear_classifier(const char* call, const stage_input& x, const labelled_classes& classes)
      : h_{x.labelled, 1 / x.unit}, classes_(classes.count), inverse_(posterior(call, x)) {
    const index_t width = x.pool.embeddings->cols + 1;
    weights_ = std::vector<double>(std::size_t(inverse_.size * stride()), 0.0);
    std::vector<double> sums(weights_.size(), 0.0), row(std::size_t(width), 0.0);
    for (index_t i = 0; i < index_t(classes.of.size()); ++i) {
      const index_t own = classes.of[std::size_t(i)];
      if (own < 0) continue;
      h_.read(i, row.data());
      for (index_t f = 0; f < width; ++f)
        for (index_t c = 0; c < classes_; ++c)
          sums[std::size_t(f * stride() + c)] += row[std::size_t(f)] * ((c == own) - 1 / double(classes_));
    }
    add_products({inverse_.values.data(), inverse_.stride, 1}, {sums.data(), width, stride()},
                 {weights_.data(), width, stride()});
  }

  index_t classes() const { return classes_; }
  index_t stride() const { return whole_lines<double>(classes_); }
  const symmetric& inverse() const { return inverse_; }
  /// [features + 1, stride()]
  matrix_view<const double> weights() const { return {weights_.data(), inverse_.size, stride()}; }

 private:
  /// (lambda I + sum of h h' over rows of a known label)^-1
  symmetric posterior(const char* call, const stage_input& x) const {
    symmetric moment(x.pool.embeddings->cols + 1);
    if (x.labelled.rows > 0) {
      std::vector<double> known(std::size_t(x.labelled.rows), 0.0);
      for (index_t i = 0; i < x.labels.size; ++i) known[std::size_t(i)] = x.labels[i] == x.labels[i];
      moment = second_moment(host_of(x.on), h_, known);
    }
    for (index_t f = 0; f < moment.size; ++f) moment.at(f, f) += x.what->given["lambda"];
    return inverse_of(host_of(x.on), call, std::move(moment));
  }

  design h_;
  index_t classes_;
  symmetric inverse_;
  std::vector<double> weights_;
};

}  // namespace poolwise
