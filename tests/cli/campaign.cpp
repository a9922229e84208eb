// A campaign by its commands: rounds and labels, limits, replay, kills, two at a time, and wrong inputs.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "reference/batches.hpp"
#include "run_command.hpp"

namespace poolwise::test {
namespace {

using reference::normals;
namespace fs = std::filesystem;

constexpr index_t items = 600, classes = 3, features = 6, held_out = 120;

const char* const settings = R"toml(
[campaign]
name = "shoes"
labels = ["boot", "sandal", "sneaker"]
target = 0.99
until = 2026-12-31
[items]
slice = "light"
type = "kind"
[price.type]
photo = 5
scan = 20
[seconds.type]
photo = 4
"*" = 30
[query]
strategy = "margin/5x/kcenter"
batch = 30
seed = 7
audit = 0.1
[budget]
money = 900
labels = 100
[round]
money = 300
hours = 0.1
[slices.dark]
floor = 6
target = 0.9
[slices.bright]
quota = 12
[stop]
rule = "any(target, budget)"
)toml";

std::string on(const std::string& day) {
  std::string text = "2026-01-";
  return text += day;
}

/// A folder with a pool, a campaign `c`, and what its answers are.
struct campaign_folder : scratch {
  std::string table = *this / "items.csv", embeddings, logits, holdout_logits, holdout = *this / "holdout.csv";
  std::string folder = *this / "c";

  campaign_folder() {
    embeddings = save(*this / "embeddings.npy", normals(items * features, 1), features);
    logits = save(*this / "logits.npy", normals(items * classes, 2), classes);
    holdout_logits = save(*this / "holdout.npy", normals(held_out * classes, 3), classes);
    std::string csv = "id,light,kind\n", truth = "label,light\n";
    for (index_t i = 0; i < items; ++i)
      for (const std::string& field :
           {name_of(i), std::string(light_of(i)), std::string(i % 4 == 0 ? "scan" : "photo")})
        (csv += field) += field[0] == 's' || field[0] == 'p' ? '\n' : ',';
    for (index_t i = 0; i < held_out; ++i) ((truth += label_of(i)) += ',') += light_of(i) + std::string("\n");
    write_text(table, csv);
    write_text(holdout, truth);
    write_text(*this / "settings.toml", settings);
    expect_done({"init", folder, "--settings", *this / "settings.toml", "--at", "2026-01-01"});
    expect_done({"pool", "add", folder, "--items", table, "--embeddings", embeddings, "--at", "2026-01-01"});
  }

  static std::string name_of(index_t row) {
    std::string name = "img-";
    return name += std::to_string(row);
  }
  static const char* light_of(index_t row) { return row % 7 == 0 ? "dark" : row % 3 == 0 ? "bright" : "even"; }
  static const char* label_of(index_t row) {
    return row % 3 == 0 ? "boot" : row % 3 == 1 ? "sandal" : "sneaker";
  }

  static std::vector<std::string> verb(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "campaign");
    return arguments;
  }
  outcome call(const std::vector<std::string>& arguments,
               const std::vector<std::string>& environment = {}) const {
    return run(verb(arguments), environment);
  }
  outcome expect_done(const std::vector<std::string>& arguments) const {
    const outcome result = call(arguments);
    EXPECT_EQ(result.code, 0) << arguments[0] << ": " << result.err;
    return result;
  }
  nlohmann::json json(std::vector<std::string> arguments) const {
    arguments.push_back("--json");
    return expect_done(arguments).json();
  }

  std::vector<std::string> query(const std::string& day, const std::string& in = "") const {
    return {"query", in.empty() ? folder : in, "--logits", logits, "--at", on(day)};
  }
  /// Answers to every item of a round, in a file.
  std::string answers(index_t round) const {
    const std::string file = *this / std::to_string(round).append(".csv");
    std::string csv = "item,label,seconds\n";
    for (const auto& row :
         table_of(expect_done({"export", folder, "batch", "--round", std::to_string(round)}).out))
      csv += row.at("item") + "," + label_of(std::stoll(row.at("row"))) + ",3.5\n";
    write_text(file, csv);
    return file;
  }
  void label(index_t round, const std::string& day) const {
    expect_done({"ingest", folder, "--labels", answers(round), "--source", "acme", "--at", on(day)});
  }

