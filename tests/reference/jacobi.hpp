// Eigenvalues of a symmetric matrix by cyclic Jacobi rotations in long double: slow, and as plain as can be.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <vector>

namespace reference {

/// matrix [n, n]; the eigenvalues in falling order.
inline std::vector<long double> eigenvalues(std::vector<long double> matrix, std::size_t n) {
  const auto at = [&](std::size_t i, std::size_t j) -> long double& { return matrix[i * n + j]; };
  for (int sweep = 0; sweep < 60; ++sweep)
    for (std::size_t p = 0; p < n; ++p)
      for (std::size_t q = p + 1; q < n; ++q) {
        if (at(p, q) == 0) continue;
        const long double angle = std::atan2(2 * at(p, q), at(q, q) - at(p, p)) / 2;
        const long double c = std::cos(angle), s = std::sin(angle);
        for (std::size_t k = 0; k < n; ++k) {
          const long double kp = at(k, p), kq = at(k, q);
          at(k, p) = c * kp - s * kq;
          at(k, q) = s * kp + c * kq;
        }
        for (std::size_t k = 0; k < n; ++k) {
          const long double pk = at(p, k), qk = at(q, k);
          at(p, k) = c * pk - s * qk;
          at(q, k) = s * pk + c * qk;
        }
      }
  std::vector<long double> values;
  for (std::size_t i = 0; i < n; ++i) values.push_back(at(i, i));
  std::sort(values.begin(), values.end(), std::greater<>());
  return values;
}

}  // namespace reference
