// poolwise reproduce: published experiments, run again and held against their figures.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <numeric>
#include <sstream>

#include "cli.hpp"
#include "own_files.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/stopwatch.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/reproduce/benchmark.hpp"
#include "poolwise/reproduce/benchmark_report.hpp"

namespace poolwise::cli {
namespace {

struct reproduce_options {
  common_options common;
  std::string what, seeds, out;
  bool quick = false, full = false;
  benchmark_settings settings;
};

constexpr std::size_t most_seeds = 100'000;

bool is_seed(const std::string& text) {
  return !text.empty() && text.size() <= 15 && text.find_first_not_of("0123456789") == std::string::npos;
}

/// The 1, 4, 7, 8 and 9 of "1,4,7-9", ascending, each once.
std::vector<std::uint64_t> parse_seeds(const std::string& text) {
  const auto refuse = [&](const std::string& problem) { throw usage_error("\"" + text + "\" " + problem); };
  std::vector<std::uint64_t> seeds;
  std::istringstream list(text + ',');
  for (std::string range; std::getline(list, range, ',');) {
    const std::size_t dash = range.find('-');
    if (!is_seed(range.substr(0, dash)) || (dash != std::string::npos && !is_seed(range.substr(dash + 1))))
      refuse("names no seeds; write 0-9, or 1,4,7-9");
    const std::uint64_t first = std::stoull(range),
                        last = dash == std::string::npos ? first : std::stoull(range.substr(dash + 1));
    if (last < first) refuse("runs backwards; write the lower seed first, such as 0-9");
    if (last - first >= most_seeds - seeds.size())
      refuse("names more than 100,000 seeds; write at most as many");
    for (std::uint64_t seed = first; seed <= last; ++seed) seeds.push_back(seed);
  }
  std::sort(seeds.begin(), seeds.end());
  seeds.erase(std::unique(seeds.begin(), seeds.end()), seeds.end());
  return seeds;
}

std::vector<std::uint64_t> seeds_for(const reproduce_options& options, const benchmark& what) {
  if (!options.seeds.empty()) return parse_seeds(options.seeds);
  std::vector<std::uint64_t> seeds(std::size_t(options.full ? what.full_seeds : what.quick_seeds));
  std::iota(seeds.begin(), seeds.end(), options.common.seed);
  return seeds;
}

/// All of them, the one of that name, or the family whose names begin with it and a dash.
std::vector<const benchmark_entry*> chosen(const std::string& what) {
  std::vector<const benchmark_entry*> entries;
  for (const benchmark_entry& entry : benchmark_entries()) {
    const std::string name = entry.name;
    if (name == what) return {&entry};
    if (what == "all" ? entry.in_all : name.rfind(what + "-", 0) == 0) entries.push_back(&entry);
  }
  return entries.empty() ? std::vector{&find_benchmark(what)} : entries;
}

void require_settings(const std::vector<const benchmark_entry*>& entries, const benchmark_settings& settings) {
  if (entries.size() > 1 && !settings.data.empty())
    throw usage_error("reproduce: --data belongs to one benchmark; name it instead of several");
  const benchmark_settings published;
  for (const benchmark_entry* entry : entries)
    if (!entry->takes_models &&
        (settings.query_model != published.query_model || settings.task_model != published.task_model))
      throw usage_error("reproduce: " + std::string(entry->name) +
                        " has a model of its own; --query-model and --task-model are for lu2023");
}

void list(bool json) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const benchmark_entry& entry : benchmark_entries()) {
    if (json)
      all.push_back({{"name", entry.name},
                     {"summary", entry.summary},
                     {"source", entry.source},
                     {"in_all", entry.in_all}});
    else
      std::printf("%-20s %s\n%-20s %s\n", entry.name, entry.summary, "", entry.source);
  }
  if (json) print_json("reproduce", {{"benchmarks", std::move(all)}});
}

struct outcome {
  benchmark what;
  benchmark_runs runs;
  std::vector<figure> figures;
  double seconds = 0;
};

