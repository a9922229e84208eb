// Shapes as files give them: any number may stand there.
#pragma once

#include <optional>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// The bytes of an array, or nothing when an extent is negative or the bytes pass 2^63 - 1. A zero in the
/// shape hides no overflow: multiplying the extents in any order stays in range when this has a value.
std::optional<index_t> bytes_of(const std::vector<index_t>& shape, std::size_t element_bytes);

}  // namespace poolwise
