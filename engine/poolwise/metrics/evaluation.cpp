#include "poolwise/metrics/evaluation.hpp"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "poolwise/core/error.hpp"
#include "poolwise/metrics/detail/checks.hpp"

namespace poolwise {
namespace {

struct candidate {
  double threshold;
  index_t taken, right;
};

/// What each threshold takes, the highest first; only scores that occur are thresholds.
std::vector<candidate> candidates(const char* call, std::span<const double> scores,
                                  std::span<const std::uint8_t> positive) {
  require_pairs(call, "scores", scores.size(), "marks of positive items", positive.size());
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (std::isnan(scores[i]))
      throw value_error(std::string(call) + ": score " + std::to_string(i) + " is NaN; pass numbers");
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t(0));
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  std::vector<candidate> out;
  index_t right = 0;
  for (std::size_t k = 0; k < order.size(); ++k) {
    right += positive[order[k]] != 0;
    if (k + 1 == order.size() || scores[order[k + 1]] < scores[order[k]])
      out.push_back({scores[order[k]], index_t(k + 1), right});
  }
  if (right == 0)
    throw value_error(std::string(call) + ": no item is positive; pass at least one, or there is no recall");
  return out;
}

void require_share(const char* call, const char* name, double share) {
  if (!(share > 0 && share <= 1))
    throw value_error(std::string(call) + ": " + name + " is " + std::to_string(share) +
                      "; pass a share above 0, up to 1");
}

operating_point point_of(const candidate& at, index_t positives) {
  return {at.threshold, share_of(at.right, at.taken), share_of(at.right, positives)};
}

/// Whether a is more precise than b, or as precise with more recall: in whole numbers, so that equals are
/// equal.
bool more_precise(const candidate& a, const candidate& b) {
  const index_t one = a.right * b.taken, other = b.right * a.taken;
  return one != other ? one > other : a.right > b.right;
}

index_t rights(std::span<const std::int32_t> predicted, std::span<const std::int32_t> labels, index_t first,
               index_t items) {
  index_t right = 0;
  for (index_t i = first; i < first + items; ++i) right += predicted[std::size_t(i)] == labels[std::size_t(i)];
  return right;
}

}  // namespace

share_estimate share_of(index_t right, index_t items, double level) {
  if (items == 0 && right == 0) return {};
  return {right, items, double(right) / double(items), wilson(right, items, level)};
}

histogram counts_by_slice(std::span<const std::int32_t> predicted, std::span<const std::int32_t> labels,
                          std::span<const std::int32_t> slice, index_t slices) {
  const char* const call = "accuracy_by_slice";
  require_pairs(call, "predictions", predicted.size(), "labels", labels.size());
  require_pairs(call, "predictions", predicted.size(), "slices of items", slice.size());
  histogram counts({std::max<index_t>(slices, 0), 2});
  for (std::size_t i = 0; i < slice.size(); ++i) {
    if (slice[i] < -1 || slice[i] >= slices)
      throw value_error("accuracy_by_slice: item " + std::to_string(i) + " is of slice " +
                        std::to_string(slice[i]) + " of " + std::to_string(slices) +
                        "; pass slices from 0, or -1 for none");
    if (slice[i] < 0) continue;
    counts.add(2 * slice[i], predicted[i] == labels[i]);
    counts.add(2 * slice[i] + 1);
  }
  return counts;
}

std::vector<share_estimate> accuracy_by_slice(const histogram& counts, double level) {
  require_level("accuracy_by_slice", level);
  if (counts.shape().size() != 2 || counts.shape()[1] != 2)
    throw shape_error("accuracy_by_slice: the counts are not [slices, 2]; pass those of counts_by_slice");
  std::vector<share_estimate> out;
  for (std::size_t s = 0; s < counts.counts().size(); s += 2) {
    const index_t right = counts.counts()[s], items = counts.counts()[s + 1];
    if (right > items)
      throw value_error("accuracy_by_slice: slice " + std::to_string(s / 2) + " has " + std::to_string(right) +
                        " right predictions of " + std::to_string(items) + "; pass those of counts_by_slice");
    out.push_back(share_of(right, items, level));
  }
  return out;
}

