// The command as people use it: results, exit codes, messages, and outputs that are whole or not there.
#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <random>
#include <set>

#include "poolwise/files/array.hpp"
#include "reference/batches.hpp"
#include "run_command.hpp"

namespace poolwise::test {
namespace {

using reference::normals;

constexpr index_t pool_rows = 60, classes = 4, features = 5;

// A folder with a small pool in it.
struct pool_folder : scratch {
  std::string logits = save(*this / "logits.npy", normals(pool_rows* classes, 1), classes);
  std::string embeddings = save(*this / "embeddings.npy", normals(pool_rows* features, 2), features);
};

int lines(const std::string& text) { return int(std::count(text.begin(), text.end(), '\n')); }

#define EXPECT_REFUSED(result, exit_status, text)                        \
  do {                                                                   \
    const outcome& refused = (result);                                   \
    EXPECT_EQ(refused.code, exit_status) << refused.err;                 \
    EXPECT_NE(refused.err.find(text), std::string::npos) << refused.err; \
    EXPECT_EQ(lines(refused.err), 1) << refused.err;                     \
    EXPECT_EQ(refused.out, "");                                          \
  } while (false)

TEST(Command, HelpOfEveryCommandHasAnExample) {
  const outcome top = run({"--help"});
  EXPECT_EQ(top.code, 0);
  EXPECT_NE(top.out.find("Exit codes"), std::string::npos);
  for (const char* name : {"score", "select", "plan", "stream", "strategies", "devices", "demo", "reproduce",
                           "campaign", "serve"}) {
    EXPECT_NE(top.out.find(name), std::string::npos);
    const outcome help = run({name, "--help"});
    EXPECT_EQ(help.code, 0) << name;
    EXPECT_NE(help.out.find("Example:\n  poolwise " + std::string(name)), std::string::npos) << help.out;
  }
}

TEST(Command, SaysHowNeighboursWereFound) {
  const pool_folder pool;
  const std::vector<std::string> asked = {
      "select", "--embeddings", pool.embeddings, "--strategy", "facility_location", "--batch",
      "3",      "--json",       "--neighbours"};
  const auto found_by = [&](const std::string& method) {
    auto words = asked;
    words.push_back(method);
    return run(words);
  };
  for (const char* method : {"auto", "exact"}) {
    const outcome exact = found_by(method);
    EXPECT_EQ(exact.code, 0) << exact.err;
    EXPECT_EQ(exact.err, "");
    EXPECT_NE(exact.out.find("\"method\": \"exact\",\n    \"recall\": 1.0"), std::string::npos) << exact.out;
  }
  const outcome cells = found_by("ivf"), walks = found_by("hnsw");
  EXPECT_EQ(cells.code, 0);
  EXPECT_NE(cells.err.find("neighbours are approximate: ivf, "), std::string::npos) << cells.err;
  EXPECT_NE(cells.err.find("of 8 cells, made from 60 rows; recall "), std::string::npos) << cells.err;
  EXPECT_NE(cells.err.find("over 60 sampled rows (--neighbours exact finds all)"), std::string::npos)
      << cells.err;
  EXPECT_NE(cells.out.find("\"sampled_rows\": 60"), std::string::npos) << cells.out;
  EXPECT_NE(walks.err.find("hnsw, walks of breadth 64 along 16 links a row; recall "), std::string::npos)
      << walks.err;
  EXPECT_REFUSED(found_by("lsh"), 2, "--neighbours");
  EXPECT_REFUSED(run({"select", "--embeddings", pool.embeddings, "--strategy", "kcenter", "--batch", "3",
                      "--neighbours", "ivf"}),
                 2, "strategy \"kcenter\" makes no lists of neighbours");
}

TEST(Command, UsageErrorsExitWith2) {
  EXPECT_REFUSED(run({}), 2, "subcommand");
  EXPECT_REFUSED(run({"selct"}), 2, "the nearest is \"select\"");
  EXPECT_REFUSED(run({"score", "--no-such"}), 2, "--");
  EXPECT_REFUSED(run({"score", "--out", "x.npy"}), 2, "--acquisition");
  EXPECT_REFUSED(run({"select", "--strategy", "margni", "--batch", "1"}), 2, "nearest name is \"margin\"");
  EXPECT_REFUSED(run({"select", "--strategy", "margin", "--batch", "0"}), 2, "--batch");
  EXPECT_REFUSED(run({"select", "--strategy", "margin", "--device", "tpu"}), 2, "tpu");
  const pool_folder pool;
  EXPECT_REFUSED(run({"select", "--logits", pool.logits, "--strategy", "margin"}), 2, "--batch");
  EXPECT_REFUSED(run({"select", "--logits", pool.logits, "--strategy", "margin", "--budget", "5"}), 2,
                 "--cost");
  EXPECT_REFUSED(run({"select", "--logits", pool.logits, "--probs", pool.logits, "--strategy", "margin"}), 2,
                 "excludes");
  EXPECT_REFUSED(run({"score", "--logits", pool.logits, "--acquisition", "kcenter", "--out", pool / "s.npy"}),
                 2, "kcenter");
}

TEST(Command, NumbersOutOfRangeExitWith2AndSayTheRange) {
  const pool_folder pool;
  const auto select = [&](const std::string& flag, const std::string& value) {
    return run({"select", "--logits", pool.logits, "--embeddings", pool.embeddings, "--strategy", "margin",
                flag == "--batch" ? "--seed" : "--batch", "1", flag, value});
  };
  for (const char* seed : {"-1", "18446744073709551616", "99999999999999999999999", "1.5", "0x10", "x"})
    EXPECT_REFUSED(select("--seed", seed), 2, "is no whole number from 0 to 18446744073709551615");
  EXPECT_EQ(select("--seed", "18446744073709551615").code, 0);
  for (const char* memory : {"-1", "0", "abc", "8XiB", "9EiB", "1e30", "nan", "GiB", "8GiBs"})
    EXPECT_REFUSED(select("--memory", memory), 2, "is no size from 1 byte to 8 EiB");
  for (const char* memory : {"8GiB", "8g", "0.5gb", "8000000000", "8000000000B"})
    EXPECT_EQ(select("--memory", memory).code, 0) << memory;
  EXPECT_REFUSED(select("--memory", "1.5KiB"), 6, "--memory allows 1.5 KiB");
  for (const char* apart : {"nan", "-nan", "inf", "1e39", "-1", "x"}) {
    const outcome result = select("--apart", apart);
    EXPECT_REFUSED(result, 2, "is no number from 0 to 3.40282e+38");
    EXPECT_LT(result.err.size(), 160u);
  }
  for (const char* batch : {"0", "-3", "9223372036854775808", "1e3"})
    EXPECT_REFUSED(select("--batch", batch), 2, "is no whole number from 1 to 9223372036854775807");
  EXPECT_REFUSED(select("--budget", "-1"), 2, "--budget");
  EXPECT_REFUSED(select("--threads", "0"), 2, "from 1 to 4096");
  EXPECT_REFUSED(run({"demo", "--rounds", "60001"}), 2, "from 0 to 60000");
  // Decimal, not octal.
  const auto batch_of = [&](const char* size) {
    return run({"select", "--logits", pool.logits, "--strategy", "margin", "--batch", size, "--json"}).json();
  };
  EXPECT_EQ(batch_of("010")["picks"].size(), 10u);
}

TEST(Command, WhatNoDataWouldMakeRightExitsWith2) {
  const pool_folder pool;
  const auto score = [&](const char* flag, const char* names) {
    return run({"score", flag, pool.logits, "--acquisition", names, "--out", pool / "s.npy"});
  };
  EXPECT_REFUSED(score("--logits", "margn"), 2,
                 "there is no strategy \"margn\"; the nearest name is \"margin\"");
  EXPECT_REFUSED(score("--logits", "entropy,margn"), 2, "the nearest name is \"margin\"");
  EXPECT_REFUSED(score("--probs", "energy"), 2, "energy was asked of probabilities");
  EXPECT_REFUSED(run({"score", "--logits", pool.logits, "--acquisition", "margin", "--out", pool / "s.csv"}), 2,
                 "scores are written as .npy");
  EXPECT_REFUSED(run({"select", "--strategy", "random", "--batch", "1"}), 2,
                 "--embeddings, --cost) is required");
  EXPECT_REFUSED(
      run({"select", "--logits", pool.logits, "--strategy", "margin", "--batch", "1", "--labelled", ""}), 2,
      "--labelled: is followed by an empty argument");
  EXPECT_REFUSED(score("--logits", "bald"), 2, "--committee or --committee-probs is required");
  EXPECT_REFUSED(run({"demo", "--strategies", "margn", "--dry-run"}), 2, "the nearest name is \"margin\"");
  EXPECT_REFUSED(run({"demo", "--strategies", "bald", "--dry-run"}), 2, "--members");
  for (const char* command : {"select", "plan"}) {
    const auto ask = [&](const char* flag, const char* strategy, std::vector<std::string> more = {}) {
      std::vector<std::string> all = {command, flag, pool.logits, "--strategy", strategy, "--batch", "2"};
      all.insert(all.end(), more.begin(), more.end());
      return run(all);
    };
    const std::string opening = "poolwise: " + std::string(command) + ": ";
    EXPECT_REFUSED(ask("--logits", "kcenter"), 2,
                   opening + "strategy \"kcenter\" needs embeddings; give them (--embeddings)");
    EXPECT_REFUSED(ask("--logits", "batchbald"), 2, "(--committee or --committee-probs)");
    EXPECT_REFUSED(ask("--embeddings", "margin"), 2, "(--logits or --probs)");
    EXPECT_REFUSED(ask("--logits", "margin", {"--apart", "1"}), 2, "(--embeddings)");
    EXPECT_REFUSED(ask("--probs", "energy"), 2, "energy was asked of probabilities");
  }
}

TEST(Command, MessagesBeginWithTheCommand) {
  const pool_folder pool;
  save(pool / "short.npy", normals(7 * classes, 3), classes);
  EXPECT_REFUSED(run({"plan", "--logits", pool.logits, "--embeddings", pool / "short.npy", "--strategy",
                      "margin", "--batch", "1"}),
                 6, "poolwise: plan: embeddings have 7 rows");
  std::vector<std::int64_t> all(60);
  std::iota(all.begin(), all.end(), 0);
  save(pool / "all.npy", all);
  EXPECT_REFUSED(run({"plan", "--logits", pool.logits, "--strategy", "margin", "--batch", "1", "--labelled",
                      pool / "all.npy"}),
                 3, "poolwise: plan: all 60 rows are labelled or excluded");
  std::ofstream(pool / "none.npy", std::ios::binary)
      << "\x93NUMPY\x01" << '\0' << '\x3c' << '\0'
      << "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2), }\n";
  EXPECT_REFUSED(
      run({"score", "--logits", pool / "none.npy", "--acquisition", "margin", "--out", pool / "s.npy"}), 6,
      "poolwise: score: the pool is empty");
}

TEST(Command, ScoreWritesWhatTheFormulaSays) {
  const pool_folder pool;
  const auto logits = normals(pool_rows * classes, 1);
  const outcome result = run({"score", "--logits", pool.logits, "--acquisition",
                              "entropy,margin,least_confidence", "--out", pool / "scores.npy"});
  ASSERT_EQ(result.code, 0) << result.err;
  array keep;
  const auto scores = as_float_matrix(open_npy(pool / "scores.npy"), keep);
  ASSERT_EQ(scores.rows, pool_rows);
  ASSERT_EQ(scores.cols, 3);
  for (index_t i = 0; i < pool_rows; ++i) {
    std::vector<double> p(classes);
    double z = 0, h = 0;
    for (std::size_t c = 0; c < classes; ++c)
      z += p[c] = std::exp(double(logits[std::size_t(i * classes) + c]));
    for (double& v : p) v /= z, h -= v * std::log(v);
    std::sort(p.rbegin(), p.rend());
    EXPECT_NEAR(scores(i, 0), h, 1e-5);
    EXPECT_NEAR(scores(i, 1), 1 - (p[0] - p[1]), 1e-5);
    EXPECT_NEAR(scores(i, 2), 1 - p[0], 1e-5);
  }
  ASSERT_EQ(run({"score", "--logits", pool.logits, "--acquisition", "energy", "--out", pool / "one.npy"}).code,
            0);
  EXPECT_EQ(open_npy(pool / "one.npy").shape, (std::vector<index_t>{pool_rows}));
}

TEST(Command, PartsAreReducedToItems) {
  const pool_folder pool;
  const std::string offsets = save(pool / "offsets.npy", {0, 4, 4, 30, pool_rows}), items = pool / "items.npy",
                    parts = pool / "parts.npy";
  const auto reduce = [&](const std::string& how, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"score", "--logits", pool.logits, "--acquisition", "margin,mnlp", "--items",
                               offsets, "--reduce", how, "--out", items});
    return run(more);
  };
  ASSERT_EQ(run({"score", "--logits", pool.logits, "--acquisition", "margin,mnlp", "--out", parts}).code, 0);
  array parts_kept, items_kept;
  const auto of_parts = as_float_matrix(open_npy(parts), parts_kept);
  const std::vector<index_t> ends = {0, 4, 4, 30, pool_rows};
  for (const std::string how : {"sum", "top3"}) {
    ASSERT_EQ(reduce(how, {"--on-nan", "keep"}).code, 0);
    const auto of_items = as_float_matrix(open_npy(items), items_kept);
    ASSERT_EQ(of_items.rows, 4);
    for (index_t i = 0; i < 4; ++i)
      for (index_t c = 0; c < 2; ++c) {
        std::vector<double> values;
        for (index_t p = ends[std::size_t(i)]; p < ends[std::size_t(i) + 1]; ++p)
          values.push_back(double(of_parts(p, c)));
        std::sort(values.rbegin(), values.rend());
        if (how == "top3") values.resize(std::min<std::size_t>(3, values.size()));
        const double sum = std::accumulate(values.begin(), values.end(), 0.0);
        const float got = of_items(i, c);
        if (how == "top3" && i == 1) {
          EXPECT_TRUE(std::isnan(got));
        } else {
          EXPECT_NEAR(double(got), how == "sum" ? sum : sum / 3, 1e-4);
        }
      }
  }
  EXPECT_REFUSED(reduce("mean"), 6, "item 1 has no part, and so no mean; reduce by sum");
  EXPECT_REFUSED(reduce("median"), 2, "there is no reduction \"median\"");
  EXPECT_REFUSED(
      run({"score", "--logits", pool.logits, "--acquisition", "margin", "--items", offsets, "--out", items}), 2,
      "--reduce");
  save(offsets, {0, 9, 4, pool_rows});
  EXPECT_REFUSED(reduce("sum"), 6, "offset 2 is 4, less than the one before it, 9");
  save(offsets, {0, 9});
  EXPECT_REFUSED(reduce("sum"), 6, "the offsets go from 0 to 9, and there are 60 parts");
}

