#include <algorithm>
#include <cmath>

#include "poolwise/campaign/detail/prediction.hpp"

namespace poolwise {

std::vector<double> probabilities_of(const real_matrix& x, outputs kind, index_t row) {
  std::vector<double> p;
  std::visit(
      [&](auto all) {
        for (index_t c = 0; c < all.cols; ++c) p.push_back(double(to_float(all(row, c))));
      },
      x);
  if (!std::all_of(p.begin(), p.end(), [](double one) { return std::isfinite(one); })) return {};
  const double largest = *std::max_element(p.begin(), p.end());
  double sum = 0;
  for (double& one : p) sum += one = kind == outputs::logits ? std::exp(one - largest) : one;
  for (double& one : p) one /= sum;
  return p;
}

std::int32_t class_of(const std::vector<double>& probabilities) {
  return std::int32_t(std::max_element(probabilities.begin(), probabilities.end()) - probabilities.begin());
}

double entropy_of(const std::vector<double>& probabilities) {
  double entropy = 0;
  for (const double p : probabilities)
    if (p > 0) entropy -= p * std::log(p);
  return entropy;
}

}  // namespace poolwise
