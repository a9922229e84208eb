#include "poolwise/ledger/detail/verify.hpp"

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/ledger/detail/body.hpp"
#include "poolwise/ledger/detail/projection.hpp"

namespace poolwise {
namespace {

/// What was found first.
struct fault {
  std::optional<index_t> event;
  std::string why;
};

/// The events, one after the other, and what must follow from them.
class history {
 public:
  history(ledger_file& file, ledger_file& made, const std::optional<tree_head>& known)
      : file_(file), tables_(made), known_(known) {
    compare_with_known();
  }

  void add(const event& next, const digest& leaf) {
    const index_t due = tree_.size();
    if (next.number != due) throw fault{due, "event " + std::to_string(due) + " is missing"};
    if (next.at_ms < last_ms_) throw fault{due, "it is older than the event before it"};
    last_ms_ = next.at_ms;
    if (leaf_digest(line_of(next)) != leaf)
      throw fault{due, "its text is not the one that its hash was made of"};
    tables_.apply(next, body_of(next));
    tree_.add(leaf, [&](int level, index_t position, const digest& root) {
      if (level < lowest_node_level) return;
      ++nodes_;
      if (!holds_node(level, position, root))
        throw fault{position << level, "node " + std::to_string(position) + " of level " +
                                           std::to_string(level) +
                                           " of the tree is not that of the events from this one on"};
    });
    compare_with_known();
  }

  void finish() {
    tables_.finish();
    const tree_head written = head_in(file_), head = tree_.head();
    if (head.size != written.size)
      throw fault{head.size, "the ledger ends here, and its head says that it has " +
                                 std::to_string(written.size) + " events"};
    if (head.root != written.root) throw fault{std::nullopt, "the head is not that of the events"};
    auto row = file_.ask("SELECT count(*) FROM nodes");
    row.next();
    if (row.number(0) != nodes_) throw fault{std::nullopt, "the tree has nodes that no events belong to"};
    if (known_ && known_->size > head.size)
      throw fault{head.size, "the ledger was cut short: the head that was kept is of " +
                                 std::to_string(known_->size) + " events"};
  }

  const growing_tree& tree() const { return tree_; }

 private:
  bool holds_node(int level, index_t position, const digest& root) {
    auto row =
        file_.ask("SELECT root FROM nodes WHERE level = ? AND position = ?", std::int64_t(level), position);
    return row.next() && row.hash(0) == root;
  }

  void compare_with_known() const {
    if (known_ && known_->size == tree_.size() && known_->root != tree_.head().root)
      throw fault{std::nullopt, "it has another history: its first " + std::to_string(known_->size) +
                                    " events are not those of the head that was kept"};
  }

  ledger_file& file_;
  projection tables_;
  std::optional<tree_head> known_;
  growing_tree tree_;
  std::int64_t last_ms_ = 0;
  index_t nodes_ = 0;
};

struct table_rows {
  const char *name, *sql;
};
constexpr table_rows made_of_events[] = {
    {"numbered", "SELECT * FROM numbered ORDER BY kind, number"},
    {"items", "SELECT * FROM items ORDER BY item"},
    {"answers", "SELECT * FROM answers ORDER BY key"},
    {"labels", "SELECT * FROM labels ORDER BY source, external, version"},
    {"tallies", "SELECT * FROM tallies ORDER BY id"},
};
// The same tables, indices, triggers and views, too. SQLite keeps some of its own.
constexpr table_rows schema = {
    "schema",
    "SELECT name, type, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"};

bool same(running_statement& a, running_statement& b) {
  for (int c = 0; c < a.raw().getColumnCount(); ++c) {
    const SQLite::Column x = a.raw().getColumn(c), y = b.raw().getColumn(c);
    if (x.getType() != y.getType() || x.getString() != y.getString()) return false;
  }
  return true;
}

std::optional<index_t> event_in(running_statement& row) {
  static const std::set<std::string> names = {"event", "decision", "label", "excluded"};
  for (int c = 0; c < row.raw().getColumnCount(); ++c)
    if (names.contains(row.raw().getColumnName(c)) && row.raw().getColumn(c).isInteger()) return row.number(c);
  return std::nullopt;
}

void compare(ledger_file& file, ledger_file& made, const table_rows& table) {
  auto is = file.ask(table.sql), should_be = made.ask(table.sql);
  for (;;) {
    const bool more = is.next(), due = should_be.next();
    if (!more && !due) return;
    if (more && due && same(is, should_be)) continue;
    running_statement& shown = due ? should_be : is;
    throw fault{event_in(shown), std::string("the table ") + table.name +
                                     " is not what the events make: at the row '" +
                                     printable(shown.text(0), 80) + "'"};
  }
}

void check_pages(ledger_file& file) {
  auto row = file.ask("PRAGMA integrity_check(1)");
  if (row.next() && row.text(0) != "ok")
    throw fault{std::nullopt, "SQLite finds the file damaged: " + printable(row.text(0))};
}

}  // namespace

verification verify_file(ledger_file& file, const std::optional<tree_head>& known) {
  verification result;
  ledger_file made;
  std::optional<history> past;
  try {
    past.emplace(file, made, known);
    made.database().exec("BEGIN");
    auto row = file.ask("SELECT n, at, kind, body, leaf FROM events ORDER BY n");
    try {
      while (row.next()) past->add(event_at(row), row.hash(4));
      past->finish();
    } catch (const std::exception& problem) {
      throw fault{past->tree().size(), printable(problem.what())};
    }
    for (const table_rows& table : made_of_events) compare(file, made, table);
    compare(file, made, schema);
    check_pages(file);
  } catch (const fault& first) {
    result.sound = false;
    result.event = first.event;
    result.why = "ledger: " + file.name() + (first.event ? ", event " + std::to_string(*first.event) : "") +
                 ": " + first.why;
  } catch (const std::exception& problem) {
    result.sound = false;
    result.why = "ledger: " + file.name() + ": " + printable(problem.what());
  }
  if (past) result.head = past->tree().head();
  return result;
}

}  // namespace poolwise