/// What the command prints of rows on its standard input.
outcome streamed(const scratch& folder, const std::string& rows, const std::string& options,
                 const std::string& before = "") {
  std::ofstream(folder / "in") << rows;
  const std::string out = folder / "out", err = folder / "err";
  outcome result;
  result.code = WEXITSTATUS(std::system((before + std::string(POOLWISE_COMMAND) + " stream " + options + " < " +
                                         (folder / "in") + " > " + out + " 2> " + err)
                                            .c_str()));
  result.out = contents(out);
  result.err = contents(err);
  return result;
}

TEST(Command, StreamDecidesALineAtATime) {
  const scratch folder;
  const outcome csv = streamed(folder, "0.6\n0.1\n\n0.7\n", "--keep none --rule fixed --threshold 0.5");
  EXPECT_EQ(csv.code, 0) << csv.err;
  EXPECT_EQ(csv.out,
            "row,id,score,ask,probability\n0,0,0.600000024,1,1\n1,1,0.100000001,0,0\n"
            "2,2,0.699999988,1,1\n");
  const outcome json = streamed(folder, "{\"id\": \"a,b\", \"probs\": [0.5, 0.25, 0.25]}\n0.25,0.75\n",
                                "--holds probs --json --rule random --budget 1");
  EXPECT_EQ(json.code, 0) << json.err;
  EXPECT_EQ(json.out,
            "{\"row\":0,\"id\":\"a,b\",\"score\":0.5,\"ask\":true,\"probability\":1.0}\n"
            "{\"row\":1,\"score\":0.25,\"ask\":true,\"probability\":1.0}\n");
  const auto refused = [&](const std::string& rows, const std::string& options, int code, const char* text) {
    const outcome result = streamed(folder, rows, options);
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
  };
  refused("0.5\nscore\n", "", 6, "line 2: \"score\" is no number");
  refused("0.5,0.5\n", "", 6, "line 1 has 2 numbers, and a score is one");
  refused("0.5,0.9\n", "--holds probs", 6, "line 1 sums to 1.4");
  refused("0.5\n", "--holds logits", 6, "line 1 has 1 outputs");
  refused("nan\n", "", 6, "row 0 has a score that is not finite");
  refused("{\"id\": 1}\n", "", 6, "line 1 has no score, logits or probs");
  refused("{\"score\": 1\n", "", 6, "line 1 is no JSON object");
  refused("", "--rule fixd", 2, "there is no stream rule \"fixd\"");
  refused("", "--budget 0", 2, "the budget is 0.0");
  refused("", "--acquisition kcenter", 2, "is no score of one row's outputs");
}

