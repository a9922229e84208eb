// The SQLite file of a ledger: its schema, its statements, its errors. Not part of the public interface.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "poolwise/ledger/event.hpp"
#include "poolwise/ledger/merkle.hpp"

namespace poolwise {

/// A statement that runs, with what it asks for bound in order: numbers, text, digests.
class running_statement {
 public:
  using idle_list = std::vector<std::unique_ptr<SQLite::Statement>>;

  template <class... Values>
  running_statement(std::unique_ptr<SQLite::Statement> one, idle_list& home, const Values&... values)
      : statement_(std::move(one)), home_(home) {
    int place = 0;
    (bind(++place, values), ...);
  }
  ~running_statement() {
    statement_->tryReset();
    home_.push_back(std::move(statement_));
  }
  running_statement(const running_statement&) = delete;
  running_statement& operator=(const running_statement&) = delete;

  bool next() { return statement_->executeStep(); }
  bool is_null(int column) { return statement_->getColumn(column).isNull(); }
  std::int64_t number(int column) { return statement_->getColumn(column).getInt64(); }
  std::string text(int column) { return statement_->getColumn(column).getString(); }
  /// Valid until the next row.
  std::string_view view(int column) {
    const SQLite::Column found = statement_->getColumn(column);
    const char* const text = found.getText();
    return {text, std::size_t(found.getBytes())};
  }
  digest hash(int column);  ///< throws format_error where it has not 32 bytes
  std::optional<index_t> event_number(int column) {
    return is_null(column) ? std::nullopt : std::optional<index_t>(number(column));
  }
  SQLite::Statement& raw() { return *statement_; }

 private:
  void bind(int place, std::int64_t value) { statement_->bind(place, value); }
  void bind(int place, const std::string& value) { statement_->bindNoCopy(place, value); }
  void bind(int place, const digest& value) { statement_->bindNoCopy(place, value.data(), int(value.size())); }

  std::unique_ptr<SQLite::Statement> statement_;
  idle_list& home_;
};

class ledger_file {
 public:
  /// A new file, or an empty one. throws conflict_error.
  static void create(const std::filesystem::path& file);
  /// An existing file. throws format_error for one that is no ledger, before anything is written.
  ledger_file(const std::filesystem::path& file, bool may_write);
  /// A ledger of no event that nobody else sees.
  ledger_file();

  /// Bound values must live until the statement has run.
  template <class... Values>
  running_statement ask(const char* sql, const Values&... values) {
    running_statement::idle_list& idle = idle_[sql];
    if (idle.empty()) idle.push_back(std::make_unique<SQLite::Statement>(database_, sql));
    auto one = std::move(idle.back());
    idle.pop_back();
    return running_statement(std::move(one), idle, values...);
  }

  /// Of a statement that gives no rows.
  template <class... Values>
  void tell(const char* sql, const Values&... values) {
    ask(sql, values...).next();
  }

  SQLite::Database& database() { return database_; }
  const std::string& name() const { return name_; }

 private:
  void bring_up_to_date(bool may_write);

  std::string name_;
  SQLite::Database database_;
  // By the address of the text, which is a literal. A statement in use is not in its list.
  std::unordered_map<const char*, running_statement::idle_list> idle_;
};

/// Of the nodes that the file holds: those below are made again of the events' hashes.
constexpr int lowest_node_level = 6;

/// The head of the tree, as it is written beside the events.
tree_head head_in(ledger_file& from);

/// The columns n, at, kind, body, from `first` on.
event event_at(running_statement& row, int first = 0);

/// Says in our words what SQLite refused about the file `name`.
[[noreturn]] void throw_refusal(const SQLite::Exception& problem, const std::string& name);

template <class Call>
auto translated(const std::string& name, Call&& call) {
  try {
    return call();
  } catch (const SQLite::Exception& problem) {
    throw_refusal(problem, name);
  }
}

}  // namespace poolwise
