// The objective of multinomial logistic regression, term by term in long double.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace reference {

struct softmax_problem {
  std::size_t rows, features, classes;
  std::vector<float> x;         // [rows, features]
  std::vector<std::int32_t> y;  // [rows]
  long double l2;
};

/// parameters [classes, features + 1], bias last.
inline long double logit(const softmax_problem& p, const std::vector<long double>& parameters, std::size_t row,
                         std::size_t c) {
  const std::size_t width = p.features + 1;
  long double z = parameters[c * width + p.features];
  for (std::size_t j = 0; j < p.features; ++j) z += parameters[c * width + j] * p.x[row * p.features + j];
  return z;
}

inline long double objective(const softmax_problem& p, const std::vector<long double>& parameters) {
  long double loss = 0, squares = 0;
  for (std::size_t i = 0; i < p.rows; ++i) {
    // -ln p(y) = ln sum_c exp(z_c - z_y): no shift by the maximum, long double has the range.
    const long double at_label = logit(p, parameters, i, std::size_t(p.y[i]));
    long double sum = 0;
    for (std::size_t c = 0; c < p.classes; ++c) sum += std::exp(logit(p, parameters, i, c) - at_label);
    loss += std::log(sum);
  }
  for (std::size_t c = 0; c < p.classes; ++c)
    for (std::size_t j = 0; j < p.features; ++j) {
      const long double w = parameters[c * (p.features + 1) + j];
      squares += w * w;
    }
  return loss / (long double)(p.rows) + p.l2 / 2 * squares;
}

/// The slope of the objective along each parameter, by central differences.
inline std::vector<long double> slopes(const softmax_problem& p, const std::vector<double>& at,
                                       long double step) {
  const std::vector<long double> centre(at.begin(), at.end());
  std::vector<long double> result;
  for (std::size_t k = 0; k < centre.size(); ++k) {
    auto up = centre, down = centre;
    up[k] += step;
    down[k] -= step;
    result.push_back((objective(p, up) - objective(p, down)) / (2 * step));
  }
  return result;
}

}  // namespace reference
