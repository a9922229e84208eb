// The ledger: what is acknowledged stays, what is altered is found, and an independent program agrees.
#include "poolwise/ledger/ledger.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <csignal>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <set>
#include <thread>

#include "poolwise/core/error.hpp"
#include "poolwise/ledger/export.hpp"
#include "reference/errors.hpp"
#include "reference/scratch.hpp"

namespace poolwise::test {
namespace {

using nlohmann::json;
using reference::expect_refused;
using reference::read_file;
using reference::scratch_folder;
using reference::write_file;

constexpr index_t all = std::numeric_limits<index_t>::max();

new_event of(const char* kind, const json& body) { return {kind, body.dump()}; }
new_event campaign() {
  return of("campaign", {{"name", "birds"}, {"settings", "[campaign]"}, {"version", "0.1.0"}});
}
new_event pool(int version) {
  return of("pool", {{"version", version}, {"rows", 1000}, {"parts", json::array()}});
}
new_event note(const std::string& text) { return of("note", {{"text", text}}); }
new_event excluded(const std::vector<std::string>& items) {
  return of("excluded", {{"items", items}, {"why", "blurred"}});
}

std::string item(index_t row) { return "img_" + std::to_string(row); }

json decision_body(index_t round, index_t rank, const std::string& name) {
  return {{"round", round},
          {"rank", rank},
          {"item", name},
          {"row", rank * 3},
          {"cost", 5},
          {"score", 1.0 / double(rank)},
          {"arm", rank % 10 == 0 ? "audit" : "strategy"},
          {"reason", "margin .98, rank " + std::to_string(rank)}};
}

/// A round, and its decisions.
std::vector<new_event> round_of(index_t number, const std::vector<std::string>& items) {
  std::vector<new_event> events = {of("round", {{"round", number},
                                                {"pool", 1},
                                                {"model", nullptr},
                                                {"spec", {{"strategy", "margin"}, {"batch", items.size()}}},
                                                {"picks", items.size()},
                                                {"cost", 5 * items.size()}})};
  for (std::size_t i = 0; i < items.size(); ++i)
    events.push_back(of("decision", decision_body(number, index_t(i) + 1, items[i])));
  return events;
}

json label_body(const std::string& name, const std::string& text, const std::string& external,
                int version = 1) {
  return {{"item", name}, {"label", text}, {"source", "studio"}, {"external", external}, {"version", version}};
}
new_event label_of_item(const std::string& name, const std::string& text, const std::string& external,
                        int version = 1) {
  return of("label", label_body(name, text, external, version));
}

std::vector<index_t> record(ledger& to, const std::vector<new_event>& events, std::int64_t now_ms = 1'000) {
  return to.change(now_ms, [&](const tables&) { return events; });
}

/// A campaign of a pool, in a folder of its own.
struct begun {
  scratch_folder folder;
  std::filesystem::path file = folder / "campaign.db";
  ledger open = ledger::create(file);

