// What annotators said, as a long table: an answer a line.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// One answer of one annotator. It is no label yet: several may be asked about an item, and a label comes of
/// what all of them say.
struct answer {
  std::string item, annotator, label;
  std::optional<double> confidence;  ///< as the annotator says, 0 to 1
  std::optional<double> seconds;
  std::optional<std::int64_t> cost;  ///< in the campaign's smallest unit
  index_t guideline = 0;             ///< the version that it was made under; 0: there was none
  std::int64_t at_ms = 0;            ///< since 1970 UTC
  bool is_label = false;             ///< recorded as a label, whose cost and time count there
  index_t event = 0;                 ///< of the ledger
};

/// Answers by numbers. Entry k of each column is of answer k.
struct answer_columns {
  std::vector<std::string> items, annotators, labels;  ///< their names, each once
  std::vector<std::int32_t> item, annotator, label;    ///< places in those

  index_t size() const { return index_t(item.size()); }
};

/// Numbers of answers: items and annotators in the order in which they first come, labels as `labels` lists
/// them, then in the order in which they first come. Of several answers of one annotator about one item the
/// last counts.
answer_columns columns_of(std::span<const answer> answers, std::span<const std::string> labels = {});

}  // namespace poolwise
