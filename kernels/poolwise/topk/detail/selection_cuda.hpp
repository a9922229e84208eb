// The state of a selection of the best rows, in device memory. select_cuda.cuh has the selection.
#pragma once

namespace poolwise {

/// The limits of the best rows, as far as they are found. A row has a key, ascending where it gets worse, and
/// comes before a higher row of the same key.
struct selection {
  static constexpr int bins = 2048;
  unsigned long long need;         ///< best rows among those whose leading digits are the limits'
  unsigned long long row_limit;    ///< rows of the key at the limit are among the best up to here
  unsigned long long count[bins];  ///< rows with those leading digits, by the next one; 0 between two launches
  unsigned key_limit;              ///< rows of lower keys are among the best
  unsigned done;                   ///< 1 once no digit is left to be found
  unsigned ticket;                 ///< blocks of the launch that have counted
  unsigned taken;                  ///< for who gathers the best rows: those it has
};

}  // namespace poolwise
