// poolwise stream: rows that come one a line, each asked about at once or never.
#include "stream.hpp"

#include <cmath>
#include <cstdio>
#include <iostream>
#include <memory>

#include "cli.hpp"
#include "inputs.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/files/read_file.hpp"
#include "poolwise/query/strategy.hpp"
#include "poolwise/score/score.hpp"
#include "poolwise/stream/record.hpp"

namespace poolwise::cli {
namespace {

struct stream_options {
  common_options common;
  stream_spec spec;
  std::string holds = "scores", acquisition = "least_confidence", chunk, state;
};

/// A row as its line has it.
struct stream_row {
  nlohmann::ordered_json id;  ///< null for none
  std::vector<float> values;  ///< outputs of the model, or one score
  std::string holds;          ///< scores, logits or probs
};

std::string line_name(index_t number) { return "stream: line " + std::to_string(number); }

stream_row object_in(const std::string& line, index_t number) {
  const auto object = nlohmann::ordered_json::parse(line, nullptr, false);
  if (!object.is_object())
    throw value_error(line_name(number) + " is no JSON object; write {\"id\": 7, \"score\": 0.3}");
  stream_row row;
  if (object.contains("id")) row.id = object["id"];
  for (const auto& [key, holds] : {std::pair("score", "scores"), {"logits", "logits"}, {"probs", "probs"}}) {
    if (!object.contains(key)) continue;
    if (!row.holds.empty())
      throw value_error(line_name(number) + " has two of score, logits and probs; give one");
    row.holds = holds;
    const auto& value = object[key];
    const auto all = value.is_array() ? value : nlohmann::ordered_json::array({value});
    for (const auto& one : all) {
      if (!one.is_number())
        throw value_error(line_name(number) + ": " + key + " is no number; give numbers alone");
      row.values.push_back(one.get<float>());
    }
  }
  if (row.holds.empty())
    throw value_error(line_name(number) + " has no score, logits or probs; give one of them");
  return row;
}

stream_row numbers_in(const std::string& line, index_t number, const std::string& holds) {
  stream_row row{.id = {}, .values = {}, .holds = holds};
  for (std::size_t at = 0; (at = line.find_first_not_of(", \t\r", at)) != std::string::npos;) {
    const std::size_t end = std::min(line.find_first_of(", \t\r", at), line.size());
    const auto value = number_in<float>(std::string_view(line).substr(at, end - at));
    if (!value)
      throw value_error(line_name(number) + ": \"" + printable(line.substr(at, end - at), 40) +
                        "\" is no number; write numbers with commas between them, or JSON objects");
    row.values.push_back(*value);
    at = end;
  }
  return row;
}

/// One number, in the words of the rules.
double score_of(const stream_row& row, acquisition by, index_t number) {
  if (row.holds == "scores") {
    if (row.values.size() != 1)
      throw value_error(line_name(number) + " has " + std::to_string(row.values.size()) +
                        " numbers, and a score is one; say what they are (--holds logits or probs)");
    return double(row.values[0]);
  }
  if (row.values.size() < 2)
    throw value_error(line_name(number) + " has " + std::to_string(row.values.size()) +
                      " outputs; give one for each class, two at least");
  const outputs kind = row.holds == "logits" ? outputs::logits : outputs::probabilities;
  const matrix_view<const float> x{row.values.data(), 1, index_t(row.values.size())};
  float value = 0;
  score(cpu{1}, x, kind, by, {&value, 1});
  if (std::isnan(value)) throw value_error(line_name(number) + " " + why_invalid(x, kind, 0) + "; mend it");
  return double(value);
}

void tell(const stream_decision& made, const nlohmann::ordered_json& id, bool json) {
  std::string line;
  if (json) {
    nlohmann::ordered_json body{{"row", made.row}};
    if (!id.is_null()) body["id"] = id;
    body.update({{"score", made.score}, {"ask", made.ask}, {"probability", made.probability}});
    line = body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  } else {
    const std::string name = id.is_null()     ? std::to_string(made.row)
                             : id.is_string() ? id.get<std::string>()
                                              : id.dump();
    char numbers[96];
    std::snprintf(numbers, sizeof numbers, ",%.9g,%d,%.9g\n", made.score, int(made.ask), made.probability);
    line = std::to_string(made.row) + "," + csv_field(name) + numbers;
  }
  std::fwrite(line.data(), 1, line.size(), stdout);
}

void run(const stream_options& options) {
  const acquisition by = *parse_strategy(options.acquisition).score()->entry->fused;
  recorded_stream stream(options.state, options.spec);
  if (stream.sampler().rows() > 0)
    say("going on behind row " + std::to_string(stream.sampler().rows() - 1) + ", " +
        std::to_string(stream.sampler().asked()) + " asked about: send the rows that follow");
  if (!options.common.json) std::fputs("row,id,score,ask,probability\n", stdout);
  if (!options.chunk.empty()) {
    input_files files(0);
    for (const float value : files.open_values(options.chunk))
      tell(stream.decide(double(value)), {}, options.common.json);
    return flush_standard_output();
  }
  flush_standard_output();
  std::string line;
  for (index_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const stream_row row = line[line.find_first_not_of(" \t")] == '{' ? object_in(line, number)
                                                                      : numbers_in(line, number, options.holds);
    tell(stream.decide(score_of(row, by, number)), row.id, options.common.json);
    flush_standard_output();
  }
}

void add_rule(CLI::App& command, stream_spec& spec) {
  std::string rules;
  for (const stream_rule_entry& rule : stream_rules())
    rules += (rules.empty() ? "" : "; ") + std::string(rule.name) + ": " + rule.formula;
  command
      .add_option_function<std::string>(
          "--rule", [&spec](const std::string& word) { spec.rule = parse_stream_rule(word); },
          "By what a row is asked about. " + rules)
      ->check(read_by(parse_stream_rule))
      ->default_str("variable")
      ->type_name("RULE");
  add_number(command, "--budget", spec.budget, 0.0, 1.0, "B, the share of the rows that may be asked about")
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--keep",
          [&spec](const std::string& word) {
            spec.kept_by = word == "prefix"     ? stream_budget::prefix
                           : word == "estimate" ? stream_budget::estimate
                                                : stream_budget::none;
          },
          "How the budget holds: at every prefix (of n rows at most B n, rounded up), by the estimate of "
          "Zliobaite "
          "et al. 2014, which lets a stream begin with a burst, or none")
      ->check(CLI::IsMember({"prefix", "estimate", "none"}))
      ->default_str("prefix");
  constexpr double largest = 1e300;
  add_number(command, "--classes", spec.classes, index_t{2}, index_t{1} << 40, "Of the rule `fixed`")
      ->capture_default_str();
  add_number(
      command, "--threshold", spec.threshold, 0.0, largest,
      "The confidence below which rows are asked about: of `fixed` (default: 1/C + B (1 - 1/C)), and where "
      "the others begin (default: 1)");
  add_number(command, "--step", spec.step, 0.0, 1.0, "By which thresholds move")->capture_default_str();
  add_number(command, "--deviation", spec.deviation, 0.0, largest, "Of the factor of `randomised`")
      ->capture_default_str();
  add_number(command, "--random-share", spec.random_share, 0.0, 1.0, "Of the rule `split`")
      ->capture_default_str();
  add_number(command, "--window", spec.window, index_t{1}, index_t{1} << 40,
             "Rows of `biqf`, and of `--keep estimate`")
      ->capture_default_str();
  add_number(command, "--tolerance", spec.tolerance, 0.0, largest,
             "Rows in which `biqf` spends what is left of the budget")
      ->capture_default_str();
  add_number(command, "--least", spec.least, 0.0, 1.0, "Least probability of `iwal`")->capture_default_str();
  add_number(command, "--seed", spec.seed, std::uint64_t{0}, std::numeric_limits<std::uint64_t>::max(),
             "Seed of every random draw")
      ->capture_default_str();
}

/// Refuses words that are no score of one row's outputs.
void require_fused(const std::string& text) {
  const strategy what = parse_strategy(text);
  if (what.score() == nullptr || !what.score()->entry->fused)
    throw value_error("\"" + printable(text) +
                      "\" is no score of one row's outputs; take least_confidence, margin, "
                      "ratio or entropy");
}

}  // namespace