TEST(Command, AStreamThatIsKilledGoesOnFromItsState) {
  const scratch folder;
  std::string rows;
  for (int i = 0; i < 200; ++i) rows += std::to_string(double(i * i % 97) / 97) + "\n";
  const std::string options = "--rule split --budget 0.3 --seed 3 ";
  const outcome whole = streamed(folder, rows, options);
  const std::string kept = "--state " + (folder / "state.jsonl");
  // Its input stays open behind the first rows, so that it is killed while it waits, or before.
  std::ofstream(folder / "some") << rows.substr(0, 900);
  const std::string command = "(cat " + (folder / "some") + "; sleep 0.4) | timeout -s KILL 0.2 " +
                              std::string(POOLWISE_COMMAND) + " stream " + options + kept + " > /dev/null 2>&1";
  ASSERT_NE(std::system(command.c_str()), -1);
  const std::string state =
      std::filesystem::exists(folder / "state.jsonl") ? contents(folder / "state.jsonl") : "";
  const int decided = std::max(0, lines(state) - 1);
  std::size_t at = 0;
  for (int i = 0; i < decided; ++i) at = rows.find('\n', at) + 1;
  const outcome rest = streamed(folder, rows.substr(at), options + kept);
  EXPECT_EQ(rest.code, 0) << rest.err;
  EXPECT_EQ(rest.err.find("going on behind row") != std::string::npos, decided > 0);
  std::size_t line = whole.out.find('\n') + 1;
  for (int i = 0; i < decided; ++i) line = whole.out.find('\n', line) + 1;
  EXPECT_EQ(rest.out, "row,id,score,ask,probability\n" + whole.out.substr(line));
  EXPECT_EQ(lines(contents(folder / "state.jsonl")), 201);
  EXPECT_NE(streamed(folder, "", options + "--step 0.5 " + kept).err.find("is of a stream with other options"),
            std::string::npos);
}

TEST(Command, SelectPrintsTheDocumentedCsvAndJson) {
  const pool_folder pool;
  std::ofstream(pool / "ids.csv") << "id\n"
                                  << [] {
                                       std::string text;
                                       for (int i = 0; i < pool_rows; ++i)
                                         text += i == 0 ? "\"a,b\"\n" : "item-" + std::to_string(i) + "\n";
                                       return text;
                                     }();
  const std::vector<std::string> arguments = {
      "select", "--logits", pool.logits, "--embeddings", pool.embeddings, "--strategy",
      "badge",  "--batch",  "60",        "--ids",        pool / "ids.csv"};
  const outcome csv = run(arguments);
  ASSERT_EQ(csv.code, 0) << csv.err;
  EXPECT_EQ(csv.out.substr(0, csv.out.find('\n')), "rank,row,id,score,cost,reason");
  EXPECT_EQ(lines(csv.out), 61);
  EXPECT_NE(csv.out.find(",\"a,b\","), std::string::npos);

  auto with_json = arguments;
  with_json.push_back("--json");
  const auto json = run(with_json).json();
  EXPECT_EQ(json["schema"], "poolwise.select/1");
  ASSERT_EQ(json["picks"].size(), 60u);
  for (std::size_t i = 0; i < 60; ++i) {
    const auto& pick = json["picks"][i];
    EXPECT_EQ(pick["rank"], i + 1);
    for (const char* key : {"row", "id", "score", "cost", "reason"}) EXPECT_TRUE(pick.contains(key)) << key;
    const std::string start = std::to_string(i + 1) + "," + std::to_string(pick["row"].get<int>()) + ",";
    EXPECT_NE(csv.out.find("\n" + start), std::string::npos) << start;
  }

  auto to_file = arguments;
  to_file.insert(to_file.end(), {"--out", pool / "picks.csv"});
  EXPECT_EQ(run(to_file).out, "");
  EXPECT_EQ(contents(pool / "picks.csv"), csv.out);
}

TEST(Command, RowsAreNamedByTheirIdsWhereTheyHaveSome) {
  const pool_folder pool;
  std::ofstream ids(pool / "ids.csv"), seen(pool / "seen.csv"), strange(pool / "strange.jsonl");
  ids << "id\n";
  for (int i = 0; i < pool_rows; ++i) ids << "item-" << i << "\n";
  seen << "id\nitem-3\nitem-7\n";
  strange << "{\"id\": \"item-60\"}\n";
  for (auto* file : {&ids, &seen, &strange}) file->close();
  save(pool / "rows.npy", std::vector<std::int64_t>{3, 7});
  const auto select = [&](const std::string& excluded, bool with_ids) {
    std::vector<std::string> arguments = {"select",  "--logits", pool.logits, "--strategy", "margin",
                                          "--batch", "58",       "--exclude", excluded};
    if (with_ids) arguments.insert(arguments.end(), {"--ids", pool / "ids.csv"});
    return run(arguments);
  };
  const outcome named = select(pool / "seen.csv", true);
  ASSERT_EQ(named.code, 0) << named.err;
  EXPECT_EQ(named.out, select(pool / "rows.npy", true).out);
  EXPECT_EQ(named.out.find("item-7,"), std::string::npos);
  EXPECT_REFUSED(select(pool / "seen.csv", false), 2, "give --ids, or row numbers");
  EXPECT_REFUSED(select(pool / "strange.jsonl", true), 6, "no row has the id 'item-60'");
}

TEST(Command, MembersOfACommitteeMayLieInFilesOfTheirOwn) {
  const pool_folder pool;
  std::vector<float> first, second;
  for (int i = 0; i < pool_rows * 3; ++i) {
    first.push_back(float(i * i % 17));
    second.push_back(float(i * i % 13));
  }
  const std::string a = save(pool / "a.npy", first, 3), b = save(pool / "b.npy", second, 3);
  const auto bald = [&](const std::string& members) {
    return run({"select", "--committee", members, "--embeddings", pool.embeddings, "--strategy",
                "bald/20/kcenter", "--batch", "9"});
  };
  const outcome two = bald(a + "," + b);
  ASSERT_EQ(two.code, 0) << two.err;
  EXPECT_EQ(lines(two.out), 10);
  EXPECT_EQ(run({"select", "--committee", a, "--committee", b, "--embeddings", pool.embeddings, "--strategy",
                 "bald/20/kcenter", "--batch", "9"})
                .out,
            two.out);
  EXPECT_REFUSED(bald(a + "," + pool.embeddings), 6, "member 1 has");
  EXPECT_REFUSED(bald(a + "," + (pool / "none.npy")), 6, "none.npy");
  const outcome scores = run({"score", "--committee", a + "," + b, "--acquisition", "bald,vote_entropy",
                              "--out", pool / "scores.npy"});
  EXPECT_EQ(scores.code, 0) << scores.err;
}

TEST(Command, CompletionOffersEveryCommandOptionAndStrategy) {
  const outcome script = run({"completion", "bash"});
  ASSERT_EQ(script.code, 0) << script.err;
  for (const char* word : {"select", "--strategy", "--checkpoint", "graph_cut", "batchbald", "completion"})
    EXPECT_NE(script.out.find(word), std::string::npos) << word;
  const scratch folder;
  std::ofstream(folder / "complete.sh")
      << script.out << "COMP_WORDS=(poolwise select --strategy margin/10x/kc); COMP_CWORD=3; _poolwise\n"
      << "echo ${COMPREPLY[@]}\nCOMP_WORDS=(poolwise sel); COMP_CWORD=1; _poolwise; echo ${COMPREPLY[@]}\n";
  EXPECT_EQ(std::system(("bash " + (folder / "complete.sh") + " > " + (folder / "words")).c_str()), 0);
  EXPECT_EQ(contents(folder / "words"), "margin/10x/kcenter\nselect\n");
  EXPECT_REFUSED(run({"completion", "tcsh"}), 2, "tcsh");
}

TEST(Command, SelectIsTheSameOnAnyThreadsAndChangesWithTheSeed) {
  const pool_folder pool;
  const auto picks = [&](const std::string& threads, const std::string& seed) {
    return run({"select", "--logits", pool.logits, "--embeddings", pool.embeddings, "--strategy", "badge",
                "--batch", "20", "--threads", threads, "--seed", seed})
        .out;
  };
  EXPECT_EQ(picks("1", "3"), picks("2", "3"));
  EXPECT_NE(picks("1", "3"), picks("1", "4"));
}

