// Intervals of proportions and of their differences.
#pragma once

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Two-sided: at a level of .95 it holds the true value in 95 of 100 repetitions.
struct interval {
  double low = 0, high = 0;

  bool holds(double x) const { return low <= x && x <= high; }
};

/// Wilson's (1927) score interval of a proportion, of s successes in n trials, z the normal quantile:
///
///   (s + z^2 / 2  -+  z sqrt(s (n - s) / n + z^2 / 4)) / (n + z^2)
///
/// throws value_error unless trials >= 1, 0 <= successes <= trials and 0 < level < 1, as all below do.
interval wilson(index_t successes, index_t trials, double level = 0.95);

/// Clopper & Pearson's (1934): from inverted binomial tests, so that it never covers less than its level, and
/// mostly more. Library only: the verbs give Wilson's, which comes nearer to its level.
interval clopper_pearson(index_t successes, index_t trials, double level = 0.95);

/// Of p1 - p2, from independent samples: the hybrid of two Wilson intervals, method 10 of Newcombe 1998
/// (Statistics in Medicine 17, 873-890). Library only: the verbs compare models on the same items.
interval newcombe(index_t first, index_t first_trials, index_t second, index_t second_trials,
                  double level = 0.95);

/// How two classifiers did on the same items: the counts of those that both, one, or none got right.
struct paired_counts {
  index_t both = 0, first_only = 0, second_only = 0, neither = 0;

  index_t items() const { return both + first_only + second_only + neither; }
};

/// Of p1 - p2 on the same items: method 10 of Newcombe 1998 (Statistics in Medicine 17, 2635-2650), the
/// correlation corrected for continuity. throws value_error for a negative count or no items.
interval newcombe_paired(const paired_counts& counts, double level = 0.95);

/// McNemar's (1947) test that p1 = p2, exact: under it each item that one alone got right is either's with
/// probability 1/2. Two-sided. No such item: 1. throws value_error for a negative count.
double mcnemar_p(const paired_counts& counts);

}  // namespace poolwise
