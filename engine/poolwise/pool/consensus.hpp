// What a committee says with one voice.
#pragma once

#include <cstdint>
#include <vector>

#include "poolwise/core/where.hpp"
#include "poolwise/pool/pool.hpp"

namespace poolwise {

/// The mean over members of their probabilities, [rows, classes], summed in double in the order of the members:
/// the same bits for any number of threads. A row of which a member has no distribution is NaN.
std::vector<float> mean_probabilities(cpu on, const committee_outputs& x, outputs kind);

/// Where a pool has a committee but no model outputs, the mean of its probabilities stands for these: what that
/// takes in bytes, else 0.
std::uint64_t consensus_bytes(const pool_inputs& pool);

/// Makes it so, if it takes anything; `keep` holds them.
void speak_for_model(cpu on, pool_inputs& pool, std::vector<float>& keep);

}  // namespace poolwise
