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

/// Of campaign.toml.
void change_settings(const campaign_folder& c, const std::string& from, const std::string& to) {
  std::string text = contents(c.folder + "/campaign.toml");
  const auto at = text.find(from);
  ASSERT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  write_text(c.folder + "/campaign.toml", text);
}

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

/// No file may grow beyond a size while it lives, in this process and those that it starts.
class full_disk {
 public:
  explicit full_disk(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = std::signal(SIGXFSZ, SIG_IGN);  // so that a write fails, as on a disk that is full
    const rlimit now{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~full_disk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  full_disk(const full_disk&) = delete;
  full_disk& operator=(const full_disk&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

TEST(Campaign, OnAFullDiskItLosesNothingAndGoesOnToTheSameBatchOnceThereIsRoom) {
  const campaign_folder c;
  c.expect_done(c.query("02"));
  const std::string answers = c.answers(1), whole = c / "whole", full = c / "full";
  const auto steps = [&](const std::string& folder) {
    return std::vector{campaign_folder::verb(
                           {"ingest", folder, "--labels", answers, "--source", "acme", "--at", "2026-01-03"}),
                       campaign_folder::verb(c.query("04", folder))};
  };
  fs::copy(c.folder, whole, fs::copy_options::recursive);
  for (const auto& step : steps(whole)) ASSERT_EQ(run(step).code, 0);
  const auto state = [&](const std::string& folder) {
    const auto status = c.json({"status", folder});
    return std::pair(status["labelled"].get<index_t>(), status["rounds"].get<index_t>());
  };
  const auto exported = [&](const char* what, const std::string& folder) {
    return c.expect_done({"export", folder, what}).out;
  };
  int failed = 0, done = 0;
  for (const rlim_t bytes : {0, 20'000, 60'000, 100'000, 140'000, 400'000}) {
    SCOPED_TRACE(bytes);
    fs::remove_all(full);
    fs::copy(c.folder, full, fs::copy_options::recursive);
    const auto to_do = steps(full);
    for (const auto& step : to_do) {
      const auto before = state(full);
      outcome result;
      {
        // What the commands print comes through files, which are smaller than any ledger.
        const full_disk small(bytes);
        const scratch printed;
        const pid_t child = start(printed, step);
        result = finish(printed, child);
      }
      EXPECT_TRUE(result.code == 0 || result.code == 1 || result.code == 6) << result.code << result.err;
      (result.code == 0 ? done : failed) += 1;
      EXPECT_EQ(c.json({"verify", full})["sound"], true);
      const auto after = state(full);
      EXPECT_TRUE(result.code != 0 || after != before);
      if (after != before) continue;
      const outcome again = run(step);
      EXPECT_EQ(again.code, 0) << again.err;
      EXPECT_NE(state(full), before);
    }
    for (const char* what : {"decisions", "labels"}) EXPECT_EQ(exported(what, full), exported(what, whole));
    EXPECT_EQ(c.json({"replay", full, "2"})["identical"], true);
  }
  EXPECT_GT(failed, 2);
  EXPECT_GT(done, 1);
}

TEST(Campaign, VerifyFindsEveryAlterationOfAByteOfAnEvent) {
  const campaign_folder c;
  c.expect_done(c.query("02"));
  c.label(1, "03");
  const std::string file = c.folder + "/campaign.db", sound = contents(file);
  const std::string events = c.expect_done({"export", c.folder, "events"}).out;
  std::vector<std::string> lines;
  std::istringstream all(events);
  for (std::string line; std::getline(all, line);) lines.push_back(line);
  std::mt19937 random(7);
  const int wanted = measured ? 100 : 15;  // sanitizers take their time to begin
  int found = 0;
  for (int trial = 0; found < wanted && trial < 3 * wanted; ++trial) {
    // Sixteen bytes within an event's body lie somewhere in the file, but where a page ends.
    const std::string& line = lines[random() % lines.size()];
    const std::size_t body = line.find("\"body\":") + 7;
    if (line.size() < body + 20) continue;
    const std::string some = line.substr(body + random() % (line.size() - body - 17), 16);
    const std::size_t at = sound.find(some);
    if (at == std::string::npos) continue;
    std::string altered = sound;
    altered[at + random() % some.size()] ^= char(1 + random() % 15);
    std::ofstream(file, std::ios::binary) << altered;  // write_text would wait for the disk
    const outcome result = c.call({"verify", c.folder, "--json"});
    if (result.code == 0) {  // bytes that no row owns
      EXPECT_EQ(c.expect_done({"export", c.folder, "events"}).out, events);
      EXPECT_EQ(result.json()["sound"], true);
      continue;
    }
    EXPECT_EQ(result.code, 6) << result.err;
    ++found;
  }
  EXPECT_EQ(found, wanted);
  write_text(file, sound);
  EXPECT_EQ(c.json({"verify", c.folder})["sound"], true);
}

TEST(Campaign, AnExportIsEnoughToMakeABatchAgainWithoutPoolwise) {
  const campaign_folder c;
  change_settings(c, "margin/5x/kcenter", "margin");
  change_settings(c, "money = 900\nlabels = 100", "labels = 100");
  change_settings(c, "money = 300\nhours = 0.1", "labels = 40");
  const std::string events = c / "events.jsonl";
  const auto again = [&](const std::string& round, const std::string& head = "") {
    c.expect_done({"export", c.folder, "events", "--out", events});
    const std::string command = "PYTHONDONTWRITEBYTECODE=1 python3 " POOLWISE_DOCS "/replay_batch.py " +
                                events + " " + round + head + " >" + (c / "out") + " 2>&1";
    const int status = std::system(command.c_str());
    return std::pair(WEXITSTATUS(status), contents(c / "out"));
  };
  for (const char* day : {"02", "03", "04"}) {
    c.expect_done(c.query(day));
    c.label(day[1] - '1', day);
  }
  c.expect_done({"exclude", c.folder, "--items", c.table, "--why", "enough", "--at", "2026-01-05"});
  const std::string head = c.json({"status", c.folder})["head"];
  for (const char* round : {"1", "2", "3"}) {
    const auto [code, out] = again(round, " --head " + head);
    EXPECT_EQ(code, 0) << out;
    EXPECT_NE(out.find(std::string("round ") + round + " is the same again: "), std::string::npos) << out;
  }
  EXPECT_EQ(again("4").first, 1);
  // Another batch, whose hashes would hold.
  std::string text = contents(events);
  const auto score = text.find("\"score\":0.9");
  ASSERT_NE(score, std::string::npos);
  text[score + 10] = '8';
  write_text(events, text);
  const std::string forged = "PYTHONDONTWRITEBYTECODE=1 python3 " POOLWISE_DOCS "/replay_batch.py " + events +
                             " 1 >" + (c / "out") + " 2>&1";
  EXPECT_EQ(WEXITSTATUS(std::system(forged.c_str())), 1);
  EXPECT_NE(contents(c / "out").find("the score of img-"), std::string::npos) << contents(c / "out");
  auto other = normals(items * classes, 2);
  other[5] += 1;
  save(c.logits, other, classes);
  EXPECT_NE(again("2").second.find("is not the file of then"), std::string::npos);
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

TEST(Campaign, RoundsAndLabelsNameTheGuidelineTheyWereMadeBy) {
  const campaign_folder c;
  c.expect_done(c.query("02"));
  c.label(1, "03");
  write_text(c / "guideline.md", "boots have laces");
  for (int version = 1; version <= 2; ++version)
    c.expect_done({"guideline", c.folder, "--file", c / "guideline.md", "--at", "2026-01-04"});
  auto asked = c.query("05");
  asked.push_back("--json");
  EXPECT_EQ(c.expect_done(asked).json()["guideline"], 2);
  c.label(2, "06");
  write_text(c / "old.csv", "item,label,guideline\nimg-1,boot,1\nimg-2,boot,3\nimg-4,boot,x\n");
  const auto more = c.json({"ingest", c.folder, "--labels", c / "old.csv", "--source", "review", "--overrule",
                            "--at", "2026-01-07", "--refused", c / "refused.csv"});
  EXPECT_EQ(more["added"], 1);
  EXPECT_NE(contents(c / "refused.csv").find("there is no guideline 3"), std::string::npos);
  EXPECT_NE(contents(c / "refused.csv").find("is no whole number from 1 on"), std::string::npos);
  std::map<std::string, int> labels;
  for (const auto& row : campaign_folder::table_of(c.expect_done({"export", c.folder, "labels", "--all"}).out))
    ++labels[row.at("source") + row.at("guideline")];
  const auto batches = c.json({"status", c.folder});
  EXPECT_EQ(labels["review1"], 1);
  EXPECT_EQ(labels["acme"] + labels["acme2"], batches["picked"]);
  EXPECT_GT(labels["acme2"], 0);
  c.expect_done({"report", c.folder});
  EXPECT_NE(contents(c.folder + "/report.html").find("guideline 2"), std::string::npos);
}

TEST(Campaign, TargetsOfPrecisionAndOfCostAreMeasuredForecastAndStopTheCampaign) {
  const campaign_folder c;
  change_settings(c, "target = 0.99\n", "");
  change_settings(c, "[stop]\nrule = \"any(target, budget)\"",
                  "[targets.boots]\nlabel = \"boot\"\nrecall = 0.5\nprecision = 0.6\n"
                  "[targets.work]\ncost_cut = 0.3\nreview_cost = 10\nerror_cost = 20\n"
                  "[stop]\nrule = \"target(certainty=0.5)\"");
  change_settings(c, "target = 0.9\n", "");
  // A model that gives its class a logit of about `sure`, and is wrong about every `wrong`-th item: a little
  // less sure there, or more for every second one.
  const auto evaluated = [&](float sure, index_t wrong, const char* at) {
    std::vector<float> x(std::size_t(held_out * classes), 0.0f);
    for (index_t i = 0; i < held_out; ++i)
      x[std::size_t(i * classes + (i % wrong == 0 ? i + 1 : i) % 3)] =
          sure + float(i % 5) * ((i % wrong == 0) == (wrong == 2) ? .1f : -.1f);
    return c.json(
        {"evaluate", c.folder, "--logits", save(c / "x.npy", x, classes), "--holdout", c.holdout, "--at", at});
  };
  c.expect_done(c.query("02"));
  c.label(1, "03");
  const auto poor = evaluated(2, 2, "2026-01-04T01:00:00Z");
  const std::string boots = "precision of boot at a recall of 50 %";
  EXPECT_LT(poor["measures"][boots]["value"], 0.6);
  EXPECT_GT(poor["temperature"], 1);
  EXPECT_EQ(c.call({"stop", c.folder}).code, 0);
  const auto good = evaluated(3, 10, "2026-01-04T02:00:00Z");
  // People answer none: 1 - 2 of each tenth; or the sure ones are kept apart by their confidence.
  EXPECT_GE(good["measures"]["cost cut"]["value"], 0.8 - 1e-9);
  EXPECT_GT(good["measures"][boots]["value"], 0.6);
  EXPECT_LE(good["measures"]["cost cut"]["low"], good["measures"]["cost cut"]["value"]);
  const outcome stop = c.call({"stop", c.folder});
  EXPECT_EQ(stop.code, 4) << stop.out << stop.err;
  EXPECT_NE(stop.out.find("cost cut"), std::string::npos) << stop.out;
  EXPECT_NE(c.expect_done({"status", c.folder}).out.find("cost cut  "), std::string::npos);
  EXPECT_EQ(c.json({"status", c.folder})["evaluation"]["measures"].size(), 2u);
  const auto forecast = c.json({"forecast", c.folder});
  EXPECT_EQ(forecast["targets"][0]["name"], boots);
  EXPECT_EQ(forecast["targets"][1]["met"], true);
  EXPECT_EQ(c.json({"plan", c.folder, "--logits", c.logits, "--at", "2026-01-05"})["targets"].size(), 2u);
  c.expect_done({"report", c.folder});
  EXPECT_NE(contents(c.folder + "/report.html").find(boots.substr(0, 35)), std::string::npos);
}

TEST(Campaign, PricesAndTimesAreFittedFromTheLogOnceItSaysEnough) {
  const campaign_folder c;
  std::string csv = "id,light,kind,pages\n";
  for (index_t i = 0; i < items; ++i)
    csv += campaign_folder::name_of(i) + "," + campaign_folder::light_of(i) +
           (i % 4 == 0 ? ",scan," : ",photo,") + std::to_string(i % 9) + "\n";
  write_text(c / "pages.csv", csv);
  change_settings(c, "type = \"kind\"", "type = \"kind\"\nlength = \"pages\"");
  change_settings(c, "[price.type]", "[price]\nfitted = 15\n[seconds]\nfitted = 100\n[price.type]");
  change_settings(c, "money = 900", "money = 9000");
  change_settings(c, "money = 300\nhours = 0.1", "money = 3000");
  c.expect_done({"pool", "add", c.folder, "--items", c / "pages.csv", "--embeddings", c.embeddings, "--at",
                 "2026-01-01"});
  const outcome first = c.expect_done(c.query("02"));
  EXPECT_NE(first.err.find("cents of a label: no label says it yet"), std::string::npos) << first.err;
  const auto row_cost = [](index_t row) { return row % 4 == 0 ? 30 + 7 * (row % 9) : 4 + 2 * (row % 9); };
  const auto answer = [&](index_t round, const char* at) {
    std::string answers = "item,label,seconds,cost\n";
    for (const auto& row : campaign_folder::table_of(
             c.expect_done({"export", c.folder, "batch", "--round", std::to_string(round)}).out))
      answers += row.at("item") + ",boot,5," + std::to_string(row_cost(std::stoll(row.at("row")))) + "\n";
    write_text(c / "answers.csv", answers);
    c.expect_done({"ingest", c.folder, "--labels", c / "answers.csv", "--source", "acme", "--at", at});
  };
  answer(1, "2026-01-03");
  auto asked = c.query("04");
  asked.push_back("--json");
  const auto second = c.expect_done(asked).json();
  bool fitted = false;
  for (const auto& item : second["items"]) {
    const index_t row = item["row"];
    if (row % 4 == 0) continue;  // of scans there may be too few labels
    EXPECT_EQ(item["cost"], row_cost(row));
    EXPECT_EQ(item["seconds"], 4);  // of which nothing is claimed
    fitted = true;
  }
  EXPECT_TRUE(fitted);
  const std::string said = second["remarks"].dump();
  EXPECT_NE(said.find("cents of a label of photo: 4 + 2 x length, from "), std::string::npos) << said;
  EXPECT_NE(said.find("labels say it, and 100 are asked for"), std::string::npos) << said;
  answer(2, "2026-01-05");
  const auto forecast = c.json({"forecast", c.folder});
  EXPECT_NEAR(forecast["fitted"]["price"][0]["per_length"], 2, 1e-6);
  EXPECT_FALSE(forecast["fitted"].contains("took"));
  c.expect_done(c.query("06"));
  for (const char* round : {"1", "2", "3"})
    EXPECT_EQ(c.json({"replay", c.folder, round})["identical"], true) << round;
  EXPECT_NE(c.expect_done({"plan", c.folder, "--logits", c.logits, "--at", "2026-01-07"}).out.find("x length"),
            std::string::npos);
}

TEST(Campaign, RandomPicksSayHowGoodTheModelIsAndWhetherRoundsDrift) {
  const campaign_folder c;
  change_settings(c, "audit = 0.1", "audit = 0.5");
  change_settings(c, "money = 900\nlabels = 100", "labels = 400");
  change_settings(c, "money = 300\nhours = 0.1", "labels = 60");
  change_settings(c, "batch = 30", "batch = 60");
  const auto random_of = [&](index_t round) {
    std::vector<std::map<std::string, std::string>> rows;
    for (auto& row : campaign_folder::table_of(
             c.expect_done({"export", c.folder, "batch", "--round", std::to_string(round)}).out))
      if (row.at("arm") == "audit") rows.push_back(row);
    return rows;
  };
  c.expect_done(c.query("02"));
  EXPECT_NE(c.json({"evaluate", c.folder, "--active"})["rounds"][0]["missing"].get<std::string>().find(
                "30 of the 30 items that were drawn at random have no label yet"),
            std::string::npos);
  c.label(1, "02");
  for (const char* day : {"03", "04"}) {
    c.expect_done(c.query(day));
    c.label(day[1] - '1', day);
  }
  const auto logits = normals(items * classes, 2);
  const auto rounds = c.json({"evaluate", c.folder, "--active"})["rounds"];
  ASSERT_EQ(rounds.size(), 3u);
  std::set<std::string> gone;
  for (index_t round = 1; round <= 3; ++round) {
    // Uniform draws: LURE is the plain mean, and AIPW the mean confidence corrected by them.
    double right = 0, off = 0, confidence = 0, count = 0;
    const auto of = [&](index_t row) {
      const float* x = &logits[std::size_t(row * classes)];
      const auto best = std::max_element(x, x + classes) - x;
      double sum = 0;
      for (index_t k = 0; k < classes; ++k) sum += std::exp(double(x[k]) - double(x[best]));
      return std::pair(index_t(best), 1 / sum);
    };
    for (index_t row = 0; row < items; ++row)
      if (gone.count(campaign_folder::name_of(row)) == 0) {
        confidence += of(row).second;
        ++count;
      }
    for (const auto& row : random_of(round)) {
      const auto [best, p] = of(std::stoll(row.at("row")));
      const double is_right = best == std::stoll(row.at("row")) % 3;
      right += is_right / 30;
      off += (is_right - p) / 30;
    }
    const auto& said = rounds[std::size_t(round - 1)];
    EXPECT_NEAR(said["accuracy"]["value"], right, 1e-9);
    EXPECT_NEAR(said["accuracy"]["effective_labels"], 30, 1e-6);
    EXPECT_NEAR(said["assisted"]["value"], confidence / count + off, 1e-9);
    for (const auto& row : campaign_folder::table_of(
             c.expect_done({"export", c.folder, "batch", "--round", std::to_string(round)}).out))
      gone.insert(row.at("item"));
  }
  EXPECT_EQ(c.json({"status", c.folder})["on_the_pool"]["round"], 3);
  EXPECT_NE(c.expect_done({"status", c.folder}).out.find("30.0 effective labels"), std::string::npos);
  const auto calm = c.json({"drift", c.folder});
  ASSERT_EQ(calm["rounds"].size(), 2u);
  for (const auto& round : calm["rounds"]) EXPECT_EQ(round["drifted"], false) << round;
  EXPECT_EQ(calm["rounds"][1]["alpha"], 0.025);
  EXPECT_EQ(calm["rounds"][1]["lines"].size(), 5u);  // slice, type, label, and two of features
  EXPECT_EQ(calm["distributions"].size(), 3u);
  // The features of what is left move; so does what people answer.
  auto moved = normals(items * features, 1);
  for (index_t row = 0; row < items; ++row)
    if (gone.count(campaign_folder::name_of(row)) == 0)
      for (index_t k = 0; k < features; ++k) moved[std::size_t(row * features + k)] += 2;
  c.expect_done({"pool", "add", c.folder, "--items", c.table, "--embeddings",
                 save(c / "moved.npy", moved, features), "--at", "2026-01-05"});
  c.expect_done(c.query("05"));
  std::string answers = "item,label\n";
  for (const auto& row :
       campaign_folder::table_of(c.expect_done({"export", c.folder, "batch", "--round", "4"}).out))
    answers += row.at("item") + ",boot\n";
  write_text(c / "boots.csv", answers);
  c.expect_done({"ingest", c.folder, "--labels", c / "boots.csv", "--source", "acme", "--at", "2026-01-05"});
  std::set<std::string> drifted;
  const auto found = c.json({"drift", c.folder});
  for (const auto& line : found["rounds"][2]["lines"])
    if (line["drifted"] == true)
      drifted.insert(line["name"].get<std::string>() + "/" + line["test"].get<std::string>());
  EXPECT_EQ(drifted, (std::set<std::string>{"features/classifier", "features/mmd", "label/chi_squared"}));
  EXPECT_EQ(found["rounds"][1]["drifted"], false);
  EXPECT_NE(c.expect_done({"drift", c.folder}).out.find("round 4: is not like the rounds before"),
            std::string::npos);
  // Without the features the rest is still told.
  c.expect_done({"report", c.folder});
  fs::remove(c / "moved.npy");
  const auto rest = c.json({"drift", c.folder})["rounds"][2];
  EXPECT_EQ(rest["lines"].size(), 3u);
  EXPECT_NE(rest["remark"].get<std::string>().find("moved.npy"), std::string::npos);
  const std::string page = contents(c.folder + "/report.html");
  for (const char* text : {"Round 4 is not like the rounds before.", "effective labels"})
    EXPECT_NE(page.find(text), std::string::npos) << text;
}

TEST(Campaign, WhereNothingCanBeComparedNothingIsSaidOfDrift) {
  const scratch folder;
  const std::string c = folder / "c";
  write_text(folder / "settings.toml", "[query]\nstrategy = \"random\"\nbatch = 8\naudit = 1\n");
  write_text(folder / "items.csv", "id\na\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\np\nq\n");
  ASSERT_EQ(run({"campaign", "init", c, "--settings", folder / "settings.toml"}).code, 0);
  ASSERT_EQ(run({"campaign", "pool", "add", c, "--items", folder / "items.csv"}).code, 0);
  EXPECT_NE(run({"campaign", "drift", c}).out.find("from the second round on"), std::string::npos);
  for (int round = 1; round <= 3; ++round) ASSERT_EQ(run({"campaign", "query", c}).code, 0);
  const std::string said = run({"campaign", "drift", c}).out;
  EXPECT_NE(said.find("round 2: nothing can be compared"), std::string::npos) << said;
  EXPECT_NE(said.find("round 3: 1 items were drawn at random, and 16 before; 4 are needed"), std::string::npos)
      << said;
}

TEST(Campaign, MakesLabelsOfAnswersAndSaysWhomToAskNext) {
  const campaign_folder c;
  change_settings(c, "[stop]",
                  "[annotators.ann]\nprice = 5\naccuracy = 0.9\n[annotators.bob]\nprice = 1\naccuracy = 0.6\n"
                  "[annotators.cat]\nkind = \"model\"\nprice = 1\naccuracy = 0.8\n[stop]");
  EXPECT_NE(c.call({"annotators", c.folder}).err.find("there are no answers"), std::string::npos);
  c.expect_done(c.query("02"));
  const auto first = c.json({"route", c.folder, "--at", on("02")})["answers"];
  const auto picked = first.size();
  ASSERT_GE(picked, 10u);  // nobody has answered: the cheap and able model is asked about each
  EXPECT_EQ(first[0]["annotator"], "cat");
  // ann is right, bob half of the time, cat but for one class.
  std::string csv = "item,label,by,seconds\n", gold = "item,label\n";
  index_t n = 0;
  for (const auto& row :
       campaign_folder::table_of(c.expect_done({"export", c.folder, "batch", "--round", "1"}).out)) {
    const std::string& item = row.at("item");
    const std::string truth = campaign_folder::label_of(std::stoll(row.at("row")));
    csv += item + "," + truth + ",ann,4\n";
    csv += item + "," + (n % 2 == 0 ? truth : "boot") + ",bob,1\n";
    csv += item + "," + (truth == "sandal" ? "sneaker" : truth) + ",cat,0.5\n";
    if (++n <= 6) gold += item + "," + truth + "\n";
  }
  write_text(c / "answers.csv", csv);
  write_text(c / "gold.csv", gold);
  const std::vector<std::string> ingest = {"ingest",   c.folder, "--labels", c / "answers.csv",
                                           "--source", "shop",   "--as",     "answers",
                                           "--at",     on("03")};
  EXPECT_EQ(c.json(ingest)["added"], 3 * picked);
  EXPECT_EQ(c.json(ingest)["known"], 3 * picked);
  EXPECT_EQ(c.json({"ingest", c.folder, "--labels", c / "gold.csv", "--source", "us", "--as", "gold", "--at",
                    on("03")})["added"],
            6);
  const auto made = c.json({"aggregate", c.folder, "--at", on("04")});
  EXPECT_GE(made["added"], picked - 5);
  EXPECT_EQ(made["added"].get<int>() + made["unsure"].get<int>(), int(picked));
  EXPECT_EQ(c.json({"aggregate", c.folder, "--at", on("05")})["same"], made["added"]);
  EXPECT_TRUE(c.json({"aggregate", c.folder, "--replay", "1"})["differ"].empty());
  EXPECT_NE(c.call({"aggregate", c.folder, "--replay", "2"}).err.find("there is no aggregate 2"),
            std::string::npos);
  std::istringstream labels(c.expect_done({"export", c.folder, "labels", "--json"}).out);
  std::int64_t cost = 0;
  for (std::string line; std::getline(labels, line);) {
    const auto label = nlohmann::json::parse(line);
    EXPECT_EQ(label["label"],
              campaign_folder::label_of(std::stoll(label["item"].get<std::string>().substr(4))));
    EXPECT_GE(label["posterior"], 0.8);
    EXPECT_EQ(label["answers"].size(), 3u);
    cost += label["cost"].get<std::int64_t>();
  }
  EXPECT_EQ(cost, 7 * made["added"].get<int>());
  const auto people = c.json({"annotators", c.folder});
  ASSERT_EQ(people["annotators"].size(), 3u);
  EXPECT_GT(people["annotators"][0]["accuracy"]["value"], people["annotators"][1]["accuracy"]["value"]);
  EXPECT_EQ(people["annotators"][0]["gold_right"], 6);
  EXPECT_EQ(people["annotators"][2]["kind"], "model");
  EXPECT_EQ(people["agreement"]["krippendorff_alpha"]["items"], picked);
  EXPECT_NE(c.expect_done({"annotators", c.folder}).out.find("Confusions of annotators"), std::string::npos);
  EXPECT_EQ(c.json({"route", c.folder, "--most", "3"})["answers"].size(), 0u);
  EXPECT_TRUE(c.json({"verify", c.folder})["sound"]);
  c.expect_done({"report", c.folder});
  EXPECT_NE(contents(c.folder + "/report.html").find("Agreement of annotators"), std::string::npos);
  write_text(c / "more.csv", "item,label,by\nimg-0,boot,ann\nnone,boot,ann\nimg-1,bot,ann\n");
  EXPECT_EQ(c.json({"ingest", c.folder, "--labels", c / "more.csv", "--source", "shop", "--as", "answers",
                    "--at", on("06")})["refused"],
            2);
  EXPECT_NE(c.call({"ingest", c.folder, "--labels", c / "more.csv", "--source", "x", "--as", "answer"})
                .err.find("nearest is answers"),
            std::string::npos);
}

TEST(Campaign, HelpOfEveryVerbHasAnExample) {
  const std::string all = run({"campaign", "--help"}).out;
  for (const char* verb : {"init",   "exclude", "ingest", "note",       "guideline", "export", "plan",
                           "query",  "replay",  "status", "evaluate",   "forecast",  "drift",  "stop",
                           "report", "verify",  "proof",  "annotators", "aggregate", "route"}) {
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
      {"[price]\nfitted = 3\n", "price is fitted, and has no each, column or type for the time before"},
      {"[targets.x]\nprecision = 0.5\n", "targets.x is label, recall and precision, or cost_cut"},
      {"[targets.x]\ncost_cut = 0.5\nreview_cost = 0\n", "targets.x.review_cost is a number from 1e-09"},
      {"[campaign]\nlabels = [\"a\"]\n[targets.x]\nlabel = \"b\"\nrecall = 0.5\nprecision = 0.5\n",
       "line 4: targets.x.label is one of campaign.labels, and is 'b'"},
      {"[targets.x]\ncost_cut = 0.5\nreview_cost = 1\n[targets.y]\ncost_cut = 0.6\nreview_cost = 1\n",
       "targets.y is of the same measure as x"},
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
  refused({"evaluate", c.folder, "--logits", c.logits, "--at", "2026-01-02"}, 2, "or ask for --active");
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
