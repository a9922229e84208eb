#include "poolwise/ledger/ledger.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/ledger/detail/body.hpp"
#include "poolwise/ledger/detail/ledger_file.hpp"
#include "poolwise/ledger/detail/projection.hpp"
#include "poolwise/ledger/detail/verify.hpp"

namespace poolwise {
namespace {

using nlohmann::json;

/// From the file's nodes, and below those from the hashes of up to 32 events.
digest root_in(ledger_file& file, int level, index_t position) {
  if (level >= lowest_node_level) {
    auto row =
        file.ask("SELECT root FROM nodes WHERE level = ? AND position = ?", std::int64_t(level), position);
    if (!row.next())
      throw format_error("ledger: " + file.name() + " has lost node " + std::to_string(position) +
                         " of level " + std::to_string(level) + "; see `verify`");
    return row.hash(0);
  }
  const index_t begin = position << level, end = (position + 1) << level;
  growing_tree tree;
  auto row = file.ask("SELECT leaf FROM events WHERE n >= ? AND n < ? ORDER BY n", begin, end);
  while (row.next()) tree.add(row.hash(0), {});
  if (tree.size() != end - begin)
    throw format_error("ledger: " + file.name() + " has lost one of the events " + std::to_string(begin) +
                       " to " + std::to_string(end - 1) + "; see `verify`");
  return tree.head().root;
}

subtree_root roots_in(ledger_file& file) {
  return [&file](int level, index_t position) { return root_in(file, level, position); };
}

/// The events of one change on their way into the file.
class recording {
 public:
  recording(ledger_file& into, std::int64_t now_ms, backward_clock backwards)
      : file_(into), tables_(into), tree_(tree_of(head_in(into).size, roots_in(into))), at_ms_(now_ms) {
    auto row = file_.ask("SELECT at FROM events WHERE n = ?", tree_.size() - 1);
    const std::int64_t last = row.next() ? row.number(0) : 0;
    if (now_ms >= last) return;
    if (backwards == backward_clock::refuse)
      throw value_error("ledger: the clock went backwards: it is " + std::to_string(now_ms) +
                        " ms since 1970, and the event before is of " + std::to_string(last) +
                        "; set the clock right, or say that the time of that event is to be kept");
    at_ms_ = last;
  }

  index_t add(const new_event& given) {
    json body = parsed_body(given);
    if (given.kind == "label")
      if (const auto known = settle(body)) return *known;
    if (given.kind == "answer")
      if (const auto known = same_answer(body)) return *known;
    const event next{tree_.size(), at_ms_, given.kind, body.dump()};
    const digest leaf = leaf_digest(line_of(next));
    file_.tell("INSERT INTO events (n, at, kind, leaf, body) VALUES (?, ?, ?, ?, ?)", next.number, next.at_ms,
               next.kind, leaf, next.body);
    tree_.add(leaf, [&](int level, index_t position, const digest& root) {
      if (level >= lowest_node_level)
        file_.tell("INSERT INTO nodes VALUES (?, ?, ?)", std::int64_t(level), position, root);
    });
    tables_.apply(next, body);
    return next.number;
  }

  void finish() {
    tables_.finish();
    const tree_head head = tree_.head();
    file_.tell("UPDATE head SET size = ?, root = ? WHERE one = 1", head.size, head.root);
  }

 private:
  /// The event that has this label already; else the label is told which one it replaces.
  std::optional<index_t> settle(json& body) {
    const std::string &source = body["source"].get_ref<const std::string&>(),
                      &external = body["external"].get_ref<const std::string&>(),
                      &item = body["item"].get_ref<const std::string&>();
    const auto version = body["version"].get<std::int64_t>();
    if (const auto same = label_of(file_, source, external, version)) {
      if (same->item == item && recorded_body(same->event)["label"] == body["label"]) return same->event;
      throw conflict_error("ledger: version " + std::to_string(version) + " of label '" +
                           printable(external, 80) + "' of " + printable(source, 80) + " is event " +
                           std::to_string(same->event) +
                           ", with another item or label; give it the next version");
    }
    const auto current = current_label(file_, item);
    if (!current || body.contains("replaces")) return std::nullopt;
    const json before = recorded_body(*current);
    const bool is_older = before["source"] == source && before["external"] == external &&
                          before["version"].get<std::int64_t>() > version;
    if (!is_older) body["replaces"] = *current;
    return std::nullopt;
  }

  /// The event that has this answer already.
  std::optional<index_t> same_answer(const json& body) {
    const std::string& key = body["key"].get_ref<const std::string&>();
    const auto known = answer_of(file_, key);
    if (!known) return std::nullopt;
    const json before = recorded_body(*known);
    if (before["item"] == body["item"] && before["label"] == body["label"] && before["by"] == body["by"])
      return known;
    throw conflict_error("ledger: answer '" + printable(key, 80) + "' is event " + std::to_string(*known) +
                         ", with another item, label or annotator; give a correction a key of its own");
  }