std::vector<share_estimate> accuracy_by_slice(std::span<const std::int32_t> predicted,
                                              std::span<const std::int32_t> labels,
                                              std::span<const std::int32_t> slice, index_t slices,
                                              double level) {
  return accuracy_by_slice(counts_by_slice(predicted, labels, slice, slices), level);
}

std::vector<window_estimate> rolling_accuracy(std::span<const std::int32_t> predicted,
                                              std::span<const std::int32_t> labels, index_t width, index_t step,
                                              double level) {
  const char* const call = "rolling_accuracy";
  require_pairs(call, "predictions", predicted.size(), "labels", labels.size());
  require_level(call, level);
  if (width < 1 || step < 1)
    throw value_error("rolling_accuracy: width is " + std::to_string(width) + " and step is " +
                      std::to_string(step) + "; pass at least 1 item each");
  const auto all = index_t(labels.size()), items = std::min(width, all);
  std::vector<window_estimate> out;
  for (index_t first = (all - items) % step; first + items <= all; first += step)
    out.push_back({share_of(rights(predicted, labels, first, items), items, level), first});
  return out;
}

namespace {

histogram confusion_counts(std::span<const std::int32_t> predicted, std::span<const std::int32_t> labels,
                           index_t classes) {
  require_pairs("confusion_matrix", "predictions", predicted.size(), "labels", labels.size());
  if (classes < 1)
    throw value_error("confusion_matrix: classes is " + std::to_string(classes) + "; pass at least 1");
  histogram counts({classes, classes});
  for (std::size_t i = 0; i < labels.size(); ++i) {
    for (const std::int32_t one : {labels[i], predicted[i]})
      if (one < 0 || one >= classes)
        throw value_error("confusion_matrix: item " + std::to_string(i) + " has class " + std::to_string(one) +
                          "; pass classes from 0 to " + std::to_string(classes - 1));
    counts.add(labels[i] * classes + predicted[i]);
  }
  return counts;
}

}  // namespace

confusion_matrix::confusion_matrix(std::span<const std::int32_t> predicted,
                                   std::span<const std::int32_t> labels, index_t classes)
    : confusion_matrix(confusion_counts(predicted, labels, classes)) {}

confusion_matrix::confusion_matrix(histogram counts) : counts_(std::move(counts)), items_(counts_.items()) {
  const auto shape = counts_.shape();
  if (shape.size() != 2 || shape[0] != shape[1] || items_ < 1)
    throw shape_error(
        "confusion_matrix: the counts are not [classes, classes], or of no items; pass those of "
        "one item or more, a row for each label");
}

share_estimate confusion_matrix::accuracy(double level) const {
  index_t right = 0;
  for (index_t c = 0; c < classes(); ++c) right += count(c, c);
  return share_of(right, items_, level);
}

share_estimate confusion_matrix::precision(index_t predicted, double level) const {
  index_t taken = 0;
  for (index_t label = 0; label < classes(); ++label) taken += count(label, predicted);
  return share_of(count(predicted, predicted), taken, level);
}

share_estimate confusion_matrix::recall(index_t label, double level) const {
  index_t items = 0;
  for (index_t predicted = 0; predicted < classes(); ++predicted) items += count(label, predicted);
  return share_of(count(label, label), items, level);
}

namespace {

/// Gives the mean of n >= 2 values its interval; `variance` is divided by n.
void bound(mean_estimate& mean, double variance, double n, double level) {
  mean.standard_error = std::sqrt(variance / (n - 1));
  const boost::math::students_t student(n - 1);
  const double reach =
      boost::math::quantile(boost::math::complement(student, (1 - level) / 2)) * mean.standard_error;
  mean.bounds = {mean.value - reach, mean.value + reach};
}

}  // namespace