TEST(Command, BudgetsQuotasAndExclusions) {
  const pool_folder pool;
  std::vector<std::int64_t> cost(pool_rows, 10), group(pool_rows, 0), exclude = {1, 2, 3};
  group[5] = group[6] = 1;
  save(pool / "cost.npy", cost);
  save(pool / "group.npy", group);
  save(pool / "exclude.npy", exclude);
  std::ofstream(pool / "quota.csv") << "group,quota\n0,2\n1,1\n";
  const std::vector<std::string> base = {"select", "--logits", pool.logits, "--strategy", "margin", "--json"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), base.begin(), base.end());
    return run(more);
  };
  const auto bought = with({"--cost", pool / "cost.npy", "--budget", "59"}).json();
  EXPECT_EQ(bought["picks"].size(), 5u);
  EXPECT_EQ(bought["cost"], 50);
  std::vector<std::int64_t> hours(pool_rows);
  for (index_t i = 0; i < pool_rows; ++i) hours[std::size_t(i)] = 1 + i % 3;
  save(pool / "hours.npy", hours);
  const std::vector<std::string> two = {"--cost",        pool / "cost.npy",
                                        "--budget",      "59",
                                        "--also-cost",   "hours=" + (pool / "hours.npy"),
                                        "--also-cost",   "days=" + (pool / "cost.npy"),
                                        "--also-budget", "hours=4"};
  const auto both = with(two).json();
  std::int64_t used = 0;
  for (const auto& pick : both["picks"]) {
    EXPECT_EQ(pick["also_cost"]["hours"], hours[pick["row"].get<std::size_t>()]);
    EXPECT_EQ(pick["also_cost"]["days"], pick["cost"]);
    used += pick["also_cost"]["hours"].get<std::int64_t>();
  }
  EXPECT_EQ(both["also_cost"]["hours"], used);
  EXPECT_LE(used, 4);
  EXPECT_GT(used, 2);
  auto csv = two;
  csv.insert(csv.begin(), base.begin(), base.end() - 1);
  EXPECT_EQ(run(csv).out.substr(0, 42), "rank,row,id,score,cost,reason,hours,days\n1");
  EXPECT_REFUSED(with({"--also-budget", "hours=4"}), 2,
                 "--also-budget has one of \"hours\", of which there is not one");
  EXPECT_REFUSED(with({"--also-budget", "hours=many"}), 2, "\"hours=many\" ends in no whole number");
  EXPECT_REFUSED(with({"--also-cost", "hours", "--batch", "2"}), 2, "is no name and value");
  const auto quotas =
      with({"--group", pool / "group.npy", "--quota", pool / "quota.csv", "--batch", "9"}).json();
  EXPECT_EQ(quotas["picks"].size(), 3u);
  const auto rest = with({"--exclude", pool / "exclude.npy", "--batch", "57"}).json();
  for (const auto& pick : rest["picks"]) EXPECT_TRUE(pick["row"] == 0 || pick["row"] > 3);

  EXPECT_EQ(quotas["remarks"][0], "3 of 9 picks: no more rows are within --quota");
  EXPECT_REFUSED(with({"--cost", pool / "cost.npy", "--budget", "9"}), 3,
                 "none of the 60 available rows is within --budget");
  const auto fewer = with({"--exclude", pool / "exclude.npy", "--batch", "58"});
  EXPECT_EQ(fewer.code, 0);
  EXPECT_EQ(fewer.json()["picks"].size(), 57u);
  EXPECT_NE(fewer.err.find("57 of 58 picks: no more rows are available"), std::string::npos);
  cost[7] = -1;
  save(pool / "cost.npy", cost);
  EXPECT_REFUSED(with({"--cost", pool / "cost.npy", "--budget", "59"}), 6, "the cost of row 7 is -1");
  std::ofstream(pool / "quota.csv") << "group,quota\n0,two\n";
  EXPECT_REFUSED(with({"--group", pool / "group.npy", "--quota", pool / "quota.csv", "--batch", "9"}), 6,
                 "line 2");
}

TEST(Command, FloorsStandBesideQuotas) {
  const pool_folder pool;
  std::vector<std::int64_t> group(pool_rows, 0);
  for (std::size_t i = 0; i < group.size(); ++i) group[i] = std::int64_t(i % 20 == 0);
  save(pool / "group.npy", group);
  const auto select = [&](const std::string& quota, const char* strategy = "margin") {
    std::ofstream(pool / "quota.csv") << quota;
    return run({"select", "--logits", pool.logits, "--strategy", strategy, "--batch", "9", "--json", "--group",
                pool / "group.npy", "--quota", pool / "quota.csv"});
  };
  for (const char* strategy : {"margin", "margin/2x/entropy"}) {
    const auto chosen = select("group,quota,floor\n0,,2\n1,4,30%\n", strategy).json();
    int of_group_1 = 0;
    for (const auto& pick : chosen["picks"]) of_group_1 += pick["row"].get<int>() % 20 == 0;
    EXPECT_EQ(chosen["picks"].size(), 9u);
    EXPECT_GE(of_group_1, 3);
    EXPECT_EQ(chosen["remarks"].size(), 0u);
  }
  EXPECT_REFUSED(
      select("group,quota,floor\n0,9,7\n1,9,3\n"), 3,
      "select: the floor in --quota of group 0 and group 1 (10 picks together) and --batch (9) contradict "
      "each other");
  EXPECT_REFUSED(select("group,quota,floor\n0,9,7\n1,9,x\n"), 6,
                 "line 3: \"1,9,x\" is not a group and its quota");
}

TEST(Command, EveryGroupHasOneQuota) {
  const pool_folder pool;
  std::vector<std::int64_t> group(pool_rows, 0);
  for (std::size_t i = 0; i < group.size(); ++i) group[i] = std::int64_t(i % 3);
  save(pool / "group.npy", group);
  const auto select = [&](const std::string& quota) {
    std::ofstream(pool / "quota.csv") << quota;
    return run({"select", "--logits", pool.logits, "--strategy", "margin", "--batch", "9", "--json", "--group",
                pool / "group.npy", "--quota", pool / "quota.csv"});
  };
  EXPECT_REFUSED(select("group,quota\n0,2\n1,1\n2,4\n1,5\n"), 6, "lines 3 and 5 both give a quota to group 1");
  EXPECT_REFUSED(select("group,quota\n0,2\n2,4\n"), 6, "group.npy is in group 1, to which");
  EXPECT_REFUSED(select("group,quota\n0,2\n1,4\n"), 6, "group.npy is in group 2, to which");
  EXPECT_REFUSED(select("group,quota\n"), 6, "gives no group a quota");
  EXPECT_REFUSED(select("0,\x01\x1b[31m\n"), 6, "line 1: no column `group` among '0', '\\x01\\x1b[31m'");
  EXPECT_EQ(select("*,1\n1,50%\n").json()["picks"].size(), 7u);
  EXPECT_EQ(select("2,4\n\n0,2\n1,0\n").json()["picks"].size(), 6u);
}

TEST(Command, FilesThatAreNotThereAreBadInput) {
  const pool_folder pool;
  for (const char* flag : {"--embeddings", "--labelled", "--ids"})
    EXPECT_REFUSED(run({"select", "--logits", pool.logits, "--strategy", "margin", "--batch", "1", flag,
                        pool / "nowhere.csv.npy"}),
                   6, "nowhere");
}

