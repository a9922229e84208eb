// What the sub-commands share.
#pragma once

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/core/mapped_pages.hpp"
#include "poolwise/core/stopwatch.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise::cli {

/// The documented exit codes.
enum exit_code : int {
  done = 0,
  failure = 1,
  usage = 2,
  budget_exhausted = 3,
  stop_rule_met = 4,
  conflict = 5,
  bad_input = 6,
};

/// Thrown by a command that has done its work, and ends with another code than `done`.
struct ended_with {
  exit_code code;
};

/// Options that every sub-command takes.
struct common_options {
  bool json = false, dry_run = false;
  std::uint64_t seed = 0;
  std::string device = "cpu";
  int threads = 0;
  std::uint64_t memory = 0;  ///< bytes; 0 = no ceiling
  std::string config;

  /// Where the kernels compute, on no more threads than there are to be had; sets OpenMP's count on the way.
  /// pages: of the input files, given back on the way.
  where on(mapped_pages* pages = nullptr) const;
};
void add_common(CLI::App& command, common_options& common);
/// Those of them that say what is printed, and those that say where one computes.
void add_output(CLI::App& command, common_options& common);
void add_device(CLI::App& command, common_options& common);

/// An option for a number from `least` to `most`, in decimal: CLI11's own wrap, clamp and read octal.
/// value: a Number, or an optional one.
template <class Number, class Value>
CLI::Option* add_number(CLI::App& command, const std::string& name, Value& value, Number least, Number most,
                        const std::string& description) {
  const auto read = [least, most](std::string& text) {
    const auto number = number_in<Number>(text);
    std::ostringstream refusal;
    if (!number || !(*number >= least && *number <= most))
      refusal << '"' << text << (std::is_integral_v<Number> ? "\" is no whole number" : "\" is no number")
              << " from " << least << " to " << most;
    else if constexpr (std::is_integral_v<Number>)
      text = std::to_string(*number);
    return refusal.str();
  };
  return command.add_option(name, value, description)->transform(CLI::Validator(read, ""))->type_name("NUMBER");
}

/// A check for words: it refuses what `parse` throws a value_error for.
template <class Parse>
CLI::Validator read_by(Parse parse) {
  const auto refusal = [parse](const std::string& text) {
    try {
      parse(text);
      return std::string();
    } catch (const value_error& problem) {
      return std::string(problem.what());
    }
  };
  return CLI::Validator(refusal, "");
}

/// What `read` gives of a file that the user named: one that cannot be opened is bad input, not a failure of
/// the run.
template <class Read>
auto as_input(Read read) {
  try {
    return read();
  } catch (const io_error& problem) {
    throw value_error(problem.what());
  }
}

/// A sub-command: its options are added to the app, and its work is called when it was asked for.
using command_factory = void (*)(CLI::App& app);
void add_score(CLI::App& app);
void add_select(CLI::App& app);
void add_plan(CLI::App& app);
void add_strategies(CLI::App& app);
void add_devices(CLI::App& app);
void add_demo(CLI::App& app);
void add_reproduce(CLI::App& app);
void add_campaign(CLI::App& app);
void add_serve(CLI::App& app);
void add_completion(CLI::App& app);

/// One JSON object as text, its schema first. An infinite number is the string "inf" or "-inf", one that is not
/// there (NaN) null; bytes that are no UTF-8 are replaced.
std::string json_text(const std::string& command, nlohmann::ordered_json body);

/// The same on standard output.
void print_json(const std::string& command, nlohmann::ordered_json body);

/// The same with one more member, a list that may be long: its elements are made and written one by one.
void print_json(const std::string& command, nlohmann::ordered_json body, const std::string& list,
                std::size_t size, const std::function<nlohmann::ordered_json(std::size_t)>& element);

/// Rows of a report's environment: this build, this machine, the seeds in words, the time that all took.
std::vector<std::pair<std::string, std::string>> environment(const std::string& seeds, double seconds);

/// What --dry-run comes to: "would " and what, on standard error, or one JSON object.
void print_dry_run(const common_options& common, const std::string& command, const std::string& what,
                   nlohmann::ordered_json about);

/// A message to the person, on standard error and one line.
void say(const std::string& message);

/// The same on as many lines as it has.
void say_lines(const std::string& message);

/// A line on standard error that keeps itself up to date; silent unless that is a terminal.
class progress {
 public:
  progress(std::string what, double total);
  ~progress();  ///< clears the line
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  void at(double done);

 private:
  std::string what_;
  double total_, shown_ = -1;
  stopwatch watch_;
  bool terminal_;
};

}  // namespace poolwise::cli
