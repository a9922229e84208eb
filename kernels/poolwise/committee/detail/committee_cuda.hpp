// Committee scores on a CUDA device. Views lie in device memory; nothing waits.
#pragma once

#include <memory>
#include <span>

#include "poolwise/committee/committee.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise {

void score_committee_cuda(const cuda& on, const real_cube& x, outputs kind, std::span<const disagreement> which,
                          matrix_view<float> scores);

/// The accumulators of a committee, in device memory.
class committee_on_device;

std::shared_ptr<committee_on_device> make_committee_on_device(const cuda& on, index_t rows, index_t cols,
                                                              std::span<const disagreement> which);
/// Adds member number `seen`.
void add_member_cuda(committee_on_device& into, const real_matrix& member, outputs kind, index_t seen);
void finish_committee_cuda(committee_on_device& from, index_t members, std::span<const disagreement> which,
                           matrix_view<float> scores);

void predictive_variance_cuda(const cuda& on, cube_view<const float> predictions, vector_view<float> variance);

}  // namespace poolwise