TEST(Command, BadArraysAreRefusedInOneLineWithExit6) {
  const pool_folder pool;
  const auto score = [&](const std::string& file, const char* flag = "--logits") {
    return run({"score", flag, file, "--acquisition", "entropy", "--out", pool / "out.npy"});
  };
  const auto npy = [&](const std::string& header, std::size_t data) {
    std::string text = "\x93NUMPY";
    text += {1, 0, char(header.size() & 255), char(header.size() >> 8)};
    std::ofstream(pool / "bad.npy", std::ios::binary) << text << header << std::string(data, '\0');
    return pool / "bad.npy";
  };
  EXPECT_REFUSED(score(pool / "none.npy"), 6, "none.npy");
  EXPECT_REFUSED(score(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }\n", 23)), 6,
                 "truncated");
  EXPECT_REFUSED(score(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }\n", 25)), 6, "bad.npy");
  EXPECT_REFUSED(score(npy("{'descr': '|O', 'fortran_order': False, 'shape': (3, 2), }\n", 48)), 6, "object");
  EXPECT_REFUSED(score(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }\n", 24)), 6, "rank");
  EXPECT_REFUSED(score(npy("{'descr': '<i4', 'fortran_order': False, 'shape': (3, 2), }\n", 24)), 6, "int32");
  EXPECT_REFUSED(
      score(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 3), }\n", 24)), 6,
      "bad.npy");
  EXPECT_REFUSED(score(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2), }\n", 0)), 6, "empty");
  EXPECT_REFUSED(score(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0), }\n", 0)), 6, "score");
  EXPECT_REFUSED(score(pool.logits, "--probs"), 6, "row 0");
  EXPECT_EQ(std::filesystem::exists(pool / "out.npy"), false);
}

TEST(Command, ACommitteeHasTheScoresOfItsMean) {
  const scratch folder;
  const std::string first = save(folder / "a.npy", normals(pool_rows * classes, 1), classes),
                    second = save(folder / "b.npy", normals(pool_rows * classes, 2), classes),
                    out = folder / "s.npy";
  ASSERT_EQ(run({"score", "--committee", first + "," + second, "--acquisition",
                 "entropy,consensus_entropy,margin", "--out", out})
                .code,
            0);
  const array scores = open_npy(out);
  const auto* s = reinterpret_cast<const float*>(scores.data);
  for (index_t i = 0; i < pool_rows; ++i) EXPECT_NEAR(s[3 * i], s[3 * i + 1], 1e-5);
  const auto rows_by = [&](const std::string& strategy) {
    const outcome chosen =
        run({"select", "--committee", first + "," + second, "--strategy", strategy, "--batch", "5", "--json"});
    std::vector<index_t> rows;
    const auto json = chosen.json();
    for (const auto& pick : json["picks"]) rows.push_back(pick["row"]);
    return rows;
  };
  EXPECT_EQ(rows_by("entropy"), rows_by("consensus_entropy"));
  EXPECT_REFUSED(run({"score", "--committee", first + "," + second, "--acquisition", "energy", "--out", out}),
                 2, "energy");
  EXPECT_REFUSED(run({"select", "--committee", first + "," + second, "--strategy", "margin", "--batch", "5",
                      "--memory", "900"}),
                 6, "the mean of the committee's probabilities takes 960 B");
}

TEST(Command, OnlyCandidatesArePicked) {
  const pool_folder pool;
  write_text(pool / "ids.csv", [] {
    std::string ids = "id\n";
    for (index_t i = 0; i < pool_rows; ++i) ids += "item" + std::to_string(i) + "\n";
    return ids;
  }());
  write_text(pool / "candidates.csv", "id\nitem7\nitem3\nitem50\n");
  for (const char* strategy : {"margin", "kcenter", "margin/10x/kcenter"}) {
    const outcome chosen =
        run({"select", "--logits", pool.logits, "--embeddings", pool.embeddings, "--strategy", strategy,
             "--batch", "4", "--ids", pool / "ids.csv", "--candidates", pool / "candidates.csv", "--json"});
    std::set<index_t> rows;
    const auto json = chosen.json();
    for (const auto& pick : json["picks"]) rows.insert(index_t(pick["row"]));
    EXPECT_EQ(rows, (std::set<index_t>{3, 7, 50})) << strategy;
    EXPECT_NE(chosen.err.find("3 of 4 picks"), std::string::npos) << chosen.err;
  }
}

TEST(Command, RowsWithoutAScore) {
  const pool_folder pool;
  auto logits = normals(pool_rows * classes, 1);
  logits[9 * classes + 1] = std::nanf("");
  logits[11 * classes] = INFINITY;
  save(pool.logits, logits, classes);
  const std::vector<std::string> score = {"score",          "--logits", pool.logits,   "--acquisition",
                                          "entropy,margin", "--out",    pool / "s.npy"};
  EXPECT_REFUSED(run(score), 6, "row 9 holds NaN in column 1; 2 of 60 rows");
  EXPECT_FALSE(std::filesystem::exists(pool / "s.npy"));
  auto keep_nan = score;
  keep_nan.insert(keep_nan.end(), {"--on-nan", "keep"});
  EXPECT_EQ(run(keep_nan).code, 0);
  array keep;
  const auto scores = as_float_matrix(open_npy(pool / "s.npy"), keep);
  EXPECT_TRUE(std::isnan(scores(9, 0)) && std::isnan(scores(9, 1)) && std::isnan(scores(11, 0)));
  EXPECT_FALSE(std::isnan(scores(10, 0)));

  EXPECT_REFUSED(run({"select", "--logits", pool.logits, "--strategy", "margin", "--batch", "5"}), 6,
                 "row 9 holds NaN in column 1; 2 of 60 rows");
  const auto skipped = run({"select", "--logits", pool.logits, "--strategy", "margin", "--batch", "58",
                            "--on-nan", "skip", "--json"});
  EXPECT_EQ(skipped.json()["skipped_rows"], 2);
  EXPECT_EQ(skipped.json()["picks"].size(), 58u);
}

TEST(Command, ARowThatLacksOneOfSeveralScoresCounts) {
  const pool_folder pool;
  auto logits = normals(pool_rows * classes, 1);
  logits[9 * classes + 1] = logits[11 * classes] = std::nanf("");
  save(pool.logits, logits, classes);
  const auto members = normals(3 * pool_rows * classes, 5);
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 60, 4), }\n";
  std::ofstream file(pool / "committee.npy", std::ios::binary);
  file << "\x93NUMPY\x01" << '\0' << char(header.size()) << '\0' << header;
  file.write(reinterpret_cast<const char*>(members.data()), std::streamsize(members.size() * sizeof(float)));
  file.close();
  std::vector<std::string> score = {
      "score",         "--logits",    pool.logits, "--committee", pool / "committee.npy",
      "--acquisition", "bald,margin", "--out",     pool / "s.npy"};
  EXPECT_REFUSED(run(score), 6, "row 9 holds NaN in column 1; 2 of 60 rows");
  score.insert(score.end(), {"--on-nan", "keep", "--json"});
  EXPECT_EQ(run(score).json()["invalid_rows"], 2);
}

TEST(Command, LabelledRowsAreChecked) {
  const pool_folder pool;
  const auto select = [&](const std::vector<std::int64_t>& labelled) {
    save(pool / "labelled.npy", labelled);
    return run({"select", "--logits", pool.logits, "--strategy", "margin", "--batch", "5", "--labelled",
                pool / "labelled.npy"});
  };
  EXPECT_EQ(select({0, 5, 59}).code, 0);
  EXPECT_REFUSED(select({0, 60}), 6, "labelled row 60 is not in the pool");
  EXPECT_REFUSED(select({-1}), 6, "labelled row -1");
  EXPECT_REFUSED(select({4, 5, 4}), 6, "row 4 is given twice");
}

TEST(Command, LabelledRowsMayBeNoneAMaskOrWhatOutWrote) {
  const pool_folder pool;
  const auto npy = [&](const char* name, const std::string& descr, const std::string& data, int items) {
    const std::string header =
        "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (" + std::to_string(items) + ",), }\n";
    std::string begin = "\x93NUMPY";
    begin += {1, 0, char(header.size()), 0};
    std::ofstream(pool / name, std::ios::binary) << begin << header << data;
    return pool / name;
  };
  const auto select = [&](std::vector<std::string> more) {
    const std::vector<std::string> base = {"select", "--logits", pool.logits, "--strategy",
                                           "margin", "--batch",  "3"};
    more.insert(more.begin(), base.begin(), base.end());
    return run(more);
  };
  const outcome first = select({"--out", pool / "picks.csv"}), all = select({});
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(select({"--labelled", npy("none.npy", "<f8", "", 0)}).out, all.out);  // numpy.array([])

  std::string mask(pool_rows, '\0');
  std::vector<std::int64_t> rows;
  const std::string picks = contents(pool / "picks.csv");
  for (std::size_t line = picks.find('\n'); line + 1 < picks.size(); line = picks.find('\n', line + 1)) {
    const std::size_t comma = picks.find(',', line);
    rows.push_back(std::stoi(picks.substr(comma + 1)));
    mask[std::size_t(rows.back())] = 1;
  }
  ASSERT_EQ(rows.size(), 3u);
  const std::string next = select({"--labelled", save(pool / "rows.npy", rows)}).out;
  EXPECT_NE(next, all.out);
  EXPECT_EQ(select({"--labelled", npy("mask.npy", "|b1", mask, pool_rows)}).out, next);
  EXPECT_EQ(select({"--labelled", pool / "picks.csv"}).out, next);
  EXPECT_EQ(select({"--exclude", pool / "picks.csv"}).out, next);
  std::filesystem::copy(pool / "rows.npy", pool / "rows");
  EXPECT_EQ(select({"--labelled", pool / "rows"}).out, next);
  EXPECT_REFUSED(select({"--labelled", npy("ints.npy", "|u1", mask, pool_rows)}), 6, "numpy.flatnonzero");
}

TEST(Command, OutputsAreWholeOrNotThere) {
  const pool_folder pool;
  const std::vector<std::string> score = {"score",         "--logits", pool.logits,
                                          "--acquisition", "entropy",  "--out"};
  const auto to = [&](const std::string& file) {
    auto arguments = score;
    arguments.push_back(file);
    return run(arguments);
  };
  EXPECT_REFUSED(to("/dev/full"), 1, "No space left on device");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
  EXPECT_REFUSED(to(pool / "no/such/folder/s.npy"), 1, "cannot write");
  EXPECT_REFUSED(
      run({"select", "--logits", pool.logits, "--strategy", "margin", "--batch", "5", "--out", "/dev/full"}), 1,
      "No space left on device");
  EXPECT_EQ(pool.files().size(), 2u);  // the two inputs: no temporary was left
}