  json recorded_body(index_t number) {
    auto row = file_.ask("SELECT n, at, kind, body FROM events WHERE n = ?", number);
    if (!row.next())
      throw format_error("ledger: " + file_.name() + " has lost event " + std::to_string(number));
    return body_of(event_at(row));
  }

  ledger_file& file_;
  projection tables_;
  growing_tree tree_;
  std::int64_t at_ms_;
};

}  // namespace

struct ledger::state {
  state(const std::filesystem::path& name, access how) : file(name, how == access::read_write), seen(file) {}

  ledger_file file;
  tables seen;
  int depth = 0;  // of reads within each other, or within a change
};

namespace {

/// A write lock, and its end: recorded or not.
class writing {
 public:
  writing(ledger_file& file, int& depth) : file_(file), depth_(depth) {
    if (depth != 0) throw usage_error("ledger: a change inside a read or a change; make it after that");
    file.database().exec("BEGIN IMMEDIATE");
    ++depth_;
  }
  ~writing() {
    --depth_;
    if (!committed_) file_.database().tryExec("ROLLBACK");
  }
  writing(const writing&) = delete;
  writing& operator=(const writing&) = delete;

  void commit() {
    file_.database().exec("COMMIT");
    committed_ = true;
  }

 private:
  ledger_file& file_;
  int& depth_;
  bool committed_ = false;
};

}  // namespace

ledger::ledger(std::unique_ptr<state> opened) : state_(std::move(opened)) {}
ledger::ledger(ledger&&) noexcept = default;
ledger& ledger::operator=(ledger&&) noexcept = default;
ledger::~ledger() = default;

ledger ledger::create(const std::filesystem::path& file) {
  ledger_file::create(file);
  return open(file);
}

ledger ledger::open(const std::filesystem::path& file, access how) {
  return ledger(std::make_unique<state>(file, how));
}

std::vector<index_t> ledger::change(std::int64_t now_ms,
                                    const std::function<std::vector<new_event>(const tables&)>& decide,
                                    backward_clock backwards) {
  // Another process that waits tries every half of a millisecond: it must find the lock free for once.
  constexpr auto longest_pause = std::chrono::microseconds(5000);
  std::chrono::steady_clock::time_point begin;
  std::vector<index_t> numbers;
  translated(state_->file.name(), [&] {
    writing lock(state_->file, state_->depth);
    begin = std::chrono::steady_clock::now();
    const std::vector<new_event> events = decide(state_->seen);
    if (events.empty()) return;
    recording record(state_->file, now_ms, backwards);
    numbers.reserve(events.size());
    for (const new_event& one : events) numbers.push_back(record.add(one));
    record.finish();
    lock.commit();
  });
  const auto held =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
  std::this_thread::sleep_for(std::min(held / 10, longest_pause));
  return numbers;
}

ledger::moment::moment(const ledger& of) : of_(of) {
  state& in = *of_.state_;
  if (in.depth == 0)
    translated(in.file.name(), [&] {
      in.file.database().exec("BEGIN");
      in.file.ask("SELECT n FROM events LIMIT 1").next();  // the moment is that of the first read
    });
  ++in.depth;
}

ledger::moment::~moment() {
  state& in = *of_.state_;
  if (--in.depth == 0) in.file.database().tryExec("COMMIT");
}

const tables& ledger::moment::seen() const { return of_.state_->seen; }

tree_head ledger::head() const {
  return read([](const tables& now) { return now.head(); });
}

inclusion_proof ledger::prove(index_t number) const {
  return read([&](const tables& now) {
    const event proven = now.at(number);
    const tree_head head = now.head();
    return translated(state_->file.name(), [&] {
      return inclusion_proof{line_of(proven), number, head,
                             inclusion_path(number, head.size, roots_in(state_->file))};
    });
  });
}

consistency_proof ledger::prove_extension(index_t from, index_t to) const {
  return read([&](const tables& now) {
    if (from < 0 || from > to || to > now.size())
      throw value_error("ledger: no extension from " + std::to_string(from) + " to " + std::to_string(to) +
                        " events; pass two numbers that rise, up to " + std::to_string(now.size()));
    return translated(state_->file.name(), [&] {
      const subtree_root roots = roots_in(state_->file);
      return consistency_proof{tree_of(from, roots).head(), tree_of(to, roots).head(),
                               consistency_path(from, to, roots)};
    });
  });
}

verification ledger::verify(const std::optional<tree_head>& known) const {
  return read([&](const tables&) { return verify_file(state_->file, known); });
}

void ledger::rebuild() {
  translated(state_->file.name(), [&] {
    writing lock(state_->file, state_->depth);
    for (const char* const table : {"answers", "labels", "items", "tallies", "numbered"})
      state_->file.database().exec("DELETE FROM " + std::string(table));
    projection again(state_->file);
    state_->seen.each_event(0, std::numeric_limits<index_t>::max(),
                            [&](const event& one) { again.apply(one, body_of(one)); });
    again.finish();
    lock.commit();
  });
}

}  // namespace poolwise
