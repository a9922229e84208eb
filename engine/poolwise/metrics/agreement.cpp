#include "poolwise/metrics/agreement.hpp"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/metrics/detail/checks.hpp"
#include "poolwise/metrics/detail/score_interval.hpp"

namespace poolwise {
namespace {

/// How many raters gave each item each label, and how much two labels agree.
struct rating_table {
  index_t items = 0, categories = 0;
  std::vector<double> counts;   // [items, categories]
  std::vector<double> raters;   // [items]
  std::vector<double> values;   // [categories]
  std::vector<double> weights;  // [categories, categories]: 1 for the same

  double count(index_t item, index_t c) const { return counts[std::size_t(item * categories + c)]; }
  double weight(index_t a, index_t b) const { return weights[std::size_t(a * categories + b)]; }
  /// Of item's labels with those of each: sum_b w_cb r_ib.
  double weighted(index_t item, index_t c) const {
    double sum = 0;
    for (index_t b = 0; b < categories; ++b) sum += weight(c, b) * count(item, b);
    return sum;
  }
  /// sum_c r_ic (r*_ic - 1): pairs that agree.
  double pairs(index_t item) const {
    double sum = 0;
    for (index_t c = 0; c < categories; ++c)
      if (count(item, c) > 0) sum += count(item, c) * (weighted(item, c) - 1);
    return sum;
  }
};

rating_table counted(const char* call, const ratings& of, double level, index_t least_raters) {
  require_level(call, level);
  const auto& labels = of.labels;
  std::map<std::int32_t, index_t> category;
  for (std::size_t v = 0; v < of.values.size(); ++v) category[std::int32_t(v)] = 0;
  for (index_t i = 0; i < labels.rows; ++i)
    for (index_t r = 0; r < labels.cols; ++r)
      if (labels(i, r) >= 0) category[labels(i, r)] = 0;
  if (category.empty())
    throw shape_error(std::string(call) + ": there are no labels; pass items that have some");
  if (!of.values.empty() && std::size_t(category.rbegin()->first) >= of.values.size())
    throw shape_error(std::string(call) + ": a label is " + std::to_string(category.rbegin()->first) +
                      " and there are " + std::to_string(of.values.size()) +
                      " values; pass one a category, from 0 on");
  rating_table table;
  for (auto& [label, place] : category) {
    place = table.categories++;
    table.values.push_back(of.values.empty() ? double(label) : of.values[std::size_t(label)]);
  }
  index_t compared = 0;
  for (index_t i = 0; i < labels.rows; ++i) {
    std::vector<double> row(static_cast<std::size_t>(table.categories), 0.0);
    double raters = 0;
    for (index_t r = 0; r < labels.cols; ++r)
      if (labels(i, r) >= 0) {
        ++row[std::size_t(category[labels(i, r)])];
        ++raters;
      }
    if (raters >= 2) ++compared;
    if (raters < double(least_raters)) continue;
    table.counts.insert(table.counts.end(), row.begin(), row.end());
    table.raters.push_back(raters);
    ++table.items;
  }
  if (compared == 0)
    throw value_error(std::string(call) +
                      ": no item has two labels; agreement needs items that two raters saw");
  return table;
}

void weigh(rating_table& table, rating_scale scale, const std::vector<double>& between) {
  const index_t q = table.categories;
  table.weights.assign(std::size_t(q * q), 0);
  double farthest = 0;
  const auto distance = [&](index_t a, index_t b) {
    if (scale == rating_scale::nominal) return a == b ? 0.0 : 1.0;
    const double apart = table.values[std::size_t(a)] - table.values[std::size_t(b)];
    if (scale == rating_scale::interval) return apart * apart;
    return between[std::size_t(a * q + b)];
  };
  for (index_t a = 0; a < q; ++a)
    for (index_t b = 0; b < q; ++b) farthest = std::max(farthest, distance(a, b));
  for (index_t a = 0; a < q; ++a)
    for (index_t b = 0; b < q; ++b)
      table.weights[std::size_t(a * q + b)] = a == b || farthest == 0 ? 1 : 1 - distance(a, b) / farthest;
}

/// Gwet's ordinal weights: of the pairs of categories from a to b.
std::vector<double> pairs_between(index_t q) {
  std::vector<double> all(std::size_t(q * q), 0);
  for (index_t a = 0; a < q; ++a)
    for (index_t b = 0; b < q; ++b) {
      const auto span = double(std::abs(a - b) + 1);
      all[std::size_t(a * q + b)] = span * (span - 1) / 2;
    }
  return all;
}

/// Krippendorff's ordinal distances: (sum of the counts from a to b, half of the ends')^2.
std::vector<double> counts_between(const rating_table& table) {
  const index_t q = table.categories;
  std::vector<double> all(std::size_t(q * q), 0), given(std::size_t(q), 0);
  for (index_t i = 0; i < table.items; ++i)
    for (index_t c = 0; c < q; ++c) given[std::size_t(c)] += table.count(i, c);
  for (index_t a = 0; a < q; ++a) {
    double sum = given[std::size_t(a)] / 2;
    for (index_t b = a + 1; b < q; ++b) {
      sum += given[std::size_t(b)] / 2;
      all[std::size_t(a * q + b)] = all[std::size_t(b * q + a)] = sum * sum;
      sum += given[std::size_t(b)] / 2;
    }
  }
  return all;
}

/// The estimate's error and bounds, from what each item adds to it and the value that these scatter around.
void set_bounds(agreement_estimate& found, const std::vector<double>& parts, double centre, double level) {
  const auto n = double(parts.size());
  double squares = 0;
  for (const double part : parts) squares += (part - centre) * (part - centre);
  found.standard_error = n > 1 ? std::sqrt(squares / (n * (n - 1))) : std::numeric_limits<double>::quiet_NaN();
  if (n < 2) {
    found.bounds = {-1, 1};
    return;
  }
  const double reach = found.standard_error * boost::math::quantile(boost::math::complement(
                                                  boost::math::students_t(n - 1), (1 - level) / 2));
  found.bounds = {std::max(-1.0, found.value - reach), std::min(1.0, found.value + reach)};
}

/// Percent agreement, Fleiss' kappa and Gwet's coefficient differ in chance: `chance(shares)` in all, and
/// `part(c)` of a label c, whose mean over an item's labels is the item's.
template <class Chance, class Part>
std::optional<agreement_estimate> by_chance(const rating_table& table, double level, double slope,
                                            Chance chance, Part part) {
  const auto n = double(table.items);
  std::vector<double> shares(static_cast<std::size_t>(table.categories), 0.0);
  agreement_estimate found;
  for (index_t i = 0; i < table.items; ++i) {
    const double raters = table.raters[std::size_t(i)];
    for (index_t c = 0; c < table.categories; ++c) shares[std::size_t(c)] += table.count(i, c) / raters / n;
    if (raters < 2) continue;
    ++found.items;
    found.observed += table.pairs(i) / (raters * (raters - 1));
  }
  found.observed /= double(found.items);
  found.expected = chance(shares);
  if (!(found.expected < 1)) return std::nullopt;
  const double missing = 1 - found.expected;
  found.value = (found.observed - found.expected) / missing;
  std::vector<double> parts;
  for (index_t i = 0; i < table.items; ++i) {
    const double raters = table.raters[std::size_t(i)];
    const double own = raters < 2 ? 0
                                  : n / double(found.items) *
                                        (table.pairs(i) / (raters * (raters - 1)) - found.expected) / missing;
    double expected = 0;
    for (index_t c = 0; c < table.categories; ++c) expected += table.count(i, c) * part(shares, c) / raters;
    parts.push_back(own - slope * (1 - found.value) * (expected - found.expected) / missing);
  }
  set_bounds(found, parts, found.value, level);
  return found;
}

double weighted_share(const rating_table& table, const std::vector<double>& shares, index_t c) {
  double sum = 0;
  for (index_t b = 0; b < table.categories; ++b) sum += table.weight(c, b) * shares[std::size_t(b)];
  return sum;
}

double chance_of_shares(const rating_table& table, const std::vector<double>& shares) {
  double sum = 0;
  for (index_t c = 0; c < table.categories; ++c)
    sum += shares[std::size_t(c)] * weighted_share(table, shares, c);
  return sum;
}

}  // namespace

agreement_estimate percent_agreement(const ratings& of, rating_scale scale, double level) {
  rating_table table = counted("percent_agreement", of, level, 1);
  weigh(table, scale, pairs_between(table.categories));
  return *by_chance(
      table, level, 0, [](const auto&) { return 0.0; }, [](const auto&, index_t) { return 0.0; });
}

std::optional<agreement_estimate> fleiss_kappa(const ratings& of, rating_scale scale, double level) {
  rating_table table = counted("fleiss_kappa", of, level, 1);
  weigh(table, scale, pairs_between(table.categories));
  if (table.categories < 2) return std::nullopt;
  return by_chance(
      table, level, 2, [&](const auto& shares) { return chance_of_shares(table, shares); },
      [&](const auto& shares, index_t c) { return weighted_share(table, shares, c); });
}

agreement_estimate gwet_ac(const ratings& of, rating_scale scale, double level) {
  rating_table table = counted("gwet_ac", of, level, 1);
  weigh(table, scale, pairs_between(table.categories));
  const auto q = double(table.categories);
  double weights = 0;
  for (const double one : table.weights) weights += one;
  const double guess = q > 1 ? weights / (q * (q - 1)) : 0;
  return *by_chance(
      table, level, 2,
      [&](const auto& shares) {
        double sum = 0;
        for (const double share : shares) sum += share * (1 - share);
        return guess * sum;
      },
      [&](const auto& shares, index_t c) { return guess * (1 - shares[std::size_t(c)]); });
}

std::optional<agreement_estimate> krippendorff_alpha(const ratings& of, rating_scale scale, double level) {
  rating_table table = counted("krippendorff_alpha", of, level, 2);
  if (table.categories < 2) return std::nullopt;
  weigh(table, scale, counts_between(table));
  const auto n = double(table.items);
  double labels = 0;
  for (const double raters : table.raters) labels += raters;
  const double mean = labels / n, rest = 1 / labels;
  std::vector<double> shares(static_cast<std::size_t>(table.categories), 0.0);
  double pairs = 0;
  for (index_t i = 0; i < table.items; ++i) {
    for (index_t c = 0; c < table.categories; ++c) shares[std::size_t(c)] += table.count(i, c) / labels;
    pairs += table.pairs(i) / (mean * (table.raters[std::size_t(i)] - 1)) / n;
  }
  agreement_estimate found;
  found.items = table.items;
  found.observed = (1 - rest) * pairs + rest;
  found.expected = chance_of_shares(table, shares);
  if (!(found.expected < 1)) return std::nullopt;
  const double missing = 1 - found.expected;
  found.value = (found.observed - found.expected) / missing;
  const double plain = (pairs - found.expected) / missing;  // without the correction for small samples
  std::vector<double> parts;
  for (index_t i = 0; i < table.items; ++i) {
    const double raters = table.raters[std::size_t(i)], uneven = (raters - mean) / mean;
    const double own = table.pairs(i) / (mean * (raters - 1)) - found.observed * uneven;
    double expected = -found.expected * uneven;
    for (index_t c = 0; c < table.categories; ++c)
      expected += table.count(i, c) * weighted_share(table, shares, c) / mean;
    parts.push_back((own - found.expected) / missing - 2 * (1 - plain) * (expected - found.expected) / missing);
  }
  set_bounds(found, parts, plain, level);
  return found;
}

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
