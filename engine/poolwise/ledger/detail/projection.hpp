// How the tables come of the events. Not part of the public interface.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "poolwise/ledger/detail/ledger_file.hpp"
#include "poolwise/ledger/tables.hpp"

namespace poolwise {

/// Writes into the tables of `into` what each event means, one after the other: of a change, or of all. The
/// same events make the same tables.
class projection {
 public:
  explicit projection(ledger_file& into) : into_(into) {}

  /// throws value_error, conflict_error where the event cannot come after those before it.
  void apply(const event& next, const nlohmann::json& body);
  /// A change ends here, and the sums are written. throws value_error where decisions of its round are missing.
  void finish();

 private:
  struct item_row;

  void require_whole_round() const;
  void leave_outstanding(const item_row& known);

  void add_numbered(const event& next, const nlohmann::json& body, const char* key);
  void add_round(const event& next, const nlohmann::json& body);
  void add_decision(const event& next, const nlohmann::json& body);
  void add_label(const event& next, const nlohmann::json& body);
  void add_withdrawn(const nlohmann::json& body);
  void add_excluded(const event& next, const nlohmann::json& body);
  void require_recorded(const char* kind, const nlohmann::json& body);
  std::int64_t tally_of(index_t round, const std::string& arm);
  item_row row_of(const std::string& item);

  ledger_file& into_;
  // Decisions that the last round still waits for.
  index_t round_ = 0, picks_ = 0, next_rank_ = 1;
  std::string arm_;                     // of the last decision
  std::int64_t tally_ = 0;              // its id
  std::map<std::int64_t, tally> sums_;  // by the tally's id: what is to be added
};

/// The event of the current label of `item`, and of a label with this key with its item: nothing where there is
/// none.
std::optional<index_t> current_label(ledger_file& in, const std::string& item);
struct keyed_label {
  index_t event = 0;
  std::string item;
};
std::optional<keyed_label> label_of(ledger_file& in, const std::string& source, const std::string& external,
                                    std::int64_t version);
/// The event of the answer that has this key.
std::optional<index_t> answer_of(ledger_file& in, const std::string& key);

}  // namespace poolwise
