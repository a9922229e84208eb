#include <string>
#include <unordered_set>

#include "poolwise/core/error.hpp"
#include "poolwise/diverse/batch_run.hpp"

namespace poolwise {

void check_begin(const char* call, const batch_run* run, const allowance& limit, index_t rows) {
  if (run == nullptr) return;
  const auto refuse = [&](const std::string& what) {
    throw value_error(std::string(call) + ": cannot go on from " + what +
                      "; pass a state of the same selection, or begin anew");
  };
  const auto& [picks, proposals] = run->begin;
  if (index_t(picks.size()) > limit.picks)
    refuse(std::to_string(picks.size()) + " picks of " + std::to_string(limit.picks));
  if (proposals < 0) refuse(std::to_string(proposals) + " proposals");
  remaining left(limit);
  std::unordered_set<index_t> taken;
  for (const auto& [row, score] : picks) {
    if (row < 0 || row >= rows)
      refuse("row " + std::to_string(row) + ", which is not among the rows 0 to " + std::to_string(rows - 1));
    if (!taken.insert(row).second) refuse("row " + std::to_string(row) + " twice");
    if (!left.eligible(row)) refuse("row " + std::to_string(row) + ", which may not be picked there");
    left.take(row);
  }
}

}  // namespace poolwise
