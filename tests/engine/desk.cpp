// Leases and the desk: against a slow book, under kills and clock jumps, and who may change a label.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "poolwise/campaign/campaign.hpp"
#include "poolwise/campaign/desk.hpp"
#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

using json = nlohmann::json;

/// The same promises, by looking at everything each time.
struct slow_book {
  struct entry {
    std::string item;
    std::map<std::string, std::int64_t> held;
    std::set<std::string> answered, skipped;
    bool closed = false;
  };
  std::vector<entry> entries;
  index_t overlap;
  std::int64_t term, clock = 0;

  bool finished(const entry& one) const { return one.closed || index_t(one.answered.size()) >= overlap; }
  std::vector<lease> take(const std::string& who, index_t count, std::int64_t now) {
    expire(now);
    std::vector<entry*> chosen;
    for (entry& one : entries)
      if (one.held.count(who) != 0 && index_t(chosen.size()) < count) chosen.push_back(&one);
    index_t held = 0;
    for (const entry& one : entries) held += index_t(one.held.count(who));
    index_t more = count - held;
    std::vector<lease> lent;
    for (entry& one : entries) {
      const bool mine = std::find(chosen.begin(), chosen.end(), &one) != chosen.end();
      const bool free = !finished(one) && index_t(one.answered.size() + one.held.size()) < overlap &&
                        one.answered.count(who) + one.skipped.count(who) + one.held.count(who) == 0;
      if (!mine && !(free && more-- > 0)) continue;
      one.held[who] = clock + term;
      lent.push_back({one.item, clock + term});
    }
    return lent;
  }
  void expire(std::int64_t now) {
    clock = std::max(clock, now);
    for (entry& one : entries) std::erase_if(one.held, [&](const auto& by) { return by.second <= clock; });
  }
  void answer(const std::string& who, std::size_t place) {
    entries[place].held.erase(who);
    entries[place].answered.insert(who);
    if (finished(entries[place])) entries[place].held.clear();
  }
};

std::string person(std::size_t k) { return std::string(1, char('a' + k)); }

TEST(Leases, EqualASlowBookThatLooksAtEverything) {
  for (const index_t overlap : {1, 2, 3}) {
    std::mt19937_64 random(std::uint64_t(40 + overlap));
    lease_book book(overlap, 100);
    slow_book slow{.entries = {}, .overlap = overlap, .term = 100};
    for (int i = 0; i < 60; ++i) {
      book.add("i" + std::to_string(i));
      book.add("i" + std::to_string(i));  // twice is once
      slow.entries.push_back({.item = "i" + std::to_string(i), .held = {}, .answered = {}, .skipped = {}});
    }
    std::int64_t now = 1000;
    for (int step = 0; step < 1500; ++step) {
      now += std::int64_t(random() % 40) - 10;  // the clock of a machine that is set back now and then
      const std::string who = person(random() % 5);
      const std::size_t place = random() % 60;
      const std::string item = slow.entries[place].item;
      switch (random() % 5) {
        case 0:
        case 1: {
          const index_t count = index_t(random() % 6);
          ASSERT_EQ(book.take(who, count, now), slow.take(who, count, now)) << step;
          break;
        }
        case 2:
          if (step % 3 == 0) {
            book.answer(who, item);
            slow.answer(who, place);
          }
          break;
        case 3: {
          const bool skipped = random() % 8 == 0, held = slow.entries[place].held.count(who) != 0;
          ASSERT_EQ(book.give_back(who, item, skipped), held);
          if (held && skipped) slow.entries[place].skipped.insert(who);
          slow.entries[place].held.erase(who);
          break;
        }
        default:
          book.expire(now);
          slow.expire(now);
          if (step % 50 != 0) break;
          book.close(item);
          slow.entries[place].closed = true;
          slow.entries[place].held.clear();
      }
      index_t leases = 0, unfinished = 0;
      for (const auto& one : slow.entries) {
        leases += index_t(one.held.size());
        unfinished += slow.finished(one) ? 0 : 1;
        ASSERT_EQ(book.holds(who, one.item), one.held.count(who) != 0);
      }
      ASSERT_EQ(book.leases(), leases);
      ASSERT_EQ(book.unfinished(), unfinished);
    }
    EXPECT_EQ(book.answer("a", "nothing"), answer_is::unknown);
  }
}

campaign_settings asking(index_t overlap, bool regulated = false) {
  campaign_settings settings;
  settings.labels = {"boot", "shoe"};
  settings.labelling.overlap = overlap;
  settings.labelling.regulated = regulated;
  return settings;
}

