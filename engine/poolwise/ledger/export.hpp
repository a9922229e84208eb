// A ledger's events, decisions and labels as text, piece by piece: `write` gets whole lines
// (output_file::write).
#pragma once

#include <functional>
#include <limits>
#include <string_view>

#include "poolwise/ledger/tables.hpp"

namespace poolwise {

using line_sink = std::function<void(std::string_view lines)>;

enum class row_format { csv, jsonl };

/// The lines of the events from `from` up to, without, `to`: the leaves of the tree as they are, which
/// docs/verify_ledger.py checks.
void export_events(const tables& from_tables, const line_sink& write, index_t from = 0,
                   index_t to = std::numeric_limits<index_t>::max());

/// All decisions, by round and rank; the bodies of their events with `event`, `at_ms` and, of a label,
/// `current`. CSV (RFC 4180, with a header line) has those keys that every decision or label may have.
void export_decisions(const tables& from_tables, row_format as, const line_sink& write);
void export_labels(const tables& from_tables, versions which, row_format as, const line_sink& write);

}  // namespace poolwise
