// Who has which item before them: work that is lent for a time, in the order in which it was picked.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

struct lease {
  std::string item;
  std::int64_t until_ms = 0;

  friend bool operator==(const lease&, const lease&) = default;
};

/// What an answer came to.
enum class answer_is {
  wanted,   ///< one of those that the item asks for
  again,    ///< by somebody who has answered it before
  surplus,  ///< all were there; nothing is lost, and nobody was asked twice by it
  unknown   ///< there is no such item
};

/// Lends items to people, first those that were added first. No more people hold or have answered an item than
/// it asks for, unless a lease ran out and its answer came late. Nobody gets an item that they have answered or
/// skipped.
///
/// It sees no clock: every call says what time it is, and time never goes backwards here. Equal calls make
/// equal books, so that a book is made again from what was recorded of it.
class lease_book {
 public:
  /// overlap  how many people answer an item, from 1;  term_ms  how long a lease lasts.
  lease_book(index_t overlap, std::int64_t term_ms) : overlap_(overlap), term_ms_(term_ms) {}

  /// Behind all others. An item that is known stays where it is.
  void add(const std::string& item);
  /// Nobody is asked about it from now on: it was ruled out, or labelled elsewhere.
  void close(const std::string& item);

  /// Up to `count` items of one person: those held already, whose leases begin anew, and then others.
  /// O(log items) each, and the items passed over because the person knows them.
  std::vector<lease> take(const std::string& person, index_t count, std::int64_t now_ms);
  /// The same lease again, as it was recorded.
  void grant(const std::string& person, const lease& lent);

  /// The item goes to others; `skipped`: and never back to this person. False where it was not held.
  bool give_back(const std::string& person, const std::string& item, bool skipped);

  /// Ends the lease, if it is still there.
  answer_is answer(const std::string& person, const std::string& item);

  /// The answer is no more: somebody is asked again, unless the item is closed.
  void withdraw(const std::string& person, const std::string& item);
  /// After `close`.
  void reopen(const std::string& item);

  /// Ends leases whose time is over. `take` does so, too.
  void expire(std::int64_t now_ms);

  bool holds(const std::string& person, const std::string& item) const;
  /// Also where the lease has ended.
  bool was_lent(const std::string& person, const std::string& item) const;
  bool knows(const std::string& item) const { return place_of_.count(item) != 0; }
  std::vector<lease> held_by(const std::string& person) const;
  index_t leases() const { return index_t(ends_.size()); }
  index_t waiting() const { return index_t(open_.size()); }  ///< items that somebody could be asked about now
  index_t unfinished() const { return unfinished_; }         ///< items that lack an answer
  index_t overlap() const { return overlap_; }

 private:
  struct entry {
    std::string item;
    bool closed = false;
    std::map<std::string, std::int64_t> held = {};  // by whom, until when
    std::set<std::string> lent = {}, answered = {}, skipped = {};
  };

  std::optional<std::size_t> place_of(const std::string& item) const;
  bool finished(const entry& one) const { return one.closed || index_t(one.answered.size()) >= overlap_; }
  void count_unfinished(std::size_t place, bool was_finished);
  void settle(std::size_t place);
  void end_lease(const std::string& person, std::size_t place);

  index_t overlap_;
  std::int64_t term_ms_, clock_ms_ = 0;
  std::vector<entry> entries_;
  std::unordered_map<std::string, std::size_t> place_of_;
  std::set<std::size_t> open_;
  std::map<std::string, std::set<std::size_t>> held_by_;
  std::set<std::tuple<std::int64_t, std::size_t, std::string>> ends_;
  index_t unfinished_ = 0;
};

}  // namespace poolwise
