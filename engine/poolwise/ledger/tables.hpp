// Views of a ledger's events, typed and read-only.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "poolwise/ledger/event.hpp"
#include "poolwise/ledger/merkle.hpp"

namespace poolwise {

class ledger_file;

/// Sums over the items that one arm of one round picked. Round 0, without an arm, holds the items that were
/// labelled or excluded and never picked. Costs are in the campaign's smallest unit.
struct tally {
  index_t round = 0;
  std::string arm = {};
  index_t picked = 0, labelled = 0, excluded = 0;  ///< items
  index_t outstanding = 0;                         ///< picked, neither labelled nor excluded
  std::int64_t cost = 0;                           ///< of all picks, as the round foresaw it
  std::int64_t cost_outstanding = 0;               ///< the part of it that is outstanding
  index_t label_versions = 0;                      ///< labels, those included that were replaced
  std::int64_t label_cost = 0;                     ///< as those say that have a cost
  std::int64_t label_ms = 0;                       ///< as those say that have a time

  tally& operator+=(const tally& more);
};

struct ledger_counts {
  index_t events = 0, rounds = 0;
  tally total;
  std::vector<tally> by_arm;  ///< their round is 0
};

struct round_entry {
  index_t event = 0;
  std::int64_t at_ms = 0;
  index_t round = 0, pool = 0;
  std::optional<index_t> model;
  index_t picks = 0;
  std::string strategy;  ///< of its spec
  std::string body;
};

struct decision {
  index_t event = 0;
  std::int64_t at_ms = 0;
  index_t round = 0, rank = 0;
  std::string item;
  index_t row = 0;
  std::optional<double> score;
  std::int64_t cost = 0;
  std::optional<std::string> group;
  std::string arm, reason;
  std::optional<double> probability;
  std::string body;
};

struct label {
  index_t event = 0;
  std::int64_t at_ms = 0;
  std::string item, text, source, external;
  std::int64_t version = 0;
  bool current = false;
  std::optional<index_t> replaces;  ///< an event
  std::optional<std::string> by, why;
  std::optional<double> seconds, confidence;
  std::optional<std::int64_t> cost;
  std::string body;
};

enum class versions { current, all };

/// What is known of one item: the numbers of events.
struct item_record {
  std::string item;
  std::optional<index_t> decision, label, excluded;  ///< `label`: the current one
  std::vector<index_t> labels;                       ///< all versions
};

/// An item that was picked, labelled or excluded.
struct unavailable_item {
  std::string_view item;
  bool picked = false, labelled = false, excluded = false;
};

/// What a ledger holds at one moment, for as long as the call lasts that it was passed to (ledger::read,
/// ledger::change). Each list comes in the order of its events unless it says otherwise. All throw format_error
/// where the file is damaged, io_error where it cannot be read.
class tables {
 public:
  tree_head head() const;
  index_t size() const { return head().size; }

  event at(index_t number) const;  ///< throws value_error past the end
  /// Of the events from `from` up to, without, `to`, or the end.
  void each_event(index_t from, index_t to, const std::function<void(const event&)>& visit) const;
  void each_of(const std::string& kind, const std::function<void(const event&)>& visit) const;
  std::optional<event> latest(const std::string& kind) const;

  /// O(rounds).
  ledger_counts counts() const;
  std::vector<tally> tallies() const;  ///< by round, then by arm
  std::vector<round_entry> rounds() const;
  std::optional<round_entry> round(index_t number) const;
  /// Of one round, by rank.
  void each_decision(const round_entry& of, const std::function<void(const decision&)>& visit) const;

  /// Whether an item was picked, labelled or excluded. O(log items).
  bool unavailable(const std::string& item) const;
  index_t unavailable_items() const;
  /// All that the events before number `before` made unavailable.
  void each_unavailable(const std::function<void(const unavailable_item&)>& visit,
                        index_t before = std::numeric_limits<index_t>::max()) const;
  item_record item(const std::string& id) const;
  /// The same without the versions of its label. For those who ask of many.
  item_record item_now(const std::string& id) const;

  /// Current labels come by their items' bytes.
  void each_label(versions which, const std::function<void(const label&)>& visit) const;
  /// The event of the label that has this key.
  std::optional<index_t> label_event(const std::string& source, const std::string& external,
                                     std::int64_t version) const;
  /// The event of the answer that has this key.
  std::optional<index_t> answer_event(const std::string& key) const;

 private:
  friend class ledger;
  explicit tables(ledger_file& in) : in_(&in) {}

  ledger_file* in_;
};

}  // namespace poolwise
