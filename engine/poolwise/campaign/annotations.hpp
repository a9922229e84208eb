// Annotations from other tools on their way into the ledger: every version of each, several people an item.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/campaign/campaign.hpp"
#include "poolwise/campaign/ingest.hpp"

namespace poolwise {

/// What one person says of one item in another tool, as it stands there now.
struct annotation {
  index_t line = 0;  ///< of the file, or the number of the task, from 1
  std::string external, item;
  std::string label;                    ///< empty: skipped, or left without an answer
  std::optional<std::int64_t> version;  ///< rises with each change; none: a change is told by its label
  std::string by, why;                  ///< why there is no label
  std::optional<double> seconds;
  std::string refused = {};  ///< why it cannot be read: it is there, and what was recorded of it stands
};

struct annotation_batch {
  std::string source;
  std::vector<annotation> all;
  /// Whether these are all that the tool has of those whose `external` begins with `within`: others that are
  /// recorded were deleted there.
  bool whole = false;
  std::string within;
  bool strict = false, overrule = false;  ///< as of ingest_request
};

struct recorded_annotations {
  index_t read = 0, added = 0, changed = 0;  ///< versions recorded, and those of them that followed another
  index_t withdrawn = 0;                     ///< answers that are no more, or were skipped
  index_t known = 0;                         ///< recorded before
  index_t labels = 0;                        ///< items that got a label, or another one
  index_t waiting = 0;                       ///< items that lack answers, by [labelling] overlap
  index_t proposed = 0;                      ///< changes of labels that a review is to decide
  std::vector<std::string> disputed;         ///< items whose answers differ, none of them ahead
  std::vector<refused_label> refused;
};

/// Records what is new, in one change of the ledger; to do it again records nothing. Each version of an
/// annotation is an event for good,
///
///     answer     item, label, by, source, external, version, seconds?, guideline?, key
///     withdrawn  of one that was deleted or skipped
///
/// and what the answers that stand say of an item is its label: the one that most of them give, once there are
/// as many as [labelling] overlap asks for. Of a tie nothing becomes a label; where all are withdrawn, an item
/// that had its label from here waits for one again. With [labelling] regulated no label becomes another: a
/// proposal is recorded, for somebody to rule on.
///
/// throws usage_error without a source; value_error under `strict`, naming the first that is refused: those of
/// items that are not in the pool, with labels that campaign.toml does not list, with another label under a
/// version that is recorded, or of items with another label from elsewhere.
recorded_annotations record_annotations(campaign& of, const annotation_batch& batch, std::int64_t now_ms);

}  // namespace poolwise
