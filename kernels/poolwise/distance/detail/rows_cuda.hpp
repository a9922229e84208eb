// Rows of device memory.
#pragma once

#include "poolwise/core/types.hpp"

namespace poolwise {

class device_memory;

/// gathered.row(i) = points.row(rows[i]). The device of the memory is current. Does not wait.
void gather_rows(const device_memory& memory, matrix_view<const float> points, vector_view<const index_t> rows,
                 matrix_view<float> gathered);

}  // namespace poolwise
