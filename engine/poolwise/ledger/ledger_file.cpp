#include "poolwise/ledger/detail/ledger_file.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <thread>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t application = 0x506f6f6c;  // "Pool"
constexpr auto longest_wait = std::chrono::seconds(30);
constexpr auto between_tries = std::chrono::microseconds(500);

// The events, and the tree over them. Nodes begin at level 6: those below are hashed again when they are asked
// for. `head` tells of a last event that is gone.
constexpr const char* events_schema = R"(
CREATE TABLE events (
  n INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, leaf BLOB NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX events_of_kind ON events (kind, n) WHERE kind NOT IN ('decision', 'label');
CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
  BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;
CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events
  BEGIN SELECT RAISE(ABORT, 'events are never removed'); END;
CREATE TABLE nodes (
  level INTEGER NOT NULL, position INTEGER NOT NULL, root BLOB NOT NULL, PRIMARY KEY (level, position))
  STRICT, WITHOUT ROWID;
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, root BLOB NOT NULL) STRICT;
INSERT INTO head VALUES (1, 0, x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
)";

// Made of the events alone, by `projection`. An item has a row once it was picked, labelled or excluded.
constexpr const char* tables_schema = R"(
CREATE TABLE numbered (
  kind TEXT NOT NULL, number INTEGER NOT NULL, event INTEGER NOT NULL REFERENCES events, PRIMARY KEY (kind, number))
  STRICT, WITHOUT ROWID;
CREATE TABLE tallies (
  id INTEGER PRIMARY KEY, round INTEGER NOT NULL, arm TEXT NOT NULL, picked INTEGER NOT NULL DEFAULT 0,
  labelled INTEGER NOT NULL DEFAULT 0, excluded INTEGER NOT NULL DEFAULT 0, outstanding INTEGER NOT NULL DEFAULT 0,
  cost INTEGER NOT NULL DEFAULT 0, cost_outstanding INTEGER NOT NULL DEFAULT 0,
  label_versions INTEGER NOT NULL DEFAULT 0, label_cost INTEGER NOT NULL DEFAULT 0,
  label_ms INTEGER NOT NULL DEFAULT 0, UNIQUE (round, arm)) STRICT;
CREATE TABLE items (
  item TEXT PRIMARY KEY, tally INTEGER NOT NULL REFERENCES tallies, cost INTEGER NOT NULL,
  decision INTEGER REFERENCES events, label INTEGER REFERENCES events, excluded INTEGER REFERENCES events)
  STRICT, WITHOUT ROWID;
CREATE TABLE labels (
  source TEXT NOT NULL, external TEXT NOT NULL, version INTEGER NOT NULL, event INTEGER NOT NULL REFERENCES events,
  item TEXT NOT NULL REFERENCES items, PRIMARY KEY (source, external, version)) STRICT, WITHOUT ROWID;
CREATE INDEX labels_of_item ON labels (item, event);
)";

// For those who open the file with other programs.
constexpr const char* views_schema = R"(
CREATE VIEW rounds AS SELECT n, at, body ->> 'round' AS round, body ->> 'pool' AS pool, body ->> 'model' AS model,
  body ->> '$.spec.strategy' AS strategy, body ->> 'picks' AS picks, body FROM events WHERE kind = 'round';
CREATE VIEW decisions AS SELECT n, at, body ->> 'round' AS round, body ->> 'rank' AS rank, body ->> 'item' AS item,
  body ->> 'score' AS score, body ->> 'cost' AS cost, body ->> 'arm' AS arm, body ->> 'reason' AS reason, body
  FROM events WHERE kind = 'decision';
CREATE VIEW label_versions AS SELECT n, at, body ->> 'item' AS item, body ->> 'label' AS label,
  body ->> 'source' AS source, body ->> 'external' AS external, body ->> 'version' AS version, body
  FROM events WHERE kind = 'label';