  /// Lines without quoted fields.
  static std::vector<std::map<std::string, std::string>> table_of(const std::string& csv) {
    std::vector<std::map<std::string, std::string>> rows;
    std::istringstream lines(csv);
    std::string line, field;
    std::vector<std::string> header;
    while (std::getline(lines, line)) {
      std::istringstream in(line);
      std::vector<std::string> fields;
      while (std::getline(in, field, ',')) fields.push_back(field);
      if (header.empty()) {
        header = fields;
        continue;
      }
      auto& row = rows.emplace_back();
      for (std::size_t k = 0; k < header.size() && k < fields.size(); ++k) row[header[k]] = fields[k];
    }
    return rows;
  }
};

TEST(Campaign, GoesOnUntilItsRuleStopsItAndEveryRoundIsTheSameAgain) {
  const campaign_folder c;
  std::set<std::string> handed_out;
  std::int64_t spent = 0;
  index_t picked = 0;
  for (int round = 1; round <= 9; ++round) {
    const std::string day = std::to_string(100 + round).substr(1);
    auto asked = c.query(day);
    asked.push_back("--json");
    const outcome result = c.call(asked);
    if (result.code == 3) break;
    ASSERT_EQ(result.code, 0) << result.err;
    const auto batch = result.json();
    std::int64_t cost = 0;
    std::map<std::string, int> by_light;
    int audit = 0;
    for (const auto& one : batch["items"]) {
      EXPECT_TRUE(handed_out.insert(one["item"]).second) << one;
      cost += one["cost"].get<std::int64_t>();
      ++by_light[campaign_folder::light_of(one["row"])];
      audit += one["arm"] == "audit";
    }
    EXPECT_EQ(batch["cost"], cost);
    EXPECT_LE(cost, 300);
    EXPECT_LE(batch["seconds"], 360);
    EXPECT_GE(batch["seconds"], round == 1 ? 200 : 0);
    EXPECT_EQ(audit, batch["audit"]);
    EXPECT_LE(by_light["bright"], 12 + audit);
    spent += cost;
    picked += index_t(batch["items"].size());
    c.label(round, day);
    c.expect_done({"evaluate", c.folder, "--logits", c.holdout_logits, "--holdout", c.holdout, "--at",
                   on(day) + "T12:00:00Z"});
  }
  EXPECT_LE(spent, 900);
  EXPECT_LE(picked, 100);
  EXPECT_GE(picked, 60);
  const auto status = c.json({"status", c.folder});
  EXPECT_EQ(status["picked"], picked);
  EXPECT_EQ(status["labelled"], picked);
  EXPECT_EQ(status["cost"], spent);
  EXPECT_EQ(status["evaluation"]["labels"], picked);
  const outcome stop = c.call({"stop", c.folder, "--json"});
  EXPECT_EQ(stop.code, 4) << stop.err;
  EXPECT_EQ(stop.json()["stop"], true);
  for (index_t round = 1; round <= status["rounds"]; ++round)
    for (const char* threads : {"OMP_NUM_THREADS=1", "OMP_NUM_THREADS=3"}) {
      const outcome again = c.call({"replay", c.folder, std::to_string(round), "--json"}, {threads});
      EXPECT_EQ(again.code, 0) << again.err;
      EXPECT_EQ(again.json()["identical"], true);
    }
  EXPECT_EQ(c.json({"verify", c.folder, "--head", status["head"].get<std::string>()})["sound"], true);
  EXPECT_EQ(c.json({"proof", c.folder, *handed_out.begin()})["proofs"].size(), 2u);
  c.expect_done({"report", c.folder});
  EXPECT_NE(contents(c.folder + "/report.html").find("shoes"), std::string::npos);
}

TEST(Campaign, AReplaySaysWhichInputHasChanged) {
  const campaign_folder c;
  c.expect_done(c.query("02"));
  auto other = normals(items * features, 1);
  other[17] += 1;
  save(c.embeddings, other, features);
  const outcome changed = c.call({"replay", c.folder, "1"});
  EXPECT_EQ(changed.code, 6);
  EXPECT_NE(changed.err.find("embeddings.npy) has changed"), std::string::npos) << changed.err;
  EXPECT_EQ(c.call(c.query("03")).code, 6);  // nor is a round made of them that could not be made again
  EXPECT_EQ(c.json({"status", c.folder})["rounds"], 1);
}

