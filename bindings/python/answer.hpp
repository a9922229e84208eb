// A batch as Python sees it.
#pragma once

#include <nanobind/nanobind.h>

#include "arrow.hpp"
#include "poolwise/query/select.hpp"

namespace poolwise::python {

/// A batch, and of what kind the ids in it are.
struct chosen_batch : batch {
  int kind = int(id_kind::text);  ///< a number, so that it is pickled

  id_kind ids() const { return id_kind(kind); }
};

/// The picks as a table of row, id, score, cost and reason: the capsule of an Arrow C stream.
nb::object arrow_stream_of(const chosen_batch& chosen);

}  // namespace poolwise::python
