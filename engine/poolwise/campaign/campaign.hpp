// A campaign of labelling: a folder with what it is to reach, its ledger, and what was handed out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/campaign/items.hpp"
#include "poolwise/campaign/records.hpp"
#include "poolwise/campaign/settings.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/ledger/ledger.hpp"

namespace poolwise {

/// What was spent so far: by the rounds as they were handed out.
struct spending {
  std::int64_t money = 0, seconds = 0;
  index_t items = 0;
};

/// FOLDER/campaign.toml says what the campaign is to reach and may spend; FOLDER/campaign.db, the ledger, holds
/// all that has happened, and FOLDER/rounds/0007/batch.csv what was handed out, which can be made again. No
/// function here looks at a clock: the caller says what time it is, in milliseconds since 1970.
///
/// Each of its verbs is one change of the ledger: it is recorded whole or not at all, and two processes that
/// query at a time hand out different items.
class campaign {
 public:
  /// Makes the folder, unless it is there, a campaign.toml, unless one is there, and the ledger. `settings` is
  /// the text of campaign.toml; empty: a commented example.
  /// throws conflict_error where there is a ledger already, or a campaign.toml beside `settings`; format_error
  /// for settings that cannot be read.
  static campaign init(const std::filesystem::path& folder, const std::string& settings, std::int64_t now_ms);

  /// throws usage_error where the folder holds no ledger; as read_settings and ledger::open do.
  static campaign open(const std::filesystem::path& folder, access how = access::read_write);

  const std::filesystem::path& folder() const { return folder_; }
  /// As campaign.toml says now. A change of it is recorded with the next change of the ledger.
  const campaign_settings& settings() const { return settings_; }
  const ledger& log() const { return ledger_; }

  /// The newest version of the pool. throws usage_error where there is none.
  pool_version pool() const;
  /// items_of it by the settings, read once.
  const item_table& items(const pool_version& pool);

  /// A version of the pool, from now on the one that is picked from.
  /// items  a file as read_items reads it; empty: items are called by their numbers
  /// arrays  embeddings, queries and private rows, if any strategy is to use them
  /// throws shape_error where items and arrays are not as many; usage_error for a pool of neither.
  /// Reads the files for their digests, but for arrays that were read before and have not changed.
  struct added_pool {
    pool_version pool;
    index_t gone = 0;  ///< items that were picked, labelled or ruled out before, and are not in it
  };
  added_pool add_pool(const std::string& items, std::vector<part_file> arrays, std::int64_t now_ms);

  /// Items that must never be picked, and why.
  void exclude(const std::vector<std::string>& items, const std::string& why, std::int64_t now_ms);
  void note(const std::string& text, const std::string& by, std::int64_t now_ms);
  /// Rounds and labels that come after name its version.
  void set_guideline(const std::string& text, std::int64_t now_ms);

  /// Records events, a change of the settings first if there is one. `decide` sees the tables as they are then.
  /// In regulated mode throws as require_reviewed.
  std::vector<index_t> record(std::int64_t now_ms,
                              const std::function<std::vector<new_event>(const tables&)>& decide,
                              backward_clock backwards = backward_clock::refuse);

  spending spent() const;

 private:
  campaign(std::filesystem::path folder, ledger log, std::string settings_text);

  std::filesystem::path folder_;
  ledger ledger_;
  std::string settings_text_;
  campaign_settings settings_;
  std::optional<std::pair<index_t, item_table>> items_;  // of one version of the pool
};

/// The items of a version of the pool, priced as the settings say. throws value_error where the file of items
/// is not what it was; as read_items does.
item_table items_of(const pool_version& pool, const campaign_settings& settings);

/// The version of the newest guideline; 0 where there is none.
index_t latest_guideline(const tables& seen);

/// The ledger, and the settings, of a folder.
std::filesystem::path ledger_of(const std::filesystem::path& folder);
std::filesystem::path settings_of(const std::filesystem::path& folder);

}  // namespace poolwise