mean_estimate utility(const confusion_matrix& confusion, matrix_view<const double> worth, double level) {
  const index_t classes = confusion.classes();
  if (worth.rows != classes || worth.cols != classes)
    throw shape_error("utility: worth is [" + std::to_string(worth.rows) + ", " + std::to_string(worth.cols) +
                      "] for " + std::to_string(classes) +
                      " classes; pass a row for each label and a column for " + "each prediction");
  require_level("utility", level);
  for (index_t label = 0; label < classes; ++label)
    require_finite("utility", {worth.row(label), std::size_t(classes)});
  const double n = double(confusion.items());
  const auto mean_of = [&](auto&& f) {
    double sum = 0;
    for (index_t label = 0; label < classes; ++label)
      for (index_t predicted = 0; predicted < classes; ++predicted)
        sum += double(confusion.count(label, predicted)) * f(worth(label, predicted));
    return sum / n;
  };
  mean_estimate out;
  out.value = mean_of([](double w) { return w; });
  const double endless = std::numeric_limits<double>::infinity();
  out.bounds = {-endless, endless};
  if (confusion.items() < 2) return out;
  const double variance = mean_of([&](double w) { return (w - out.value) * (w - out.value); });
  bound(out, variance, n, level);
  return out;
}

mean_estimate estimate_mean(const moments& values, double level) {
  if (values.items() < 1) throw shape_error("estimate_mean: there are no values; add at least one");
  require_level("estimate_mean", level);
  const double endless = std::numeric_limits<double>::infinity();
  mean_estimate out{values.mean(), 0, {-endless, endless}};
  if (values.items() > 1) bound(out, values.variance(), double(values.items()), level);
  return out;
}

operating_point precision_at_recall(std::span<const double> scores, std::span<const std::uint8_t> positive,
                                    double recall) {
  require_share("precision_at_recall", "recall", recall);
  const auto all = candidates("precision_at_recall", scores, positive);
  const index_t positives = all.back().right;
  const candidate* best = &all.back();  // takes every item: its recall is 1
  for (const auto& one : all)
    if (double(one.right) / double(positives) >= recall && more_precise(one, *best)) best = &one;
  return point_of(*best, positives);
}

std::optional<operating_point> recall_at_precision(std::span<const double> scores,
                                                   std::span<const std::uint8_t> positive, double precision) {
  require_share("recall_at_precision", "precision", precision);
  const auto all = candidates("recall_at_precision", scores, positive);
  const candidate* best = nullptr;
  for (const auto& one : all) {
    if (double(one.right) / double(one.taken) < precision) continue;
    if (best == nullptr || one.right > best->right) best = &one;
  }
  if (best == nullptr) return std::nullopt;
  return point_of(*best, all.back().right);
}

review_point best_review(std::span<const double> confidence, std::span<const std::uint8_t> right,
                         double review_cost, double error_cost, double level) {
  require_pairs("best_review", "confidence", confidence.size(), "right", right.size());
  require_level("best_review", level);
  if (!(review_cost > 0 && error_cost >= 0 && std::isfinite(review_cost) && std::isfinite(error_cost)))
    throw value_error("best_review: review_cost is " + std::to_string(review_cost) + " and error_cost " +
                      std::to_string(error_cost) + "; pass a cost above 0 and one from 0 on");
  std::vector<std::size_t> order(confidence.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (std::isnan(confidence[i]))
      throw value_error("best_review: confidence " + std::to_string(i) + " is NaN; pass numbers");
    order[i] = i;
  }
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return confidence[a] > confidence[b]; });
  const double n = double(order.size()), of_wrong = 1 - error_cost / review_cost;
  const double endless = std::numeric_limits<double>::infinity();
  index_t answered = 0, so_far = 0, best_right = 0, now_right = 0;
  double most = 0, threshold = endless;
  for (std::size_t i = 0; i < order.size(); ++i) {
    ++so_far;
    now_right += right[order[i]] != 0;
    if (i + 1 < order.size() && confidence[order[i + 1]] == confidence[order[i]]) continue;
    const double saved = double(now_right) + double(so_far - now_right) * of_wrong;
    if (saved <= most) continue;
    most = saved;
    answered = so_far;
    best_right = now_right;
    threshold = confidence[order[i]];
  }
  review_point best;
  best.threshold = threshold;
  best.answered = share_of(answered, index_t(order.size()), level);
  best.right = share_of(best_right, answered, level);
  best.cut.value = most / n;
  best.cut.bounds = {-endless, endless};
  if (order.size() < 2) return best;
  const auto off = [&](double value) { return (value - best.cut.value) * (value - best.cut.value); };
  bound(best.cut,
        (double(best_right) * off(1) + double(answered - best_right) * off(of_wrong) +
         (n - double(answered)) * off(0)) /
            n,
        n, level);
  return best;
}

}  // namespace poolwise
