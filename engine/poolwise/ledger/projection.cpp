#include "poolwise/ledger/detail/projection.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

using nlohmann::json;

constexpr std::size_t shown = 80;

std::string quoted(const std::string& text) { return "'" + printable(text, shown) + "'"; }

const std::string& text_of(const json& body, const char* key) {
  return body.at(key).get_ref<const std::string&>();
}

std::int64_t number_of(const json& body, const char* key) { return body.at(key).get<std::int64_t>(); }

/// 0 where there is none.
template <class Number>
Number number_or_none(const json& body, const char* key) {
  const auto found = body.find(key);
  return found == body.end() || found->is_null() ? Number(0) : found->get<Number>();
}

}  // namespace

struct projection::item_row {
  bool exists = false;
  std::int64_t tally = 0, cost = 0;
  std::optional<index_t> decision, label, excluded;
};

std::optional<index_t> current_label(ledger_file& in, const std::string& item) {
  auto row = in.ask("SELECT label FROM items WHERE item = ?", item);
  return row.next() ? row.event_number(0) : std::nullopt;
}

std::optional<keyed_label> label_of(ledger_file& in, const std::string& source, const std::string& external,
                                    std::int64_t version) {
  auto row = in.ask("SELECT event, item FROM labels WHERE source = ? AND external = ? AND version = ?", source,
                    external, version);
  if (!row.next()) return std::nullopt;
  return keyed_label{row.number(0), row.text(1)};
}

std::optional<index_t> answer_of(ledger_file& in, const std::string& key) {
  auto row = in.ask("SELECT event FROM answers WHERE key = ?", key);
  return row.next() ? std::optional(row.number(0)) : std::nullopt;
}

void projection::apply(const event& next, const json& body) {
  if ((next.number == 0) != (next.kind == "campaign"))
    throw value_error(next.number == 0
                          ? "ledger: the first event is a `" + next.kind + "`; it must be a `campaign`"
                          : "ledger: a second `campaign` event; a ledger is of one campaign");
  if (next.kind == "decision") return add_decision(next, body);
  require_whole_round();
  if (next.kind == "label") return add_label(next, body);
  if (next.kind == "withdrawn") return add_withdrawn(body);
  if (next.kind == "excluded") return add_excluded(next, body);
  if (next.kind == "pool") return add_numbered(next, body, "version");
  if (next.kind == "answer")
    return into_.tell("INSERT INTO answers VALUES (?, ?, ?) ON CONFLICT DO NOTHING", text_of(body, "key"),
                      next.number, text_of(body, "item"));
  if (next.kind == "aggregate") return add_numbered(next, body, "aggregate");
  if (next.kind == "guideline") return add_numbered(next, body, "guideline");
  if (next.kind == "model") {
    require_recorded("pool", body);
    return add_numbered(next, body, "model");
  }
  if (next.kind == "round") return add_round(next, body);
}

void projection::require_whole_round() const {
  if (next_rank_ <= picks_)
    throw value_error("ledger: round " + std::to_string(round_) + " says " + std::to_string(picks_) +
                      " picks and has " + std::to_string(next_rank_ - 1) +
                      " decisions; let as many follow it in the same change");
}

void projection::finish() {
  require_whole_round();
  for (const auto& [id, more] : sums_)
    into_.tell(
        "UPDATE tallies SET picked = picked + ?, labelled = labelled + ?, excluded = excluded + ?, "
        "outstanding = outstanding + ?, cost = cost + ?, cost_outstanding = cost_outstanding + ?, "
        "label_versions = label_versions + ?, label_cost = label_cost + ?, label_ms = label_ms + ? WHERE id = "
        "?",
        more.picked, more.labelled, more.excluded, more.outstanding, more.cost, more.cost_outstanding,
        more.label_versions, more.label_cost, more.label_ms, id);
  sums_.clear();
}

void projection::add_numbered(const event& next, const json& body, const char* key) {
  const std::int64_t number = number_of(body, key);
  auto last = into_.ask("SELECT max(number) FROM numbered WHERE kind = ?", next.kind);
  const std::int64_t due = (last.next() ? last.number(0) : 0) + 1;
  if (number != due)
    throw conflict_error("ledger: " + next.kind + " " + std::to_string(number) + " cannot be recorded, " +
                         std::to_string(due) + " is next; look at the ledger again");
  into_.tell("INSERT INTO numbered VALUES (?, ?, ?)", next.kind, number, next.number);
}

void projection::require_recorded(const char* kind, const json& body) {
  const auto number = number_or_none<std::int64_t>(body, kind);
  const std::string of = kind;
  if (number != 0 && !into_.ask("SELECT 1 FROM numbered WHERE kind = ? AND number = ?", of, number).next())
    throw value_error("ledger: there is no " + of + " " + std::to_string(number) + "; record it first");
}

void projection::add_round(const event& next, const json& body) {
  require_recorded("pool", body);
  require_recorded("model", body);
  add_numbered(next, body, "round");
  round_ = number_of(body, "round");
  picks_ = number_of(body, "picks");
  next_rank_ = 1;
  tally_ = 0;
}

