#include "cli.hpp"

#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <limits>
#include <sstream>
#include <vector>

#include "poolwise/core/cpu_info.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/core/threads.hpp"
#include "poolwise/files/output.hpp"

namespace poolwise::cli {
namespace {

// The bytes of "8GiB", "512M" or "1000000"; a message where that is no such size.
std::string read_size(std::string& text) {
  double bytes = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, bytes);
  std::string unit = CLI::detail::to_lower(std::string(rest, end));
  const std::string units = "kmgtpe";
  if (const auto power = units.find(unit.substr(0, 1)); !unit.empty() && power != std::string::npos) {
    bytes *= std::exp2(10 * (double(power) + 1));
    unit.erase(0, unit.substr(1) == "ib" ? 2 : 1);
  }
  if (problem != std::errc{} || !(unit.empty() || unit == "b") || !(bytes >= 1 && bytes < std::exp2(63)))
    return "\"" + text + "\" is no size from 1 byte to 8 EiB; write bytes, or a unit such as 8GiB";
  text = std::to_string(std::uint64_t(bytes));
  return {};
}

// JSON has no infinity; these words are what the CSV has, and what Python's float() reads.
void spell_infinities(nlohmann::ordered_json& value) {
  if (value.is_structured())
    for (auto& part : value) spell_infinities(part);
  else if (value.is_number_float() && std::isinf(value.get<double>()))
    value = value.get<double>() > 0 ? "inf" : "-inf";
}

}  // namespace

where common_options::on(mapped_pages* pages) const {
  const int wanted = threads > 0 ? threads : omp_get_max_threads(), had = threads_to_be_had(wanted);
  if (had < wanted)
    say("warning: of " + std::to_string(wanted) + " threads the system gives " + std::to_string(had) +
        "; computing on these (ulimit -u and -v, or the container's limits, allow no more)");
  if (threads > 0 || had < wanted) omp_set_num_threads(had);
  return parse_where(device, cpu{had < wanted ? had : threads, pages}, std::size_t(memory), "--device");
}

void add_output(CLI::App& command, common_options& common) {
  command.add_flag("--json", common.json, "Print one JSON object on standard output");
  command.add_option("--config", common.config, "TOML file with options by name, below POOLWISE_* and flags")
      ->type_name("FILE.toml");
  command.get_formatter()->column_width(34);
}

void add_device(CLI::App& command, common_options& common) {
  command
      .add_option("--device", common.device,
                  "cpu, cuda, cuda:INDEX (several: cuda:0,1 or cuda:all), or auto: all GPUs, the CPU where "
                  "there is none")
      ->check(read_by(check_where))
      ->type_name("DEVICE")
      ->capture_default_str();
  add_number(command, "--threads", common.threads, 1, 4096,
             "Threads on the CPU (default: OMP_NUM_THREADS, else all)");
  command
      .add_option("--memory", common.memory,
                  "Ceiling on what is allocated, on each device too, such as 8GiB; "
                  "input files larger than it are read piece by piece")
      ->transform(CLI::Validator(read_size, ""))
      ->type_name("SIZE");
}

void add_common(CLI::App& command, common_options& common) {
  command.add_flag("--dry-run", common.dry_run, "Say what would be done, and do nothing");
  add_number(command, "--seed", common.seed, std::uint64_t{0}, std::numeric_limits<std::uint64_t>::max(),
             "Seed of every random draw")
      ->capture_default_str();
  add_device(command, common);
  add_output(command, common);
}

namespace {

std::string dumped(nlohmann::ordered_json value) {
  spell_infinities(value);
  return value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

std::string json_text(const std::string& command, nlohmann::ordered_json body) {
  nlohmann::ordered_json object = {{"schema", "poolwise." + command + "/1"}};
  object.update(std::move(body));
  return dumped(std::move(object)) + "\n";
}

void print_json(const std::string& command, nlohmann::ordered_json body) {
  write_text("-", json_text(command, std::move(body)));
}

std::vector<std::pair<std::string, std::string>> environment(const std::string& seeds, double seconds) {
  return {{"Poolwise", POOLWISE_VERSION},
          {"Compiler", POOLWISE_COMPILER},
          {"Processor", cpu_name()},
          {"SIMD", simd_target()},
          {"Threads", std::to_string(omp_get_max_threads())},
          {"Seeds", seeds},
          {"Time in all", human_seconds(seconds)}};
}

void print_json(const std::string& command, nlohmann::ordered_json body, const std::string& list,
                std::size_t size, const std::function<nlohmann::ordered_json(std::size_t)>& element) {
  body[list] = nlohmann::ordered_json::array();
  const std::string text = json_text(command, std::move(body));
  const std::size_t place = text.rfind("[]") + 1;
  output_file out("-");
  out.write(std::string_view(text).substr(0, place));
  for (std::size_t i = 0; i < size; ++i) {
    std::istringstream lines(dumped(element(i)));
    const char* before = i == 0 ? "\n" : ",\n";
    for (std::string line; std::getline(lines, line); before = "\n") out.write(before + ("    " + line));
  }
  if (size > 0) out.write("\n  ");
  out.write(std::string_view(text).substr(place));
  out.commit();
}

void print_dry_run(const common_options& common, const std::string& command, const std::string& what,
                   nlohmann::ordered_json about) {
  if (!common.json) return say("would " + what);
  nlohmann::ordered_json object = {{"dry_run", true}, {"would", what}};
  object.update(about);
  print_json(command, std::move(object));
}

void say(const std::string& message) { std::cerr << "poolwise: " << printable(message) << '\n'; }

void say_lines(const std::string& message) {
  std::istringstream lines(message);
  std::string line;
  if (std::getline(lines, line)) say(line);
  while (std::getline(lines, line)) std::cerr << printable(line) << '\n';
}

progress::progress(std::string what, double total)
    : what_(std::move(what)), total_(total), terminal_(isatty(STDERR_FILENO) == 1) {}

progress::~progress() {
  if (terminal_ && shown_ >= 0) std::cerr << "\r\033[K" << std::flush;
}

void progress::at(double done) {
  const double elapsed = watch_.seconds();
  if (!terminal_ || (shown_ >= 0 && elapsed - shown_ < 0.1)) return;
  shown_ = elapsed;
  const double share = total_ > 0 ? done / total_ : 1;
  std::cerr << "\r\033[K" << what_ << ": " << int(100 * share) << " %, " << human_seconds(elapsed);
  if (share > 0.02 && share < 1) std::cerr << ", " << human_seconds(elapsed * (1 - share) / share) << " left";
  std::cerr << std::flush;
}

}  // namespace poolwise::cli
