// The ledger of a campaign: one SQLite file of events that are added to and never changed.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/ledger/event.hpp"
#include "poolwise/ledger/merkle.hpp"
#include "poolwise/ledger/tables.hpp"

namespace poolwise {

enum class access { read, read_write };

/// A clock may go backwards, by a repair or on another machine: the change is refused, or takes the time of the
/// event before it.
enum class backward_clock { refuse, keep_last };

/// Of ledger::verify.
struct verification {
  bool sound = true;
  std::optional<index_t> event;  ///< the first bad one, where it is known
  std::string why;               ///< one line
  tree_head head;                ///< of the events as they are; of those before the bad one
};

/// Events under a hash tree, and tables that are made of the events alone. A ledger is used by one thread at a
/// time; other threads and processes open it themselves.
///
/// Readers never wait. A change waits for another one, up to 30 seconds; then, or where an error of the system
/// ends it, nothing of it is recorded. All throw io_error where the system refuses, such as for lack of space;
/// format_error where the file is damaged; conflict_error after those 30 seconds.
class ledger {
 public:
  /// A new file, without an event. throws conflict_error if there is one.
  static ledger create(const std::filesystem::path& file);

  /// throws io_error for no file; format_error, and writes nothing, for one that is none of a campaign, or that
  /// a newer Poolwise made.
  static ledger open(const std::filesystem::path& file, access how = access::read_write);

  ledger(ledger&&) noexcept;
  ledger& operator=(ledger&&) noexcept;
  ~ledger();

  /// One change: all of its events or none, safe on disk when this returns.
  ///
  /// decide  runs inside the write lock and sees the tables as they then are, so that two processes never hand
  ///         out one item twice. Whoever else changes the ledger waits for it: what takes long is computed
  ///         before, from a `read`, and only checked here. Some 20,000 events at a time keep waits short.
  /// now_ms  since 1970 UTC, the time of all of them.
  /// returns the number of each event in the order given. A label whose (source, external, version) is recorded
  ///         with the same item and label is not recorded again: its number is that of the first. So it is
  ///         with an answer whose key is recorded with the same item, label and annotator.
  ///
  /// A label of an item that has one gets `replaces`, the event of the current one, unless it is an older
  /// version of the same (source, external): that is kept, and not current.
  ///
  /// throws value_error for what `canonical_body` refuses; a clock that went backwards; a first event that is
  /// no `campaign`, or another one that is; decisions that are not those of the round before them; a pool or
  /// model that is not recorded. conflict_error, after which it is worth to look again and decide anew, for a
  /// decision about an item that is unavailable; a round, pool version, model or guideline that is not the
  /// next; a label or answer whose key is recorded with another item or label; `replaces` that is not the
  /// current label. Some 15 microseconds an event, and one wait for the disk.
  std::vector<index_t> change(std::int64_t now_ms,
                              const std::function<std::vector<new_event>(const tables&)>& decide,
                              backward_clock backwards = backward_clock::refuse);

  /// ask(tables) sees one moment, whatever is recorded meanwhile. Returns what `ask` returns.
  template <class Ask>
  auto read(Ask&& ask) const {
    const moment fixed(*this);
    return ask(fixed.seen());
  }

  tree_head head() const;

  /// That event `number` is in the ledger. At 10^7 events 24 hashes, in less than a millisecond.
  inclusion_proof prove(index_t number) const;
  /// That the first `to` events begin with the first `from`.
  consistency_proof prove_extension(index_t from, index_t to) const;

  /// Reads everything: each event against its hash, the hashes against the tree, the tables against what the
  /// events make again, the file against SQLite's own check.
  /// known  a head that was kept elsewhere: a ledger that was cut short before it, or that has another history,
  ///        is found by it and by nothing else.
  verification verify(const std::optional<tree_head>& known = std::nullopt) const;

  /// Makes the tables again from the events.
  void rebuild();

 private:
  struct state;
  explicit ledger(std::unique_ptr<state> opened);

  /// While it lives, reads see one state of the file.
  class moment {
   public:
    explicit moment(const ledger& of);
    ~moment();
    moment(const moment&) = delete;
    moment& operator=(const moment&) = delete;
    const tables& seen() const;

   private:
    const ledger& of_;
  };

  std::unique_ptr<state> state_;
};

}  // namespace poolwise
