#include "poolwise/metrics/agreement.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "poolwise/metrics/detail/checks.hpp"
#include "poolwise/metrics/detail/score_interval.hpp"

namespace poolwise {

std::optional<kappa_estimate> cohen_kappa(std::span<const std::int32_t> first,
                                          std::span<const std::int32_t> second, double level) {
  require_pairs("cohen_kappa", "labels", first.size(), "others", second.size());
  require_level("cohen_kappa", level);
  const double n = double(first.size());
  std::map<std::int32_t, double> by_first, by_second;
  std::map<std::pair<std::int32_t, std::int32_t>, double> cells;
  for (std::size_t i = 0; i < first.size(); ++i) {
    ++by_first[first[i]];
    ++by_second[second[i]];
    ++cells[{first[i], second[i]}];
  }
  kappa_estimate kappa;
  kappa.items = index_t(first.size());
  for (const auto& [label, count] : by_first) kappa.expected += count / n * (by_second[label] / n);
  for (const auto& [labels, count] : cells) kappa.observed += labels.first == labels.second ? count / n : 0;
  if (cells.size() == 1 && first[0] == second[0]) return std::nullopt;
  const double missing = 1 - kappa.expected;
  kappa.value = (kappa.observed - kappa.expected) / missing;
  double squares = 0;  // of each item's part in kappa, linearised
  for (const auto& [labels, count] : cells) {
    const auto& [one, other] = labels;
    const double chance = (by_second[one] + by_first[other]) / n;
    const double part = (one == other ? 1 : 0) - chance * (1 - kappa.value);
    squares += count / n * part * part;
  }
  const double centre = kappa.value - kappa.expected * (1 - kappa.value);
  kappa.standard_error = std::sqrt(std::max(0.0, squares - centre * centre) / n) / missing;
  const double reach = normal_quantile(level) * kappa.standard_error;
  kappa.bounds = {std::max(-1.0, kappa.value - reach), std::min(1.0, kappa.value + reach)};
  return kappa;
}

}  // namespace poolwise
