#include "poolwise/metrics/saving.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "poolwise/core/error.hpp"
#include "poolwise/metrics/detail/checks.hpp"
#include "poolwise/metrics/detail/score_interval.hpp"

namespace poolwise {
namespace {

constexpr index_t least_finds = 5;

std::string text_of(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", x);
  return text;
}

void require_yield(const arm_yield& arm) {
  if (arm.found < 0 || arm.found > arm.picked)
    throw value_error("saving_by_yield: an arm found " + std::to_string(arm.found) + " of " +
                      std::to_string(arm.picked) + "; pass from 0 to all of its picks");
}

saving judged(saving out) {
  if (out.low && *out.low > 1)
    out.verdict = saving_verdict::saves;
  else if (out.high && *out.high < 1)
    out.verdict = saving_verdict::costs;
  else if (out.reason.empty())
    out.reason = "the interval, from " + (out.low ? text_of(*out.low) : "0") +
                 (out.high ? " to " + text_of(*out.high) : " up") + ", holds 1: both may need as many labels";
  return out;
}

/// The labels that an arm needs for the target: more than `least`, and at most `most`.
struct labels_needed {
  std::optional<index_t> read;  // at the first point with the target
  double least = 0;
  std::optional<double> most;
};

labels_needed needed_by(const learning_curve& curve, double target, index_t tested, double quantile) {
  labels_needed out;
  out.read = labels_to_reach(curve, target);
  bool may_have = false;
  for (std::size_t r = 0; r < curve.labels.size(); ++r) {
    if (!(curve.accuracy[r] >= 0 && curve.accuracy[r] <= 1))
      throw value_error("saving_by_curves: the accuracy at " + std::to_string(curve.labels[r]) + " labels is " +
                        std::to_string(curve.accuracy[r]) + "; pass shares from 0 to 1");
    const interval bounds = score_interval(curve.accuracy[r], double(tested), quantile);
    may_have |= bounds.high >= target;
    if (!may_have) out.least = double(curve.labels[r]);
    if (bounds.low < target)
      out.most.reset();
    else if (!out.most)
      out.most = double(curve.labels[r]);
  }
  return out;
}

}  // namespace

saving saving_by_yield(std::span<const arms_of_round> rounds, double level) {
  require_level("saving_by_yield", level);
  arm_yield active, random;
  double by_active = 0, by_random = 0, variance = 0;
  for (const auto& round : rounds) {
    require_yield(round.active);
    require_yield(round.random);
    active = {active.picked + round.active.picked, active.found + round.active.found};
    random = {random.picked + round.random.picked, random.found + round.random.found};
    const double n = double(round.active.picked), m = double(round.random.picked), all = n + m;
    if (n == 0 || m == 0) continue;
    const double a = double(round.active.found), b = double(round.random.found);
    by_active += a * m / all;
    by_random += b * n / all;
    variance += (n * m * (a + b) - a * b * all) / (all * all);
  }
  saving out;
  if (active.found < least_finds || random.found < least_finds) {
    out.reason = "active selection found " + std::to_string(active.found) + " in " +
                 std::to_string(active.picked) + " labels and the audit arm " + std::to_string(random.found) +
                 " in " + std::to_string(random.picked) + "; a ratio takes " + std::to_string(least_finds) +
                 " each";
    return out;
  }
  if (by_active == 0 || by_random == 0) {
    out.reason = "no finds of the two arms fall in rounds that both took part in";
    return out;
  }
  out.ratio = by_active / by_random;
  const double reach = normal_quantile(level) * std::sqrt(variance / (by_active * by_random));
  out.low = *out.ratio * std::exp(-reach);
  out.high = *out.ratio * std::exp(reach);
  return judged(out);
}

saving saving_by_curves(const learning_curve& active, const learning_curve& random, double target,
                        index_t tested, double level) {
  require_level("saving_by_curves", level);
  if (!(target > 0 && target < 1) || tested < 1)
    throw value_error("saving_by_curves: target is " + std::to_string(target) + " and tested is " +
                      std::to_string(tested) +
                      "; pass an accuracy between 0 and 1, and at least 1 tested item");
  const double quantile = normal_quantile(1 - (1 - level) / 2);
  const labels_needed one = needed_by(active, target, tested, quantile);
  const labels_needed other = needed_by(random, target, tested, quantile);
  saving out;
  if (one.read && other.read) out.ratio = double(*other.read) / double(*one.read);
  if (one.most && other.least > 0) out.low = other.least / *one.most;
  if (other.most && one.least > 0) out.high = *other.most / one.least;
  if (!one.most && !other.most)
    out.reason =
        "neither arm has surely reached " + text_of(target) + ": take a lower target, or test more items";
  else if (!out.low && !out.high)
    out.reason = "an arm may have had " + text_of(target) + " from its first point on: take a higher target";
  return judged(out);
}

}  // namespace poolwise
