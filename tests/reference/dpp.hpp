// The determinantal point process by determinants of submatrices, in long double, each from nothing.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace reference {

using wide = long double;
using wide_matrix = std::vector<std::vector<wide>>;

/// The lower Cholesky factor of a positive definite matrix.
inline wide_matrix cholesky(const wide_matrix& a) {
  wide_matrix c(a.size(), std::vector<wide>(a.size(), 0));
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j <= i; ++j) {
      wide sum = a[i][j];
      for (std::size_t s = 0; s < j; ++s) sum -= c[i][s] * c[j][s];
      c[i][j] = i == j ? std::sqrt(sum) : sum / c[j][j];
    }
  return c;
}

inline wide log_det(const wide_matrix& a) {
  wide sum = 0;
  const wide_matrix c = cholesky(a);
  for (std::size_t i = 0; i < a.size(); ++i) sum += 2 * std::log(c[i][i]);
  return sum;
}

inline wide_matrix submatrix(const wide_matrix& a, const std::vector<std::int64_t>& rows) {
  wide_matrix part;
  for (const auto i : rows) {
    part.emplace_back();
    for (const auto j : rows) part.back().push_back(a[std::size_t(i)][std::size_t(j)]);
  }
  return part;
}

/// det of the submatrix of `picked` and `row` over that of `picked` alone.
inline wide determinant_growth(const wide_matrix& a, std::vector<std::int64_t> picked, std::int64_t row) {
  const wide before = log_det(submatrix(a, picked));
  picked.push_back(row);
  return std::exp(log_det(submatrix(a, picked)) - before);
}

/// sum_s |w_s| of the weights w that predict `row` from `picked`: K(picked, picked) w = K(picked, row).
inline wide prediction_weight(const wide_matrix& k, const std::vector<std::int64_t>& picked, std::int64_t row) {
  const wide_matrix c = cholesky(submatrix(k, picked));
  std::vector<wide> w;
  for (std::size_t i = 0; i < picked.size(); ++i) {
    wide sum = k[std::size_t(picked[i])][std::size_t(row)];
    for (std::size_t s = 0; s < i; ++s) sum -= c[i][s] * w[s];
    w.push_back(sum / c[i][i]);
  }
  wide total = 0;
  for (std::size_t i = picked.size(); i-- > 0;) {
    for (std::size_t s = i + 1; s < picked.size(); ++s) w[i] -= c[s][i] * w[s];
    w[i] /= c[i][i];
    total += std::fabs(w[i]);
  }
  return total;
}

}  // namespace reference
