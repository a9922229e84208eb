#include "inputs.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <utility>

#include "cli.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/query/plan.hpp"

namespace poolwise::cli {
namespace {

// The two numbers of "0,25"; nothing where that is not what the line says.
std::optional<std::pair<index_t, index_t>> group_and_quota(const std::string& line) {
  index_t group = -1, allowed = -1;
  const char* const end = line.data() + line.size();
  const auto [comma, bad_group] = std::from_chars(line.data(), end, group);
  if (bad_group != std::errc{} || comma == end || *comma != ',') return std::nullopt;
  const auto [last, bad_quota] = std::from_chars(comma + 1, end, allowed);
  if (bad_quota != std::errc{} || last != end || group < 0 || group > 1'000'000 || allowed < 0)
    return std::nullopt;
  return std::pair(group, allowed);
}

// "group,quota" after a header line; groups are numbered from 0, and each has a line.
std::vector<index_t> read_quota(const std::string& file) {
  std::ifstream in(file);
  if (!in) throw value_error("cannot open " + file + "; give a CSV file with the columns group,quota");
  std::vector<index_t> quota, line_of;  // by group; 0: no line yet
  std::string line;
  for (index_t number = 1; std::getline(in, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || (number == 1 && line == "group,quota")) continue;
    const auto given = group_and_quota(line);
    if (!given)
      throw format_error(file + ", line " + std::to_string(number) + ": \"" + printable(line, 60) +
                         "\" is not a group and its quota; write two numbers such as 0,25");
    const auto [group, allowed] = *given;
    if (index_t(quota.size()) <= group) {
      quota.resize(std::size_t(group) + 1, 0);
      line_of.resize(quota.size(), 0);
    }
    index_t& first = line_of[std::size_t(group)];
    if (first > 0)
      throw format_error(file + ", lines " + std::to_string(first) + " and " + std::to_string(number) +
                         " both give a quota to group " + std::to_string(group) + "; give it one");
    first = number;
    quota[std::size_t(group)] = allowed;
  }
  if (quota.empty()) throw format_error(file + " gives no group a quota; write lines such as 0,25");
  const auto none = std::find(line_of.begin(), line_of.end(), 0);
  if (none != line_of.end())
    throw format_error(file + " gives no quota to group " + std::to_string(none - line_of.begin()) +
                       " but to group " + std::to_string(quota.size() - 1) +
                       "; write a line for each group from 0 on, with quota 0 for none of it");
  return quota;
}

std::vector<index_t> integers(const std::string& spec, input_files& files) {
  return spec.empty() ? std::vector<index_t>() : as_integers(files.open(spec));
}

bool is_table(const std::string& file) { return file.ends_with(".csv") || file.ends_with(".jsonl"); }

}  // namespace

CLI::Validator strategy_name() { return read_by(parse_strategy); }

input_files::input_files(std::uint64_t ceiling) : ceiling_(ceiling) {
  // Half of what is left to every process is for the pages that are read between two looks at them.
  if (ceiling > 0) pages_.emplace(ceiling + process_bytes / 2);
}

array input_files::open(const std::string& spec) {
  array opened = as_input([&] { return open_array(spec); });
  if (pages_ && opened.mapped) pages_->add(opened.data, opened.bytes());
  return opened;
}

template <class View>
View input_files::converted(View (*as)(const array&, array&, cpu), const std::string& spec,
                            std::initializer_list<dtype> kept, array& keep) {
  const array opened = open(spec);
  const auto bytes = std::uint64_t(opened.size()) * sizeof(float);
  if (std::find(kept.begin(), kept.end(), opened.type) == kept.end()) {
    copied_ += bytes;
    if (ceiling_ > 0 && copied_ > ceiling_)
      throw value_error(opened.name + " is " + name_of(opened.type) +
                        " and is converted to float32, which takes " + human_bytes(double(bytes)) +
                        ", but --memory allows " + human_bytes(double(ceiling_)) +
                        "; save it as float32, or raise it");
  }
  return as(opened, keep, cpu{0, pages()});
}

real_matrix input_files::open_matrix(const std::string& spec, array& keep) {
  return converted(&as_matrix, spec, {dtype::f2, dtype::bf16, dtype::f4}, keep);
}
real_cube input_files::open_cube(const std::string& spec, array& keep) {
  return converted(&as_cube, spec, {dtype::f2, dtype::bf16, dtype::f4}, keep);
}
matrix_view<const float> input_files::open_floats(const std::string& spec, array& keep) {
  return converted(&as_float_matrix, spec, {dtype::f4}, keep);
}

void model_flags::add_to(CLI::App& command) {
  auto* logits_flag = command.add_option("--logits", logits, "Model outputs before softmax, [rows, classes]");
  auto* probs_flag = command.add_option("--probs", probs, "Class probabilities, [rows, classes]");
  auto* committee_flag = command.add_option(
      "--committee", committee,
      "A committee's logits: one array [members, rows, classes], or one [rows, classes] a member: a.npy,b.npy");
  auto* committee_probs_flag =
      command.add_option("--committee-probs", committee_probs, "Its probabilities, in the same shapes");
  auto* predictions_flag =
      command.add_option("--predictions", predictions, "Predictions of regressors, [members, rows, outputs]");
  for (auto* flag : {logits_flag, probs_flag, predictions_flag}) flag->type_name("ARRAY");
  for (auto* flag : {committee_flag, committee_probs_flag})
    flag->delimiter(',')->allow_extra_args(false)->type_name("ARRAY");
  probs_flag->excludes(logits_flag);
  committee_probs_flag->excludes(committee_flag);
}

model_arrays::model_arrays(const model_flags& flags, input_files& files) {
  const std::string& model = flags.logits.empty() ? flags.probs : flags.logits;
  const std::vector<std::string>& committee = flags.committee.empty() ? flags.committee_probs : flags.committee;
  if (!flags.predictions.empty()) {
    const real_cube cube = files.open_cube(flags.predictions, predictions_);
    const auto* floats = std::get_if<cube_view<const float>>(&cube);
    if (floats == nullptr)
      throw format_error(flags.predictions +
                         " is of 16-bit numbers, and predictions are read as float32; save it so");
    inputs.predictions = *floats;
    inputs.rows = floats->rows;
  }
  if (!model.empty()) {
    inputs.model = files.open_matrix(model, model_);
    inputs.model_kind = flags.logits.empty() ? outputs::probabilities : outputs::logits;
    inputs.rows = rows_of(*inputs.model);
  }
  if (!committee.empty()) {
    inputs.committee = open_committee(committee, files);
    inputs.committee_kind = flags.committee.empty() ? outputs::probabilities : outputs::logits;
    inputs.rows = inputs.committee->rows();
  }
}

committee_outputs model_arrays::open_committee(const std::vector<std::string>& specs, input_files& files) {
  committee_.resize(specs.size());
  if (specs.size() == 1) return files.open_cube(specs[0], committee_[0]);
  std::vector<real_matrix> members;
  for (std::size_t m = 0; m < specs.size(); ++m) members.push_back(files.open_matrix(specs[m], committee_[m]));
  return committee_outputs(std::move(members));
}

void query_flags::add_to(CLI::App& command) {
  model.add_to(command);
  command.add_option("--embeddings", embeddings, "Features, [rows, features]")->type_name("ARRAY");
  command.add_option("--queries", queries, "Features that picks are to be like, [queries, features]")
      ->type_name("ARRAY");
  command
      .add_option("--labelled", labelled,
                  "Rows that have a label; never picked, k-center's first centres. Or their ids: CSV or JSONL")
      ->type_name("ARRAY");
  command.add_option("--exclude", exclude, "Rows that must not be picked, or their ids")->type_name("ARRAY");
  command
      .add_option("--strategy", strategy,
                  "Such as margin, badge or margin/10x/kcenter; see `poolwise strategies`")
      ->required()
      ->check(strategy_name())
      ->type_name("STRATEGY");
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  add_number(command, "--batch", batch, index_t{1}, most, "Picks at most (default: what the budget buys)");
  command.add_option("--cost", cost, "Integer cost of each row in the smallest unit, [rows]")
      ->type_name("ARRAY");
  add_number(command, "--budget", budget, std::int64_t{0}, most,
             "What the picks may cost together, in that unit");
  command.add_option("--group", group, "Group of each row, [rows], numbered from 0")->type_name("ARRAY");
  command
      .add_option("--quota", quota,
                  "CSV with columns group,quota: picks allowed in each group, a line for each")
      ->type_name("FILE.csv");
  add_number(command, "--apart", apart, 0.0f, std::numeric_limits<float>::max(),
             "No pick lies within this distance of another or of a labelled row, by the embeddings; 0 leaves "
             "out duplicates alone")
      ->type_name("DISTANCE");
  std::string listing;
  for (const strategy_entry& entry : strategies())
    if (entry.lists_neighbours) listing += (listing.empty() ? "" : ", ") + std::string(entry.name);
  command
      .add_option(
          "--neighbours", neighbours,
          "How strategies find each row's neighbours (" + listing +
              "): exact, ivf or hnsw, "
              "whose recall is measured and said; auto is exact up to rows^2 x features = 1e13 (395,000 rows "
              "of 64, 140,000 of 512) and on devices, and ivf beyond")
      ->check(CLI::IsMember({"auto", "exact", "ivf", "hnsw"}))
      ->capture_default_str()
      ->type_name("METHOD");
  command.add_option("--ids", ids, "CSV or JSONL with the rows' ids (default: row numbers)")->type_name("FILE");
  command.add_option("--on-nan", on_nan, "Rows that cannot be scored: refuse, or skip")
      ->check(CLI::IsMember({"refuse", "skip"}))
      ->capture_default_str();
}

wording words_of(const char* command) {
  return {.call = command,
          .outputs = "--logits or --probs",
          .committee = "--committee or --committee-probs",
          .embeddings = "--embeddings",
          .predictions = "--predictions",
          .queries = "--queries",
          .excluded = "--exclude",
          .cost = "--cost",
          .group = "--group",
          .quota = "--quota",
          .batch = "--batch",
          .budget = "--budget",
          .apart = "--apart",
          .skip = "--on-nan skip",
          .neighbours = "--neighbours",
          .memory = "--memory"};
}

query_inputs::query_inputs(const query_flags& flags, std::uint64_t seed, input_files& files)
    : files_(files),
      spec_{.strategy = flags.strategy,
            .batch = flags.batch,
            .budget = flags.budget,
            .quota = flags.quota.empty() ? std::vector<index_t>() : read_quota(flags.quota),
            .apart = flags.apart,
            .neighbours = parse_knn_method(flags.neighbours),
            .seed = seed,
            .invalid = flags.on_nan == "skip" ? on_invalid::skip : on_invalid::refuse},
      model_(flags.model, files),
      group_(integers(flags.group, files)),
      cost_(integers(flags.cost, files)) {
  pool_inputs& pool = model_.inputs;
  if (!flags.embeddings.empty()) {
    pool.embeddings = files.open_floats(flags.embeddings, embeddings_);
    if (pool.rows == 0) pool.rows = pool.embeddings->rows;
  }
  if (!flags.queries.empty()) pool.queries = files.open_floats(flags.queries, queries_);
  if (pool.rows == 0) pool.rows = index_t(cost_.size());
  if (pool.rows == 0 && !pool.model && !pool.committee && !pool.embeddings && !pool.predictions &&
      flags.cost.empty())
    throw CLI::RequiredError("One array of all rows (--logits, --probs, --committee, --embeddings, --cost)");
  if (!flags.ids.empty()) {
    ids_ = as_input([&] { return row_ids(flags.ids, pool.rows); });
    pool.ids = &ids_;
  }
  labelled_ = rows(flags.labelled);
  excluded_ = rows(flags.exclude);
  pool.labelled = labelled_;
  pool.excluded = excluded_;
  pool.cost = {cost_.data(), index_t(cost_.size())};
  pool.group = {group_.data(), index_t(group_.size())};
}

std::vector<index_t> query_inputs::rows(const std::string& text) const {
  if (!is_table(text)) return integers(text, files_);
  if (ids_.numbered())
    throw CLI::ValidationError(text, "holds ids, and rows have none; give --ids, or row numbers");
  return as_input([&] { return ids_.rows_in(text); });
}

std::uint64_t query_inputs::copied_bytes() const {
  const std::size_t numbers =
      labelled_.size() + excluded_.size() + group_.size() + spec_.quota.size() + cost_.size();
  return files_.copied() + std::uint64_t(numbers) * sizeof(index_t);
}

}  // namespace poolwise::cli