// Every command that writes a file beside the inputs it takes.
TEST(Command, AnOutputIsNoInputByWhateverName) {
  const pool_folder pool;
  std::ofstream(pool / "ids.csv") << "id\n";
  std::ofstream(pool / "c.toml") << "seed = 1\n";
  std::ofstream(pool / "t.safetensors") << "";
  save(pool / "rows.npy", std::vector<std::int64_t>{3});
  std::filesystem::create_directories(pool / "o/lu2023");
  std::filesystem::create_symlink("logits.npy", pool / "link.npy");
  std::filesystem::create_hard_link(pool.logits, pool / "hard.npy");
  for (const char* out : {"logits.npy", "./link.npy", "hard.npy"}) {
    EXPECT_REFUSED(run({"score", "--logits", pool.logits, "--acquisition", "entropy", "--out", pool / out}), 2,
                   "--out: and --logits name the same file");
    EXPECT_REFUSED(
        run({"select", "--logits", pool.logits, "--strategy", "entropy", "--batch", "2", "--out", pool / out}),
        2, "--out: and --logits name the same file");
  }
  EXPECT_EQ(open_npy(pool.logits).shape, (std::vector<index_t>{pool_rows, classes}));
  const auto select = [&](const std::string& flag, const std::string& file, std::vector<std::string> more) {
    more.insert(more.begin(),
                {"select", "--logits", pool.logits, "--strategy", "entropy", "--batch", "2", flag, file});
    // Groups and their quotas go together.
    if (flag == "--quota") more.insert(more.end(), {"--group", pool / "rows.npy"});
    if (flag == "--group") more.insert(more.end(), {"--quota", pool / "ids.csv"});
    return run(more);
  };
  for (const char* flag : {"--ids", "--quota", "--config"}) {
    const std::string file = pool / (flag == std::string("--config") ? "c.toml" : "ids.csv");
    EXPECT_REFUSED(select(flag, file, {"--out", file}), 2, std::string("--out: and ") + flag);
    if (flag != std::string("--config")) {
      EXPECT_REFUSED(select(flag, file, {"--checkpoint", file}), 2, std::string("--checkpoint: and ") + flag);
    }
  }
  for (const char* flag :
       {"--labelled", "--exclude", "--cost", "--group", "--embeddings", "--queries", "--private"})
    EXPECT_REFUSED(select(flag, pool / "rows.npy", {"--out", pool / "rows.npy"}), 2,
                   std::string("and ") + flag);
  for (const char* file : {"t.safetensors", "t.npz", "t.NPZ"}) {
    std::ofstream(pool / file) << "";
    EXPECT_REFUSED(select("--embeddings", pool / (file + std::string(":x")), {"--out", pool / file}), 2,
                   "and --embeddings");
  }
  EXPECT_REFUSED(run({"score", "--committee", pool.embeddings + "," + pool.logits, "--acquisition", "bald",
                      "--out", pool.logits}),
                 2, "and --committee");
  EXPECT_REFUSED(run({"select", "--logits", pool.logits, "--strategy", "entropy", "--batch", "2", "--out",
                      pool / "c.toml"},
                     {"POOLWISE_CONFIG=" + (pool / "c.toml")}),
                 2, "and POOLWISE_CONFIG");
  std::ofstream(pool / "o/reproduce.json") << "";
  EXPECT_REFUSED(run({"reproduce", "lu2023", "--data", pool / "o/reproduce.json", "--out", pool / "o"}), 2,
                 "--out: and --data name the same file");
  std::ofstream(pool / "demo.json") << "seed = 1\n";
  EXPECT_REFUSED(run({"demo", "--config", pool / "demo.json", "--out", pool.path(), "--dry-run"}), 2,
                 "--out: and --config name the same file");
  // Two outputs that are not there yet, one by a link to it.
  std::filesystem::create_symlink("new.csv", pool / "to-new.csv");
  EXPECT_REFUSED(select("--out", pool / "new.csv", {"--checkpoint", pool / "to-new.csv"}), 2,
                 "--checkpoint: and --out name the same file");
  EXPECT_EQ(select("--labelled", pool / "rows.npy", {"--out", "/dev/null"}).code, 0);
}

TEST(Command, StandardOutputIsNoInputEither) {
  const pool_folder pool;
  std::string text = "id\n";
  for (int i = 0; i < pool_rows; ++i) text += std::to_string(i) + "\n";
  std::ofstream(pool / "ids.csv") << text;
  const std::string command = std::string(POOLWISE_COMMAND) + " select --logits " + pool.logits +
                              " --strategy entropy --batch 2 --ids " + (pool / "ids.csv");
  EXPECT_NE(std::system((command + " >> " + (pool / "ids.csv") + " 2> " + (pool / "said")).c_str()), 0);
  EXPECT_EQ(contents(pool / "ids.csv"), text);
  EXPECT_EQ(contents(pool / "said").find("poolwise: standard output: and --ids name the same file"), 0u);
  EXPECT_EQ(std::system((command + " --out /dev/stdout > " + (pool / "picks.csv")).c_str()), 0);
  EXPECT_EQ(lines(contents(pool / "picks.csv")), 3);
}

TEST(Command, LostStandardOutputIsAFailure) {
  const pool_folder pool;
  const std::string plan = "plan --strategy margin --batch 2 --logits " + pool.logits;
  for (const std::string& command :
       {std::string("strategies"), std::string("strategies --markdown"), std::string("devices"),
        std::string("reproduce list"), std::string("--help"), std::string("select --help"),
        std::string("--version"), std::string("completion bash"), plan, plan + " --json"})
    for (const char* where : {"> /dev/full", ">&-"}) {
      SCOPED_TRACE(command + " " + where);
      const int status = std::system(
          (std::string(POOLWISE_COMMAND) + " " + command + " 2> " + (pool / "said") + " " + where).c_str());
      EXPECT_EQ(WEXITSTATUS(status), 1);
      const std::string said = contents(pool / "said");
      EXPECT_EQ(said.rfind("poolwise: output_file: cannot write -: ", 0), 0u) << said;
      EXPECT_EQ(lines(said), 1) << said;
    }
  // A file that is opened does not take the place of a closed standard output.
  const std::string score = std::string(POOLWISE_COMMAND) + " score --json --acquisition entropy --logits " +
                            pool.logits + " --out " + (pool / "s.npy") + " >&- 2> /dev/null";
  EXPECT_EQ(WEXITSTATUS(std::system(score.c_str())), 1);
  EXPECT_EQ(open_npy(pool / "s.npy").shape, (std::vector<index_t>{pool_rows}));
}

TEST(Command, EachRoundDrawsAfreshFromOneSeed) {
  const pool_folder pool;
  const auto picks = [&](const char* round) {
    return run({"select", "--logits", pool.logits, "--strategy", "random", "--batch", "9", "--round", round})
        .out;
  };
  EXPECT_EQ(picks("1"), picks("1"));
  EXPECT_NE(picks("1"), picks("2"));
}

TEST(Command, AnInfiniteScoreIsTheSameWordInCsvAndJson) {
  const pool_folder pool;
  std::vector<std::string> select = {
      "select", "--embeddings", pool.embeddings, "--strategy", "kcenter", "--batch", "2"};
  EXPECT_NE(run(select).out.find(",inf,0,"), std::string::npos);
  select.push_back("--json");
  const auto picks = run(select).json()["picks"];
  EXPECT_EQ(picks[0]["score"], "inf");
  EXPECT_TRUE(picks[1]["score"].is_number());
}

TEST(Command, DevicesWithoutAnEndAreRefused) {
  const pool_folder pool;
  std::filesystem::create_symlink("/dev/zero", pool / "zero.csv");
  const auto with = [&](const std::string& flag, const std::string& file) {
    return run({"select", "--logits", pool.logits, "--strategy", "margin", "--batch", "2", flag, file});
  };
  EXPECT_REFUSED(with("--ids", pool / "zero.csv"), 6, "zero.csv: it is a device");
  EXPECT_REFUSED(with("--config", "/dev/zero"), 2, "/dev/zero: it is a device");
  EXPECT_REFUSED(with("--config", pool.path()), 2, "Is a directory");
  EXPECT_REFUSED(run({"reproduce", "lu2023", "--seeds", "0", "--data", "/dev/zero"}), 6,
                 "/dev/zero: it is a device");
  // A pipe has an end.
  const std::string piped = "bash -c '" + std::string(POOLWISE_COMMAND) + " select --logits " + pool.logits +
                            " --strategy margin --config <(echo batch=1) > " + (pool / "picks.csv") + "'";
  EXPECT_EQ(std::system(piped.c_str()), 0);
  EXPECT_EQ(lines(contents(pool / "picks.csv")), 2);
}

TEST(Command, AZeroByteInASettingIsRefused) {
  const pool_folder pool;
  std::ofstream(pool / "victim.txt") << "mine";
  std::ofstream(pool / "c.toml") << "out = \"" << (pool / "victim.txt") << "\\u0000.npy\"\n";
  EXPECT_REFUSED(
      run({"score", "--logits", pool.logits, "--acquisition", "entropy", "--config", pool / "c.toml"}), 2,
      "\"out\" holds a zero byte");
  EXPECT_EQ(contents(pool / "victim.txt"), "mine");
}

