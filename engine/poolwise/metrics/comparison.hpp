// Whether strategies differ over seeds or data sets, and by how much: the tests and measures the field reports.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "poolwise/metrics/metrics.hpp"

namespace poolwise {

struct signed_rank_test {
  index_t pairs = 0;     ///< whose difference is not 0; the others are left out
  double statistic = 0;  ///< the smaller of the two sums of ranks
  double p = 1;          ///< two-sided
  bool exact = true;     ///< false: by the normal approximation, corrected for ties
};

/// Wilcoxon's signed-rank test of a against b (Wilcoxon 1945): the exact distribution up to 50 pairs without
/// ties and zero differences, else the normal approximation. No pair with a difference: p = 1. throws
/// shape_error unless a and b are as many, value_error for a NaN or infinite value.
signed_rank_test wilcoxon(std::span<const double> a, std::span<const double> b);

struct friedman_test {
  index_t blocks = 0, strategies = 0;
  std::vector<double> mean_ranks;  ///< 1 is the best: the highest value of a block
  double chi_squared = 0, p = 1;   ///< corrected for ties
};

/// Friedman's test that strategies are alike. values[strategy][block], where a block is a seed or a data set.
/// Fewer than 2 blocks, or every value of each block equal: p = 1.
/// throws shape_error for fewer than 3 strategies or uneven ones, value_error for a NaN or infinite value.
/// Friedman 1937; Demsar 2006.
friedman_test friedman(std::span<const std::vector<double>> values);

/// Nemenyi's p that two strategies differ by as much in mean rank, after a Friedman test of so many strategies
/// and blocks, and the least difference with p < alpha (the critical difference). Demsar 2006. throws
/// value_error unless strategies >= 2, blocks >= 1, and 0 < alpha < 1.
double nemenyi_p(double rank_difference, index_t strategies, index_t blocks);
double critical_difference(double alpha, index_t strategies, index_t blocks);

/// Holm's (1979) adjusted p values, in the order given: p <= alpha holds for all of a family at the level
/// alpha. throws value_error for a p outside [0, 1].
std::vector<double> holm(std::span<const double> p);

/// Benjamini & Hochberg's (1995) adjusted p values, in the order given: of those <= alpha, a share of at most
/// alpha is false on average, where tests are independent or positively dependent. throws as holm.
/// Library only: the verbs promise a rate of any false alarm, which is Holm's.
std::vector<double> benjamini_hochberg(std::span<const double> p);

/// curves[strategy][seed], all at the same labels. penalty(i, j) is the share of the rounds in which i beats j
/// by a two-sided paired t test over the seeds at 5 % (Ash et al. 2020, sec. 4, where data sets are summed);
/// columns with a small mean are rarely beaten. Fewer than 2 seeds: all 0. throws shape_error for curves of
/// different labels or seeds.
std::vector<std::vector<double>> penalty_matrix(std::span<const std::vector<learning_curve>> curves);

/// Baram et al. 2004: the area that a strategy leaves below `best` over that which the baseline leaves, random
/// in the paper; below 1 it beats the baseline. None where that leaves nothing. throws shape_error for curves
/// of different labels.
std::optional<double> deficiency(const learning_curve& strategy, const learning_curve& baseline, double best);

/// The cost of reaching `target`: the runs that reach it, and the median of labels over all runs. There is no
/// median where it falls among the censored runs.
struct label_efficiency {
  double target = 0;
  index_t seeds = 0, reached = 0, baseline_reached = 0;
  std::optional<double> labels, baseline_labels;
  std::optional<double>
      ratio;  ///< baseline_labels / labels, where both are known: above 1 the strategy is cheaper
};
label_efficiency efficiency(std::span<const learning_curve> strategy, std::span<const learning_curve> baseline,
                            double target);

}  // namespace poolwise