/// A desk beside the list of all that was recorded, as a ledger keeps it.
struct recorded_desk {
  explicit recorded_desk(campaign_settings how) : settings(std::move(how)), open(settings) {}

  void record(const std::vector<new_event>& events) {
    for (const new_event& one : events) {
      log.push_back({index_t(log.size()), now, one.kind, one.body});
      open.fold(log.back());
    }
  }
  index_t last() const { return index_t(log.size()) - 1; }
  void hand_out(index_t count) {
    for (index_t i = 1; i <= count; ++i)
      record({{"decision", json{{"round", 1}, {"rank", i}, {"item", "i" + std::to_string(i)}}.dump()}});
  }
  /// What is not recorded is gone.
  void kill() {
    open = desk(settings);
    for (const event& one : log) open.fold(one);
  }

  campaign_settings settings;
  desk open;
  std::vector<event> log;
  std::int64_t now = 1'000'000;
};

/// People who take, label, give back and vanish, on a server that is killed before or after it has recorded,
/// and whose pages send again what was not acknowledged.
void label_under_kills(index_t items, index_t overlap, index_t steps, index_t kill_every) {
  recorded_desk at(asking(overlap));
  at.hand_out(items);
  std::mt19937_64 random(7);
  struct page {
    std::vector<desk_answer> unsent;
  };
  std::map<std::string, page> pages;
  index_t keys = 0, events = 0;
  const auto send = [&](page& from, bool heard) {
    if (from.unsent.empty()) return;
    at.record(at.open.answer(from.unsent.front()).events);
    if (heard) from.unsent.erase(from.unsent.begin());
  };
  const index_t people = overlap + 7;
  while (events < steps || at.open.leases().unfinished() > 0) {
    ++events;
    at.now += std::int64_t(random() % 3000);
    if (random() % 5000 == 0) at.now += 20 * 60'000;  // everybody is at lunch
    const std::string who = person(random() % std::size_t(people));
    page& mine = pages[who];
    const auto kind = random() % 20;
    if (kind < 4) {
      at.record(at.open.take(who, 3, at.now).events);
      index_t before = 0;
      for (const lease& one : at.open.leases().held_by(who)) {
        const index_t rank = at.open.item(one.item)->rank;
        ASSERT_LT(before, rank);
        before = rank;
      }
    } else if (kind < 12) {
      const auto held = at.open.leases().held_by(who);
      const bool waits =
          !held.empty() && std::any_of(mine.unsent.begin(), mine.unsent.end(),
                                       [&](const auto& one) { return one.item == held.front().item; });
      if (!held.empty() && !waits)
        mine.unsent.push_back(
            {.key = who + std::to_string(++keys), .by = who, .item = held.front().item, .label = "boot"});
    } else if (kind < 18) {
      send(mine, random() % 10 != 0);
    } else if (kind == 18 && !at.open.leases().held_by(who).empty()) {
      at.record(at.open.give_back(who, {at.open.leases().held_by(who).back().item}, false, "").events);
    }
    if (events % kill_every == 0) {
      at.open.take(who, 5, at.now);  // nobody hears of these
      at.kill();
    }
    if (events > 50 * steps) FAIL() << "it does not end: " << at.open.leases().unfinished();
  }
  for (auto& [who, mine] : pages)
    while (!mine.unsent.empty()) send(mine, true);
  std::set<std::string> seen;
  std::map<std::string, std::set<std::string>> answered;
  std::map<std::string, index_t> labels;
  for (const event& one : at.log) {
    if (one.kind != "label" && one.kind != "answer") continue;
    const json body = json::parse(one.body);
    if (one.kind == "label") ++labels[body.at("item")];
    if (body.contains("agreed")) continue;
    const std::string key = one.kind == "label" ? body.at("external") : body.at("key");
    ASSERT_TRUE(seen.insert(key).second) << key << " is recorded twice";
    ASSERT_TRUE(answered[body.at("item")].insert(body.at("by")).second);
  }
  ASSERT_EQ(index_t(labels.size()), items);
  for (const auto& [item, count] : labels) ASSERT_EQ(count, 1) << item;
  for (const auto& [item, by] : answered) ASSERT_GE(index_t(by.size()), overlap) << item;
  index_t late = 0;
  for (const auto& [item, by] : answered) late += index_t(by.size()) - overlap;
  EXPECT_LT(late, items / 20 + 20) << "so many were asked beyond the overlap after their leases ran out";
}

