// poolwise demo: the main job on 60,000 real images, from pool to report.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <numeric>

#include "cli.hpp"
#include "inputs.hpp"
#include "own_files.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/stopwatch.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/learn/command_learner.hpp"
#include "poolwise/learn/softmax_regression.hpp"
#include "poolwise/loop/experiment.hpp"
#include "poolwise/reproduce/fashion_mnist.hpp"

namespace poolwise::cli {
namespace {

constexpr double target = 0.8;
constexpr index_t classes = index_t(fashion_mnist_classes.size());

struct demo_options {
  common_options common;
  std::string data = fashion_mnist_folder, out = "poolwise-demo", train;
  std::vector<std::string> strategies = {"random", "margin", "entropy", "badge", "kcenter"};
  index_t seeds = 5, members = 1;
  loop_schedule schedule;
  int timeout_s = 600;
};

std::unique_ptr<learner> make_learner(const demo_options& options, const strategy& what, std::uint64_t seed) {
  if (!options.train.empty()) {
    std::string run = what.name + "-" + std::to_string(seed);
    std::replace(run.begin(), run.end(), '/', '-');
    return std::make_unique<command_learner>(command_options{
        options.train, classes, options.members, std::filesystem::path(options.out) / "training" / run,
        std::chrono::seconds(options.timeout_s), seed});
  }
  if (options.members > 1) return std::make_unique<bootstrap_committee>(options.members, classes, seed);
  return std::make_unique<softmax_regression>(classes);
}

std::string protocol(const demo_options& options, const fashion_mnist& data) {
  const std::string model = !options.train.empty() ? "the program \"" + options.train + "\""
                            : options.members > 1  ? "a bootstrap committee of " +
                                                        std::to_string(options.members) + " softmax regressions"
                                                  : std::string("softmax regression");
  return "Fashion-MNIST: a pool of " + std::to_string(data.pool().pool.rows) + " images and " +
         std::to_string(data.pool().test.rows) + " test images as " + data.features_text() +
         ". Model: " + model + (options.train.empty() ? ", L2 1e-4" : "") + ", refitted every round. " +
         (options.train.empty() ? "" : "Strategies that compare images do so by these features. ") +
         std::to_string(options.schedule.initial) +
         " labels drawn at random, the same for all strategies under a seed; then " +
         std::to_string(options.schedule.rounds) + " rounds of " + std::to_string(options.schedule.batch) +
         " labels; " + std::to_string(options.seeds) + " seeds.";
}

// The images of a strategy's first batch under the first seed, in the order of the query.
gallery first_batch(const std::string& name, const loop_run& run, const fashion_mnist& data) {
  const idx_array& images = data.images().train_images;
  gallery g{
      name, "First batch under the first seed, in the order picked", images.shape[1], images.shape[2], {}};
  const std::size_t pixels = std::size_t(g.height * g.width);
  const auto& picked = run.rounds.front().picked;
  for (std::size_t i = 0; i < std::min<std::size_t>(picked.size(), 40); ++i) {
    const auto* start = images.values.data() + std::size_t(picked[i]) * pixels;
    const int label = data.images().train_labels.values[std::size_t(picked[i])];
    g.images.push_back({{start, start + pixels}, fashion_mnist_classes[std::size_t(label)]});
  }
  return g;
}

nlohmann::ordered_json as_json(const strategy_summary& s) {
  nlohmann::ordered_json curves = nlohmann::ordered_json::array();
  for (const learning_curve& c : s.curves) curves.push_back({{"labels", c.labels}, {"accuracy", c.accuracy}});
  nlohmann::ordered_json labels_to_target = nullptr;
  if (s.labels_to_target) labels_to_target = *s.labels_to_target;
  return {{"name", s.name},
          {"aubc_mean", s.aubc_mean},
          {"aubc_sd", s.aubc_sd},
          {"minus_random", s.minus_baseline},
          {"p", s.p},
          {"labels_to_80", labels_to_target},
          {"seconds", s.score_seconds + s.select_seconds + s.train_seconds},
          {"seconds_per_round",
           {{"score", s.score_seconds}, {"select", s.select_seconds}, {"train", s.train_seconds}}},
          {"picks_by_class", s.class_counts},
          {"curves", std::move(curves)}};
}

nlohmann::ordered_json as_json(const demo_options& options, const experiment_report& report) {
  nlohmann::ordered_json strategies = nlohmann::ordered_json::array();
  for (const strategy_summary& s : report.strategies) strategies.push_back(as_json(s));
  nlohmann::ordered_json about = nlohmann::ordered_json::object();
  for (const auto& [name, value] : report.environment) about[name] = value;
  return {{"protocol", report.protocol},     {"initial", options.schedule.initial},
          {"batch", options.schedule.batch}, {"rounds", options.schedule.rounds},
          {"seeds", options.seeds},          {"first_seed", options.common.seed},
          {"environment", std::move(about)}, {"strategies", std::move(strategies)}};
}

void print_table(const experiment_report& report, index_t budget) {
  std::printf("%-22s %8s %7s %10s %9s %14s %26s\n", "strategy", "AUBC", "sd", "- random", "p", "labels to 80 %",
              "score/select/train, s/round");
  for (const strategy_summary& s : report.strategies) {
    char labels[32], difference[32] = "", p[32] = "";
    if (s.labels_to_target)
      std::snprintf(labels, sizeof labels, "%.0f", *s.labels_to_target);
    else
      std::snprintf(labels, sizeof labels, "> %lld", static_cast<long long>(budget));
    if (s.name != report.baseline) {
      std::snprintf(difference, sizeof difference, "%+.4f", s.minus_baseline);
      std::snprintf(p, sizeof p, "%.2g", s.p);
    }
    std::printf("%-22s %8.4f %7.4f %10s %9s %14s %10.3f %7.3f %7.3f\n", s.name.c_str(), s.aubc_mean, s.aubc_sd,
                difference, p, labels, s.score_seconds, s.select_seconds, s.train_seconds);
  }
}

// One model has nobody to disagree with.
void require_committee(const demo_options& options) {
  for (const std::string& name : options.strategies)
    if (options.members == 1 && parse_strategy(name).needs(part::committee))
      throw CLI::ValidationError("--strategies", name + " needs a committee; give --members 5, say");
}

void run(const CLI::App& command, const demo_options& options) {
  const std::filesystem::path out = options.out;
  require_own_files(command, {{"--out", out / "demo.json"}, {"--out", out / "report.html"}});
  const where on = options.common.on();
  const cpu host = require_cpu(on, "demo");
  require_committee(options);
  const auto plotly = find_plotly();
  if (options.common.dry_run) {
    return print_dry_run(options.common, "demo",
                         "run " + std::to_string(options.strategies.size()) + " strategies with " +
                             std::to_string(options.seeds) + " seeds on " + options.data +
                             " and write report.html and demo.json to " + options.out,
                         {{"strategies", options.strategies}, {"seeds", options.seeds}, {"out", options.out}});
  }
  std::error_code problem;
  std::filesystem::create_directories(out, problem);
  if (problem)
    throw io_error("demo: cannot make the folder " + options.out + ": " + problem.message() +
                   "; choose another with --out");

  const stopwatch watch;
  const auto data = as_input([&] { return std::make_unique<const fashion_mnist>(options.data); });
  experiment e;
  e.data = data->pool();
  for (const auto& name : options.strategies) e.strategies.push_back(parse_strategy(name));
  e.seeds.resize(std::size_t(options.seeds));
  std::iota(e.seeds.begin(), e.seeds.end(), options.common.seed);
  e.schedule = options.schedule;
  e.make_learner = [&](const strategy& what, std::uint64_t seed) { return make_learner(options, what, seed); };
  if (!options.train.empty())
    say("the program's output goes to output.txt in the folders of " + (out / "training").string());
  experiment_runs runs;
  {
    progress line("demo", 1);
    e.progress = [&](double share) { line.at(share); };
    runs = run_experiment(host, e);
  }

  experiment_report report;
  report.title = "Poolwise on Fashion-MNIST";
  report.protocol = protocol(options, *data);
  report.target = target;
  report.class_names.assign(fashion_mnist_classes.begin(), fashion_mnist_classes.end());
  report.baseline = e.baseline;
  report.strategies = summarise(e, runs, classes, target);
  for (std::size_t s = 0; s < runs.size(); ++s)
    report.galleries.push_back(first_batch(e.strategies[s].name, runs[s].front(), *data));
  report.environment =
      environment(std::to_string(e.seeds.front()) + " to " + std::to_string(e.seeds.back()), watch.seconds());

  auto json = as_json(options, report);
  write_text(out / "demo.json", json_text("demo", json));
  write_text(out / "report.html", render_html(report, plotly));
  if (options.common.json)
    print_json("demo", std::move(json));
  else
    print_table(report, options.schedule.initial + options.schedule.batch * options.schedule.rounds);
  say("the report is " + (out / "report.html").string() + ", the figures " + (out / "demo.json").string());
}

}  // namespace

void add_demo(CLI::App& app) {
  auto options = std::make_shared<demo_options>();
  CLI::App* command =
      app.add_subcommand("demo", "Run active learning on Fashion-MNIST and show the gain over random");
  command->add_option("--data", options->data, "Folder with the four Fashion-MNIST files")
      ->type_name("FOLDER")
      ->capture_default_str();
  command->add_option("--out", options->out, "Folder for report.html and demo.json")
      ->type_name("FOLDER")
      ->capture_default_str();
  command->add_option("--strategies", options->strategies, "Names, separated by commas")
      ->delimiter(',')
      ->check(strategy_name())
      ->type_name("NAMES")
      ->capture_default_str();
  add_number(*command, "--seeds", options->seeds, index_t{1}, index_t{1000}, "Runs of each strategy")
      ->capture_default_str();
  add_number(*command, "--initial", options->schedule.initial, index_t{1}, index_t{60000},
             "Labels before the first round")
      ->capture_default_str();
  add_number(*command, "--batch", options->schedule.batch, index_t{1}, index_t{60000}, "Labels a round")
      ->capture_default_str();
  add_number(*command, "--rounds", options->schedule.rounds, index_t{0}, index_t{60000}, "Rounds")
      ->capture_default_str();
  add_number(*command, "--members", options->members, index_t{1}, index_t{1000},
             "Members of a committee, for bald and its kin")
      ->capture_default_str();
  command->add_option(
      "--train", options->train,
      "Your own training program instead of softmax regression: it is run as `PROGRAM fit FOLDER` "
      "and `PROGRAM predict FOLDER`, with the run's seed in POOLWISE_SEED. Its output goes to output.txt in "
      "FOLDER. "
      "k-center, badge and other strategies that compare images do so by the data's own features, not by the "
      "program's");
  add_number(*command, "--timeout", options->timeout_s, 1, 1'000'000,
             "Seconds that one run of --train may take")
      ->capture_default_str();
  add_common(*command, options->common);
  command->footer(
      "Example:\n  poolwise demo --strategies random,margin,margin/10x/kcenter --seeds 3 --out demo");
  command->callback([command, options] { run(*command, *options); });
}

}  // namespace poolwise::cli