outcome run_one(const reproduce_options& options, cpu host, const benchmark_entry& entry) {
  const stopwatch watch;
  outcome result;
  result.what = as_input([&] { return entry.make(entry, options.settings); });
  for (const std::string& note : result.what.notes) say(note);
  {
    progress line(entry.name, 1);
    result.runs = run_benchmark(
        host, result.what, seeds_for(options, result.what),
        options.out.empty() ? std::filesystem::path() : std::filesystem::path(options.out) / entry.name,
        [&](double share) { line.at(share); });
  }
  for (const std::string& reason : result.runs.skipped) say(std::string(entry.name) + ": left out: " + reason);
  result.figures = result.what.figures(result.runs);
  result.seconds = watch.seconds();
  return result;
}

void write_report(const reproduce_options& options, const outcome& result,
                  const std::filesystem::path& plotly) {
  auto report = report_benchmark(result.what, result.runs, result.figures);
  const auto& seeds = result.runs.seeds;
  report.environment = environment(std::to_string(seeds.size()) + ", from " + std::to_string(seeds.front()) +
                                       " to " + std::to_string(seeds.back()),
                                   result.seconds);
  const auto file = std::filesystem::path(options.out) / result.what.name / "report.html";
  write_text(file, render_html(report, plotly));
  say("the report is " + file.string());
}

nlohmann::ordered_json seeds_json(const outcome& result, std::size_t strategy) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (std::size_t k = 0; k < result.runs.seeds.size(); ++k) {
    const learning_curve& curve = result.runs.curves[strategy][k];
    nlohmann::ordered_json their_area = nullptr;
    if (curve.labels.size() > 2) their_area = aubc_lu2023(curve);
    all.push_back({{"benchmark", result.what.name},
                   {"strategy", result.what.strategies[strategy]},
                   {"seed", result.runs.seeds[k]},
                   {"aubc", aubc(curve)},
                   {"aubc_lu2023", std::move(their_area)}});
  }
  return all;
}

nlohmann::ordered_json as_json(const std::vector<outcome>& results) {
  nlohmann::ordered_json figures = nlohmann::ordered_json::array(), seeds = figures, runs = figures,
                         benchmarks = figures;
  static const char* const kinds[] = {"within", "at_least", "at_most"};
  for (const outcome& result : results) {
    for (const figure& f : result.figures)
      figures.push_back({{"benchmark", result.what.name},
                         {"name", f.name},
                         {"value", f.value},
                         {"published", f.published},
                         {"tolerance", f.tolerance},
                         {"kind", kinds[int(f.kind)]},
                         {"source", f.source},
                         {"holds", f.holds()}});
    for (auto& seed : seeds_json(result, 0)) seeds.push_back(std::move(seed));
    for (std::size_t s = 0; s < result.what.strategies.size(); ++s)
      for (auto& seed : seeds_json(result, s)) runs.push_back(std::move(seed));
    benchmarks.push_back({{"name", result.what.name},
                          {"protocol", result.what.protocol},
                          {"strategies", result.what.strategies},
                          {"seeds", result.runs.seeds.size()},
                          {"skipped", result.runs.skipped},
                          {"notes", result.what.notes},
                          {"seconds", result.seconds}});
  }
  return {{"figures", std::move(figures)},
          {"seeds", std::move(seeds)},
          {"runs", std::move(runs)},
          {"benchmarks", std::move(benchmarks)}};
}

void print_tables(const outcome& result) {
  std::printf("%s, %zu seeds, %s\n", result.what.title.c_str(), result.runs.seeds.size(),
              human_seconds(result.seconds).c_str());
  for (std::size_t s = 0; s < result.what.strategies.size(); ++s) {
    const auto areas = measured(result.runs.curves[s], aubc);
    std::printf("  %-22s AUBC %.4f, sd %.4f\n", result.what.strategies[s].c_str(), mean(areas),
                standard_deviation(areas));
  }
  for (const figure& f : result.figures)
    std::printf("  %-8s %-46s %10.5f  %-24s %s\n", verdict(f).c_str(), f.name.c_str(), f.value,
                expectation(f).c_str(), f.source.c_str());
  if (result.figures.empty())
    std::printf("  no published figures for this data, these models and these seeds\n");
}