CREATE VIEW evaluations AS SELECT n, at, body ->> 'round' AS round, body FROM events WHERE kind = 'evaluation';
CREATE VIEW verdicts AS SELECT n, at, body ->> 'round' AS round, body ->> 'stop' AS stop, body
  FROM events WHERE kind = 'verdict';
CREATE VIEW notes AS SELECT n, at, body ->> 'text' AS text, body FROM events WHERE kind = 'note';
)";

// An answer is known by its key.
constexpr const char* answers_schema = R"(
CREATE TABLE answers (
  key TEXT PRIMARY KEY, event INTEGER NOT NULL REFERENCES events, item TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO answers SELECT body ->> 'key', min(n), body ->> 'item' FROM events
  WHERE kind = 'answer' AND body ->> 'key' IS NOT NULL GROUP BY 1;
)";

// By number: a file's user_version is how many it has had. A later one that changes a table rebuilds it.
constexpr std::array<std::array<const char*, 3>, 2> migrations = {
    {{events_schema, tables_schema, views_schema}, {answers_schema, "", ""}}};

[[noreturn]] void refuse(const std::string& name, const std::string& why) {
  throw format_error("ledger: " + name + " " + why);
}

// Reads the file's first bytes: SQLite would repair a foreign database that it opens, and so write to it.
void require_ours(const fs::path& file, const std::string& name) {
  constexpr std::string_view magic("SQLite format 3\0", 16);
  constexpr std::size_t header = 100, application_at = 68;
  std::error_code problem;
  const auto status = fs::status(file, problem);
  if (!fs::exists(status))
    throw io_error("ledger: there is no file " + name + "; make the campaign first, or check the path");
  if (!fs::is_regular_file(status))
    throw io_error("ledger: " + name + " is no regular file; name the ledger's");
  std::array<char, header> bytes{};
  std::ifstream in(file, std::ios::binary);
  if (!in) throw io_error("ledger: cannot read " + name + "; check its permissions");
  in.read(bytes.data(), header);
  if (in.gcount() == 0)
    refuse(name, "is empty: its making was interrupted; remove it and make the campaign anew");
  if (in.gcount() < std::streamsize(header) || std::string_view(bytes.data(), magic.size()) != magic)
    refuse(name, "is no ledger but another kind of file; name the ledger's");
  std::int64_t id = 0;
  for (std::size_t i = 0; i < 4; ++i) id = id << 8 | std::uint8_t(bytes[application_at + i]);
  if (id != application) refuse(name, "is another program's database; name the ledger's");
}

// Waits in short steps: a writer lets others in between two changes, for a moment.
int wait_for_others(void* since, int tries) {
  auto& begin = *static_cast<std::chrono::steady_clock::time_point*>(since);
  const auto now = std::chrono::steady_clock::now();
  if (tries == 0) begin = now;
  if (now - begin > longest_wait) return 0;
  std::this_thread::sleep_for(between_tries);
  return 1;
}

void be_patient(SQLite::Database& with) {
  static thread_local std::chrono::steady_clock::time_point begin;
  sqlite3_busy_handler(with.getHandle(), wait_for_others, &begin);
}

void migrate(SQLite::Database& database, std::size_t from) {
  for (std::size_t i = from; i < migrations.size(); ++i)
    for (const char* const part : migrations[i]) database.exec(part);
  database.exec("PRAGMA user_version = " + std::to_string(migrations.size()));
  database.exec("PRAGMA application_id = " + std::to_string(application));
}

std::int64_t asked(SQLite::Database& database, const char* sql) { return database.execAndGet(sql).getInt64(); }

}  // namespace

digest running_statement::hash(int column) {
  digest value{};
  const SQLite::Column found = statement_->getColumn(column);
  if (found.getBytes() != int(value.size()))
    throw format_error("ledger: a hash of " + std::to_string(found.getBytes()) + " bytes; see `verify`");
  std::copy_n(static_cast<const std::uint8_t*>(found.getBlob()), value.size(), value.begin());
  return value;
}