TEST(Campaign, PricesOfThenCountInAReplay) {
  const campaign_folder c;
  c.expect_done(c.query("02"));
  std::string text = contents(c.folder + "/campaign.toml");
  text.replace(text.find("scan = 20"), 9, "scan = 40");
  write_text(c.folder + "/campaign.toml", text);
  c.expect_done({"note", c.folder, "--text", "scans are dearer now", "--at", "2026-01-03"});
  EXPECT_EQ(c.json({"replay", c.folder, "1"})["identical"], true);
  c.label(1, "03");
  c.expect_done(c.query("04"));
  EXPECT_EQ(c.json({"replay", c.folder, "2"})["identical"], true);
}

TEST(Campaign, KilledAtAnyMomentItGoesOnToTheSameBatchAndLosesNoLabel) {
  const campaign_folder c;
  c.expect_done(c.query("02"));
  const std::string answers = c.answers(1), whole = c / "whole", torn = c / "torn";
  const std::vector<std::string> ingest = {"ingest",   "",     "--labels", answers,
                                           "--source", "acme", "--at",     "2026-01-03"};
  const auto in = [](std::vector<std::string> arguments, const std::string& folder) {
    arguments[1] = folder;
    return campaign_folder::verb(arguments);
  };
  fs::copy(c.folder, whole, fs::copy_options::recursive);
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_EQ(run(in(ingest, whole)).code, 0);
  ASSERT_EQ(run(in(c.query("04"), whole)).code, 0);
  const std::chrono::duration<double> took = (std::chrono::steady_clock::now() - begun) / 2;
  const auto exported = [&](const std::string& folder, const char* what) {
    return c.expect_done({"export", folder, what}).out;
  };
  std::mt19937 random(5);
  int killed = 0;
  for (int trial = 0; trial < 10; ++trial) {
    fs::remove_all(torn);
    fs::copy(c.folder, torn, fs::copy_options::recursive);
    for (const auto& step : {in(ingest, torn), in(c.query("04"), torn)}) {
      const pid_t child = start(c, step);
      std::this_thread::sleep_for(took * std::uniform_real_distribution<>(0, 1)(random));
      kill(child, SIGKILL);
      killed += finish(c, child).code == 128 + SIGKILL;
      EXPECT_EQ(c.json({"verify", torn})["sound"], true);
      // Whether it was recorded or not, it is recorded once when it is said again.
      if (step[1] == "ingest" || c.json({"status", torn})["rounds"] == 1) {
        const outcome again = run(step);
        EXPECT_EQ(again.code, 0) << again.err;
      }
    }
    EXPECT_EQ(exported(torn, "decisions"), exported(whole, "decisions"));
    EXPECT_EQ(c.json({"status", torn})["labelled"], c.json({"status", whole})["labelled"]);
  }
  EXPECT_GT(killed, 0);
}

TEST(Campaign, TwoQueriesAtATimeHandOutDifferentItems) {
  const campaign_folder c;
  auto some = c.query("02");
  some.insert(some.end(), {"--batch", "10"});
  const scratch first, second;
  for (int i = 0; i < 3; ++i) {
    const pid_t one = start(first, campaign_folder::verb(some)),
                other = start(second, campaign_folder::verb(some));
    EXPECT_EQ(finish(first, one).code, 0);
    EXPECT_EQ(finish(second, other).code, 0);
  }
  std::set<std::string> seen;
  const auto decisions = campaign_folder::table_of(c.expect_done({"export", c.folder, "decisions"}).out);
  for (const auto& row : decisions) EXPECT_TRUE(seen.insert(row.at("item")).second);
  EXPECT_EQ(seen.size(), 60u);
  EXPECT_EQ(c.json({"verify", c.folder})["sound"], true);
}

