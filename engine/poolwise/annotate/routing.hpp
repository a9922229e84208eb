// Who is asked about what, and when an item needs no more answers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "poolwise/annotate/people.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/metrics/intervals.hpp"

namespace poolwise {

/// In nats, what an answer tells of an item's class:
///
///   I(class; answer) = H[sum_j p_j pi_j.] - sum_j p_j H[pi_j.]        0 <= I <= H[p]
///
/// posterior  [classes]         the classes' probabilities before it
/// confusion  [classes, labels] the annotator's
/// throws shape_error where their sizes do not fit.
double expected_information(std::span<const double> posterior, std::span<const double> confusion);

/// An item that may be asked about.
struct routed_item {
  std::vector<double> posterior;         ///< [classes]
  std::vector<std::int32_t> asked = {};  ///< places of the annotators who answered it or hold it
  std::string language = {};             ///< empty: any annotator
  double worth = 1;                      ///< of a nat about it, against other items
  bool costly = false;                   ///< a mistake is dear: it goes to senior people
};

struct routed_annotator {
  annotator who;
  std::vector<double> confusion;  ///< [classes, labels]
  index_t open = 0;               ///< items that wait before them
};

struct routing_options {
  std::int64_t now_ms = 0;    ///< whose hours it is
  double sure = 0.95;         ///< an item whose class is as probable needs no more answers
  index_t least_answers = 1;  ///< which every item gets first
  index_t most_answers = 5;   ///< then it is left to reviewers
  index_t senior_after = 2;   ///< answers, after which an item that is not sure goes to senior people
  std::optional<std::int64_t> money = {};  ///< to be spent in this call at most
  std::optional<index_t> answers = {};     ///< to be asked for in this call at most
};

struct assignment {
  index_t item = 0;
  std::int32_t annotator = 0;
  double information = 0;  ///< expected, in nats
  std::string reason;      ///< one line
};

/// An annotator for each item that needs an answer, by worth x information / price, largest first; ties by the
/// item, then by the annotator. An item gets one annotator a call: the next depends on the answer. Those count
/// who are at work now, speak the item's language, have not answered it, and have room (`most_open`). Items
/// that are costly, or not sure after `senior_after` answers, go to those with the role `senior` where there
/// are any. A price of 0 counts as one hundredth. throws shape_error where posteriors and confusions do not
/// fit. O(items x annotators x classes^2).
std::vector<assignment> route(std::span<const routed_item> items, std::span<const routed_annotator> annotators,
                              const routing_options& options);

/// A source of labels, and how it did on items that were drawn at random and checked.
struct audited_source {
  std::string name;
  std::int64_t price = 0;
  index_t wrong = 0, audited = 0;
};

struct judged_source {
  double most_wrong = 1;  ///< at this level its error is no more: Clopper & Pearson's upper limit
  bool within = false;
  index_t lacking = 0;  ///< more audits without a mistake after which it would be within
};

struct source_choice {
  std::optional<std::size_t> cheapest;  ///< of those within; of equal prices the one with the lower limit
  std::vector<judged_source> sources;
};

/// The cheapest source whose error is at most `bound`, with probability `level` for all sources together: each
/// is tested at 1 - (1 - level) / sources. throws value_error for a bound or level outside (0, 1), or counts
/// that are none.
source_choice cheapest_within(std::span<const audited_source> sources, double bound, double level = 0.95);

}  // namespace poolwise
