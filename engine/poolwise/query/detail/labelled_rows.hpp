// What the model says of rows that have a label already. Not part of the public interface.
#pragma once

#include <vector>

#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {

/// [labelled, classes] the probabilities of the labelled rows, in the order of x.labelled. throws value_error,
/// in the name of `call`, for one without a distribution.
std::vector<float> labelled_probabilities(const char* call, const stage_input& x);

/// [rows, classes] those of a stage; NaN where a row has none.
std::vector<float> stage_probabilities(const stage_input& x);

}  // namespace poolwise
