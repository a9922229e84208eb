// Labels out of answers that contradict each other, and how often each annotator is right.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "poolwise/annotate/answers.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/metrics/intervals.hpp"

namespace poolwise {

/// What is learned of each annotator: how often each class is called each label, or one accuracy for all.
enum class skill_model { confusions, one_coin };

/// A classifier as one more annotator: a row of probs is an answer in parts. Its confusions say what its
/// probabilities are worth, so that one that is too sure of itself is not believed. A row with a NaN is none.
struct soft_answers {
  std::int32_t annotator = 0;      ///< its place among the annotators
  matrix_view<const float> probs;  ///< [items, classes]
};

struct inference_options {
  skill_model skills = skill_model::confusions;
  /// Of annotators with few answers: each row of confusions has so many answers more, as all annotators
  /// together give them. 0: none, as Dawid & Skene 1979.
  double pooled = 4;
  /// Answers more for each annotator, [annotators, classes, labels said]: what is expected of each. May be
  /// empty.
  std::vector<double> expected = {};
  /// The class of each item where it is known (gold), -1 elsewhere. May be empty.
  std::vector<std::int32_t> known = {};
  std::vector<soft_answers> soft = {};
  index_t most_rounds = 200;
  /// It ends where the classes' probabilities move less than this, in the mean over items and summed over
  /// classes.
  double tolerance = 1e-6;
};

/// What answers say of items and of annotators.
struct inference {
  index_t items = 0, annotators = 0, classes = 0;
  std::vector<double> posterior;  ///< [items, classes]: each class's probability
  std::vector<double> shares;     ///< [classes]
  std::vector<double> confusion;  ///< [annotators, classes, labels said]: each row sums to 1
  index_t rounds = 0;
  bool converged = false;
  double log_likelihood = 0;  ///< of the answers, before the last round's change

  std::int32_t label_of(index_t item) const;  ///< the most probable class, the lower of equals
  double sureness_of(index_t item) const;     ///< its probability

  /// How often an annotator is right, over the answers that it gave, with an interval.
  struct rate {
    double value = 0;
    interval bounds;
    double answers = 0;  ///< of which it was learned
  };
  rate accuracy(index_t annotator, double level = 0.95) const;
  /// How often `is` is called `said`.
  rate confusion_rate(index_t annotator, std::int32_t is, std::int32_t said, double level = 0.95) const;

  // For the intervals, by annotator, class and label said: answers, weighted by the classes' probabilities;
  // q (1 - q) of them, q being the class's probability without the annotator's own answer; answers more.
  std::vector<double> counts, doubts, more;
};

/// The share of an item's answers that each class has. An item without an answer has equal shares.
inference majority_vote(const answer_columns& answers, const inference_options& options = {});

/// Dawid & Skene's (1979) maximum likelihood by EM, from the majority's shares, in logarithms:
///
///   T_ij ~ p_j prod_k prod_l pi^k_jl ^ n_il^k        pi^k_jl = (sum_i T_ij n_il^k + more^k_jl) / sum_l (...)
///
/// with Dirichlet priors on the rows of pi (`pooled`, `expected`), by which it is the posterior's mean that is
/// iterated. Intervals are of Beta posteriors, whose counts are less by what doubt about the items takes of the
/// information: as Louis 1982, on the diagonal, with the doubt that is left without the annotator's own answer.
///
/// throws shape_error for options whose sizes are not those of the answers; value_error for a negative number
/// among them, an annotator or class out of range.
/// O(answers x classes) a round. The same bits for any number of threads.
inference dawid_skene(cpu on, const answer_columns& answers, const inference_options& options = {});

/// The answers about one class of an item that may have several: whether each set of labels, whose names are
/// parted by `separator`, holds it. Labels are "no" and "yes".
answer_columns answers_about(const std::string& label, const answer_columns& sets, char separator = '|');

}  // namespace poolwise