TEST(Campaign, LinesThatAreNoLabelAreRefusedWithTheirReasonsAndTheOthersGoIn) {
  const campaign_folder c;
  c.expect_done(c.query("02"));
  const std::string file = c / "answers.jsonl", refused = c / "refused.csv";
  write_text(file,
             "{\"item\": \"img-1\", \"label\": \"boot\", \"seconds\": 2.5}\n"
             "{\"item\": \"img-2\", \"label\": \"bot\"}\n"
             "not JSON\n"
             "{\"item\": \"img-9999\", \"label\": \"boot\"}\n"
             "{\"item\": \"img-3\"}\n"
             "{\"item\": \"img-4\", \"label\": \"boot\", \"confidence\": 1.5}\n"
             "{\"item\": \"img-5\", \"label\": \"boot\", \"cost\": -1}\n"
             "{\"item\": \"img-1\", \"label\": \"sandal\"}\n"
             "{\"item\": \"img-1\", \"label\": \"sandal\", \"version\": 2}\n"
             "{\"item\": \"img-6\", \"label\": \"sneaker\"}\n");
  const std::vector<std::string> ingest = {"ingest",   c.folder, "--labels", file,
                                           "--source", "acme",   "--at",     "2026-01-03"};
  auto strict = ingest;
  strict.push_back("--strict");
  const outcome none = c.call(strict);
  EXPECT_EQ(none.code, 6);
  EXPECT_NE(none.err.find("7 lines are refused, and nothing is recorded"), std::string::npos) << none.err;
  EXPECT_EQ(c.json({"status", c.folder})["labelled"], 0);
  auto lenient = ingest;
  lenient.insert(lenient.end(), {"--refused", refused});
  const auto some = c.json(lenient);
  EXPECT_EQ(some["added"], 3);
  EXPECT_EQ(some["replaced"], 1);
  EXPECT_EQ(some["refused"], 7);
  const std::string why = contents(refused);
  for (const char* reason :
       {"2,\"there is no label \"\"bot\"\" in campaign.toml; the nearest is \"\"boot\"\"\"", "not JSON",
        "there is no item img-9999 in the pool", "no \"\"label\"\"",
        "confidence \"\"1.5\"\" is no number from 0 to 1", "cost \"\"-1\"\" is no whole number from 0 on",
        "version 1 of img-1 is recorded as img-1: boot"})
    EXPECT_NE(why.find(reason), std::string::npos) << reason << "\n" << why;
  // To say it again changes nothing; another source must overrule.
  EXPECT_EQ(c.json(lenient)["added"], 0);
  write_text(file, "{\"item\": \"img-6\", \"label\": \"boot\"}\n");
  std::vector<std::string> other = {"ingest",   c.folder, "--labels", file,
                                    "--source", "review", "--at",     "2026-01-04"};
  EXPECT_EQ(c.json(other)["refused"], 1);
  other.push_back("--overrule");
  EXPECT_EQ(c.json(other)["replaced"], 1);
  const auto labels = campaign_folder::table_of(c.expect_done({"export", c.folder, "labels"}).out);
  std::map<std::string, std::string> of;
  for (const auto& row : labels) of[row.at("item")] = row.at("label");
  EXPECT_EQ(of, (std::map<std::string, std::string>{{"img-1", "sandal"}, {"img-6", "boot"}}));
}

TEST(Campaign, HelpOfEveryVerbHasAnExample) {
  const std::string all = run({"campaign", "--help"}).out;
  for (const char* verb : {"init", "exclude", "ingest", "note", "guideline", "export", "plan", "query",
                           "replay", "status", "evaluate", "forecast", "stop", "report", "verify", "proof"}) {
    EXPECT_NE(all.find(verb), std::string::npos) << all;
    const outcome help = run({"campaign", verb, "--help"});
    EXPECT_EQ(help.code, 0) << verb;
    EXPECT_NE(help.out.find("Example:\n  poolwise campaign " + std::string(verb)), std::string::npos)
        << help.out;
  }
}

