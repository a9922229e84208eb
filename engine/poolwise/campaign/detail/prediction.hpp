// What a model says of one row. Not part of the public interface.
#pragma once

#include <cstdint>
#include <vector>

#include "poolwise/score/score.hpp"

namespace poolwise {

/// The class probabilities of a row, in double, summing to 1; of a row with a NaN or an infinity none.
std::vector<double> probabilities_of(const real_matrix& x, outputs kind, index_t row);

/// The class of highest probability; of several the lowest.
std::int32_t class_of(const std::vector<double>& probabilities);

double entropy_of(const std::vector<double>& probabilities);  ///< in nats

}  // namespace poolwise
