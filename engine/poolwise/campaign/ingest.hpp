// Labels on their way from files into the ledger.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "poolwise/campaign/campaign.hpp"

namespace poolwise {

/// Answers are what several annotators say of an item, of which labels are made; gold is what is known to be
/// right.
enum class ingested_as { labels, answers, gold };

struct ingest_request {
  std::filesystem::path file;  ///< CSV or JSONL, also by gzip or from a pipe
  std::string source;          ///< who the labels come from: a tool, a company
  ingested_as as = ingested_as::labels;
  bool strict = false;    ///< all lines or none
  bool overrule = false;  ///< a label takes the place of another source's
};

struct refused_label {
  index_t line = 0;
  std::string why;
};

struct ingested {
  index_t lines = 0;
  index_t added = 0, replaced = 0;  ///< labels recorded, and those of them that took another's place
  index_t known = 0;                ///< recorded before, by source, external id and version
  std::vector<refused_label> refused;
};

/// Records the labels of a file. Columns: `item` (or what campaign.toml calls the id) and `label`; as there
/// are, `external` (the source's own id of the answer; standard: the item), `version` (a whole number that
/// rises with each correction; standard 1), `by`, `seconds`, `confidence` (0 to 1), `cost` (whole, in the
/// campaign's unit), `why`, and `guideline` (the version that it was labelled by; standard: the newest).
///
/// A label is known by source, external id and version: to ingest a file twice changes nothing. Lines that
/// cannot be read, items that are not in the pool, labels that campaign.toml does not list, numbers out of
/// range, a label for an item that has another from elsewhere: each is refused with its reason and the others
/// are recorded, or none with `strict`.
///
/// Answers have the same columns, and are known by source, external id (standard: the item and who answered),
/// and version; `by` is who answered (standard: the source), and `cost` is the annotator's price in
/// campaign.toml where the file has none. Any number of answers about an item go in. Gold needs `item` and
/// `label` alone: the last one of an item counts.
///
/// throws io_error; format_error where the file is no table of such columns; value_error under `strict`, naming
/// the first line refused.
ingested ingest(campaign& of, const ingest_request& request, std::int64_t now_ms);

/// "line,reason" and the lines.
std::string refused_csv(const std::vector<refused_label>& refused);

}  // namespace poolwise