std::vector<output_name> outputs_of(const reproduce_options& options,
                                    const std::vector<const benchmark_entry*>& entries) {
  const std::filesystem::path out = options.out;
  if (out.empty()) return {};
  std::vector<output_name> outputs = {{"--out", out / "reproduce.json"}};
  for (const benchmark_entry* entry : entries) outputs.push_back({"--out", out / entry->name / "report.html"});
  return outputs;
}

void run(const CLI::App& command, const reproduce_options& options) {
  if (options.what == "list") return list(options.common.json);
  const auto entries = chosen(options.what);
  require_own_files(command, outputs_of(options, entries));
  const cpu host = require_cpu(options.common.on(), "reproduce");
  require_settings(entries, options.settings);
  if (options.common.dry_run) {
    std::vector<std::string> names;
    std::string named;
    for (const benchmark_entry* entry : entries) {
      named += (names.empty() ? "" : ", ") + std::string(entry->name);
      names.emplace_back(entry->name);
    }
    return print_dry_run(options.common, "reproduce",
                         "run " + named + (options.out.empty() ? "" : " and write to " + options.out),
                         {{"benchmarks", names}, {"out", options.out}});
  }
  const auto plotly = options.out.empty() ? std::filesystem::path() : find_plotly();
  std::vector<outcome> results;
  for (const benchmark_entry* entry : entries) {
    results.push_back(run_one(options, host, *entry));
    if (!options.common.json) print_tables(results.back());
    if (!options.out.empty()) write_report(options, results.back(), plotly);
  }
  auto json = as_json(results);
  if (!options.out.empty())
    write_text(std::filesystem::path(options.out) / "reproduce.json", json_text("reproduce", json));
  if (options.common.json) print_json("reproduce", std::move(json));
  std::size_t figures = 0, missed = 0;
  for (const outcome& result : results) {
    figures += result.figures.size();
    for (const figure& f : result.figures) missed += !f.holds();
  }
  if (missed > 0)
    throw error("reproduce: " + std::to_string(missed) + " of " + std::to_string(figures) +
                " published figures missed");
}

}  // namespace

void add_reproduce(CLI::App& app) {
  auto options = std::make_shared<reproduce_options>();
  CLI::App* command =
      app.add_subcommand("reproduce", "Run published experiments again and hold them against their figures");
  command->add_option("what", options->what, "list, all, the name of one, or of a family, such as tabular-lr")
      ->required();
  command
      ->add_option("--seeds", options->seeds,
                   "Such as 0-9 or 1,4,7-9 (default: as many as --quick runs, from --seed on)")
      ->check(read_by(parse_seeds))
      ->type_name("SEEDS");
  auto* quick = command->add_flag("--quick", options->quick, "Few seeds: the default");
  command->add_flag("--full", options->full, "As many seeds as were published")->excludes(quick);
  command
      ->add_option("--out", options->out,
                   "Folder for reports and the curve of each run; runs found there are not repeated")
      ->type_name("FOLDER");
  command
      ->add_option("--data", options->settings.data,
                   "Another data set for lu2023: .csv (class last, with a header line or without) or LIBSVM's "
                   "format, also .gz; "
                   "for others, where their data lie")
      ->type_name("PATH");
  command->add_option("--query-model", options->settings.query_model, "Model that lu2023 queries by")
      ->check(CLI::IsMember({"svm", "lr"}))
      ->capture_default_str();
  command->add_option("--task-model", options->settings.task_model, "Model that lu2023 measures")
      ->check(CLI::IsMember({"svm", "lr"}))
      ->capture_default_str();
  add_common(*command, options->common);
  command->footer("Example:\n  poolwise reproduce lu2023-sonar --seeds 0-9 --out sonar");
  command->callback([command, options] { run(*command, *options); });
}

}  // namespace poolwise::cli
