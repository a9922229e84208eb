// What a campaign is to reach and may spend, as its campaign.toml says.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/annotate/people.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {

/// What an item takes, in whole units: the same each, or what a column of the items' file says, or a table by
/// the item's type; of none of these nothing. Of types with `fitted` labels that say it, 0 for never, what the
/// log says counts instead: cost(type, length), as fit_costs fits it.
struct tariff {
  std::optional<std::int64_t> each;
  std::string column;
  std::map<std::string, std::int64_t> by_type;  ///< the type "*" stands for all that are not listed
  index_t fitted = 0;

  bool given() const { return each || !column.empty() || !by_type.empty(); }
};

/// What may be spent, in all or a round; none: any amount.
struct allotment {
  std::optional<std::int64_t> money;    ///< in campaign_settings::unit
  std::optional<std::int64_t> seconds;  ///< of annotators' time
  std::optional<index_t> labels;
};

/// Items that are looked at on their own.
struct slice_settings {
  std::string name;              ///< as it stands in the column of slices
  std::optional<double> target;  ///< accuracy that is to be reached
  index_t floor = 0;             ///< picks of each round at least
  std::optional<index_t> quota;  ///< picks of each round at most
  double priority = 1;           ///< share of the picks kept for slices that miss their targets, against theirs
};

/// A target that is no accuracy: the precision of a label at a recall, or the share of the cost of people's
/// answers that a model saves which answers where it is sure.
struct measure_target {
  std::string name;  ///< in campaign.toml
  double at_least = 0;
  std::string label;  ///< empty: a cost cut
  double recall = 0;
  double review_cost = 0, error_cost = 0;  ///< of an answer by people, and of a wrong answer of the model

  std::string measure() const;  ///< "precision of boot at a recall of 80 %", or "cost cut"
};

/// How people label, and what their page shows of an item: columns of the items' file, or none.
struct labelling_settings {
  index_t overlap = 1;         ///< people who answer each item
  index_t lease_minutes = 15;  ///< after which an item goes to somebody else
  bool regulated = false;  ///< a label becomes another by a proposal that somebody else approves, and so alone
  std::string text, image, audio;   ///< images and sounds are files in the campaign's folder
  std::vector<std::string> fields;  ///< shown as a table
};

struct campaign_settings {
  std::string name, hypothesis, unit = "cents";
  std::vector<std::string> labels;  ///< those there are; none: any text
  std::string id_column = "id", slice_column, type_column, length_column;
  tariff price, seconds;
  query_spec query;     ///< strategy, batch, seed, distance, apart and what to do about invalid rows
  double audit = 0.1;   ///< share of each round drawn at random
  double priority = 0;  ///< share of each round kept for slices that miss their targets
  allotment total, round;
  std::optional<std::int64_t> until_ms;  ///< the last moment at which a round may begin, since 1970
  std::vector<slice_settings> slices;
  std::vector<annotator> annotators;
  labelling_settings labelling;
  std::optional<double> target;              ///< accuracy that is to be reached on all held-out items
  std::vector<measure_target> targets;       ///< beside accuracies; each of another measure
  std::string stop = "any(target, budget)";  ///< as parse_stop_rule reads it
  /// For the cost optimum: what one wrong prediction costs, and how many will be made.
  double error_cost = 0;
  index_t predictions = 0;
};

/// As campaign.toml says; one that it does not name is a person of whom nothing is known.
annotator annotator_named(const campaign_settings& settings, const std::string& name);

/// What campaign.toml calls a class; its number where it lists no labels.
std::string class_name(const campaign_settings& settings, std::int32_t number);

/// Reads TOML. `file` is for messages.
/// throws format_error naming line and key: no TOML, a key there is not, a value of another kind or out of
/// range, a tariff by a column and by type, a strategy that cannot be read.
campaign_settings read_settings(const std::string& text, const std::string& file);

/// A commented file that read_settings reads.
std::string example_settings(const std::string& name);

}  // namespace poolwise