TEST(Desk, LosesAndDoublesNothingUnderKills) {
  label_under_kills(400, 1, 4'000, 97);
  label_under_kills(150, 2, 4'000, 131);
}
TEST(LargeDesk, LosesAndDoublesNothingInAMillionEvents) {
  label_under_kills(120'000, 1, 1'000'000, 50'000);
  label_under_kills(60'000, 2, 1'000'000, 50'000);
}

TEST(Desk, NobodyIsAskedTwiceAndALateAnswerIsKept) {
  recorded_desk at(asking(1));
  at.hand_out(2);
  at.record(at.open.take("anna", 1, at.now).events);
  EXPECT_TRUE(at.open.take("anna", 1, at.now).events.empty()) << "the same lease is not recorded again";
  at.now += 16 * 60'000;
  at.record(at.open.take("ben", 1, at.now).events);
  EXPECT_EQ(at.open.leases().held_by("ben").at(0).item, "i1");
  at.record(at.open.answer({.key = "b1", .by = "ben", .item = "i1", .label = "boot"}).events);
  const desk_outcome late = at.open.answer({.key = "a1", .by = "anna", .item = "i1", .label = "shoe"});
  EXPECT_EQ(late.state, "surplus");
  at.record(late.events);
  EXPECT_EQ(at.open.item("i1")->label, "boot");
  EXPECT_EQ(at.open.conflicts(), std::vector<std::string>{"i1"});
  const desk_outcome again = at.open.answer({.key = "a1", .by = "anna", .item = "i1", .label = "shoe"});
  EXPECT_TRUE(again.events.empty());
  EXPECT_EQ(again.event, at.last());
  EXPECT_THROW(at.open.adjudicate({.key = "r", .by = "rita", .item = "i1", .label = "shoe"}), value_error);
  at.record(at.open.adjudicate({.key = "r", .by = "rita", .item = "i1", .label = "shoe", .why = "see page 2"})
                .events);
  EXPECT_EQ(at.open.item("i1")->label, "shoe");
  EXPECT_TRUE(at.open.conflicts().empty());
  at.kill();
  EXPECT_EQ(at.open.item("i1")->label, "shoe");
  EXPECT_TRUE(at.open.conflicts().empty());
  EXPECT_EQ(at.open.people().at("anna").compared, 1);
  EXPECT_EQ(at.open.people().at("anna").agreed, 0);
}

TEST(Desk, AnswersThatAgreeMakeALabelAndOthersAConflict) {
  recorded_desk at(asking(2, true));
  at.hand_out(2);
  for (const char* who : {"anna", "ben"}) at.record(at.open.take(who, 2, at.now).events);
  EXPECT_EQ(at.open.leases().waiting(), 0);
  at.record(at.open.answer({.key = "1", .by = "anna", .item = "i1", .label = "boot"}).events);
  EXPECT_EQ(at.open.item("i1")->label, "");
  const desk_outcome agreed = at.open.answer({.key = "2", .by = "ben", .item = "i1", .label = "boot"});
  EXPECT_EQ(agreed.state, "agreed");
  at.record(agreed.events);
  EXPECT_EQ(at.open.item("i1")->label, "boot");
  at.record(at.open.answer({.key = "3", .by = "anna", .item = "i2", .label = "shoe"}).events);
  at.record(at.open.answer({.key = "3b", .by = "anna", .item = "i2", .label = "boot"}).events);  // no label yet
  EXPECT_EQ(at.open.answer({.key = "4", .by = "ben", .item = "i2", .label = "shoe"}).state, "conflict");
  EXPECT_THROW(at.open.answer({.key = "5", .by = "ben", .item = "i2", .label = "clog"}), value_error);
  EXPECT_THROW(at.open.answer({.key = "5", .by = "ben", .item = "i9", .label = "boot"}), usage_error);
  EXPECT_THROW(at.open.answer({.key = "5", .by = "carl", .item = "i2", .label = "boot"}), usage_error);
  EXPECT_THROW(at.open.answer({.key = "", .by = "ben", .item = "i2", .label = "boot"}), value_error);
}

TEST(Desk, WhatIsWithdrawnIsAskedAgain) {
  recorded_desk at(asking(1));
  at.hand_out(1);
  at.record({{"answer", json{{"item", "i1"}, {"by", "ls/1"}, {"label", "boot"}, {"key", "ls/1@1"}}.dump()},
             {"label", json{{"item", "i1"}, {"source", "ls"}, {"external", "i1"}, {"label", "boot"}}.dump()}});
  EXPECT_TRUE(at.open.take("anna", 1, at.now).events.empty());
  at.record({{"withdrawn", json{{"item", "i1"}, {"by", "ls/1"}, {"replaces", at.last()}}.dump()}});
  EXPECT_EQ(at.open.leases().unfinished(), 1);
  at.record(at.open.take("anna", 1, at.now).events);
  at.record(at.open.answer({.key = "1", .by = "anna", .item = "i1", .label = "shoe"}).events);
  EXPECT_EQ(at.open.item("i1")->label, "shoe");
  EXPECT_TRUE(at.open.conflicts().empty());
}

TEST(Desk, ALabelIsChangedByAnotherPersonWithAReason) {
  recorded_desk at(asking(1, true));
  at.hand_out(1);
  at.record(at.open.take("anna", 1, at.now).events);
  at.record(at.open.answer({.key = "1", .by = "anna", .item = "i1", .label = "boot"}).events);
  EXPECT_THROW(at.open.answer({.key = "2", .by = "anna", .item = "i1", .label = "shoe"}), conflict_error);
  EXPECT_THROW(at.open.propose({.key = "3", .by = "anna", .item = "i1", .label = "shoe"}), value_error);
  at.record(at.open.propose({.key = "3", .by = "anna", .item = "i1", .label = "shoe", .why = "a heel"}).events);
  const index_t proposal = at.last();
  EXPECT_THROW(at.open.propose({.key = "4", .by = "ben", .item = "i1", .label = "shoe", .why = "x"}),
               conflict_error);
  EXPECT_THROW(at.open.rule("5", "anna", proposal, true, "yes"), value_error);
  EXPECT_THROW(at.open.rule("5", "rita", proposal, true, "  "), value_error);
  EXPECT_THROW(at.open.rule("5", "rita", 99, true, "yes"), usage_error);
  at.record(at.open.rule("5", "rita", proposal, true, "it has one").events);
  EXPECT_EQ(at.open.item("i1")->label, "shoe");
  EXPECT_TRUE(at.open.proposals().empty());
  EXPECT_EQ(at.open.rule("5", "rita", proposal, true, "it has one").state, "known");
}

/// The gate of the ledger itself, behind every call.
TEST(Desk, NoChangeOfTheLedgerBypassesReview) {
  const auto folder = std::filesystem::temp_directory_path() / ("poolwise-desk-" + std::to_string(::getpid()));
  std::filesystem::remove_all(folder);
  campaign of = campaign::init(folder, "[campaign]\nname = \"x\"\n[labelling]\nregulated = true\n", 1);
  const auto record = [&](std::vector<new_event> events) {
    return of.record(2, [&](const tables&) { return events; });
  };
  const auto label = [](const char* text, const char* key, json more = json::object()) {
    more.update({{"item", "a"}, {"label", text}, {"source", "s"}, {"external", key}, {"version", 1}});
    return new_event{"label", more.dump()};
  };
  const auto ruling = [](index_t of_proposal, const char* by, bool approve, const char* why) {
    return new_event{"ruling",
                     json{{"proposal", of_proposal}, {"by", by}, {"approve", approve}, {"why", why}}.dump()};
  };
  record({label("boot", "1")});
  record({label("boot", "2")});  // the same text is no change
  EXPECT_THROW(record({label("shoe", "3")}), conflict_error);
  EXPECT_THROW(record({label("shoe", "1", {{"version", 2}})}), conflict_error);
  const index_t proposal = record(
      {{"proposal", json{{"item", "a"}, {"before", "boot"}, {"label", "shoe"}, {"by", "anna"}}.dump()}})[0];
  const json named{{"proposal", proposal}};
  EXPECT_THROW(record({label("shoe", "4", named)}), conflict_error);
  for (const auto& [number, by, approve, why] : {std::tuple{proposal, "anna", true, "mine"},
                                                 {proposal, "rita", false, "no"},
                                                 {proposal, "rita", true, " "},
                                                 {proposal + 1, "rita", true, "yes"},
                                                 {index_t(0), "rita", true, "yes"}})
    EXPECT_THROW(record({ruling(number, by, approve, why), label("shoe", "4", {{"proposal", number}})}),
                 conflict_error)
        << by << number;
  EXPECT_THROW(record({ruling(proposal, "rita", true, "yes"), label("clog", "4", named)}), conflict_error);
  record({ruling(proposal, "rita", true, "yes"), label("shoe", "4", named)});
  EXPECT_THROW(record({ruling(proposal, "rita", true, "yes"), label("boot", "5", named)}), conflict_error);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace poolwise
