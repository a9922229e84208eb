#include "poolwise/stream/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

constexpr stream ask_stream{60}, share_stream{65};

constexpr stream_rule_entry rule_table[] = {
    {stream_rule::random, "random", "with probability B", "-"},
    {stream_rule::fixed, "fixed", "score >= 1 - theta, theta = 1/C + B (1 - 1/C)", "Zliobaite et al. 2014"},
    {stream_rule::variable, "variable", "score > 1 - theta; theta shrinks by a step when asked, else grows",
     "Zliobaite et al. 2014"},
    {stream_rule::randomised, "randomised", "as variable, theta times N(1, deviation)",
     "Zliobaite et al. 2014"},
    {stream_rule::split, "split", "a share of the rows with probability B, the others as variable",
     "Zliobaite et al. 2014"},
    {stream_rule::biqf, "biqf", "score >= its 1 - B quantile in a window - range x what is left / tolerance",
     "Kottke et al. 2015"},
    {stream_rule::iwal, "iwal", "with probability least + (1 - least) score", "Beygelzimer et al. 2009"},
};

/// The share of a normal distribution above z: erfc by Abramowitz & Stegun 7.1.26, to 1.5e-7, of additions and
/// products alone but for one exponential, so that it has the same bits everywhere.
double normal_above(double z) {
  const double x = std::abs(z) * 0.70710678118654752440, t = 1 / (1 + 0.3275911 * x);
  const double series =
      t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const double tail = 0.5 * series * fixed_exp(-x * x);
  return z > 0 ? tail : 1 - tail;
}

/// As numpy's, linear between the two places that are nearest.
double quantile(const std::deque<double>& values, double share) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const double place = share * double(sorted.size() - 1);
  const auto below = std::min(std::size_t(place), sorted.size() - 1),
             above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - double(below));
}

void check(const stream_spec& spec) {
  const auto require = [](bool right, const std::string& what) {
    if (!right) throw usage_error("stream: " + what);
  };
  const auto share = [](double x) { return x >= 0 && x <= 1; };
  require(spec.budget > 0 && spec.budget <= 1,
          "the budget is " + std::to_string(spec.budget) + " of the rows; give a share above 0, 1 at most");
  require(spec.classes >= 2, "there are " + std::to_string(spec.classes) + " classes; give 2 or more");
  require(!spec.threshold || (*spec.threshold > 0 && std::isfinite(*spec.threshold)),
          "the threshold is not above 0; give a confidence below which rows are asked about");
  require(spec.step > 0 && spec.step < 1, "the step is not between 0 and 1; give one such as 0.01");
  require(spec.deviation > 0 && std::isfinite(spec.deviation),
          "the deviation is not above 0; give one such as 1");
  require(share(spec.random_share), "the random share is not from 0 to 1; give one such as 0.1");
  require(spec.window >= 1, "the window has no row; give 1 or more");
  require(spec.tolerance > 0 && std::isfinite(spec.tolerance), "the tolerance is not above 0; give some rows");
  require(spec.least > 0 && spec.least <= 1,
          "the least probability is not above 0 and 1 at most; weights are 1 over it at most");
}

}  // namespace

std::span<const stream_rule_entry> stream_rules() { return rule_table; }

stream_rule parse_stream_rule(const std::string& name) {
  std::string known;
  for (const stream_rule_entry& rule : rule_table) {
    if (rule.name == name) return rule.id;
    known += (known.empty() ? "" : ", ") + std::string(rule.name);
  }
  throw usage_error("there is no stream rule \"" + printable(name) + "\"; choose " + known);
}

stream_sampler::stream_sampler(const stream_spec& spec) : spec_(spec) {
  check(spec);
  theta_ = spec.threshold.value_or(spec.rule == stream_rule::fixed
                                       ? 1 / double(spec.classes) + spec.budget * (1 - 1 / double(spec.classes))
                                       : 1.0);
}

bool stream_sampler::may_ask() const {
  if (spec_.kept_by == stream_budget::none) return true;
  if (spec_.kept_by == stream_budget::estimate) return spent_ / double(spec_.window) < spec_.budget;
  // A product that rounds up by 1e-12 is no row more.
  return double(asked_ + 1) <= std::ceil(spec_.budget * double(rows_ + 1) * (1 - 1e-12));
}

stream_sampler::chances stream_sampler::of_rule(double score) {
  const auto plain = [](double chance) { return chances{chance, chance, false}; };
  const double confidence = 1 - score, by_threshold = confidence < theta_ ? 1 : 0;
  switch (spec_.rule) {
    case stream_rule::random:
      return plain(spec_.budget);
    case stream_rule::fixed:
      return plain(confidence <= theta_ ? 1 : 0);
    case stream_rule::variable:
      return {by_threshold, by_threshold, true};
    case stream_rule::randomised: {
      const double chance = normal_above((confidence / theta_ - 1) / spec_.deviation);
      return {chance, chance, true};
    }
    case stream_rule::split: {
      const double share = spec_.random_share;
      const bool random = random_unit(spec_.seed, share_stream, std::uint64_t(rows_)) < share;
      return {random ? spec_.budget : by_threshold, share * spec_.budget + (1 - share) * by_threshold, !random};
    }
    case stream_rule::biqf:
      return plain(filtered(score));
    case stream_rule::iwal:
      break;
  }
  return plain(std::clamp(spec_.least + (1 - spec_.least) * score, spec_.least, 1.0));
}

double stream_sampler::filtered(double score) {
  window_.push_back(score);
  if (index_t(window_.size()) > spec_.window) window_.pop_front();
  const auto [least, most] = std::minmax_element(window_.begin(), window_.end());
  const double left = spec_.budget * double(rows_ + 1) - double(asked_);
  return score >= quantile(window_, 1 - spec_.budget) - (*most - *least) * (left / spec_.tolerance) ? 1 : 0;
}

stream_decision stream_sampler::decide(double score) {
  if (!std::isfinite(score))
    throw value_error("stream: row " + std::to_string(rows_) +
                      " has a score that is not finite; mend it, or leave the row out");
  const bool may = may_ask();
  chances now{0, 0, false};
  // The filter looks at rows that the budget passes over, too; a threshold does not.
  if (may || spec_.rule == stream_rule::biqf) now = of_rule(score);
  if (!may) now = {0, 0, false};
  const bool ask = random_unit(spec_.seed, ask_stream, std::uint64_t(rows_)) < now.drawn;
  if (now.moves_threshold) theta_ *= ask ? 1 - spec_.step : 1 + spec_.step;
  spent_ = spent_ * (double(spec_.window - 1) / double(spec_.window)) + (ask ? 1 : 0);
  asked_ += ask ? 1 : 0;
  return {rows_++, score, ask, now.of_rule};
}

}  // namespace poolwise
