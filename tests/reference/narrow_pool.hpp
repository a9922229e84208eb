// Shortlists of other lengths than a pool would choose.
#pragma once

#include <vector>

#include "poolwise/diverse/detail/threshold_batch.hpp"

namespace reference {

/// Another pool with shortlists as long as the test wants them.
class narrow_pool : public poolwise::gain_pool {
 public:
  narrow_pool(poolwise::gain_pool& pool, width shortlist) : pool_(pool), width_(shortlist) {}
  void sweep(const std::vector<poolwise::candidate>& latest, const poolwise::remaining& left) override {
    pool_.sweep(latest, left);
  }
  std::vector<poolwise::candidate> best(poolwise::index_t count) override { return pool_.best(count); }
  std::vector<poolwise::candidate> chain(const std::vector<poolwise::candidate>& shortlist,
                                         poolwise::candidate rival, poolwise::remaining& left) override {
    return pool_.chain(shortlist, rival, left);
  }
  width shortlist_width() const override { return width_; }

 private:
  poolwise::gain_pool& pool_;
  width width_;
};

}  // namespace reference
