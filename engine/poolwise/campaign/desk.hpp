// The desk at which people label: what each is given, what becomes of an answer, and who may change a label.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "poolwise/campaign/leases.hpp"
#include "poolwise/campaign/settings.hpp"
#include "poolwise/ledger/tables.hpp"

namespace poolwise {

/// An answer as a page sends it. `key` is made by the page: what is sent twice is recorded once.
struct desk_answer {
  std::string key, by, item, label;
  double seconds = 0;
  std::optional<double> confidence = {};
  std::string why = {};
};

/// What came of a request: events to record, in this order, unless it was known before.
struct desk_outcome {
  std::vector<new_event> events = {};
  std::string state = "recorded";     ///< recorded, known, surplus, agreed or conflict
  std::optional<index_t> event = {};  ///< of a request that was recorded before
};

/// A label that somebody wants to be another, until another person has decided.
struct label_proposal {
  index_t event = 0;
  std::int64_t at_ms = 0;
  std::string item, before, label, by, why;
  index_t replaces = 0;  ///< the event of the label before
};

struct given_answer {
  std::string by, label;
  index_t event = 0;
};

/// An item that was handed out.
struct desk_item {
  index_t round = 0, rank = 0;
  std::string slice, type;
  std::optional<std::int32_t> predicted;
  std::optional<double> confidence;
  std::string label, by;  ///< as it is now; empty: none
  std::optional<index_t> label_event = {};
  std::vector<given_answer> answers = {};
  std::vector<std::pair<std::string, std::string>> flags = {};  ///< by whom, why
  bool in_conflict = false, reviewed = false;
  std::optional<index_t> proposal = {};  ///< that is open
};

/// What one person did.
struct desk_person {
  index_t labels = 0, skipped = 0, flagged = 0, changed = 0;
  index_t compared = 0, agreed = 0;  ///< answers beside one of another person, and those that are the same
  std::int64_t last_ms = 0;
  std::deque<double> seconds = {};     ///< of the last 200 answers
  std::deque<std::string> items = {};  ///< the last 20 answered, the newest last
  std::optional<double> median_seconds() const;
};

/// It is made of the ledger's events alone (`follow`): a server that was killed goes on where the ledger ends.
/// Requests look, and say what is to be recorded; `fold` is told each event once it is certain, or once it is
/// on its way. It sees no clock.
///
///     lease     who, until, items          handed to a person, until then
///     returned  who, items, skipped, why   given back
///     answer    item, label, by, key       of an item that asks several people, or that had all it asked for
///     label     as ever; source `page` with the key as `external`, or `review`
///     flag      item, by, key, why
///     proposal  item, before, label, replaces, by, why, key
///     withdrawn item, by, replaces?        an answer, and the label with it, that is no more
///     ruling    proposal, approve, by, why, key
class desk {
 public:
  explicit desk(const campaign_settings& settings);

  /// Folds what was recorded since.
  void follow(const tables& seen);
  void fold(const event& recorded);
  index_t followed() const { return followed_; }

  /// At most 100 items, in the order in which they were picked, the person's own first.
  desk_outcome take(const std::string& person, index_t count, std::int64_t now_ms);
  /// Items that the person does not hold are passed over.
  desk_outcome give_back(const std::string& person, const std::vector<std::string>& items, bool skipped,
                         const std::string& why);
  /// throws usage_error for an item that was never handed out; value_error for no label, or one that
  /// campaign.toml does not list; conflict_error in regulated mode for another label than before.
  desk_outcome answer(const desk_answer& given);
  desk_outcome flag(const std::string& key, const std::string& by, const std::string& item,
                    const std::string& why);
  /// throws value_error without a reason, or where it is the label already; conflict_error where the item has
  /// an open proposal.
  desk_outcome propose(const desk_answer& wanted);
  /// throws value_error where it is the proposer's own, or without a reason; conflict_error where the label is
  /// another by now.
  desk_outcome rule(const std::string& key, const std::string& by, index_t proposal, bool approve,
                    const std::string& why);
  /// Settles an item whose answers differ. throws as propose.
  desk_outcome adjudicate(const desk_answer& decided);

  const lease_book& leases() const { return book_; }
  const desk_item* item(const std::string& id) const;
  const std::unordered_map<std::string, desk_item>& items() const { return items_; }
  const std::map<index_t, label_proposal>& proposals() const { return proposals_; }
  std::vector<std::string> conflicts() const { return {conflicts_.begin(), conflicts_.end()}; }
  const std::vector<std::string>& flagged() const { return flagged_; }
  const std::map<std::string, desk_person>& people() const { return people_; }
  index_t guideline() const { return guideline_; }
  index_t rounds() const { return rounds_; }

 private:
  std::optional<desk_outcome> known(const std::string& key) const;
  desk_item& handed_out(const std::string& id);
  void require_label(const std::string& label) const;
  void add_answer(const std::string& item, given_answer one, std::int64_t at_ms, std::optional<double> seconds);
  void fold_withdrawn(const std::string& id, const std::string& by, bool with_label);
  void look_for_conflict(const std::string& id, desk_item& item);
  void fold_label(const event& recorded);
  void fold_decision(const event& recorded);
  void fold_other(const event& recorded);

  campaign_settings settings_;
  lease_book book_;
  index_t followed_ = 0, guideline_ = 0, rounds_ = 0;
  std::unordered_map<std::string, desk_item> items_;
  std::unordered_map<std::string, index_t> keys_;
  std::map<index_t, label_proposal> proposals_;  // that are open
  std::set<std::string> conflicts_;
  std::vector<std::string> flagged_;
  std::map<std::string, desk_person> people_;
};

/// In regulated mode no label becomes another but by a `ruling` in the same change, by another person and with
/// a reason, on a `proposal` that was recorded before. Every change of a campaign's ledger is looked at. throws
/// conflict_error that names the item.
void require_reviewed(const tables& seen, const std::vector<new_event>& events);

}  // namespace poolwise
