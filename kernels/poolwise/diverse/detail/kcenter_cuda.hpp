// k-center on CUDA devices: the exact threshold batch over one or several shards of the pool.
#pragma once

#include <memory>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/diverse/detail/threshold_batch.hpp"

namespace poolwise {

/// The rows that k-center chooses from: device views where `on` is a device, host views where it is `offload`.
struct kcenter_problem {
  matrix_view<const float> points;
  vector_view<const float> covered = {}, weights = {};
  cpu host = {};  ///< of `offload`: what reads the rows that are sent
};

/// The pool on the device of `on`, or shared out over its devices: each holds its rows where the ceiling
/// allows, else has them sent in tiles, once a sweep. What `limit` and `problem` view must outlive it.
std::unique_ptr<gain_model> kcenter_model(const cuda& on, const kcenter_problem& problem,
                                          const allowance& limit, gain_model::width width = {});
std::unique_ptr<gain_model> kcenter_model(const offload& on, const kcenter_problem& problem,
                                          const allowance& limit, gain_model::width width = {});

/// The first of values that is not a number from 0 to `most`, and it; row -1 if there is none. Waits.
struct outside_value {
  index_t row = -1;
  float value = 0;
};
outside_value first_outside_cuda(const cuda& on, const char* call, vector_view<const float> values, float most);

}  // namespace poolwise
