// Ranks of values, as the rank tests take them.
#pragma once

#include <span>
#include <vector>

namespace poolwise {

struct ranking_of_values {
  std::vector<double> ranks;  // from 1, the least value first; ties share the mean of their ranks
  double ties = 0;            // sum of t^3 - t over groups of t equal values
};

ranking_of_values ranked(std::span<const double> x);

}  // namespace poolwise
