// Expected predictive information gain: how much a row's label says about the labels of rows to be predicted.
#pragma once

#include <cstdint>
#include <span>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise {

/// The mean over the targets of what the label y of a row tells about the label y* of the target, in nats:
///
///   scores[i] = mean_t sum_{y,y*} P(y,y*) ln P(y,y*) / (P(y) P(y*)),   P(y,y*) = mean_e p^e(y|x_i)
///   p^e(y*|x*_t)
///
/// committee  [members] of [rows, cols];  targets  [members] of [targets, cols], by the same members.
/// scores     [rows], written; 0 <= scores[i] <= ln(cols). NaN where a member has no distribution (see
/// `score`). throws     shape_error if the shapes disagree, or there is no member or target; value_error for a
/// target
///            without a distribution; no_cuda_error.
/// In fp32, each logarithm within 4e-7 of it relatively, sums of more than 256 targets' classes in fp64: off by
/// less than 2e-6. The same bits for any thread count and CPU target. Reads the committee once, the targets
/// once for every 32 rows, from a cache; rows * cols * targets * cols products for each member, and logarithms.
/// Allocates epig_bytes.
/// Bickford Smith et al., "Prediction-oriented Bayesian active learning", AISTATS 2023.
void epig(cpu on, std::span<const real_matrix> committee, std::span<const real_matrix> targets, outputs kind,
          vector_view<float> scores);

/// What it allocates at most.
std::uint64_t epig_bytes(cpu on, std::uint64_t members, std::uint64_t targets, std::uint64_t cols);

}  // namespace poolwise
