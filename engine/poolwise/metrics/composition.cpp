#include "poolwise/metrics/composition.hpp"

#include <algorithm>
#include <boost/math/distributions/chi_squared.hpp>
#include <cmath>
#include <numeric>
#include <string>

#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/metrics/comparison.hpp"
#include "poolwise/metrics/detail/checks.hpp"

namespace poolwise {
namespace {

constexpr stream table_stream{30};

/// How many of `drawn` items, taken without replacement from `all`, are among `marked` ones. Probabilities are
/// relative to that of the mode, and come from it by ratios of neighbours: no factorial is taken.
class hypergeometric_counts {
 public:
  hypergeometric_counts(index_t marked, index_t drawn, index_t all)
      : marked_(double(marked)),
        drawn_(double(drawn)),
        all_(double(all)),
        least_(std::max<index_t>(0, drawn + marked - all)),
        most_(std::min(marked, drawn)),
        mode_(std::clamp(index_t((drawn_ + 1) * (marked_ + 1) / (all_ + 2)), least_, most_)) {}

  /// The count at which the distribution function passes u.
  index_t at(double u) const {
    double left = u * total();
    index_t found = mode_;
    each([&](index_t count, double weight) {
      found = count;
      left -= weight;
      return left > 0;
    });
    return found;
  }

  /// Fisher's: of all counts that are no likelier than this one. Rounding must not tell equals apart.
  double two_sided_p(index_t count) const {
    double own = 1;
    for (index_t k = mode_; k < count; ++k) own *= up(k);
    for (index_t k = mode_; k > count; --k) own /= up(k - 1);
    double as_far = 0;
    each([&](index_t, double weight) {
      if (weight <= own * (1 + 1e-12)) as_far += weight;
      return true;
    });
    return std::min(1.0, std::max(as_far, own) / total());
  }

 private:
  /// P(k + 1) / P(k)
  double up(index_t k) const {
    const double x = double(k);
    return (marked_ - x) * (drawn_ - x) / ((x + 1) * (all_ - marked_ - drawn_ + x + 1));
  }

  /// Calls f(count, weight) from the mode upwards, then downwards, while weights count and f goes on.
  template <class F>
  void each(F&& f) const {
    constexpr double negligible = 1e-20;
    double weight = 1;
    for (index_t k = mode_; k <= most_ && weight > negligible; weight *= up(k), ++k)
      if (!f(k, weight)) return;
    weight = 1;
    for (index_t k = mode_; k > least_;) {
      weight /= up(--k);
      if (weight <= negligible || !f(k, weight)) return;
    }
  }

  double total() const {
    double sum = 0;
    each([&](index_t, double weight) {
      sum += weight;
      return true;
    });
    return sum;
  }

  double marked_, drawn_, all_;
  index_t least_, most_, mode_;
};

index_t counted(const char* call, const char* what, std::span<const index_t> counts) {
  for (std::size_t c = 0; c < counts.size(); ++c)
    if (counts[c] < 0)
      throw value_error(std::string(call) + ": " + what + "[" + std::to_string(c) + "] is " +
                        std::to_string(counts[c]) + "; pass counts of items, from 0 up");
  const index_t all = std::accumulate(counts.begin(), counts.end(), index_t(0));
  if (all == 0) throw value_error(std::string(call) + ": " + what + " counts no items; pass at least one");
  return all;
}

/// Two samples by label, and what both have of each.
struct two_way_table {
  std::vector<index_t> both;
  index_t drawn = 0, all = 0;  // items of the first, and of both

  double expected(std::size_t c) const { return double(both[c]) * double(drawn) / double(all); }

  double chi_squared(std::span<const index_t> first) const {
    double sum = 0;
    for (std::size_t c = 0; c < both.size(); ++c) {
      if (both[c] == 0) continue;
      const double off = double(first[c]) - expected(c), rest = double(both[c]) - expected(c);
      sum += off * off / expected(c) + off * off / rest;
    }
    return sum;
  }

  /// Cochran's rule.
  bool is_large() const {
    index_t cells = 0, small = 0;
    for (std::size_t c = 0; c < both.size(); ++c) {
      if (both[c] == 0) continue;
      for (const double cell : {expected(c), double(both[c]) - expected(c)}) {
        if (cell < 1) return false;
        ++cells;
        small += cell < 5;
      }
    }
    return small * 5 <= cells;
  }

