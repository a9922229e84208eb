// The rules that stop: what the grammar reads, and what judges.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "poolwise/metrics/stopping.hpp"
#include "poolwise/query/strategy_entry.hpp"

namespace poolwise {

struct stop_word {
  const char* name;
  const char* meaning;
  const char* source;  ///< "" for what needs none
  std::vector<parameter> parameters;
  void (*judge)(std::span<const double> arguments, std::span<const stop_round> rounds,
                const stop_settings& settings, stop_verdict& verdict);
};

std::span<const stop_word> stop_words();

/// "kappa(at_least=0.99, rounds=3)", by its standards.
std::string word_text(const stop_word& word);

/// The fewest digits that read to the same number.
std::string shortest(double x);

}  // namespace poolwise
