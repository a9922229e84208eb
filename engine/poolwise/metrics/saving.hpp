// What active selection saved against random, as the random audit arm of a campaign can show it; and when it
// cannot.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "poolwise/metrics/metrics.hpp"

namespace poolwise {

enum class saving_verdict { saves, costs, unknown };

/// How many labels random needs where active selection needs one.
struct saving {
  saving_verdict verdict = saving_verdict::unknown;  ///< saves: low > 1. costs: high < 1
  std::optional<double> ratio, low, high;            ///< an end is none where the labels set none
  std::string reason;                                ///< why nothing is claimed
};

/// What one arm of a round labelled, and how many of these were of the kind sought: a rare class, an item that
/// the model had wrong.
struct arm_yield {
  index_t picked = 0, found = 0;
};
struct arms_of_round {
  arm_yield active, random;
};

/// The ratio of yields: random needs that many times as many labels for as many finds. Mantel & Haenszel's
/// (1959) over rounds, as yields change from one to the next, with the interval of Greenland & Robins 1985
/// about its logarithm. Nothing is claimed below 5 finds in either arm, where that interval is too narrow.
///
/// It holds if the audit arm is a uniform draw from the pool that active selection chose from, if all picks of
/// both arms were labelled, by people who did not know the arm, and for rounds with one ratio. It is about
/// finds, and not about accuracy: items of a kind may repeat each other. throws value_error for counts that are
/// negative, or more found than picked, and unless 0 < level < 1.
saving saving_by_yield(std::span<const arms_of_round> rounds, double level = 0.95);

/// The ratio of the labels that the arms need for an accuracy of `target`. The curves are of models fitted on
/// either arm's labels alone, all tested on the same `tested` items. An arm needs more labels than the last
/// point before the first at which it may have the target. It needs at most those of the first point from which
/// on it surely has it. May and surely are Wilson's upper and lower bounds at (1 - level) / 4 each: two ends of
/// two arms. Nothing is interpolated, and nothing is read off beyond a curve, so that an audit arm of few
/// labels sets one end, or none.
///
/// It holds if accuracy in truth never falls with labels, if the target was fixed beforehand, and if no tested
/// item was trained on. The interval has the noise of the test alone, so that it is about these two sets of
/// labels; over seeds, `efficiency` and paired tests say what to expect of other ones. Library only: a campaign
/// fits no models to the labels of either arm alone. throws as aubc; value_error for an accuracy outside [0,
/// 1], unless tested >= 1 and 0 < target, level < 1.
saving saving_by_curves(const learning_curve& active, const learning_curve& random, double target,
                        index_t tested, double level = 0.95);

}  // namespace poolwise