  begun() { record(open, {campaign(), pool(1)}); }
};

std::vector<std::string> items_from(index_t first, index_t count) {
  std::vector<std::string> names;
  for (index_t i = 0; i < count; ++i) names.push_back(item(first + i));
  return names;
}

std::vector<event> events_of(const ledger& of_ledger) {
  std::vector<event> events;
  of_ledger.read(
      [&](const tables& now) { now.each_event(0, all, [&](const event& one) { events.push_back(one); }); });
  return events;
}

/// Some of everything: rounds, labels and their versions, exclusions, kinds that nobody knows.
void live(ledger& in, int rounds, std::mt19937& random) {
  for (int round = 1; round <= rounds; ++round) {
    const std::int64_t now = 1'000 * round;
    record(in, round_of(round, items_from(round * 100, 20)), now);
    std::vector<new_event> more = {note("round " + std::to_string(round))};
    for (int i = 0; i < 15; ++i) {
      const index_t row = round * 100 + index_t(random() % 25);  // some were never picked
      json body = label_body(item(row), std::to_string(random() % 3),
                             std::to_string(round) + "/" + std::to_string(i), int(random() % 2));
      body["cost"] = random() % 7;
      body["seconds"] = double(random() % 100) / 8;
      more.push_back(of("label", body));
    }
    more.push_back(excluded({item(round * 100 + index_t(random() % 25)), item(round * 100 + 50)}));
    more.push_back(of("evaluation", {{"round", round}, {"accuracy", .5 + round * .01}}));
    more.push_back(of("verdict", {{"round", round}, {"stop", false}, {"rules", json::array()}}));
    more.push_back(of("weather", {{"sky", "blue"}}));
    record(in, more, now + 1);
  }
}

std::string everything_in(const std::filesystem::path& file) {
  SQLite::Database database(file, SQLite::OPEN_READWRITE);
  std::string text;
  for (const char* const table : {"numbered", "tallies", "items", "labels", "head", "nodes", "events"}) {
    SQLite::Statement row(database, std::string("SELECT * FROM ") + table);
    while (row.executeStep()) {
      for (int c = 0; c < row.getColumnCount(); ++c) text += row.getColumn(c).getString() + "|";
      text += "\n";
    }
  }
  return text;
}

void alter(const std::filesystem::path& file, const std::string& sql) {
  SQLite::Database database(file, SQLite::OPEN_READWRITE);
  database.exec("PRAGMA synchronous = OFF");  // no wait for the disk
  std::vector<std::string> triggers;
  {
    SQLite::Statement row(database, "SELECT sql FROM sqlite_schema WHERE type = 'trigger'");
    while (row.executeStep()) triggers.push_back(row.getColumn(0).getString());
  }
  database.exec("DROP TRIGGER events_are_not_changed; DROP TRIGGER events_are_not_removed");
  database.exec(sql);
  for (const std::string& trigger : triggers) database.exec(trigger);
}

// ---------------------------------------------------------------------------------------------- the tree

// The heads that certificate transparency's own tests have for these leaves.
TEST(Merkle, HeadsAreThoseOfCertificateTransparency) {
  const std::string leaves[] = {"",
                                std::string(1, '\0'),
                                "\x10",
                                "\x20\x21",
                                "\x30\x31",
                                "\x40\x41\x42\x43",
                                "\x50\x51\x52\x53\x54\x55\x56\x57",
                                "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"};
  const char* const heads[] = {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                               "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                               "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                               "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                               "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                               "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                               "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                               "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  growing_tree tree;
  EXPECT_EQ(to_text(tree.head()), "0:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  for (std::size_t i = 0; i < std::size(leaves); ++i) {
    tree.add(leaf_digest(leaves[i]), {});
    EXPECT_EQ(to_text(tree.head().root), heads[i]) << i;
  }
}

TEST(Merkle, AListenerThatThrowsLeavesTheTreeAsItWas) {
  growing_tree tree;
  for (int i = 0; i < 3; ++i) tree.add(leaf_digest("a"), {});
  const tree_head before = tree.head();
  const auto refuse = [](int level, index_t, const digest&) {
    if (level == 2) throw value_error("no");
  };
  EXPECT_THROW(tree.add(leaf_digest("a"), refuse), value_error);
  EXPECT_EQ(tree.head(), before);
}

TEST(Merkle, EveryProofOfEverySizeHoldsAndNoOtherDoes) {
  std::vector<std::string> lines;
  std::vector<tree_head> heads = {{}};
  growing_tree tree;
  std::map<std::pair<int, index_t>, digest> nodes;
  for (index_t i = 0; i < 70; ++i) {
    lines.push_back("line " + std::to_string(i));
    tree.add(leaf_digest(lines.back()), [&](int level, index_t position, const digest& root) {
      nodes[{level, position}] = root;
    });
    heads.push_back(tree.head());
  }
  const subtree_root root_of = [&](int level, index_t position) { return nodes.at({level, position}); };
  for (index_t size = 0; size <= 70; ++size) {
    EXPECT_EQ(tree_of(size, root_of).head(), heads[std::size_t(size)]);
    for (index_t leaf = 0; leaf < size; ++leaf) {
      inclusion_proof proof{lines[std::size_t(leaf)], leaf, heads[std::size_t(size)],
                            inclusion_path(leaf, size, root_of)};
      ASSERT_TRUE(holds(proof)) << leaf << " of " << size;
      proof.line += " ";
      ASSERT_FALSE(holds(proof));
      proof.line.pop_back();
      proof.leaf = size == 1 ? 1 : (leaf + 1) % size;
      ASSERT_FALSE(holds(proof));
    }
    for (index_t from = 0; from <= size; ++from) {
      consistency_proof proof{heads[std::size_t(from)], heads[std::size_t(size)],
                              consistency_path(from, size, root_of)};
      ASSERT_TRUE(holds(proof)) << from << " to " << size;
      proof.path.push_back(leaf_digest("more"));
      ASSERT_FALSE(holds(proof));
      proof.path.pop_back();
      proof.from.root[3] ^= 1;
      ASSERT_FALSE(holds(proof));
    }
  }
}

TEST(Merkle, HeadsAreText) {
  const tree_head head{12, leaf_digest("a")};
  EXPECT_EQ(parse_tree_head(to_text(head)), head);
  for (const std::string& text :
       {std::string(), std::string("12"), std::string("12:"), std::string("-1:") + to_text(head.root),
        "x:" + to_text(head.root), "12:" + to_text(head.root).substr(1),
        "12:" + to_text(head.root).replace(5, 1, "G")})
    expect_refused<usage_error>([&] { parse_tree_head(text); }, "tree head: ");
}

// ---------------------------------------------------------------------------------------------- events

TEST(Event, ALineIsReadBackAndNoOtherTextIs) {
  const event one{
      17, 1'767'225'600'123, "label",
      canonical_body(
          {"label", R"({ "version":1, "item":"a\u00e9", "label":0.10, "source":"s","external":"e" })"})};
  EXPECT_EQ(
      line_of(one),
      "{\"n\":17,\"at\":1767225600123,\"kind\":\"label\",\"body\":{\"external\":\"e\",\"item\":\"a\xc3\xa9\","
      "\"label\":0.1,\"source\":\"s\",\"version\":1}}");
  EXPECT_EQ(event_in(line_of(one)), one);
  std::string line = line_of(one);
  for (const std::string& other : {line + " ", line.substr(1), " " + line, std::string(), std::string("{}"),
                                   std::string("[1]"), line.replace(5, 2, "1e")})
    expect_refused<format_error>([&] { event_in(other); }, "is no line of an event");
}

TEST(Event, BodiesThatAreNoneAreRefused) {
  const auto refused = [](const new_event& given, const char* words) {
    expect_refused<value_error>([&] { canonical_body(given); }, words);
  };
  refused({"note", "{"}, "JSON object");
  refused({"note", "[]"}, "JSON object");
  refused({"note", R"({"text":NaN})"}, "JSON object");
  refused({"note", "{\"text\":\"\xff\"}"}, "JSON object");
  refused({"anything", "{\"a\":" + std::string(200, '[') + std::string(200, ']') + "}"}, "JSON object");
  refused({"note", "{}"}, "lacks `text`");
  refused({"", "{}"}, "1 to 40");
  refused({"No", "{}"}, "1 to 40");
  json body = label_body("a", "x", "1");
  body["item"] = "";
  refused(of("label", body), "`item` \"\"; it must be text that is not empty");
  body = label_body("a", "x", "1");
  body["version"] = 1.5;
  refused(of("label", body), "`version` 1.5; it must be a whole number");
  body = label_body("a", "x", "1");
  body["cost"] = -1;
  refused(of("label", body), "`cost` -1");
  body["cost"] = 18446744073709551615u;
  refused(of("label", body), "`cost`");
  body = decision_body(1, 1, "a");
  body["probability"] = 1.5;
  refused(of("decision", body), "from 0 to 1");
  EXPECT_EQ(canonical_body({"weather", R"({"b":[ 1 ], "a":{"d":1,"c":1e2}})"}),
            R"({"a":{"c":100.0,"d":1},"b":[1]})");
  EXPECT_EQ(canonical_body({"weather", "{\"[[\":\"" + std::string(500, '[') + "\"}"}).size(), 509u);
}

// ---------------------------------------------------------------------------------------------- the file

TEST(LedgerFile, ANewOneIsMadeOnceAndOpened) {
  const scratch_folder folder;
  const auto file = folder / "campaign.db";
  expect_refused<io_error>([&] { ledger::open(file); }, "no file");
  EXPECT_TRUE(folder.names().empty());
  ledger::create(file);
  EXPECT_EQ(folder.names(), std::set<std::string>{"campaign.db"});
  expect_refused<conflict_error>([&] { ledger::create(file); }, "is there already");
  EXPECT_EQ(ledger::open(file).head(), tree_head{});
  EXPECT_TRUE(ledger::open(file).verify().sound);
  expect_refused<io_error>([&] { ledger::create(folder / "none/campaign.db"); }, "cannot open");
  expect_refused<io_error>([&] { ledger::open(folder.path()); }, "no regular file");
}

TEST(LedgerFile, AForeignOrNewerOneIsRefusedAndStaysAsItIs) {
  const scratch_folder folder;
  const auto refused = [&](const std::filesystem::path& file, const char* words) {
    const std::string before = read_file(file);
    expect_refused<format_error>([&] { ledger::open(file); }, words);
    EXPECT_EQ(read_file(file), before);
  };
  refused(write_file(folder / "text", "id,label\n1,2\n"), "another kind of file");
  refused(write_file(folder / "long", std::string(5000, 'x')), "another kind of file");
  refused(write_file(folder / "empty", ""), "interrupted");
  {
    SQLite::Database other(folder / "other", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    other.exec("CREATE TABLE t (x)");
  }
  refused(folder / "other", "another program's database");
  expect_refused<conflict_error>([&] { ledger::create(folder / "other"); }, "is there already");
  ledger::create(folder / "newer");
  SQLite::Database(folder / "newer", SQLite::OPEN_READWRITE).exec("PRAGMA user_version = 99");
  refused(folder / "newer", "newer Poolwise: its schema is 99, this one knows 2");
  EXPECT_EQ(folder.names(), (std::set<std::string>{"text", "long", "empty", "other", "newer"}));
  write_file(folder / "empty", "");
  ledger::create(folder / "empty");  // as an interrupted creation leaves it
}

TEST(LedgerFile, OneOfAnOlderSchemaIsBroughtUpToDateWithItsAnswers) {
  begun in;
  const auto answered = [](const std::string& key, const std::string& text) {
    return of("answer", {{"item", "a"}, {"label", text}, {"by", "ann"}, {"key", key}});
  };
  const index_t first = record(in.open, {answered("k1", "cat"), answered("k2", "dog")})[0];
  SQLite::Database(in.file, SQLite::OPEN_READWRITE).exec("DROP TABLE answers; PRAGMA user_version = 1");
  ledger again = ledger::open(in.file);
  EXPECT_TRUE(again.verify().sound) << again.verify().why;
  again.read([&](const tables& seen) {
    EXPECT_EQ(seen.answer_event("k1"), first);
    EXPECT_EQ(seen.answer_event("k3"), std::nullopt);
    return 0;
  });
  EXPECT_EQ(record(again, {answered("k1", "cat")})[0], first);
  expect_refused<conflict_error>([&] { record(again, {answered("k1", "dog")}); },
                                 "answer 'k1' is event " + std::to_string(first));
  again.rebuild();
  EXPECT_TRUE(again.verify().sound);
}

// ---------------------------------------------------------------------------------------------- changes

TEST(Ledger, AChangeIsWholeOrNotAtAll) {
  begun in;
  EXPECT_EQ(record(in.open, round_of(1, {"a", "b"})), (std::vector<index_t>{2, 3, 4}));
  const std::string before = everything_in(in.file);
  const auto head = in.open.head();
  std::vector<new_event> bad = round_of(2, {"c", "d", "a"});
  expect_refused<conflict_error>([&] { record(in.open, bad); },
                                 "item 'a' cannot be picked, because it is picked already");
  expect_refused<value_error>([&] { record(in.open, {note("x"), of("note", {})}); }, "JSON object");
  EXPECT_THROW(
      in.open.change(2'000, [](const tables&) -> std::vector<new_event> { throw std::runtime_error("mine"); }),
      std::runtime_error);
  EXPECT_TRUE(in.open.change(2'000, [](const tables&) { return std::vector<new_event>(); }).empty());
  EXPECT_EQ(everything_in(in.file), before);
  EXPECT_EQ(in.open.head(), head);
  EXPECT_TRUE(in.open.verify(head).sound);
}

TEST(Ledger, EventsThatCannotFollowAreRefused) {
  const scratch_folder folder;
  ledger open = ledger::create(folder / "campaign.db");
  const auto refused = [&]<class Error>(Error, const std::vector<new_event>& events, const char* words) {
    expect_refused<Error>([&] { record(open, events); }, words);
  };
  const value_error value("");
  const conflict_error conflict("");
  refused(value, {pool(1)}, "the first event is a `pool`");
  record(open, {campaign()});
  refused(value, {campaign()}, "a second `campaign`");
  refused(value, round_of(1, {"a"}), "there is no pool 1");
  refused(conflict, {pool(2)}, "1 is next");
  record(open, {pool(1)});
  refused(conflict, {pool(1)}, "pool 1 cannot be recorded, 2 is next");
  refused(conflict, round_of(2, {"a"}), "1 is next");
  refused(value, {of("decision", decision_body(1, 1, "a"))}, "does not follow its round");
  auto round = round_of(1, {"a", "b", "c"});
  round.pop_back();
  refused(value, round, "says 3 picks and has 2");
  round.push_back(note("between"));
  refused(value, round, "says 3 picks and has 2");
  round = round_of(1, {"a", "b"});
  std::swap(round[1], round[2]);
  refused(value, round, "decision 2 of round 1 does not follow");
  refused(conflict, round_of(1, {"a", "a"}), "picked already");
  json model = {{"model", 1}, {"pool", 7}, {"parts", json::array()}};
  refused(value, {of("model", model)}, "there is no pool 7");
  record(open, {label_of_item("l", "x", "1"), excluded({"e"})});
  refused(conflict, round_of(1, {"l"}), "labelled already");
  refused(conflict, round_of(1, {"e"}), "excluded already");
  record(open, round_of(1, {"a"}));
  EXPECT_TRUE(open.verify().sound);
}

TEST(Ledger, AClockThatGoesBackwardsIsRefusedOrStandsStill) {
  begun in;
  record(in.open, {note("later")}, 5'000);
  expect_refused<value_error>([&] { record(in.open, {note("earlier")}, 4'000); },
                              "it is 4000 ms since 1970, and the event before is of 5000");
  const auto numbers = in.open.change(
      4'000, [](const tables&) { return std::vector{note("earlier")}; }, backward_clock::keep_last);
  EXPECT_EQ(in.open.read([&](const tables& now) { return now.at(numbers[0]); }).at_ms, 5'000);
  record(in.open, {note("same")}, 5'000);
}

TEST(Ledger, LabelsAreRecordedOnceAndReplaceEachOther) {
  begun in;
  record(in.open, round_of(1, {"a", "b"}));
  const index_t first = record(in.open, {label_of_item("a", "cat", "t1", 2)})[0];
  EXPECT_EQ(record(in.open, {label_of_item("a", "cat", "t1", 2)})[0], first);
  expect_refused<conflict_error>([&] { record(in.open, {label_of_item("a", "dog", "t1", 2)}); },
                                 "give it the next version");
  expect_refused<conflict_error>([&] { record(in.open, {label_of_item("b", "cat", "t1", 2)}); },
                                 "give it the next version");
  // In one change: the next version, twice; another person's; an older version that comes late.
  const auto numbers = record(in.open, {label_of_item("a", "dog", "t1", 3), label_of_item("a", "dog", "t1", 3),
                                        label_of_item("a", "cow", "t2"), label_of_item("a", "old", "t2", 0)});
  EXPECT_EQ(numbers, (std::vector<index_t>{first + 1, first + 1, first + 2, first + 3}));
  json chosen = label_body("a", "owl", "t4");
  chosen["replaces"] = first;
  expect_refused<conflict_error>([&] { record(in.open, {of("label", chosen)}); },
                                 "is event " + std::to_string(first + 2));
  chosen["replaces"] = first + 2;
  record(in.open, {of("label", chosen)});
  chosen = label_body("b", "owl", "t5");
  chosen["replaces"] = first;
  expect_refused<conflict_error>([&] { record(in.open, {of("label", chosen)}); }, "is none");
  in.open.read([&](const tables& now) {
    std::vector<std::string> texts;
    std::vector<std::optional<index_t>> replaces;
    now.each_label(versions::all, [&](const label& one) {
      texts.push_back(one.text + (one.current ? "!" : ""));
      replaces.push_back(one.replaces);
    });
    EXPECT_EQ(texts, (std::vector<std::string>{"cat", "dog", "cow", "old", "owl!"}));
    EXPECT_EQ(replaces, (std::vector<std::optional<index_t>>{{}, first, first + 1, {}, first + 2}));
    int current = 0;
    now.each_label(versions::current,
                   [&](const label& one) { current += one.text == "owl" && one.item == "a"; });
    EXPECT_EQ(current, 1);
    EXPECT_EQ(now.item("a").label, first + 4);
    EXPECT_EQ(now.item("a").labels.size(), 5u);
    EXPECT_EQ(now.label_event("studio", "t1", 3), first + 1);
    EXPECT_EQ(now.label_event("studio", "t1", 4), std::nullopt);
  });
  EXPECT_TRUE(in.open.verify().sound);
}

// ---------------------------------------------------------------------------------------------- tables

TEST(Tables, SayWhatANaiveReaderOfTheEventsSays) {
  begun in;
  std::mt19937 random(3);
  live(in.open, 12, random);
  std::map<std::string, json> picked, labelled;
  std::set<std::string> ruled_out, known;
  tally total;
  index_t rounds = 0;
  for (const event& one : events_of(in.open)) {
    const json body = json::parse(one.body);
    rounds += one.kind == "round";
    if (one.kind == "decision") picked[body["item"]] = body;
    if (one.kind == "label") {
      if (!labelled.contains(body["item"]) || body.contains("replaces")) labelled[body["item"]] = body;
      total.label_versions += 1;
      total.label_cost += body["cost"].get<std::int64_t>();
      total.label_ms += std::llround(body["seconds"].get<double>() * 1000);
    }
    if (one.kind == "excluded")
      for (const json& name : body["items"]) ruled_out.insert(name.get<std::string>());
    for (const auto* const some : {&picked, &labelled})
      for (const auto& [name, _] : *some) known.insert(name);
    known.insert(ruled_out.begin(), ruled_out.end());
  }
  index_t outstanding = 0, audit = 0, never_picked = 0;
  for (const auto& [name, body] : picked) {
    outstanding += !labelled.contains(name) && !ruled_out.contains(name);
    audit += body["arm"] == "audit";
  }
  for (const auto& [name, _] : labelled) never_picked += !picked.contains(name);
  ASSERT_GT(never_picked, 0);
  in.open.read([&](const tables& now) {
    const ledger_counts counts = now.counts();
    EXPECT_EQ(counts.events, index_t(events_of(in.open).size()));
    EXPECT_EQ(counts.rounds, rounds);
    EXPECT_EQ(counts.total.picked, index_t(picked.size()));
    EXPECT_EQ(counts.total.labelled, index_t(labelled.size()));
    EXPECT_EQ(counts.total.excluded, index_t(ruled_out.size()));
    EXPECT_EQ(counts.total.outstanding, outstanding);
    EXPECT_EQ(counts.total.cost, 5 * index_t(picked.size()));
    EXPECT_EQ(counts.total.cost_outstanding, 5 * outstanding);
    EXPECT_EQ(counts.total.label_versions, total.label_versions);
    EXPECT_EQ(counts.total.label_cost, total.label_cost);
    EXPECT_EQ(counts.total.label_ms, total.label_ms);
    ASSERT_EQ(counts.by_arm.size(), 2u);
    EXPECT_EQ(counts.by_arm[0].arm, "audit");
    EXPECT_EQ(counts.by_arm[0].picked, audit);
    EXPECT_EQ(now.tallies().front().round, 0);
    EXPECT_EQ(now.tallies().front().labelled, never_picked);
    std::set<std::string> unavailable;
    now.each_unavailable([&](const unavailable_item& one) { unavailable.emplace(one.item); });
    EXPECT_EQ(unavailable, known);
    EXPECT_EQ(now.unavailable_items(), index_t(known.size()));
    for (const index_t events : {index_t{0}, counts.events / 3, counts.events / 2, counts.events}) {
      std::map<std::string, std::array<bool, 3>> then, expected;
      now.each_unavailable(
          [&](const unavailable_item& one) {
            then[std::string(one.item)] = {one.picked, one.labelled, one.excluded};
          },
          events);
      for (const std::string& name : known) {
        const item_record one = now.item(name);
        const auto before = [&](const std::optional<index_t>& event) { return event && *event < events; };
        const bool has_label =
            std::any_of(one.labels.begin(), one.labels.end(), [&](index_t event) { return event < events; });
        const std::array<bool, 3> is{before(one.decision), has_label, before(one.excluded)};
        if (is != std::array<bool, 3>{}) expected[name] = is;
      }
      EXPECT_EQ(then, expected);
    }
    EXPECT_TRUE(now.unavailable(*known.begin()));
    EXPECT_FALSE(now.unavailable("img_7"));
    std::map<std::string, std::string> current;
    now.each_label(versions::current, [&](const label& one) { current[one.item] = one.text; });
    ASSERT_EQ(current.size(), labelled.size());
    for (const auto& [name, text] : current) EXPECT_EQ(labelled[name]["label"], text);
    ASSERT_EQ(now.rounds().size(), std::size_t(rounds));
    const auto third = now.round(3);
    ASSERT_TRUE(third);
    EXPECT_EQ(third->strategy, "margin");
    index_t rank = 0;
    now.each_decision(*third, [&](const decision& one) {
      EXPECT_EQ(one.rank, ++rank);
      EXPECT_EQ(one.item, item(300 + rank - 1));
      EXPECT_EQ(*one.score, 1.0 / double(rank));
    });
    EXPECT_EQ(rank, 20);
    EXPECT_FALSE(now.round(13));
    EXPECT_EQ(json::parse(now.latest("evaluation")->body)["round"], 12);
    EXPECT_EQ(now.latest("decision")->kind, "decision");
    EXPECT_FALSE(now.latest("lease"));
    int weathers = 0;
    now.each_of("weather", [&](const event&) { ++weathers; });
    EXPECT_EQ(weathers, 12);
    const item_record record = now.item(item(300));
    EXPECT_EQ(now.at(*record.decision).kind, "decision");
    expect_refused<value_error>([&] { now.at(now.size()); }, "there is no event");
  });
}

TEST(Tables, RebuiltTheyAreTheSame) {
  begun in;
  std::mt19937 random(4);
  live(in.open, 10, random);
  const std::string before = everything_in(in.file);
  in.open.rebuild();
  EXPECT_EQ(everything_in(in.file), before);
  alter(
      in.file,
      "UPDATE items SET cost = cost + 1; DELETE FROM labels WHERE version = 1; UPDATE tallies SET picked = 0");
  ASSERT_NE(everything_in(in.file), before);
  ledger again = ledger::open(in.file);
  EXPECT_FALSE(again.verify().sound);
  again.rebuild();
  EXPECT_TRUE(again.verify().sound);
  EXPECT_EQ(everything_in(in.file), before);
}

TEST(Tables, OtherProgramsSeeViews) {
  begun in;
  std::mt19937 random(4);
  live(in.open, 2, random);
  SQLite::Database database(in.file, SQLite::OPEN_READWRITE);
  const auto count = [&](const std::string& of_what) {
    return database.execAndGet("SELECT count(*) FROM " + of_what).getInt();
  };
  EXPECT_EQ(count("rounds WHERE strategy = 'margin' AND round = 2"), 1);
  EXPECT_EQ(count("decisions WHERE arm = 'audit' AND cost = 5"), 4);
  EXPECT_EQ(count("label_versions WHERE label IS NOT NULL AND item LIKE 'img%'"), count("labels"));
  EXPECT_EQ(count("evaluations WHERE round = 1"), 1);
  EXPECT_EQ(count("verdicts WHERE stop = 0"), 2);
  EXPECT_EQ(count("notes WHERE text = 'round 2'"), 1);
  EXPECT_THROW(database.exec("UPDATE events SET at = 0"), SQLite::Exception);
  EXPECT_THROW(database.exec("DELETE FROM events WHERE n = 3"), SQLite::Exception);
  // Lists of a kind do not read the whole log.
  SQLite::Statement plan(
      database,
      "EXPLAIN QUERY PLAN SELECT n, at, kind, body FROM events WHERE kind = ? AND kind NOT IN "
      "('decision', 'label') ORDER BY n DESC LIMIT 1");
  ASSERT_TRUE(plan.executeStep());
  EXPECT_SAYS(plan.getColumn(3).getString(), "events_of_kind");
}

TEST(Tables, AReadSeesOneMoment) {
  begun in;
  ledger other = ledger::open(in.file, access::read);
  other.read([&](const tables& then) {
    const index_t size = then.size();
    record(in.open, {note("meanwhile")});
    EXPECT_EQ(then.size(), size);
    EXPECT_EQ(other.head().size, size);
    EXPECT_EQ(in.open.head().size, size + 1);
    EXPECT_THROW(other.change(1'000, [](const tables&) { return std::vector{note("no")}; }), usage_error);
  });
  EXPECT_EQ(other.head(), in.open.head());
  EXPECT_THROW(record(other, {note("no")}), io_error);  // opened to read
}

// ---------------------------------------------------------------------------------------------- exports

TEST(Export, RowsAreWhatTheEventsSay) {
  begun in;
  record(in.open, round_of(1, {"a,b", "c"}));
  record(in.open, {label_of_item("c", "say \"hi\"", "t1"), label_of_item("c", "owl", "t2")});
  std::string csv, jsonl, labels, current;
  const auto into = [](std::string& text) { return [&text](std::string_view lines) { text += lines; }; };
  in.open.read([&](const tables& now) {
    export_decisions(now, row_format::csv, into(csv));
    export_decisions(now, row_format::jsonl, into(jsonl));
    export_labels(now, versions::all, row_format::csv, into(labels));
    export_labels(now, versions::current, row_format::jsonl, into(current));
  });
  EXPECT_EQ(csv,
            "event,at_ms,round,rank,item,row,score,cost,seconds,group,arm,reason,probability\n"
            "3,1000,1,1,\"a,b\",3,1.0,5,,,strategy,\"margin .98, rank 1\",\n"
            "4,1000,1,2,c,6,0.5,5,,,strategy,\"margin .98, rank 2\",\n");
  EXPECT_EQ(json::parse(jsonl.substr(0, jsonl.find('\n')))["item"], "a,b");
  EXPECT_EQ(labels,
            "event,at_ms,item,label,source,external,version,replaces,by,seconds,confidence,cost,why,guideline,"
            "current\n"
            "5,1000,c,\"say \"\"hi\"\"\",studio,t1,1,,,,,,,,false\n"
            "6,1000,c,owl,studio,t2,1,5,,,,,,,true\n");
  EXPECT_EQ(json::parse(current)["event"], 6);
}

struct outcome {
  int code = 0;
  std::string said;
};

outcome verify_by_python(const std::string& arguments) {
  const char* const named = std::getenv("POOLWISE_PYTHON");
  const std::string command = std::string(named != nullptr ? named : "python3") +
                              " " POOLWISE_DOCS "/verify_ledger.py " + arguments + " 2>&1";
  outcome result;
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  char piece[4096];
  while (std::fgets(piece, sizeof piece, pipe) != nullptr) result.said += piece;
  result.code = WEXITSTATUS(::pclose(pipe));
  return result;
}

TEST(Export, AnIndependentVerifierAgrees) {
  begun in;
  std::mt19937 random(5);
  live(in.open, 3, random);
  const tree_head older = in.open.head();
  record(in.open, round_of(4, items_from(5'000, 300)), 9'000);
  const tree_head head = in.open.head();
  std::string lines;
  in.open.read([&](const tables& now) { export_events(now, [&](std::string_view some) { lines += some; }); });
  const std::string events = write_file(in.folder / "events.jsonl", lines);
  const std::string kept = " --head " + to_text(older);
  outcome result = verify_by_python(events + kept);
  EXPECT_EQ(result.code, 0) << result.said;
  EXPECT_EQ(result.said, to_text(head) + "\n");
  const inclusion_proof one = in.open.prove(200);
  EXPECT_TRUE(holds(one));
  const consistency_proof extension = in.open.prove_extension(older.size, head.size);
  EXPECT_TRUE(holds(extension));
  EXPECT_EQ(extension.from, older);
  const std::string inclusion = " --inclusion " + write_file(in.folder / "one.json", to_json(one)).string();
  const std::string consistency =
      " --consistency " + write_file(in.folder / "two.json", to_json(extension)).string();
  result = verify_by_python(events + kept + inclusion + consistency);
  EXPECT_EQ(result.code, 0) << result.said;
  EXPECT_EQ(verify_by_python(inclusion + consistency + kept).code, 0);

  const auto refused = [&](const std::string& arguments, const char* words) {
    const outcome said = verify_by_python(arguments);
    EXPECT_EQ(said.code, 1);
    EXPECT_SAYS(said.said, words);
  };
  std::string altered = lines;
  altered[lines.size() - 40] ^= 1;  // the last event's
  refused(write_file(in.folder / "altered", altered).string() + inclusion, "are not those of the head");
  refused(write_file(in.folder / "missing", lines.substr(lines.find('\n') + 1)).string(), "event 0 is missing");
  refused(
      write_file(in.folder / "short", lines.substr(0, 2'000).substr(0, lines.rfind('\n', 2'000) + 1)).string() +
          kept,
      "cut short");
  inclusion_proof wrong = one;
  wrong.leaf += 1;
  refused("--inclusion " + write_file(in.folder / "wrong.json", to_json(wrong)).string(),
          "does not lead to the head");
  consistency_proof other = extension;
  other.path[0][0] ^= 1;
  refused("--consistency " + write_file(in.folder / "other.json", to_json(other)).string(),
          "does not lead to the");
  refused(inclusion + kept, "another head");
}

// ---------------------------------------------------------------------------------------------- verify

TEST(Verify, FindsEveryAlterationOfARowOrAByte) {
  begun in;
  std::mt19937 random(6);
  live(in.open, 6, random);  // 64 events and more: there are nodes
  const tree_head head = in.open.head();
  const verification sound = in.open.verify(head);
  ASSERT_TRUE(sound.sound) << sound.why;
  EXPECT_EQ(sound.head, head);
  in.open = ledger::create(in.folder / "other.db");  // closes the file
  const std::map<std::string, std::vector<std::string>> columns = {
      {"events", {"n", "at", "kind", "leaf", "body"}},
      {"nodes", {"level", "position", "root"}},
      {"head", {"size", "root"}},
      {"numbered", {"kind", "number", "event"}},
      {"tallies",
       {"id", "round", "arm", "picked", "labelled", "excluded", "outstanding", "cost", "cost_outstanding",
        "label_versions", "label_cost", "label_ms"}},
      {"items", {"item", "tally", "cost", "decision", "label", "excluded"}},
      {"labels", {"source", "external", "version", "event", "item"}}};
  const auto bytes = read_file(in.file);
  for (int i = 0; i < 140; ++i) {
    auto table = columns.begin();
    std::advance(table, i % 7);
    const auto& column = table->second[random() % table->second.size()];
    const auto altered = write_file(in.folder / "altered.db", bytes);
    std::optional<index_t> number;
    std::string sql;
    {
      SQLite::Database database(altered, SQLite::OPEN_READWRITE);
      const int rows = database.execAndGet("SELECT count(*) FROM " + table->first).getInt();
      const std::string offset = std::to_string(random() % unsigned(rows));
      const std::string key = table->first == "nodes"      ? "(level, position)"
                              : table->first == "numbered" ? "(kind, number)"
                              : table->first == "labels"   ? "(source, external, version)"
                              : table->first == "items"    ? "item"
                                                           : "rowid";
      const std::string bare = key.front() == '(' ? key.substr(1, key.size() - 2) : key;
      const std::string where =
          " WHERE " + key + " = (SELECT " + bare + " FROM " + table->first + " LIMIT 1 OFFSET " + offset + ")";
      if (table->first == "events")
        number = database.execAndGet("SELECT n FROM events LIMIT 1 OFFSET " + offset).getInt64();
      if (i % 3 == 0) {
        sql = "DELETE FROM " + table->first + where;
      } else {
        const SQLite::Column old = database.execAndGet("SELECT " + column + " FROM " + table->first + where);
        std::string text = old.getString();
        const auto flip = [&](std::size_t place) { text[place] = char(text[place] ^ 1); };
        if (old.isInteger())
          sql = std::to_string(old.getInt64() + (random() % 2 == 0 ? 1'000 : -1'000));
        else if (old.isFloat())
          sql = std::to_string(old.getDouble() + 1);
        else if (old.isNull())
          sql = "3";
        else {
          if (text.empty())
            text = "x";
          else
            flip(random() % text.size());
          sql = old.isBlob() ? "x'" : "CAST(x'";
          for (const char c : text) {
            char two[3];
            std::snprintf(two, sizeof two, "%02x", unsigned(static_cast<unsigned char>(c)));
            sql += two;
          }
          sql += old.isBlob() ? "'" : "' AS TEXT)";
        }
        sql = "UPDATE OR REPLACE " + table->first + " SET " + column + " = " + sql + where;
      }
    }
    alter(altered, sql);
    SCOPED_TRACE(sql);
    const verification found = ledger::open(altered).verify();
    EXPECT_FALSE(found.sound);
    EXPECT_FALSE(found.why.empty());
    if (number && column != "n") {
      EXPECT_EQ(found.event, number) << found.why;
    }
  }
}

TEST(Verify, AByteOfTheFileIsFoundOrMeansNothing) {
  begun in;
  std::mt19937 random(7);
  live(in.open, 3, random);
  in.open = ledger::create(in.folder / "other.db");
  const std::string bytes = read_file(in.file), whole = everything_in(in.file);
  int found = 0;
  for (int i = 0; i < 150; ++i) {
    std::string other = bytes;
    const std::size_t place = random() % bytes.size();
    other[place] = char(other[place] ^ (1 << random() % 8));
    const auto file = write_file(in.folder / "altered.db", other);
    SCOPED_TRACE(place);
    bool sound = false;
    try {
      sound = ledger::open(file).verify().sound;
    } catch (const error&) {
    }
    found += !sound;
    if (sound) {
      EXPECT_EQ(everything_in(file), whole);
    }
  }
  EXPECT_GT(found, 50);
}

TEST(Verify, FindsALogThatIsCutShortOrForkedByAHeadThatWasKept) {
  begun in, forked;
  for (int i = 0; i < 100; ++i) record(in.open, {note(std::to_string(i))});
  const tree_head kept = in.open.head();
  for (int i = 0; i < 100; ++i) record(forked.open, {note(std::to_string(i == 50 ? -1 : i))});
  record(in.open, {note("more")});
  EXPECT_TRUE(in.open.verify(kept).sound);
  EXPECT_TRUE(in.open.verify(tree_head{}).sound);
  EXPECT_TRUE(forked.open.verify().sound);
  const verification fork = forked.open.verify(kept);
  EXPECT_FALSE(fork.sound);
  EXPECT_SAYS(fork.why, "another history");
  // Whoever cuts it short can make the rest fit.
  begun cut;
  for (int i = 0; i < 90; ++i) record(cut.open, {note(std::to_string(i))});
  EXPECT_TRUE(cut.open.verify().sound);
  const verification found = cut.open.verify(kept);
  EXPECT_FALSE(found.sound);
  EXPECT_EQ(found.event, 92);
  EXPECT_SAYS(found.why, "cut short");
}

TEST(Verify, FindsEventsThatChangedPlacesAndASchemaThatDiffers) {
  begun in;
  for (int i = 0; i < 5; ++i) record(in.open, {note(std::to_string(i))});
  const auto file = in.folder / "altered.db";
  const auto verified = [&](const std::string& sql) {
    in.open = ledger::create(in.folder / (std::to_string(std::hash<std::string>{}(sql)) + ".db"));
    write_file(file, read_file(in.file));
    alter(file, sql);
    return ledger::open(file).verify();
  };
  verification found = verified(
      "UPDATE events SET n = -1 WHERE n = 3; UPDATE events SET n = 3 WHERE n = 4; UPDATE events SET n = 4 "
      "WHERE n = -1");
  EXPECT_EQ(found.event, 3) << found.why;
  found = verified("UPDATE events SET n = 100 WHERE n = 6");
  EXPECT_EQ(found.event, 6);
  EXPECT_SAYS(found.why, "event 6 is missing");
  found = verified("DROP VIEW notes; CREATE VIEW notes AS SELECT 1");
  EXPECT_SAYS(found.why, "notes");
  EXPECT_FALSE(found.sound);
  EXPECT_FALSE(verified("CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM labels; END").sound);
}

// ---------------------------------------------------------------------------------------------- the worst

/// Runs `work` in a process of its own.
template <class Work>
pid_t in_a_process(Work work) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child != 0) return child;
  int code = 1;
  try {
    code = work();
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "%s\n", problem.what());
  }
  ::_exit(code);
}

int code_of(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(Worst, AKilledWriterLosesNothingThatWasAcknowledged) {
  begun in;
  in.open = ledger::create(in.folder / "other.db");  // a connection does not outlive a fork
  std::mt19937 random(8);
  tree_head before = ledger::open(in.file).head();
  index_t acknowledged_in_all = 0;
  for (int turn = 0; turn < 25; ++turn) {
    int told[2];
    ASSERT_EQ(::pipe(told), 0);
    const pid_t child = in_a_process([&] {
      ledger open = ledger::open(in.file);
      for (index_t i = 0;; ++i) {
        const std::string name = std::to_string(turn) + "/" + std::to_string(i);
        std::vector<new_event> some;
        for (int j = 0; j < 1 + int(i) % 40; ++j)
          some.push_back(label_of_item(name, "x", name + "/" + std::to_string(j)));
        const index_t last = record(open, some).back();
        if (::write(told[1], &last, sizeof last) != sizeof last) return 1;
      }
    });
    ::close(told[1]);
    index_t acknowledged = -1, next = 0;
    std::thread killer([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(2'000 + random() % 30'000));
      ::kill(child, SIGKILL);
    });
    while (::read(told[0], &next, sizeof next) == sizeof next) acknowledged = next;
    killer.join();
    ::close(told[0]);
    EXPECT_EQ(code_of(child), 128 + SIGKILL);
    ledger open = ledger::open(in.file);
    EXPECT_GT(open.head().size, acknowledged);
    const verification found = open.verify(before);
    ASSERT_TRUE(found.sound) << found.why;
    before = found.head;
    acknowledged_in_all += acknowledged >= 0;
  }
  EXPECT_GT(acknowledged_in_all, 0);
  // Nothing half: each change labels one item, 1 + i % 40 times.
  const ledger open = ledger::open(in.file);
  open.read([&](const tables& now) {
    now.each_unavailable([&](const unavailable_item& one) {
      const index_t i = std::stol(std::string(one.item.substr(one.item.find('/') + 1)));
      EXPECT_EQ(index_t(now.item(std::string(one.item)).labels.size()), 1 + i % 40);
    });
  });
}

TEST(Worst, AFullDiskIsSaidAndLeavesAllAsItWas) {
  begun in;
  in.open = ledger::create(in.folder / "other.db");
  const pid_t child = in_a_process([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 20, 1 << 20};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    ledger open = ledger::open(in.file);
    tree_head last = open.head();
    for (int i = 0; i < 1'000; ++i) try {
        record(open, {note(std::string(20'000, 'x'))});
        last = open.head();
      } catch (const io_error& problem) {
        const bool is_said =
            std::string(problem.what()).find("nothing of this was recorded") != std::string::npos;
        // The same connection goes on as well.
        return is_said && i > 5 && open.head() == last && open.verify(last).sound ? 0 : 3;
      }
    return 4;
  });
  EXPECT_EQ(code_of(child), 0);
  ledger open = ledger::open(in.file);
  EXPECT_TRUE(open.verify().sound);
  EXPECT_GT(open.head().size, 5);
  record(open, {note("there is room again")});
}

TEST(Worst, TwoProcessesNeverTakeOneItemTwiceNorBlockEachOtherForLong) {
  begun in;
  in.open = ledger::create(in.folder / "other.db");
  constexpr int rounds = 30;
  const auto query = [&] {
    ledger open = ledger::open(in.file);
    double longest = 0;
    for (int i = 0; i < rounds; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      open.change(1'000, [&](const tables& now) {
        std::vector<std::string> free;
        for (index_t row = 0; free.size() < 5; ++row)
          if (!now.unavailable(item(row))) free.push_back(item(row));
        return round_of(now.counts().rounds + 1, free);
      });
      longest =
          std::max(longest, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    std::printf("longest query: %.0f ms\n", longest * 1e3);
    std::fflush(stdout);
    return 0;
  };
  const auto ingest = [&] {
    ledger open = ledger::open(in.file);
    double longest = 0;
    for (int i = 0; i < rounds; ++i) {
      std::vector<new_event> labels;
      for (int j = 0; j < 500; ++j) {
        const index_t row = index_t(i) * 500 + j + 1'000;
        labels.push_back(label_of_item(item(row), "x", std::to_string(row)));
      }
      const auto begin = std::chrono::steady_clock::now();
      record(open, labels);
      longest =
          std::max(longest, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    std::printf("longest ingest: %.0f ms\n", longest * 1e3);
    std::fflush(stdout);
    return 0;
  };
  const pid_t children[] = {in_a_process(query), in_a_process(query), in_a_process(ingest)};
  for (const pid_t child : children) EXPECT_EQ(code_of(child), 0);
  const ledger open = ledger::open(in.file);
  const ledger_counts counts = open.read([](const tables& now) { return now.counts(); });
  EXPECT_EQ(counts.rounds, 2 * rounds);
  EXPECT_EQ(counts.total.picked, 5 * 2 * rounds);
  EXPECT_EQ(counts.total.labelled, 500 * rounds);
  std::map<std::string, int> picks;
  open.read([&](const tables& now) {
    now.each_of("decision", [&](const event& one) { ++picks[json::parse(one.body)["item"]]; });
  });
  EXPECT_EQ(picks.size(), std::size_t(5 * 2 * rounds));
  EXPECT_TRUE(open.verify().sound);
}

// Not run by ctest: --gtest_filter=Large*. Prints, and judges nothing.
TEST(LargeLedger, SpeedAndSize) {
  begun in;
  const auto timed = [](const char* what, const auto& work) {
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t cpu_begin = std::clock();
    work();
    const double cpu = double(std::clock() - cpu_begin) / CLOCKS_PER_SEC;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    std::printf("%-40s %10.3f ms, of a processor %10.3f ms\n", what, seconds * 1e3, cpu * 1e3);
    std::fflush(stdout);
  };
  const auto size = [&] {
    std::printf("%-40s %10.1f MB\n", "size", double(std::filesystem::file_size(in.file)) / 1e6);
  };
  constexpr int rounds = 50, picks = 20'000, labels = 100'000;
  timed("1e6 decisions in 50 changes", [&] {
    for (int r = 1; r <= rounds; ++r) record(in.open, round_of(r, items_from(index_t(r) * picks, picks)));
  });
  size();
  std::vector<new_event> some;
  for (int i = 0; i < labels; ++i) some.push_back(label_of_item(item(picks + i * 9), "cat", std::to_string(i)));
  timed("1e5 labels in one change", [&] { record(in.open, some); });
  timed("the same again", [&] { record(in.open, some); });
  size();
  const ledger open = ledger::open(in.file);
  timed("counts", [&] { open.read([](const tables& now) { return now.counts(); }); });
  timed("unavailable items",
        [&] { open.read([](const tables& now) { now.each_unavailable([](const unavailable_item&) {}); }); });
  timed("current labels",
        [&] { open.read([](const tables& now) { now.each_label(versions::current, [](const label&) {}); }); });
  timed("1,000 proofs", [&] {
    for (index_t i = 0; i < 1'000; ++i) open.prove(i * 1'000 + 17);
  });
  timed("1,000 extensions", [&] {
    for (index_t i = 0; i < 1'000; ++i) open.prove_extension(i * 1'000 + 17, 1'100'000);
  });
  timed("verify", [&] { EXPECT_TRUE(open.verify().sound); });
  timed("rebuild", [&] { in.open.rebuild(); });
}

TEST(LargeLedger, AProofOfTenMillionEventsTakesLessThanAMillisecond) {
  begun in;
  constexpr index_t rounds = 500, picks = 20'000, proofs = 1'000;
  for (index_t r = 1; r <= rounds; ++r) record(in.open, round_of(r, items_from(r * picks, picks)));
  const ledger open = ledger::open(in.file);
  const tree_head head = open.head();
  ASSERT_GT(head.size, 10'000'000);
  std::mt19937_64 random(3);
  double total = 0, longest = 0;
  for (index_t i = 0; i < proofs; ++i) {
    const auto number = index_t(random() % std::uint64_t(head.size));
    const auto begin = std::chrono::steady_clock::now();
    const inclusion_proof proof = open.prove(number);
    const double ms = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() * 1e3;
    total += ms;
    longest = std::max(longest, ms);
    EXPECT_EQ(proof.head, head);
    EXPECT_LE(proof.path.size(), 24u);
    EXPECT_TRUE(holds(proof));
  }
  std::printf("%lld events in %.2f GB; a proof takes %.3f ms, the longest of %lld %.3f ms\n",
              static_cast<long long>(head.size), double(std::filesystem::file_size(in.file)) / 1e9,
              total / double(proofs), static_cast<long long>(proofs), longest);
  EXPECT_LT(total / double(proofs), 1);
}

}  // namespace
}  // namespace poolwise::test
