// From scores of parts (pixels, boxes, tokens) to scores of the items that they make up.
#pragma once

#include <string>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// How the scores of an item's parts become one.
struct reduction {
  enum class kind { sum, mean, max, top_mean };
  kind how = kind::mean;
  index_t most = 0;  ///< of `top_mean`: over so many of the largest, over all where there are fewer

  friend bool operator==(const reduction&, const reduction&) = default;
};

/// "sum", "mean", "max", or "top5", the mean of the five largest. throws usage_error for other words.
/// Library-only: of the command and of Python.
/// Sum and mean: Brust et al., VISAPP 2019; mean over a sequence of ln p: MNLP, Shen et al., ICLR 2018.
reduction parse_reduction(const std::string& text);
/// As parse_reduction reads it.
std::string name_of(const reduction& how);

/// items[i] is made of the values from offsets[i] to offsets[i + 1] - 1, as Arrow's lists are.
///
/// values   [parts]      larger = more worth labelling
/// offsets  [items + 1]  from 0 to the number of parts, never falling
/// items    [items]      written. NaN where a part is NaN; an item without parts sums to 0, and has no mean and
/// no
///                       largest part: NaN.
/// Library-only, as above.
/// throws  shape_error if the sizes disagree; value_error for offsets that fall, or do not span the parts.
/// Sums are in double, in the order of the parts, for `top_mean` from the largest: the same bits for any number
/// of threads. Reads each value once; allocates the largest item for each thread, for `top_mean` alone.
void reduce_parts(cpu on, vector_view<const float> values, vector_view<const index_t> offsets,
                  const reduction& how, vector_view<float> items);

}  // namespace poolwise
