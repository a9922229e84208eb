// What is behind the handle of a batch.
#pragma once

#include <vector>

#include "border.hpp"
#include "poolwise/query/select.hpp"

namespace poolwise::c {

/// A batch, and its picks as columns.
struct picked_batch {
  explicit picked_batch(batch chosen);

  batch picks;
  std::vector<std::int64_t> rows;
  std::vector<std::vector<float>> kept_by;  // [stages][picks]
};

poolwise_batch* keep_batch(batch chosen);

}  // namespace poolwise::c
