// Another pool with shortlists as long as a test wants them, so that small pools go through many sweeps.
#pragma once

#include <vector>

#include "poolwise/diverse/detail/threshold_batch.hpp"

namespace reference {

class narrow : public poolwise::gain_model {
 public:
  narrow(poolwise::gain_model& pool, width shortlist) : pool_(pool), width_(shortlist) {}
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
  poolwise::gain_model& pool_;
  width width_;
};

}  // namespace reference