  /// The first sample of a table with the same margins, draw number `draw`.
  void fill(std::vector<index_t>& first, std::uint64_t seed, index_t draw) const {
    index_t drawn_left = drawn, all_left = all;
    for (std::size_t c = 0; c < both.size(); ++c) {
      const double u = random_unit(seed, table_stream, std::uint64_t(draw), std::uint32_t(c));
      first[c] = hypergeometric_counts(both[c], drawn_left, all_left).at(u);
      drawn_left -= first[c];
      all_left -= both[c];
    }
  }
};

double share_as_far(const two_way_table& table, double chi_squared, const composition_options& options) {
  std::vector<index_t> first(table.both.size());
  index_t as_far = 0;
  for (index_t draw = 0; draw < options.draws; ++draw) {
    table.fill(first, options.seed, draw);
    as_far += table.chi_squared(first) >= chi_squared * (1 - 1e-12);
  }
  return double(1 + as_far) / double(1 + options.draws);
}

composition_line line_of(const two_way_table& table, std::size_t c, index_t first) {
  composition_line line{first, table.both[c] - first, table.expected(c)};
  const double all = double(table.all), rest = all - double(table.drawn), others = all - double(table.both[c]);
  const double variance = line.expected * (rest / all) * (others / all);
  if (variance == 0) return line;
  line.residual = (double(first) - line.expected) / std::sqrt(variance);
  line.p = hypergeometric_counts(table.both[c], table.drawn, table.all).two_sided_p(first);
  return line;
}

composition_test test_of(const two_way_table& table, std::span<const index_t> first,
                         const composition_options& options) {
  composition_test test;
  std::vector<double> p;
  for (std::size_t c = 0; c < first.size(); ++c) {
    test.lines.push_back(line_of(table, c, first[c]));
    p.push_back(test.lines.back().p);
  }
  const auto adjusted = holm(p);
  for (std::size_t c = 0; c < first.size(); ++c) test.lines[c].adjusted = adjusted[c];
  const auto occurs = [](index_t count) { return count > 0; };
  test.degrees = index_t(std::count_if(table.both.begin(), table.both.end(), occurs)) - 1;
  if (test.degrees < 1 || table.drawn == table.all) return test;
  test.chi_squared = table.chi_squared(first);
  if (table.is_large()) {
    const boost::math::chi_squared distribution(double(test.degrees));
    test.p = boost::math::cdf(boost::math::complement(distribution, test.chi_squared));
  } else {
    test.draws = options.draws;
    test.p = share_as_far(table, test.chi_squared, options);
  }
  return test;
}

void require_draws(const char* call, const composition_options& options) {
  if (options.draws < 1)
    throw value_error(std::string(call) + ": draws is " + std::to_string(options.draws) +
                      "; pass at least 1, such as 9999");
}

}  // namespace

composition_test compare_composition(std::span<const index_t> first, std::span<const index_t> second,
                                     const composition_options& options) {
  const char* const call = "compare_composition";
  require_pairs(call, "counts of the first sample", first.size(), "of the second", second.size());
  require_draws(call, options);
  two_way_table table;
  table.drawn = counted(call, "first", first);
  table.all = table.drawn + counted(call, "second", second);
  for (std::size_t c = 0; c < first.size(); ++c) table.both.push_back(first[c] + second[c]);
  return test_of(table, first, options);
}

composition_test audit_composition(std::span<const index_t> pool, std::span<const index_t> picked,
                                   const composition_options& options) {
  const char* const call = "audit_composition";
  require_pairs(call, "counts of the pool", pool.size(), "of the picked", picked.size());
  require_draws(call, options);
  two_way_table table;
  table.all = counted(call, "pool", pool);
  table.drawn = counted(call, "picked", picked);
  for (std::size_t c = 0; c < pool.size(); ++c)
    if (picked[c] > pool[c])
      throw value_error(std::string(call) + ": label " + std::to_string(c) + " has " +
                        std::to_string(picked[c]) + " picked of " + std::to_string(pool[c]) +
                        " in the pool; count the picked among the pool");
  table.both.assign(pool.begin(), pool.end());
  return test_of(table, picked, options);
}

}  // namespace poolwise
