// How annotators work: speed, drift, answers that cannot be right, gold items, calibration, what to label anew.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "poolwise/annotate/answers.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/metrics/intervals.hpp"

namespace poolwise {

/// Of times that are log-normal but for some: the median and 1.4826 x the median deviation of the logarithms.
struct speed {
  index_t answers = 0;
  double median = 0, mean = 0;  ///< seconds; mean: exp(mu + sigma^2 / 2)
  interval median_bounds;       ///< at 95 %: its standard error is 1.2533 sigma / sqrt(n)
  double sigma = 0;             ///< of the logarithm
};

/// Times above `idle` seconds count as that: nobody knows how long somebody was away. Times of 0 do not count.
/// None where there is no time.
std::optional<speed> speed_of(std::span<const double> seconds, double idle = 600);

/// Whether the last `window` answers were right as often as those before, by gold or by what the answers
/// together say; `right` is each one's probability of being right, in the order of time.
struct skill_drift {
  double before = 0, now = 0;
  interval change;  ///< of now - before, Newcombe's
  bool drifted = false;
};
/// None unless there are so many on both sides. throws value_error for a window below 1.
std::optional<skill_drift> drift_of(std::span<const double> right, index_t window = 50, double level = 0.95);

/// An answer that somebody should look at.
struct doubtful_answer {
  index_t answer = 0;  ///< its place
  std::string why;
};

/// Answers that took less than a fifth of the median of all, and less than exp(mu - 3 sigma) of speed_of them;
/// and labels that are not among `labels`, unless that is empty.
std::vector<doubtful_answer> impossible_answers(std::span<const answer> answers,
                                                std::span<const std::string> labels);

/// Two items that are as good as one and have different labels.
struct conflicting_pair {
  index_t first = 0, second = 0;
  float distance = 0;
};
/// neighbours, distances  [items, k]: the nearest others of each; a negative one is none
/// labels                 [items]: negative where there is none
/// Pairs within `radius`, the nearest first.
std::vector<conflicting_pair> conflicting_duplicates(matrix_view<const std::int32_t> neighbours,
                                                     matrix_view<const float> distances,
                                                     std::span<const std::int32_t> labels, float radius);

/// An item whose neighbours have another label.
struct lone_label {
  index_t item = 0;
  std::int32_t others = 0;  ///< the label that most of them have
  double share = 0;         ///< of its labelled neighbours
};
/// Those of which at least `share` of three or more labelled neighbours have one other label; the largest share
/// first.
std::vector<lone_label> labels_against_neighbours(matrix_view<const std::int32_t> neighbours,
                                                  std::span<const std::int32_t> labels, double share = 0.8);

/// Whether the task of this number is to be a gold item, at a rate, for an annotator: equal calls give equal
/// answers, and nobody can foresee them without the seed.
bool is_gold_turn(std::uint64_t seed, const std::string& annotator, index_t task, double rate);

/// How two people called the same items.
struct calibration_pair {
  std::string first, second;
  index_t items = 0, same = 0;
  std::map<std::pair<std::string, std::string>, index_t> confusions;  ///< of the labels that differ
};
struct calibration_result {
  struct mark {
    std::string annotator;
    index_t right = 0, answered = 0;
    bool passed = false;
  };
  std::vector<mark> marks;              ///< by name
  std::vector<calibration_pair> pairs;  ///< that agree least first
  std::vector<std::string> to_discuss;  ///< items on which not all said the same, those with most labels first
};
/// A session in which all label the same hard items, before paid work. `gold` holds the right labels; who has
/// not answered all of them has not passed, nor has one whose share of right answers is below `pass`.
calibration_result calibrate(std::span<const answer> answers, const std::map<std::string, std::string>& gold,
                             double pass = 0.8);

/// Items to label anew after a guideline changed: those whose newest answer was made under an older version,
/// and has one of the labels that the change is about; none listed: any. In the order of their first answer.
std::vector<std::string> to_relabel(std::span<const answer> answers, index_t guideline,
                                    std::span<const std::string> labels = {});

}  // namespace poolwise
