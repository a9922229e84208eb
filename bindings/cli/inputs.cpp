#include "inputs.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "cli.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/pool/consensus.hpp"
#include "poolwise/query/plan.hpp"
#include "shards.hpp"

namespace poolwise::cli {

CLI::Validator strategy_name() { return read_by(parse_strategy); }

input_files::input_files(std::uint64_t ceiling) : ceiling_(ceiling) {
  // Half of what is left to every process is for the pages that are read between two looks at them.
  if (ceiling > 0) pages_.emplace(ceiling + process_bytes / 2);
}

array input_files::open(const std::string& spec) {
  if (shards_ == nullptr || !shard_files::is_pattern(spec)) return open_one(spec);
  return open_shards(
      *shards_, spec, [this](const std::string& file) { return open_one(file); },
      [this](const std::string& what, std::uint64_t bytes) { make(what, bytes); });
}

array input_files::open_one(const std::string& spec) {
  array opened = as_input([&] { return open_array(spec, room()); });
  copied_ += std::uint64_t(opened.held);
  if (opened.mapped) mapped_ += opened.bytes();
  if (pages_ && opened.mapped) {
    pages_->add(opened.data, opened.bytes());
    registered_.push_back(opened.owner);
  }
  return opened;
}

copy_limit input_files::room() const {
  if (ceiling_ == 0) return {};
  return {ceiling_ - std::min(ceiling_, copied_), "--memory"};
}

void input_files::count(const array& opened, std::uint64_t bytes, const std::string& why, const char* remedy) {
  copied_ += bytes;
  if (ceiling_ > 0 && copied_ > ceiling_)
    throw value_error(opened.name + " is " + why + ", which takes " + human_bytes(double(bytes)) +
                      ", but --memory allows " + human_bytes(double(ceiling_)) + "; " + remedy +
                      ", or raise it");
}

void input_files::make(const std::string& what, std::uint64_t bytes) {
  copied_ += bytes;
  if (ceiling_ > 0 && copied_ > ceiling_)
    throw value_error(what + " takes " + human_bytes(double(bytes)) + ", but --memory allows " +
                      human_bytes(double(ceiling_)) + "; raise it");
}

template <class View>
View input_files::open_as(View (*as)(const array&, array&, cpu), const std::string& spec, array& keep) {
  const array opened = open(spec);
  const auto size = std::uint64_t(opened.size());
  const bool of_16_bits = opened.type == dtype::f2 || opened.type == dtype::bf16;
  if (opened.type != dtype::f4 && (!of_16_bits || std::is_same_v<View, matrix_view<const float>>))
    count(opened, size * sizeof(float), std::string(name_of(opened.type)) + " and is converted to float32",
          "save it as float32");
  else if (!opened.plain())
    count(opened, size * size_of(opened.type),
          opened.fortran_order ? "in Fortran order and is copied" : "big-endian and is copied",
          "save numpy.ascontiguousarray(x, '<f4')");
  return as(opened, keep, cpu{0, pages()});
}

std::vector<index_t> input_files::open_integers(const std::string& spec, index_t rows) {
  if (spec.empty()) return {};
  const array opened = open(spec);
  if (rows > 0 && opened.size() != rows)
    throw shape_error(opened.name + " has " + std::to_string(opened.size()) + " entries but the pool has " +
                      std::to_string(rows) + " rows; give one for each row");
  count(opened, std::uint64_t(opened.size()) * sizeof(index_t), "a vector of whole numbers and is copied",
        "give fewer");
  return as_integers(opened, cpu{0, pages()});
}

std::vector<float> input_files::open_values(const std::string& spec) {
  if (spec.empty()) return {};
  const array opened = open(spec);
  count(opened, std::uint64_t(opened.size()) * sizeof(float), "a vector of values and is copied", "give fewer");
  return as_values(opened, cpu{0, pages()});
}

std::vector<index_t> input_files::open_rows(const std::string& spec, index_t rows) {
  const array opened = open(spec);
  if (opened.size() <= rows)
    count(opened, std::uint64_t(opened.size()) * sizeof(index_t), "a vector of rows and is copied",
          "give fewer");
  return row_numbers(opened, rows, cpu{0, pages()});
}

grouping input_files::open_groups(const std::string& spec, const quota_list& quotas) {
  const array opened = open(spec);
  count(opened, std::uint64_t(opened.size()) * sizeof(index_t), "a vector of groups and is copied",
        "give fewer");
  return quotas.applied_to(opened, cpu{0, pages()});
}

void model_flags::add_to(CLI::App& command) {
  auto* logits_flag = command.add_option("--logits", logits, "Model outputs before softmax, [rows, classes]");
  auto* probs_flag = command.add_option("--probs", probs, "Class probabilities, [rows, classes]");
  auto* committee_flag = command.add_option(
      "--committee", committee,
      "A committee's logits: one array [members, rows, classes], or one [rows, classes] a member: a.npy,b.npy. "
      "Without --logits and --probs the mean of its probabilities stands for the model's");
  auto* committee_probs_flag =
      command.add_option("--committee-probs", committee_probs, "Its probabilities, in the same shapes");
  auto* targets_flag = command.add_option("--targets", targets,
                                          "What the same members say of rows to be predicted, in the "
                                          "committee's form: [members, targets, classes]");
  auto* predictions_flag =
      command.add_option("--predictions", predictions, "Predictions of regressors, [members, rows, outputs]");
  auto* label_logits_flag = command.add_option(
      "--label-logits", label_logits,
      "Outputs of labels that are independent of each other, before a sigmoid each, [rows, labels]");
  auto* label_probs_flag =
      command.add_option("--label-probs", label_probs, "The probabilities of such labels, [rows, labels]");
  for (auto* flag : {logits_flag, probs_flag, predictions_flag, label_logits_flag, label_probs_flag})
    flag->type_name("ARRAY");
  for (auto* flag : {committee_flag, committee_probs_flag, targets_flag})
    flag->delimiter(',')->allow_extra_args(false)->type_name("ARRAY");
  probs_flag->excludes(logits_flag);
  label_probs_flag->excludes(label_logits_flag);
  committee_probs_flag->excludes(committee_flag);
}

model_arrays::model_arrays(const model_flags& flags, input_files& files) : files_(files) {
  const std::string& model = flags.logits.empty() ? flags.probs : flags.logits;
  const std::vector<std::string>& committee = flags.committee.empty() ? flags.committee_probs : flags.committee;
  if (!flags.predictions.empty()) {
    const real_cube cube = files.open_as(&as_cube, flags.predictions, predictions_);
    const auto* floats = std::get_if<cube_view<const float>>(&cube);
    if (floats == nullptr)
      throw format_error(flags.predictions +
                         " is of 16-bit numbers, and predictions are read as float32; save it so");
    inputs.predictions = *floats;
    inputs.rows = floats->rows;
  }
  if (!model.empty()) {
    inputs.model = files.open_as(&as_matrix, model, model_);
    inputs.model_kind = flags.logits.empty() ? outputs::probabilities : outputs::logits;
    inputs.rows = rows_of(*inputs.model);
  }
  const std::string& labels = flags.label_logits.empty() ? flags.label_probs : flags.label_logits;
  if (!labels.empty()) {
    inputs.label_outputs = files.open_as(&as_matrix, labels, label_outputs_);
    inputs.label_kind = flags.label_logits.empty() ? outputs::probabilities : outputs::logits;
    inputs.rows = rows_of(*inputs.label_outputs);
  }
  if (!committee.empty()) {
    inputs.committee = open_committee(committee, files, committee_);
    inputs.committee_kind = flags.committee.empty() ? outputs::probabilities : outputs::logits;
    inputs.rows = inputs.committee->rows();
  }
  if (!flags.targets.empty()) inputs.targets = open_committee(flags.targets, files, targets_);
}

void model_arrays::give_outputs() {
  const std::uint64_t bytes = consensus_bytes(inputs);
  if (bytes == 0) return;
  files_.make("the mean of the committee's probabilities", bytes);
  check_axes("committee outputs", *inputs.committee, inputs.committee_kind);
  speak_for_model(cpu{0, files_.pages()}, inputs, consensus_);
}

committee_outputs model_arrays::open_committee(const std::vector<std::string>& specs, input_files& files,
                                               std::vector<array>& keep) {
  keep.resize(specs.size());
  if (specs.size() == 1) return files.open_as(&as_cube, specs[0], keep[0]);
  std::vector<real_matrix> members;
  for (std::size_t m = 0; m < specs.size(); ++m)
    members.push_back(files.open_as(&as_matrix, specs[m], keep[m]));
  return committee_outputs(std::move(members));
}

void query_flags::add_limits(CLI::App& command) {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  add_number(command, "--batch", spec.batch, index_t{1}, most, "Picks at most (default: what the budget buys)");
  command.add_option("--cost", cost, "Integer cost of each row in the smallest unit, [rows]")
      ->type_name("ARRAY");
  add_number(command, "--budget", spec.budget, std::int64_t{0}, most,
             "What the picks may cost together, in that unit");
  for (const auto& [name, values, what, type] :
       {std::tuple{"--also-cost", &also_cost,
                   "A further cost of each row, by a name: hours=hours.npy; repeatable", "NAME=ARRAY"},
        {"--also-budget", &also_budget, "What the picks may cost together of that: hours=40; repeatable",
         "NAME=NUMBER"}})
    command.add_option(name, *values, what)
        ->allow_extra_args(false)
        ->check(CLI::Validator(
            [](std::string& text) {
              const auto at = text.find('=');
              return at == 0 || at == std::string::npos || at + 1 == text.size()
                         ? '"' + text + "\" is no name and value; write it as hours=..."
                         : std::string();
            },
            ""))
        ->type_name(type);
  auto* groups =
      command
          .add_option("--group", group,
                      "Group of each row: [rows] of whole numbers, or names in the column `group` of a "
                      "CSV or JSONL file")
          ->type_name("ARRAY");
  auto* quotas =
      command
          .add_option(
              "--quota", quota,
              "CSV with columns group,quota: picks allowed in each group, as a number or a share "
              "of the batch, such as 30%; the group * stands for all that have no line. A third column, "
              "floor, says how many picks each is to have at least")
          ->type_name("FILE.csv");
  groups->needs(quotas);
  quotas->needs(groups);
  add_number(command, "--apart", spec.apart, 0.0f, std::numeric_limits<float>::max(),
             "No pick lies within this distance of another or of a labelled row, by the embeddings; 0 leaves "
             "out duplicates alone")
      ->type_name("DISTANCE");
}

void query_flags::add_to(CLI::App& command) {
  model.add_to(command);
  command.add_option("--embeddings", embeddings, "Features, [rows, features]")->type_name("ARRAY");
  command.add_option("--queries", queries, "Features that picks are to be like, [queries, features]")
      ->type_name("ARRAY");
  command.add_option("--private", private_rows, "Features that picks are to be unlike, [rows, features]")
      ->type_name("ARRAY");
  command
      .add_option("--labels", labels,
                  "What the labelled rows are, [rows]: classes from 0, or values; NaN where nobody knows, and "
                  "other rows' entries are not looked at")
      ->type_name("ARRAY");
  command
      .add_option("--label-sets", label_sets,
                  "Which labels the labelled rows have, [rows, labels]: 1, 0, or NaN where nobody knows; other "
                  "rows' entries are not looked at")
      ->type_name("ARRAY");
  command
      .add_option("--cost-matrix", cost_matrix,
                  "What it costs to take an item of one class for another, [true class, class taken]")
      ->type_name("ARRAY");
  command
      .add_option(
          "--labelled", labelled,
          "Rows that have a label, as numbers or as a mask; never picked, k-center's first centres. Or their "
          "ids: CSV or JSONL, such as what --out wrote")
      ->type_name("ARRAY");
  command.add_option("--exclude", exclude, "Rows that must not be picked, in the same forms")
      ->type_name("ARRAY");
  command
      .add_option("--candidates", candidates,
                  "The only rows that may be picked, in the same forms: all others count as excluded")
      ->type_name("ARRAY");
  command
      .add_option("--strategy", spec.strategy,
                  "Such as margin, badge or margin/10x/kcenter; see `poolwise strategies`")
      ->required()
      ->check(strategy_name())
      ->type_name("STRATEGY");
  add_limits(command);
  add_number(command, "--round", spec.round, std::uint32_t{0}, std::numeric_limits<std::uint32_t>::max(),
             "Numbers the queries of a campaign: each round draws afresh from one seed")
      ->capture_default_str();
  std::string listing;
  for (const strategy_entry& entry : strategies())
    if (entry.does.has(trait::lists_neighbours))
      listing += (listing.empty() ? "" : ", ") + std::string(entry.name);
  command
      .add_option_function<std::string>(
          "--metric", [this](const std::string& word) { spec.distance = parse_metric(word); },
          "By what rows are near: euclidean distance, or cosine, which scales all embeddings to length 1")
      ->check(CLI::IsMember({"euclidean", "cosine"}))
      ->default_str("euclidean");
  command
      .add_option_function<std::string>(
          "--neighbours", [this](const std::string& word) { spec.neighbours = parse_knn_method(word); },
          "How strategies find each row's neighbours (" + listing +
              "): exact, ivf or hnsw, "
              "whose recall is measured and said; auto is exact up to rows^2 x features = 1e13 (395,000 rows "
              "of 64, 140,000 of 512) and on devices, and ivf beyond")
      ->check(CLI::IsMember({"auto", "exact", "ivf", "hnsw"}))
      ->default_str("auto")
      ->type_name("METHOD");
  command.add_option("--ids", ids, "CSV or JSONL with the rows' ids (default: row numbers)")->type_name("FILE");
  command.add_option("--id-column", id_column, "What the column of ids is called")
      ->capture_default_str()
      ->type_name("NAME");
  command
      .add_option_function<std::string>(
          "--on-nan",
          [this](const std::string& word) {
            spec.invalid = word == "skip" ? on_invalid::skip : on_invalid::refuse;
          },
          "Rows that cannot be scored: refuse, or skip")
      ->check(CLI::IsMember({"refuse", "skip"}))
      ->default_str("refuse");
}

wording words_of(const char* command) {
  return {.call = command,
          .outputs = "--logits or --probs",
          .committee = "--committee or --committee-probs",
          .embeddings = "--embeddings",
          .predictions = "--predictions",
          .queries = "--queries",
          .labels = "--labels",
          .targets = "--targets",
          .cost_matrix = "--cost-matrix",
          .private_rows = "--private",
          .label_outputs = "--label-logits or --label-probs",
          .label_sets = "--label-sets",
          .excluded = "--exclude",
          .cost = "--cost",
          .group = "--group",
          .quota = "--quota",
          .floor = "the floor in --quota",
          .batch = "--batch",
          .budget = "--budget",
          .budgets = "--also-budget",
          .apart = "--apart",
          .skip = "--on-nan skip",
          .neighbours = "--neighbours",
          .memory = "--memory"};
}

query_inputs::query_inputs(const query_flags& flags, std::uint64_t seed, input_files& files)
    : files_(files), spec_(flags.spec), model_(flags.model, files) {
  spec_.seed = seed;
  pool_inputs& pool = model_.inputs;
  if (parse_strategy(flags.spec.strategy).needs(part::outputs)) model_.give_outputs();
  if (!flags.embeddings.empty()) {
    pool.embeddings = files.open_as(&as_float_matrix, flags.embeddings, embeddings_);
    if (pool.rows == 0) pool.rows = pool.embeddings->rows;
  }
  if (!flags.queries.empty()) pool.queries = files.open_as(&as_float_matrix, flags.queries, queries_);
  if (!flags.cost_matrix.empty())
    pool.cost_matrix = files.open_as(&as_float_matrix, flags.cost_matrix, cost_matrix_);
  if (!flags.label_sets.empty())
    pool.label_sets = files.open_as(&as_float_matrix, flags.label_sets, label_sets_);
  labels_ = files.open_values(flags.labels);
  pool.labels = {labels_.data(), index_t(labels_.size())};
  if (!flags.private_rows.empty())
    pool.private_rows = files.open_as(&as_float_matrix, flags.private_rows, private_rows_);
  cost_ = files.open_integers(flags.cost, pool.rows);
  if (pool.rows == 0) pool.rows = index_t(cost_.size());
  if (pool.rows == 0 && !pool.model && !pool.committee && !pool.embeddings && !pool.predictions &&
      flags.cost.empty())
    throw CLI::RequiredError("One array of all rows (--logits, --probs, --committee, --embeddings, --cost)");
  if (files.shards() != nullptr) files.shards()->place(pool.rows);
  read_ids(flags);
  if (!flags.group.empty()) read_groups(flags.group, flags.quota);
  labelled_ = rows(flags.labelled);
  excluded_ = rows(flags.exclude);
  if (!flags.candidates.empty()) {
    files.make("the list of rows that are no candidates", std::uint64_t(pool.rows) * sizeof(index_t));
    exclude_others(rows(flags.candidates), pool.rows, excluded_);
  }
  pool.labelled = labelled_;
  pool.excluded = excluded_;
  pool.cost = {cost_.data(), index_t(cost_.size())};
  read_further_costs(flags);
  pool.group = {group_.data(), index_t(group_.size())};
  pool.group_names = group_names_;
}

void query_inputs::read_ids(const query_flags& flags) {
  if (flags.ids.empty()) return;
  pool_inputs& pool = model_.inputs;
  const auto of_file = [&](const std::string& file, index_t rows) {
    return as_input([&] { return row_ids(file, rows, flags.id_column, files_.room()); });
  };
  if (files_.shards() == nullptr) {
    ids_ = of_file(flags.ids, pool.rows);
  } else if (const auto parts = files_.shards()->mine(flags.ids); parts.size() == 1) {
    ids_ = of_file(parts[0], pool.rows);
  } else {
    const auto rows = files_.shards()->rows_of_mine();
    std::vector<std::string> ids;
    for (std::size_t part = 0; part < parts.size(); ++part) {
      const row_ids one = of_file(parts[part], rows[part]);
      for (index_t row = 0; row < one.size(); ++row) ids.push_back(one[row]);
    }
    ids_ = row_ids(std::move(ids));
  }
  files_.hold(ids_.bytes());
  pool.ids = &ids_;
}

void query_inputs::read_further_costs(const query_flags& flags) {
  const auto parted = [](const std::string& text) {
    const auto at = text.find('=');
    return std::pair(text.substr(0, at), text.substr(at + 1));
  };
  for (const std::string& text : flags.also_cost) {
    const auto [name, spec] = parted(text);
    also_cost_.push_back(files_.open_integers(spec, model_.inputs.rows));
    model_.inputs.also_cost.push_back({name, {also_cost_.back().data(), index_t(also_cost_.back().size())}});
  }
  for (const std::string& text : flags.also_budget) {
    const auto [name, number] = parted(text);
    const auto limit = number_in<std::int64_t>(number);
    if (!limit || *limit < 0)
      throw usage_error("--also-budget: \"" + printable(text) + "\" ends in no whole number from 0 on");
    spec_.budgets.push_back({name, *limit});
  }
}

void query_inputs::read_groups(const std::string& groups, const std::string& quotas) {
  const quota_list list = as_input([&] { return quota_list(quotas, spec_.batch); });
  grouping made = names_array(groups) ? files_.open_groups(groups, list)
                                      : as_input([&] { return list.applied_to(groups, files_.room()); });
  if (!names_array(groups)) files_.hold(made.group.size() * sizeof(index_t));
  array none;
  none.type = dtype::i8;
  none.shape = {0};
  if (files_.shards() != nullptr && made.quota.size() > list.applied_to(none).quota.size())
    throw usage_error("--quota has a line for * beside --shard; give each group a line of its own");
  group_ = std::move(made.group);
  group_names_ = std::move(made.names);
  spec_.quota = std::move(made.quota);
  spec_.floor = std::move(made.floor);
}

std::vector<index_t> query_inputs::rows(const std::string& spec) const {
  const index_t pool_rows = model_.inputs.rows;
  if (spec.empty()) return {};
  if (files_.shards() != nullptr && !shard_files::is_pattern(spec)) return rows_of_all(spec);
  if (names_array(spec)) return files_.open_rows(spec, pool_rows);
  std::vector<index_t> named = as_input([&] { return ids_.rows_in(spec, pool_rows, files_.room()); });
  files_.hold(named.size() * sizeof(index_t));
  return named;
}

/// Those of this rank among rows of the whole pool.
std::vector<index_t> query_inputs::rows_of_all(const std::string& spec) const {
  const shard_files& shards = *files_.shards();
  if (!names_array(spec))
    throw usage_error(printable(spec) +
                      " names rows by ids beside --shard; name an array of row numbers, or one "
                      "file for each shard");
  std::vector<index_t> mine;
  for (const index_t row : files_.open_rows(spec, shards.all_rows())) {
    if (row < 0 || row >= shards.all_rows())
      throw value_error(printable(spec) + " names row " + std::to_string(row) + ", but the shards have " +
                        std::to_string(shards.all_rows()) + " rows; number them from 0 on, shard after shard");
    if (row >= shards.first_row() && row < shards.first_row() + model_.inputs.rows)
      mine.push_back(row - shards.first_row());
  }
  return mine;
}

std::uint64_t query_inputs::copied_bytes() const {
  return files_.copied() + std::uint64_t(spec_.quota.size() + spec_.floor.size()) * sizeof(index_t);
}

}  // namespace poolwise::cli
