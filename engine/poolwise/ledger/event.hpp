// One event of a campaign, and the line of text that stands for it for ever.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// What is to be recorded. `body` is the text of a JSON object.
struct new_event {
  std::string kind, body;
};

/// What is recorded. The body is canonical: no spaces, keys sorted, numbers as short as they read back.
struct event {
  index_t number = 0;      ///< from 0, without a gap
  std::int64_t at_ms = 0;  ///< since 1970 UTC, never less than the event before
  std::string kind, body;

  friend bool operator==(const event&, const event&) = default;
};

/// {"n":17,"at":1767225600123,"kind":"label","body":{...}}: the leaf of the ledger's tree, without a line feed.
std::string line_of(const event& recorded);

/// The event whose line this is. throws format_error for any other text.
event event_in(std::string_view line);

/// The canonical body of what is to be recorded.
///
/// Kinds are 1 to 40 of a-z, 0-9 and `_`. Those that the ledger knows must have their keys, of the right type
/// and range; other keys, and other kinds, are kept as they are:
///
///     campaign   name, settings, version: text                   the first event, and no other
///     settings   settings: text
///     pool       version from 1 up, rows, parts: array
///     model      model from 1 up, pool, parts: array
///     guideline  guideline from 1 up, text
///     round      round from 1 up, pool, spec: object, picks; as many decisions follow it in the same change
///     decision   round, rank from 1, item, row, score: number or null, cost, arm, reason: text; probability?
///     excluded   items: array of text, why: text
///     label      item, label, source, external: text, version: integer; by?, why?: text, seconds?,
///     confidence?,
///                cost?, replaces?
///     answer     item, label, by, key: text; why?: text, seconds?, confidence?, cost?; guideline? from 1 up
///     withdrawn  item, source, external: text, version: integer; by?, why?: text, replaces?: an answer that is
///                no more; with `replaces`, the item's current label ends, and it waits for one again
///     gold       item, label; why?: text               what is known to be right, and tells who is
///     aggregate  aggregate from 1 up, method: text, events: how many events it was made of
///     evaluation round            verdict  round, stop: boolean, rules: array            note  text
///
/// A cost is a whole number of the campaign's smallest unit, from 0 to 10^12. Seconds are from 0 to 10^9. An
/// item is text that is not empty. throws value_error that names the kind and the key.
std::string canonical_body(const new_event& given);

}  // namespace poolwise