std::int64_t projection::tally_of(index_t round, const std::string& arm) {
  into_.tell("INSERT INTO tallies (round, arm) VALUES (?, ?) ON CONFLICT DO NOTHING", round, arm);
  auto row = into_.ask("SELECT id FROM tallies WHERE round = ? AND arm = ?", round, arm);
  row.next();
  return row.number(0);
}

projection::item_row projection::row_of(const std::string& item) {
  auto row = into_.ask("SELECT tally, cost, decision, label, excluded FROM items WHERE item = ?", item);
  if (!row.next()) return {};
  return {true, row.number(0), row.number(1), row.event_number(2), row.event_number(3), row.event_number(4)};
}

void projection::add_decision(const event& next, const json& body) {
  const std::int64_t round = number_of(body, "round"), rank = number_of(body, "rank"),
                     cost = number_of(body, "cost");
  const std::string &item = text_of(body, "item"), &arm = text_of(body, "arm");
  if (round != round_ || rank != next_rank_ || rank > picks_)
    throw value_error(
        "ledger: decision " + std::to_string(rank) + " of round " + std::to_string(round) +
        " does not follow its round; record a round and then its decisions, by rank, in one change");
  if (tally_ == 0 || arm != arm_) {
    tally_ = tally_of(round, arm);
    arm_ = arm;
  }
  if (const item_row known = row_of(item); known.exists)
    throw conflict_error("ledger: item " + quoted(item) + " cannot be picked, because it is " +
                         (known.decision ? "picked"
                          : known.label  ? "labelled"
                                         : "excluded") +
                         " already; query again");
  into_.tell("INSERT INTO items (item, tally, cost, decision) VALUES (?, ?, ?, ?)", item, tally_, cost,
             next.number);
  sums_[tally_] += {.picked = 1, .outstanding = 1, .cost = cost, .cost_outstanding = cost};
  ++next_rank_;
}

void projection::add_label(const event& next, const json& body) {
  const std::string& item = text_of(body, "item");
  const std::int64_t version = number_of(body, "version");
  item_row known = row_of(item);
  const bool first = !known.label;
  const auto replaces = body.find("replaces");
  if (replaces != body.end() && known.label != replaces->get<index_t>())
    throw conflict_error("ledger: the label of " + quoted(item) + " is " +
                         (first ? "none" : "event " + std::to_string(*known.label)) + " and not event " +
                         std::to_string(replaces->get<index_t>()) + "; look at the ledger again");
  if (!known.exists) {
    known.tally = tally_of(0, {});
    into_.tell("INSERT INTO items (item, tally, cost, label) VALUES (?, ?, 0, ?)", item, known.tally,
               next.number);
  } else if (first || replaces != body.end()) {
    into_.tell("UPDATE items SET label = ? WHERE item = ?", next.number, item);
  }
  into_.tell("INSERT INTO labels VALUES (?, ?, ?, ?, ?)", text_of(body, "source"), text_of(body, "external"),
             version, next.number, item);
  leave_outstanding(known);
  sums_[known.tally] += {.labelled = first,
                         .label_versions = 1,
                         .label_cost = number_or_none<std::int64_t>(body, "cost"),
                         .label_ms = std::llround(number_or_none<double>(body, "seconds") * 1000)};
}

void projection::add_withdrawn(const json& body) {
  const auto ended = body.find("replaces");
  if (ended == body.end()) return;
  const std::string& item = text_of(body, "item");
  const item_row known = row_of(item);
  if (!known.label || *known.label != ended->get<index_t>())
    throw conflict_error("ledger: event " + std::to_string(ended->get<index_t>()) + " is not the label of " +
                         quoted(item) + "; look at the ledger again");
  if (!known.decision)
    throw value_error("ledger: the label of " + quoted(item) +
                      " cannot be withdrawn, because no round picked it; exclude it, or label it anew");
  into_.tell("UPDATE items SET label = NULL WHERE item = ?", item);
  sums_[known.tally] += {.labelled = -1};
  if (!known.excluded) sums_[known.tally] += {.outstanding = 1, .cost_outstanding = known.cost};
}

void projection::leave_outstanding(const item_row& known) {
  if (known.decision && !known.label && !known.excluded)
    sums_[known.tally] += {.outstanding = -1, .cost_outstanding = -known.cost};
}

void projection::add_excluded(const event& next, const json& body) {
  for (const json& one : body.at("items")) {
    const std::string& item = one.get_ref<const std::string&>();
    item_row known = row_of(item);
    if (known.excluded) continue;
    if (!known.exists) {
      known.tally = tally_of(0, {});
      into_.tell("INSERT INTO items (item, tally, cost, excluded) VALUES (?, ?, 0, ?)", item, known.tally,
                 next.number);
    } else {
      into_.tell("UPDATE items SET excluded = ? WHERE item = ?", next.number, item);
    }
    leave_outstanding(known);
    sums_[known.tally] += {.excluded = 1};
  }
}

}  // namespace poolwise
