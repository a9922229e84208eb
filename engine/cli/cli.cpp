#include "cli.hpp"

#include <omp.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>

#include "poolwise/pool/output.hpp"

namespace poolwise::cli {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string scaled(double value, const char* const* units, std::size_t count, double step) {
  std::size_t unit = 0;
  while (value >= step && unit + 1 < count) {
    value /= step;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, value < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", value, units[unit]);
  return text;
}

}  // namespace

where common_options::on() const {
  if (threads > 0) omp_set_num_threads(threads);
  if (device.rfind("cuda", 0) == 0) return cuda{device.size() > 5 ? std::stoi(device.substr(5)) : 0};
  // "auto" takes what this build has kernels for: the CPU.
  return cpu{threads};
}

void add_common(CLI::App& command, common_options& common) {
  command.add_flag("--json", common.json, "Print one JSON object on standard output");
  command.add_flag("--dry-run", common.dry_run, "Say what would be done, and do nothing");
  command.add_option("--seed", common.seed, "Seed of every random draw")->capture_default_str();
  command.add_option("--device", common.device, "cpu, cuda, cuda:INDEX or auto")
      ->check(CLI::Validator(
          [](const std::string& text) {
            const bool known = text == "cpu" || text == "auto" || text == "cuda" ||
                               (text.rfind("cuda:", 0) == 0 && text.size() > 5 && text.size() < 9 &&
                                text.find_first_not_of("0123456789", 5) == std::string::npos);
            return known ? std::string() : "\"" + text + "\" is no device; use cpu, cuda, cuda:0 or auto";
          },
          "DEVICE"))
      ->capture_default_str();
  command.add_option("--threads", common.threads, "Threads on the CPU (default: OMP_NUM_THREADS, else all)")
      ->check(CLI::Range(1, 4096));
  command.add_option("--memory", common.memory, "Ceiling on what is allocated, such as 8GiB")
      ->transform(CLI::AsSizeValue(false));
  command.add_option("--config", common.config, "TOML file with options by name, below POOLWISE_* and flags");
  command.get_formatter()->column_width(34);
}

void print_json(const std::string& command, nlohmann::ordered_json body) {
  nlohmann::ordered_json object = {{"schema", "poolwise." + command + "/1"}};
  object.update(body);
  output_file out("-");
  out.write(object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  out.commit();
}

void say(const std::string& message) { std::cerr << "poolwise: " << message << '\n'; }

std::string human_bytes(double bytes) {
  static const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  return scaled(bytes, units, 6, 1024);
}

std::string human_seconds(double seconds) {
  if (seconds >= 120) {
    char text[32];
    std::snprintf(text, sizeof text, seconds < 7200 ? "%.0f min" : "%.1f h",
                  seconds < 7200 ? seconds / 60 : seconds / 3600);
    return text;
  }
  if (seconds >= 1) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f s", seconds);
    return text;
  }
  static const char* const units[] = {"us", "ms", "s"};
  return scaled(seconds * 1e6, units, 3, 1000);
}

progress::progress(std::string what, double total)
    : what_(std::move(what)), total_(total), start_(now()), terminal_(isatty(STDERR_FILENO) == 1) {}

progress::~progress() {
  if (terminal_ && shown_ >= 0) std::cerr << "\r\033[K" << std::flush;
}

void progress::at(double done) {
  const double elapsed = now() - start_;
  if (!terminal_ || (shown_ >= 0 && elapsed - shown_ < 0.1)) return;
  shown_ = elapsed;
  const double share = total_ > 0 ? done / total_ : 1;
  std::cerr << "\r\033[K" << what_ << ": " << int(100 * share) << " %, " << human_seconds(elapsed);
  if (share > 0.02 && share < 1) std::cerr << ", " << human_seconds(elapsed * (1 - share) / share) << " left";
  std::cerr << std::flush;
}

}  // namespace poolwise::cli