TEST(Command, AnInputThatIsRewrittenWhileItIsReadIsSaidSo) {
  const scratch folder;
  const std::string file = folder / "x.npy";
  const auto values = normals(40'000 * 64, 1);
  const std::string picks = sanitized ? "2000" : "12000";  // for a second or more
  const std::vector<std::string> select = {
      "select", "--embeddings", file, "--strategy", "kcenter",       "--batch",
      picks,    "--threads",    "1",  "--out",      folder / "y.csv"};
  // Cut short; and put back as it was, which no fault tells.
  for (const bool put_back : {false, true}) {
    save(file, values, 64);
    const pid_t child = start(folder, select);
    const std::string maps = "/proc/" + std::to_string(child) + "/maps";
    for (int waited = 0; waited < 10'000 && contents(maps).find(file) == std::string::npos; ++waited)
      usleep(1000);
    usleep(20'000);  // a file's time is that of a clock that ticks every few milliseconds
    const std::string bytes = contents(file);
    if (put_back)
      std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).write(bytes.data(), 1000);
    else
      std::filesystem::resize_file(file, 0);
    const outcome result = finish(folder, child);
    EXPECT_REFUSED(result, 6, "x.npy changed while it was read");
    EXPECT_EQ(folder.files(), std::vector<std::string>{"x.npy"});
  }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)  // sanitizers need terabytes of addresses
TEST(Command, StartsAndComputesUnderALimitOnMemory) {
  const pool_folder pool;
  const std::string select = " select --strategy kcenter --batch 3 --embeddings " + pool.embeddings;
  const auto limited = [&](const std::string& before, const std::string& arguments) {
    const std::string command = "bash -c '" + before + "; exec timeout 20 " + std::string(POOLWISE_COMMAND) +
                                " " + arguments + "' > " + (pool / "printed") + " 2> " + (pool / "said");
    const int status = std::system(command.c_str());
    EXPECT_EQ(WEXITSTATUS(status), 0) << command << contents(pool / "said");
    return contents(pool / "printed");
  };
  const std::string picks = limited(":", select);
  for (const char* limit : {"ulimit -v 250000", "ulimit -v 300000", "ulimit -v 1000000", "ulimit -d 200000",
                            "ulimit -v 300000; export OMP_NUM_THREADS=4"}) {
    EXPECT_EQ(limited(limit, "--version").rfind("poolwise ", 0), 0u) << limit;
    EXPECT_EQ(limited(limit, select), picks) << limit;
    EXPECT_EQ(limited(limit, select + " --threads 3"), picks) << limit;
  }
  const std::string typical = " select --strategy typiclust --batch 3 --embeddings " + pool.embeddings;
  EXPECT_EQ(limited("ulimit -v 300000", typical), limited(":", typical));
}

// What takes milliseconds as it is loaded: BLAS, and Highway's look at the clock.
TEST(Command, LoadsNoMoreThanItNeeds) {
  const scratch folder;
  const auto starts = [&](const std::string& setting) {
    const std::string command =
        "env " + setting + " " + POOLWISE_COMMAND + " --version > " + (folder / "said") + " 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0);
    return contents(folder / "said");
  };
  if (starts("LD_TRACE_LOADED_OBJECTS=1").find("libpoolwise") != std::string::npos)
    GTEST_SKIP() << "shared libraries";
  EXPECT_EQ(starts("LD_TRACE_LOADED_OBJECTS=1").find("blas"), std::string::npos);
  const std::string bound = starts("LD_DEBUG=bindings");
  const std::size_t at = bound.find("symbol `_ZN3hwy8platform15TimerResolutionEv'");
  ASSERT_NE(at, std::string::npos);
  const std::string line = bound.substr(bound.rfind('\n', at), at - bound.rfind('\n', at));
  EXPECT_NE(line.find("to " + std::string(POOLWISE_COMMAND)), std::string::npos) << line;
}
#endif

TEST(Command, DryRunWritesNothing) {
  const pool_folder pool;
  EXPECT_EQ(
      run({"score", "--logits", pool.logits, "--acquisition", "entropy", "--out", pool / "s.npy", "--dry-run"})
          .code,
      0);
  EXPECT_EQ(run({"select", "--logits", pool.logits, "--strategy", "margin", "--batch", "5", "--out",
                 pool / "p.csv", "--dry-run"})
                .code,
            0);
  EXPECT_EQ(pool.files().size(), 2u);
}

TEST(Command, DryRunRefusesWhatTheRunRefuses) {
  const pool_folder pool;
  save(pool / "labelled.npy", std::vector<std::int64_t>{0, 60});
  const std::vector<std::string> base = {"select", "--logits", pool.logits, "--strategy", "margin"};
  for (const bool dry : {false, true}) {
    const auto with = [&](std::vector<std::string> more) {
      more.insert(more.begin(), base.begin(), base.end());
      if (dry) more.push_back("--dry-run");
      return run(more);
    };
    EXPECT_REFUSED(with({"--batch", "5", "--labelled", pool / "labelled.npy"}), 6, "labelled row 60");
  }
}

TEST(Command, DryRunSpeaksJson) {
  const pool_folder pool;
  std::ofstream(pool / "plotly.min.js") << "window.Plotly = {};\n";
  const auto dry = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--dry-run", "--json"});
    const outcome result = run(arguments, {"POOLWISE_PLOTLY=" + (pool / "plotly.min.js")});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    const auto json = result.json();
    EXPECT_EQ(json["schema"], "poolwise." + arguments[0] + "/1");
    EXPECT_EQ(json["dry_run"], true);
    EXPECT_NE(json["would"], "");
    return json;
  };
  const auto select = dry({"select", "--logits", pool.logits, "--strategy", "margin", "--batch", "5"});
  EXPECT_EQ(select["rows"], pool_rows);
  EXPECT_EQ(select["most_picks"], 5);
  EXPECT_GT(select["bytes"], 0);
  EXPECT_FALSE(select.contains("picks"));
  dry({"score", "--logits", pool.logits, "--acquisition", "margin", "--out", pool / "s.npy"});
  dry({"demo", "--strategies", "margin"});
  EXPECT_EQ(dry({"reproduce", "lu2023-sonar"})["benchmarks"].size(), 1u);
}

TEST(Command, AnyOptionOfSelectCanBePlanned) {
  const pool_folder pool;
  EXPECT_EQ(run({"plan", "--logits", pool.logits, "--strategy", "margin", "--batch", "5", "--out",
                 pool / "p.csv", "--checkpoint", pool / "state"})
                .code,
            0);
  EXPECT_EQ(pool.files().size(), 2u);
}

TEST(Command, SettingsComeFromFileThenEnvironmentThenFlags) {
  const pool_folder pool;
  std::ofstream(pool / "poolwise.toml") << "seed = 1\n[select]\nbatch = 3\nstrategy = \"random\"\n";
  const std::vector<std::string> base = {"select", "--logits", pool.logits,
                                         "--json", "--config", pool / "poolwise.toml"};
  const auto file = run(base).json();
  EXPECT_EQ(file["picks"].size(), 3u);
  EXPECT_EQ(file["seed"], 1);
  const auto environment = run(base, {"POOLWISE_BATCH=4"}).json();
  EXPECT_EQ(environment["picks"].size(), 4u);
  auto typed = base;
  typed.insert(typed.end(), {"--batch", "5"});
  EXPECT_EQ(run(typed, {"POOLWISE_BATCH=4"}).json()["picks"].size(), 5u);

  std::ofstream(pool / "poolwise.toml") << "bacth = 3\n";
  EXPECT_REFUSED(run(base), 2, "no command has an option \"bacth\"");
  std::ofstream(pool / "poolwise.toml") << "batch = \n";
  EXPECT_REFUSED(run(base), 2, "poolwise.toml");
}

TEST(Command, SettingsThatWouldBeLeftOutAreRefused) {
  const pool_folder pool;
  const std::string file = pool / "poolwise.toml";
  const std::vector<std::string> base = {"select", "--logits", pool.logits, "--strategy",
                                         "margin", "--config", file};
  const auto with = [&](const std::string& text) {
    std::ofstream(file, std::ios::binary) << text;
    return run(base);
  };
  EXPECT_REFUSED(with("[select]\nbatch = 2\nexcludee = 'x.npy'\n"), 2,
                 "select has no option \"excludee\"; the nearest is \"exclude\"");
  EXPECT_REFUSED(with("batch = 2\n[selct]\nseed = 1\n"), 2, "no command \"selct\" that a table could be for");
  EXPECT_REFUSED(with("batch = 2\n[select.more]\nseed = 1\n"), 2, "select has no option \"more\"");
  EXPECT_REFUSED(with("[select]\nbatch = {a = 1}\n"), 2, "the value of \"batch\" is a table");
  EXPECT_REFUSED(with("batch = [{a = 1}]\n"), 2, "the value of \"batch\" is a table");
  EXPECT_REFUSED(with("config = 'other.toml'\n"), 2, "names no other");
  EXPECT_REFUSED(with("batch = 1\nout = \"x.csv\\u0000.npy\"\n"), 2, "holds a zero byte");
  EXPECT_EQ(with("batch = 1\n[select]\non_nan = 'skip'\n[score]\non-nan = 'keep'\n").code, 0);
  std::filesystem::remove(file);
  std::filesystem::create_directory(file);
  EXPECT_REFUSED(run(base), 2, "Is a directory");
  EXPECT_REFUSED(run({"select", "--config", "/dev/zero"}), 2, "give a file or a pipe");
  EXPECT_REFUSED(run({"strategies"}, {"POOLWISE_EXCLUDEE=x.npy"}), 2, "the nearest is \"POOLWISE_EXCLUDE\"");
  EXPECT_EQ(run({"strategies"}, {"POOLWISE_EXCLUDE=x.npy"}).code, 0);
}

TEST(Command, FilesInAFileOfSettingsLieFromItsFolderOn) {
  const pool_folder pool;
  std::ofstream(pool / "poolwise.toml") << "logits = 'logits.npy'\ncommittee = ['logits.npy', '" << pool.logits
                                        << "']\n[select]\nstrategy = 'bald'\nbatch = 2\nout = 'picks.csv'\n";
  const outcome result = run({"select", "--config", pool / "poolwise.toml"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(lines(contents(pool / "picks.csv")), 3);
}

// Neither must be allocated to be refused.
TEST(Command, VectorsAndRowsOfNothingAreRefusedBeforeTheyTakeMemory) {
  const pool_folder pool;
  const auto sparse = [&](const char* name, const std::string& descr, const std::string& shape,
                          std::uintmax_t data) {
    std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }\n";
    header.insert(header.size() - 1, 128 - 10 - header.size(), ' ');
    std::string begin = "\x93NUMPY";
    begin += {1, 0, char(header.size()), 0};
    std::ofstream(pool / name, std::ios::binary) << begin << header;
    std::filesystem::resize_file(pool / name, 128 + data);
    return pool / name;
  };
  const auto expect_small_refusal = [&](std::vector<std::string> arguments, const std::string& words) {
    const outcome result = run(arguments);
    EXPECT_REFUSED(result, 6, words);
    if (measured) {
      EXPECT_LT(result.peak_bytes, 64 << 20);
    }
  };
  const std::string many = sparse("many.npy", "<i8", "(50000000,)", 400'000'000);
  const std::vector<std::string> base = {"select", "--logits", pool.logits, "--strategy",
                                         "margin", "--batch",  "2"};
  for (const char* flag : {"--labelled", "--exclude", "--cost"}) {
    auto with = base;
    with.insert(with.end(), {flag, many});
    expect_small_refusal(with, "the pool has 60 rows");
  }
  const std::vector<std::string> of_cost = {"select", "--cost", many, "--strategy", "random", "--batch", "2"};
  auto tight = of_cost;
  tight.insert(tight.end(), {"--memory", "100MiB"});
  expect_small_refusal(
      tight, "a vector of whole numbers and is copied, which takes 381 MiB, but --memory allows 100 MiB");
  const std::string none = sparse("none.npy", "<f4", "(10000000000, 0)", 0);
  for (const char* command : {"select", "plan"})
    expect_small_refusal({command, "--embeddings", none, "--strategy", "kcenter", "--batch", "1"},
                         "rows of 0 columns");
  for (const auto& [shape, words] : {std::pair{"(3, 10000000000, 0)", "rows of 0 columns"},
                                     {"(0, 10000000000, 5)", "give at least one member, row and class"},
                                     {"(10000000000, 0, 5)", "give at least one member, row and class"}})
    expect_small_refusal(
        {"select", "--committee", sparse("c.npy", "<f4", shape, 0), "--strategy", "bald", "--batch", "1"},
        words);
}

TEST(Command, MemoryCeilingIsKeptBeforeTheRun) {
  const pool_folder pool;
  const std::vector<std::string> select = {"select", "--logits", pool.logits, "--strategy",
                                           "margin", "--batch",  "5"};
  auto tight = select;
  tight.insert(tight.end(), {"--memory", "1MiB"});
  EXPECT_REFUSED(run(tight), 6, "--memory allows 1.0 MiB");
  auto roomy = select;
  roomy.insert(roomy.end(), {"--memory", "8GiB"});
  EXPECT_EQ(run(roomy).code, 0);
}

TEST(Command, CudaIsRefusedAndNeverReplacedByTheCpu) {
  const pool_folder pool;
  EXPECT_REFUSED(run({"score", "--logits", pool.logits, "--acquisition", "entropy", "--out", pool / "s.npy",
                      "--device", "cuda"}),
                 1, "CUDA");
  EXPECT_EQ(run({"score", "--logits", pool.logits, "--acquisition", "entropy", "--out", pool / "s.npy",
                 "--device", "auto"})
                .code,
            0);
}

TEST(Command, CommitteesAndSafetensors) {
  const pool_folder pool;
  const auto values = normals(3 * pool_rows * classes, 5);
  const std::size_t bytes = values.size() * sizeof(float);
  const std::string header =
      "{\"c\":{\"dtype\":\"F32\",\"shape\":[3,60,4],\"data_offsets\":[0," + std::to_string(bytes) + "]}}";
  const std::uint64_t size = header.size();
  std::ofstream file(pool / "c.safetensors", std::ios::binary);
  file.write(reinterpret_cast<const char*>(&size), 8);
  file << header;
  file.write(reinterpret_cast<const char*>(values.data()), std::streamsize(bytes));
  file.close();
  for (const char* spec : {"c.safetensors", "c.safetensors:c"}) {
    const outcome result = run({"score", "--committee", pool / spec, "--logits", pool.logits, "--acquisition",
                                "bald,entropy,vote_entropy", "--out", pool / "s.npy"});
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(open_npy(pool / "s.npy").shape, (std::vector<index_t>{pool_rows, 3}));
  }
  EXPECT_REFUSED(
      run({"score", "--committee", pool / "c.safetensors:d", "--acquisition", "bald", "--out", pool / "s.npy"}),
      6, "c.safetensors");
}

TEST(Command, StrategiesAndDevices) {
  const auto strategies = run({"strategies", "--json"}).json();
  EXPECT_EQ(strategies["schema"], "poolwise.strategies/1");
  EXPECT_GE(strategies["strategies"].size(), 14u);
  EXPECT_NE(run({"strategies"}).out.find("kcenter"), std::string::npos);
  const auto devices = run({"devices", "--json"}).json();
  EXPECT_EQ(devices["schema"], "poolwise.devices/1");
  EXPECT_GE(devices["cpu"]["threads"], 1);
  EXPECT_EQ(devices["cuda"].empty(), devices["cuda_missing"] != "");
}

#ifndef __SANITIZE_ADDRESS__  // whose shadow and red zones would be measured too
TEST(Command, PeakMemoryOfScoreAboveTheMappedInputStaysUnder64MiB) {
  const scratch folder;
  const index_t rows = 2'000'000;
  const std::string file = save(folder / "big.npy", std::vector<float>(std::size_t(rows * 10), 0.5f), 10);
  const outcome result =
      run({"score", "--logits", file, "--acquisition", "entropy", "--out", folder / "s.npy"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_LT(result.peak_bytes - rows * 40, 64 << 20);
}

TEST(Command, SelectStaysUnderThePlannedBytes) {
  const scratch folder;
  const index_t rows = 400'000;
  const std::string logits = save(folder / "l.npy", normals(rows * 10, 1), 10);
  const std::string embeddings = save(folder / "e.npy", normals(rows * 32, 2), 32);
  std::vector<std::int64_t> labelled(1000);
  for (std::size_t i = 0; i < labelled.size(); ++i) labelled[i] = std::int64_t(i * 7);
  save(folder / "labelled.npy", labelled);
  for (const char* name : {"entropy", "kcenter", "badge", "margin/100x/kcenter", "margin/1000x/badge"}) {
    const std::vector<std::string> flags = {
        "--logits", logits,       "--embeddings",          embeddings, "--strategy", name, "--batch",
        "20",       "--labelled", folder / "labelled.npy", "--json"};
    auto plan = flags, select = flags;
    plan.insert(plan.begin(), "plan");
    select.insert(select.begin(), "select");
    const auto planned = run(plan).json();
    EXPECT_EQ(planned["schema"], "poolwise.plan/1");
    EXPECT_GT(planned["seconds"], 0.0);
    EXPECT_GE(planned["sweeps"], 1);
    const outcome result = run(select);
    ASSERT_EQ(result.code, 0) << result.err;
    // The mapped inputs count at most once in what is resident.
    EXPECT_LE(result.peak_bytes,
              planned["bytes"].get<std::int64_t>() + planned["input_bytes"].get<std::int64_t>())
        << name;
  }
}
#endif

TEST(Command, ASignalLeavesTheOldOutputAndNoTemporary) {
  const scratch folder;
  const index_t rows = 3'000'000;
  const std::string file = save(folder / "big.npy", std::vector<float>(std::size_t(rows * 10), 0.5f), 10);
  std::ofstream(folder / "s.npy") << "old";
  int signalled = 0;
  for (const int delay_ms : {1, 5, 10, 15, 20, 25, 30, 40, 60}) {
    const pid_t child = start(folder, {"score", "--logits", file, "--acquisition", "entropy,margin,ratio",
                                       "--out", folder / "s.npy"});
    usleep(useconds_t(delay_ms) * 1000);
    kill(child, SIGINT);
    const outcome result = finish(folder, child);
    const std::string left = contents(folder / "s.npy");
    if (result.code == 128 + SIGINT) {
      ++signalled;
      EXPECT_EQ(left, "old");
      EXPECT_EQ(folder.files().size(), 2u) << "a temporary was left behind";
    } else {
      ASSERT_EQ(result.code, 0);
      EXPECT_EQ(open_npy(folder / "s.npy").shape, (std::vector<index_t>{rows, 3}));
      std::ofstream(folder / "s.npy") << "old";
    }
  }
  EXPECT_GT(signalled, 0);
}

}  // namespace
}  // namespace poolwise::test
