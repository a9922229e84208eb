// When to stop labelling: rules over a history of rounds, each of which says why.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// "accuracy", "accuracy of night": any share that is better when it is higher.
struct measured_share {
  std::string name;
  double value = 0;
  index_t tested = 0;  ///< items it was measured on; 0: not known, or no share of items
};

/// What is known after a round: the model of the labels so far, and what it picks next. What is not known stays
/// empty.
struct stop_round {
  index_t labels = 0;
  std::vector<measured_share> measures;
  std::vector<std::uint8_t> right;      ///< of each held-out item, in one order over the rounds: was it right?
  std::vector<std::int32_t> predicted;  ///< the class of each item of the stop set, the same items each round
  std::optional<double> pool_entropy;   ///< mean over the unlabelled pool, in nats
  std::optional<double> selected_entropy;    ///< the largest among the items selected next, in nats
  std::optional<index_t> changed, compared;  ///< unlabelled items whose class is another than the round before
  std::optional<double> money, hours, days;  ///< spent since the campaign began

  const measured_share* measure(const std::string& name) const;  ///< null where there is none
};

struct stop_target {
  std::string measure;
  double at_least = 0;
};

/// What the campaign is to reach, may spend, and is worth.
struct stop_settings {
  std::vector<stop_target> targets;
  std::optional<double> money, hours, days, labels;  ///< the most of each
  std::optional<double> label_cost;                  ///< of one label
  std::optional<double> error_cost;                  ///< of one wrong answer of the model in use
  std::optional<double> uses;                        ///< answers that it is to give
};

/// A rule, or some of which any or all must hold.
struct stop_rule {
  std::string name;               ///< of stop_rule_words(), "any" or "all"
  std::vector<double> arguments;  ///< in the order of the words' parameters, those not given by their standard
  std::vector<stop_rule> parts = {};  ///< of any and all

  std::string text() const;  ///< that parse_stop_rule reads to the same rule
};

/// Reads "any(target, all(kappa(.99, 3), performance(within=.005)), budget)". Arguments come in order or by
/// name; those left out have their standard. throws usage_error that names the place, counting characters
/// from 1.
stop_rule parse_stop_rule(const std::string& text);

// clang-format off
/// For lists and help, one line each: the word with its parameters, what it asks, and its source.
///
/// target(certainty=0.95)    every target is reached with this certainty: the posterior of a share of so many
///                           items under Jeffreys' prior. One of unknown size is only compared, and that is .5
/// budget                    money, hours, days or labels are spent, or less money is left than a label costs
/// kappa(at_least=0.99, rounds=3)
///                           mean Cohen's kappa of the last `rounds` pairs of successive models on the stop
///                           set. Bloodgood & Vijay-Shanker 2009 (2,000 unlabelled items)
/// uncertainty(below=0.01)   mean entropy of the pool. Zhu, Wang & Hovy 2008
/// confidence(below=0.001)   entropy of each selected item. Zhu & Hovy 2007
/// change(at_most=0)         share of the pool whose class changed. Zhu, Wang & Hovy 2008
/// performance(within=0.005, rounds=1, certainty=0.95)
///                           accuracy rose by less over the last rounds: the upper end of the interval, from
///                           pairs (Agresti & Min 2005) where both rounds say which items were right, else of
///                           independent tests (Agresti & Caffo 2000), which is wider
/// cost(labels=1000, certainty=0.5)
///                           the next labels cost more than they gain, label_cost labels >
///                           error_cost uses (a(n + labels) - a(n)), in this share of the fitted curves.
///                           After Pullar-Strecker et al. 2022
// clang-format on
std::vector<std::string> stop_rule_words();

struct stop_figure {
  std::string name;
  double value = 0;
};

struct stop_verdict {
  std::string rule;  ///< as text
  bool holds = false;
  bool known = true;  ///< false: something that it needs is missing, as the sentence says
  std::string sentence;
  std::vector<stop_figure> figures;  ///< none infinite or NaN
  std::vector<stop_verdict> parts;
};

/// Judges by the last of the rounds, which are in order. throws value_error for a share or an entropy outside
/// its range, a NaN, stop sets of different sizes and labels that become fewer.
stop_verdict judge_stop(const stop_rule& rule, std::span<const stop_round> rounds,
                        const stop_settings& settings);

}  // namespace poolwise
