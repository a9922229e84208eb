// The rows of a stage in the order of the score that it is made of. Not part of the public interface.
#pragma once

#include <span>
#include <vector>

#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {

/// Those that are not ruled out, best first.
std::vector<candidate> score_order(const stage_input& x);
constexpr std::uint64_t score_order_bytes(std::uint64_t rows) {
  return rows * (sizeof(float) + sizeof(candidate));
}

/// From the front of `order`, each row that `left` then allows, until the picks are used up.
std::vector<candidate> take_allowed(const std::vector<candidate>& order, remaining& left);

/// From the lists in turn, each time the next row of one that `left` then allows, until they or the picks are
/// used up.
std::vector<candidate> take_in_turn(std::span<const std::vector<candidate>> lists, remaining& left);

}  // namespace poolwise
