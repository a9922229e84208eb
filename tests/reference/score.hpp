// The acquisition functions by their definitions, one row at a time, in long double.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace poolwise::reference {

using real = long double;
using row = std::vector<real>;

/// -p ln p, given ln p; 0 at p = 0.
inline real surprise(real p, real log_p) { return p == 0 ? 0 : -p * log_p; }

/// A distribution by its probabilities and their logarithms; the latter keep what 1 - p rounds away.
struct distribution {
  row p, log_p;
  std::size_t argmax = 0;  // the lowest class with the largest output

  real entropy() const {
    real sum = 0;
    for (std::size_t c = 0; c < p.size(); ++c) sum += surprise(p[c], log_p[c]);
    return sum;
  }
  real second() const {
    real best = 0;
    for (std::size_t c = 0; c < p.size(); ++c)
      if (c != argmax) best = std::max(best, p[c]);
    return best;
  }
  /// The probability of every class but the predicted one.
  real others() const {
    real sum = 0;
    for (std::size_t c = 0; c < p.size(); ++c)
      if (c != argmax) sum += p[c];
    return sum;
  }
};

inline std::size_t argmax(const row& x) {
  return std::size_t(std::max_element(x.begin(), x.end()) - x.begin());
}

inline distribution softmax(const row& z) {
  distribution d{row(z.size()), row(z.size()), argmax(z)};
  real others = 0;
  for (std::size_t c = 0; c < z.size(); ++c)
    if (c != d.argmax) others += std::exp(z[c] - z[d.argmax]);
  for (std::size_t c = 0; c < z.size(); ++c) {
    d.log_p[c] = z[c] - z[d.argmax] - std::log1p(others);
    d.p[c] = std::exp(d.log_p[c]);
  }
  return d;
}

/// The sum by which probabilities are divided: that of their sizes, or 1 where it is 1 but for the rounding of
/// fp32.
inline real whole_of(const row& p) {
  real sum = 0;
  for (real x : p) sum += std::abs(x);
  return std::abs(sum - 1) <= 0x1p-18L ? 1 : sum;
}

inline distribution as_given(row p) {
  const real whole = whole_of(p);
  for (real& x : p) x = std::abs(x);
  distribution d{p, row(p.size()), argmax(p)};
  for (std::size_t c = 0; c < p.size(); ++c) {
    d.p[c] = p[c] / whole;
    d.log_p[c] = std::log(p[c]) - std::log(whole);
  }
  return d;
}

inline real energy(const row& z) {
  const real largest = z[argmax(z)];
  real sum = 0;
  for (real x : z) sum += std::exp(x - largest);
  return -(largest + std::log(sum));
}

}  // namespace poolwise::reference