void add_stream(CLI::App& app) {
  auto options = std::make_shared<stream_options>();
  CLI::App* command = app.add_subcommand("stream", "Decide on rows as they come, one a line, within a budget");
  add_rule(*command, options->spec);
  command
      ->add_option(
          "--holds", options->holds,
          "What a line of standard input holds: a score from 0 to 1, or the model's outputs of the row, with "
          "commas between them. A line that is a JSON object says so itself: {\"id\": 7, \"probs\": [.2, .8]}")
      ->check(CLI::IsMember({"scores", "logits", "probs"}))
      ->capture_default_str();
  command
      ->add_option("--acquisition", options->acquisition,
                   "The score of outputs. Thresholds are of confidences, 1 - score")
      ->check(read_by(require_fused))
      ->capture_default_str()
      ->type_name("NAME");
  command->add_option("--chunk", options->chunk, "Scores of the next rows, [rows], instead of standard input")
      ->type_name("ARRAY");
  command
      ->add_option(
          "--state", options->state,
          "Keep every decision with its probability in this file, one a line. A command that was ended, or "
          "killed, goes on from it: it is to be sent the rows that follow")
      ->type_name("PATH");
  add_output(*command, options->common);
  command->footer(
      "Standard output has a line for each row as soon as it is decided: row,id,score,ask,probability. An "
      "asked row\n"
      "weighs 1 / probability in an estimate that is to be unbiased.\n"
      "Example:\n"
      "  poolwise stream --holds probs --rule split --budget 0.05 --state stream.jsonl < rows.csv");
  command->callback([options] { run(*options); });
}

}  // namespace poolwise::cli