TEST(Campaign, WrongSettingsAreRefusedByLineAndKeyAndNothingIsWritten) {
  const scratch folder;
  const struct {
    const char* text;
    const char* refusal;
  } cases[] = {
      {"[campaign\n", "line 1"},
      {"[campaign]\nnme = \"x\"\n", "line 2: there is no key campaign.nme; the nearest is campaign.name"},
      {"[query]\nbatch = 0\n", "line 2: query.batch is a whole number from 1, and is 0"},
      {"[query]\nstrategy = \"margn\"\n", "line 2: query.strategy cannot be read"},
      {"[query]\naudit = 2\n", "query.audit is a number from 0 to 1"},
      {"[price]\neach = -1\n", "price.each is a whole number from 0"},
      {"[price]\neach = 1\ncolumn = \"c\"\n", "has more than one of each, column and type"},
      {"[price.type]\na = 1\n", "items.type names no column"},
      {"[budget]\nmoney = 5\n", "nothing what a label costs"},
      {"[budget]\nhours = 5\n", "nothing how long a label takes"},
      {"[slices.a]\nfloor = 2\n", "items.slice names no column"},
      {"[items]\nslice = \"s\"\n[slices.a]\nfloor = 2\nquota = 1\n", "is at most the slice's quota"},
      {"[campaign]\nuntil = \"soon\"\n", "is a day, such as 2026-12-31"},
      {"[stop]\nrule = \"sometime\"\n", "line 2: stop.rule cannot be read"}};
  for (const auto& one : cases) {
    write_text(folder / "settings.toml", one.text);
    const outcome refused = run({"campaign", "init", folder / "c", "--settings", folder / "settings.toml"});
    EXPECT_EQ(refused.code, 6) << one.text;
    EXPECT_NE(refused.err.find(one.refusal), std::string::npos) << refused.err;
    EXPECT_FALSE(fs::exists(folder / "c")) << one.text;
  }
  EXPECT_EQ(run({"campaign", "init", folder / "c"}).code, 0);
  EXPECT_EQ(run({"campaign", "init", folder / "c"}).code, 5);
  EXPECT_EQ(run({"campaign", "status", folder / "none"}).code, 2);
}

TEST(Campaign, WhatCannotBeIsRefusedAndNothingIsRecorded) {
  const campaign_folder c;
  const auto head = [&] { return c.json({"status", c.folder})["head"]; };
  const auto before = head();
  const auto refused = [&](std::vector<std::string> arguments, int code, const char* text) {
    const outcome result = c.call(arguments);
    EXPECT_EQ(result.code, code) << text << result.err;
    EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
    EXPECT_EQ(head(), before) << text;
  };
  refused({"query", c.folder, "--at", "2026-01-02"}, 2, "needs model outputs");
  refused({"query", c.folder, "--logits", c.logits, "--at", "2027-01-02"}, 3, "the time is over");
  refused({"query", c.folder, "--logits", c.logits, "--at", "2025-01-02"}, 6, "clock");
  refused({"query", c.folder, "--logits", c.holdout_logits, "--at", "2026-01-02"}, 6, "rows");
  refused({"query", c.folder, "--logits", c / "none.npy", "--at", "2026-01-02"}, 6, "none.npy");
  refused({"query", c.folder, "--logits", c.logits, "--at", "yesterday"}, 2, "is no time");
  refused({"replay", c.folder, "1"}, 2, "there is no round 1");
  refused({"qeury", c.folder}, 2,
          "there is no command \"qeury\" of `poolwise campaign`; the nearest is \"query\"");
  refused({"pool", "ad", c.folder}, 2, "there is no command \"ad\" of `poolwise pool`; the nearest is \"add\"");
  refused({"evaluate", c.folder, "--logits", c.logits, "--holdout", c.holdout, "--at", "2026-01-02"}, 6,
          "120 items");
  refused({"proof", c.folder, "img-1"}, 6, "knows nothing of the item img-1");
  std::string twice = contents(c.table) + "img-0,dark,scan\n";
  write_text(c / "twice.csv", twice);
  refused({"pool", "add", c.folder, "--items", c / "twice.csv", "--at", "2026-01-02"}, 6,
          "is already that of row 0");
  write_text(c / "priceless.csv", "id,light,kind\nx,dark,tape\n");
  auto free = contents(c.folder + "/campaign.toml");
  refused({"pool", "add", c.folder, "--items", c / "priceless.csv", "--at", "2026-01-02"}, 6,
          "no price or time for the type \"tape\"");
  write_text(c.folder + "/campaign.db", "this is no ledger");
  EXPECT_EQ(c.call({"status", c.folder}).code, 6);
}

}  // namespace
}  // namespace poolwise::test