void ledger_file::create(const fs::path& file) {
  const std::string name = printable(file.string());
  const auto taken = [&] {
    return conflict_error("ledger: " + name + " is there already; open it, or name another file");
  };
  std::error_code problem;
  if (fs::exists(file, problem) && (!fs::is_regular_file(file, problem) || fs::file_size(file, problem) != 0))
    throw taken();
  translated(name, [&] {
    SQLite::Database database(file, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    be_patient(database);
    SQLite::Transaction all(database, SQLite::TransactionBehavior::EXCLUSIVE);
    // Another process may have been quicker.
    if (asked(database, "SELECT count(*) FROM sqlite_schema") != 0) throw taken();
    migrate(database, 0);
    all.commit();
  });
}

ledger_file::ledger_file(const fs::path& file, bool may_write)
    : name_(printable(file.string())), database_([&] {
        require_ours(file, name_);
        return translated(name_, [&] { return SQLite::Database(file, SQLite::OPEN_READWRITE); });
      }()) {
  translated(name_, [&] {
    be_patient(database_);
    const std::int64_t version = asked(database_, "PRAGMA user_version");
    if (version == 0)
      refuse(name_, "is no whole ledger: its making was interrupted; remove it and make the campaign anew");
    if (version > std::int64_t(migrations.size()))
      refuse(name_, "was written by a newer Poolwise: its schema is " + std::to_string(version) +
                        ", this one knows " + std::to_string(migrations.size()) + "; use that Poolwise");
    // FULL: a change that was acknowledged outlasts a power cut.
    if (version < std::int64_t(migrations.size())) bring_up_to_date(may_write);
    database_.exec(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema "
        "= OFF;"
        "PRAGMA cache_size = -65536; PRAGMA journal_size_limit = 67108864");
    if (!may_write) database_.exec("PRAGMA query_only = ON");
  });
}

ledger_file::ledger_file()
    : name_("the ledger in memory"), database_("", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE) {
  translated(name_, [&] {
    database_.exec("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536");
    migrate(database_, 0);
  });
}

// Who only reads may do so without: what a later schema adds makes answers quick to find.
void ledger_file::bring_up_to_date(bool may_write) try {
  SQLite::Transaction all(database_, SQLite::TransactionBehavior::IMMEDIATE);
  migrate(database_, std::size_t(asked(database_, "PRAGMA user_version")));
  all.commit();
} catch (const SQLite::Exception&) {
  if (may_write) throw;
}

tree_head head_in(ledger_file& from) {
  auto row = from.ask("SELECT size, root FROM head WHERE one = 1");
  if (!row.next()) throw format_error("ledger: " + from.name() + " has lost its head; see `verify`");
  return {row.number(0), row.hash(1)};
}

event event_at(running_statement& row, int first) {
  return {row.number(first), row.number(first + 1), row.text(first + 2), row.text(first + 3)};
}

void throw_refusal(const SQLite::Exception& problem, const std::string& name) {
  const std::string words = printable(problem.what());
  constexpr int primary = 0xff;
  switch (problem.getErrorCode() & primary) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw conflict_error("ledger: " + name +
                           " is being changed by another process; try again when it is done");
    case SQLITE_FULL:
      throw io_error("ledger: no space is left for " + name +
                     "; free some there, nothing of this was recorded");
    case SQLITE_IOERR:
      throw io_error("ledger: cannot read or write " + name + " (" + words +
                     "); check the space and the device it lies on, nothing of this was recorded");
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      throw io_error("ledger: cannot open or change " + name + " (" + words +
                     "); check its folder and that you may write there");
    case SQLITE_NOMEM:
      throw std::bad_alloc();
    default:
      throw format_error("ledger: " + name + " is damaged (" + words +
                         "); see `verify`, or take a copy that is whole");
  }
}

}  // namespace poolwise
