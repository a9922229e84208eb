#include "poolwise/ledger/tables.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "poolwise/core/error.hpp"
#include "poolwise/ledger/detail/body.hpp"
#include "poolwise/ledger/detail/ledger_file.hpp"
#include "poolwise/ledger/detail/projection.hpp"

namespace poolwise {
namespace {

using nlohmann::json;

round_entry round_in(const event& of) {
  const json body = body_of(of);
  const auto strategy = body.at("spec").find("strategy");
  return {.event = of.number,
          .at_ms = of.at_ms,
          .round = body.at("round"),
          .pool = body.at("pool"),
          .model = optional_in<index_t>(body, "model"),
          .picks = body.at("picks"),
          .strategy = strategy == body.at("spec").end() ? std::string() : words_of(*strategy),
          .body = of.body};
}

decision decision_in(const event& of) {
  const json body = body_of(of);
  return {.event = of.number,
          .at_ms = of.at_ms,
          .round = body.at("round"),
          .rank = body.at("rank"),
          .item = body.at("item"),
          .row = body.at("row"),
          .score = optional_in<double>(body, "score"),
          .cost = body.at("cost"),
          .group = optional_in<std::string>(body, "group"),
          .arm = body.at("arm"),
          .reason = body.at("reason"),
          .probability = optional_in<double>(body, "probability"),
          .body = of.body};
}

label label_in(const event& of, bool current) {
  const json body = body_of(of);
  return {.event = of.number,
          .at_ms = of.at_ms,
          .item = body.at("item"),
          .text = words_of(body.at("label")),
          .source = body.at("source"),
          .external = body.at("external"),
          .version = body.at("version"),
          .current = current,
          .replaces = optional_in<index_t>(body, "replaces"),
          .by = optional_in<std::string>(body, "by"),
          .why = optional_in<std::string>(body, "why"),
          .seconds = optional_in<double>(body, "seconds"),
          .confidence = optional_in<double>(body, "confidence"),
          .cost = optional_in<std::int64_t>(body, "cost"),
          .body = of.body};
}

// The index of kinds leaves out those of which there are many.
constexpr const char* some_of_kind =
    "SELECT n, at, kind, body FROM events WHERE kind = ? AND kind NOT IN ('decision', 'label') ORDER BY n";
constexpr const char* many_of_kind = "SELECT n, at, kind, body FROM events WHERE kind = ? ORDER BY n";
constexpr const char* last_of_some =
    "SELECT n, at, kind, body FROM events WHERE kind = ? AND kind NOT IN ('decision', 'label') ORDER BY n DESC "
    "LIMIT 1";
constexpr const char* last_of_many =
    "SELECT n, at, kind, body FROM events WHERE kind = ? ORDER BY n DESC LIMIT 1";

bool is_many(const std::string& kind) { return kind == "decision" || kind == "label"; }

}  // namespace

tally& tally::operator+=(const tally& more) {
  picked += more.picked;
  labelled += more.labelled;
  excluded += more.excluded;
  outstanding += more.outstanding;
  cost += more.cost;
  cost_outstanding += more.cost_outstanding;
  label_versions += more.label_versions;
  label_cost += more.label_cost;
  label_ms += more.label_ms;
  return *this;
}

tree_head tables::head() const {
  return translated(in_->name(), [&] { return head_in(*in_); });
}

event tables::at(index_t number) const {
  return translated(in_->name(), [&] {
    auto row = in_->ask("SELECT n, at, kind, body FROM events WHERE n = ?", number);
    if (!row.next())
      throw value_error("ledger: there is no event " + std::to_string(number) + "; there are " +
                        std::to_string(size()) + ", counted from 0");
    return event_at(row);
  });
}

void tables::each_event(index_t from, index_t to, const std::function<void(const event&)>& visit) const {
  translated(in_->name(), [&] {
    auto row = in_->ask("SELECT n, at, kind, body FROM events WHERE n >= ? AND n < ? ORDER BY n", from, to);
    while (row.next()) visit(event_at(row));
  });
}

void tables::each_of(const std::string& kind, const std::function<void(const event&)>& visit) const {
  translated(in_->name(), [&] {
    auto row = in_->ask(is_many(kind) ? many_of_kind : some_of_kind, kind);
    while (row.next()) visit(event_at(row));
  });
}

std::optional<event> tables::latest(const std::string& kind) const {
  return translated(in_->name(), [&] {
    auto row = in_->ask(is_many(kind) ? last_of_many : last_of_some, kind);
    return row.next() ? std::optional(event_at(row)) : std::nullopt;
  });
}

std::vector<tally> tables::tallies() const {
  return translated(in_->name(), [&] {
    std::vector<tally> all;
    auto row = in_->ask(
        "SELECT round, arm, picked, labelled, excluded, outstanding, cost, cost_outstanding, label_versions, "
        "label_cost, label_ms FROM tallies ORDER BY round, arm");
    while (row.next())
      all.push_back({row.number(0), row.text(1), row.number(2), row.number(3), row.number(4), row.number(5),
                     row.number(6), row.number(7), row.number(8), row.number(9), row.number(10)});
    return all;
  });
}

ledger_counts tables::counts() const {
  ledger_counts result{.events = size(), .rounds = 0, .total = {}, .by_arm = {}};
  for (const tally& one : tallies()) {
    result.total += one;
    if (one.round == 0) continue;
    auto arm = std::find_if(result.by_arm.begin(), result.by_arm.end(),
                            [&](const tally& a) { return a.arm == one.arm; });
    if (arm == result.by_arm.end()) arm = result.by_arm.insert(arm, tally{.arm = one.arm});
    *arm += one;
  }
  translated(in_->name(), [&] {
    auto row = in_->ask("SELECT count(*) FROM numbered WHERE kind = 'round'");
    if (row.next()) result.rounds = row.number(0);
  });
  return result;
}

std::vector<round_entry> tables::rounds() const {
  std::vector<round_entry> all;
  each_of("round", [&](const event& one) { all.push_back(round_in(one)); });
  return all;
}

std::optional<round_entry> tables::round(index_t number) const {
  const std::optional<index_t> found = translated(in_->name(), [&] {
    auto row = in_->ask("SELECT event FROM numbered WHERE kind = 'round' AND number = ?", number);
    return row.next() ? row.event_number(0) : std::nullopt;
  });
  return found ? std::optional(round_in(at(*found))) : std::nullopt;
}

void tables::each_decision(const round_entry& of, const std::function<void(const decision&)>& visit) const {
  each_event(of.event + 1, of.event + 1 + of.picks, [&](const event& one) { visit(decision_in(one)); });
}

bool tables::unavailable(const std::string& item) const {
  return translated(in_->name(), [&] { return in_->ask("SELECT 1 FROM items WHERE item = ?", item).next(); });
}

index_t tables::unavailable_items() const {
  return translated(in_->name(), [&] {
    auto row = in_->ask("SELECT count(*) FROM items");
    return row.next() ? row.number(0) : 0;
  });
}

void tables::each_unavailable(const std::function<void(const unavailable_item&)>& visit, index_t before) const {
  // A label that others replaced may be the only one of before.
  constexpr const char* first_label =
      "SELECT item, decision < ?1, iif(label < ?1, 1, label IS NOT NULL AND EXISTS (SELECT 1 FROM labels WHERE "
      "labels.item = items.item AND event < ?1)), excluded < ?1 FROM items ORDER BY item";
  translated(in_->name(), [&] {
    auto row = in_->ask(first_label, before);
    while (row.next()) {
      const unavailable_item one{row.view(0), row.number(1) != 0, row.number(2) != 0, row.number(3) != 0};
      if (one.picked || one.labelled || one.excluded) visit(one);
    }
  });
}

item_record tables::item_now(const std::string& id) const {
  return translated(in_->name(), [&] {
    item_record found{.item = id, .decision = {}, .label = {}, .excluded = {}, .labels = {}};
    auto row = in_->ask("SELECT decision, label, excluded FROM items WHERE item = ?", id);
    if (row.next()) {
      found.decision = row.event_number(0);
      found.label = row.event_number(1);
      found.excluded = row.event_number(2);
    }
    return found;
  });
}

item_record tables::item(const std::string& id) const {
  item_record found = item_now(id);
  return translated(in_->name(), [&] {
    auto version = in_->ask("SELECT event FROM labels WHERE item = ? ORDER BY event", id);
    while (version.next()) found.labels.push_back(version.number(0));
    return found;
  });
}

void tables::each_label(versions which, const std::function<void(const label&)>& visit) const {
  translated(in_->name(), [&] {
    auto row = in_->ask(which == versions::current
                            ? "SELECT n, at, kind, body, 1 FROM items JOIN events ON n = label ORDER BY item"
                            : "SELECT n, at, kind, body, items.label = n FROM labels JOIN events ON n = event "
                              "JOIN items USING (item) ORDER BY event");
    while (row.next()) visit(label_in(event_at(row), row.number(4) != 0));
  });
}

std::optional<index_t> tables::label_event(const std::string& source, const std::string& external,
                                           std::int64_t version) const {
  const auto found = translated(in_->name(), [&] { return label_of(*in_, source, external, version); });
  return found ? std::optional(found->event) : std::nullopt;
}

std::optional<index_t> tables::answer_event(const std::string& key) const {
  return translated(in_->name(), [&] { return answer_of(*in_, key); });
}

}  // namespace poolwise
