#include <algorithm>
#include <string>

#include "poolwise/core/error.hpp"
#include "poolwise/query/detail/renumbered_run.hpp"

namespace poolwise {

renumbered_run::renumbered_run(batch_run* outer, std::span<const index_t> numbers)
    : outer_(outer), numbers_(numbers) {
  if (outer_ == nullptr) return;
  inner_.begin = outer_->begin;
  if (!numbers_.empty())
    for (candidate& c : inner_.begin.picks) {
      const auto place = std::lower_bound(numbers_.begin(), numbers_.end(), c.row);
      if (place == numbers_.end() || *place != c.row)
        throw value_error("select: cannot go on from row " + std::to_string(c.row) +
                          ", which is no candidate there; pass a state of the same selection, or begin anew");
      c.row = place - numbers_.begin();
    }
  inner_.advanced = [this](const batch_state& state) {
    if (!outer_->advanced) return;
    if (numbers_.empty()) return outer_->advanced(state);
    batch_state there = state;
    for (candidate& c : there.picks) c.row = numbers_[std::size_t(c.row)];
    outer_->advanced(there);
  };
}

renumbered_run::~renumbered_run() {
  if (outer_ == nullptr) return;
  outer_->sweeps = inner_.sweeps;
  outer_->proposals = inner_.proposals;
  outer_->gains = inner_.gains;
  outer_->exact = inner_.exact;
}

}  // namespace poolwise
