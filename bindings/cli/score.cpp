// poolwise score: acquisition scores of every row, as an array.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "cli.hpp"
#include "inputs.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/files/read_file.hpp"
#include "poolwise/pool/judge.hpp"
#include "poolwise/query/score_columns.hpp"
#include "poolwise/reduce/reduce.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise::cli {
namespace {

/// --items and --reduce: rows of outputs are parts of items.
struct item_flags {
  std::string items;
  std::optional<reduction> reduce;
};

struct score_options {
  common_options common;
  model_flags model;
  std::vector<std::string> acquisitions;
  item_flags items;
  std::string out, on_nan = "refuse";
};

std::vector<strategy> parse_columns(const std::vector<std::string>& names) {
  std::vector<strategy> columns;
  for (const auto& name : names) {
    columns.push_back(parse_strategy(name));
    const strategy& what = columns.back();
    const bool of_outputs = what.needs(part::outputs) || what.needs(part::committee) ||
                            what.needs(part::predictions) || what.needs(part::label_outputs);
    const parts more = what.first().needs().without(part::outputs | part::committee | part::predictions |
                                                    part::targets | part::label_outputs);
    if (what.score() == nullptr || !of_outputs || more != parts())
      throw CLI::ValidationError("--acquisition",
                                 "\"" + name +
                                     "\" is no score of model outputs; see "
                                     "`poolwise strategies` for acquisitions and disagreements");
  }
  return columns;
}

void require_parts(const pool_inputs& pool, const std::vector<strategy>& columns) {
  for (const strategy& what : columns) {
    if (what.needs(part::outputs) && !pool.model) throw CLI::RequiredError("--logits, --probs or a committee");
    if (what.needs(part::committee) && !pool.committee)
      throw CLI::RequiredError("--committee or --committee-probs");
    if (what.needs(part::label_outputs) && !pool.label_outputs)
      throw CLI::RequiredError("--label-logits or --label-probs");
    if (what.needs(part::targets) && !pool.targets) throw CLI::RequiredError("--targets");
    if (what.needs(part::predictions) && !pool.predictions) throw CLI::RequiredError("--predictions");
    check_scores(what, pool);
  }
}

parts parts_of(const std::vector<strategy>& columns) {
  parts needed;
  for (const strategy& what : columns) needed = needed | what.first().needs();
  return needed;
}

// Rows that lack a score, or one of several.
nan_rows rows_with_nan(const where& on, matrix_view<const float> scores) {
  nan_rows found = find_nan(on, {scores.data, scores.rows * scores.cols});
  if (found.count == 0) return found;
  found = {};
  for (index_t i = scores.rows; i-- > 0;)
    if (std::any_of(scores.row(i), scores.row(i) + scores.cols, [](float s) { return s != s; })) {
      found.first = i;
      ++found.count;
    }
  return found;
}

// Only one format is written; another name would promise another.
std::string check_npy(const std::string& file) {
  const auto ending = std::filesystem::path(file).extension();
  return ending.empty() || ending == ".npy" ? ""
                                            : "scores are written as .npy, and " + file + " is not named so";
}

void add_items(CLI::App& command, item_flags& flags) {
  auto* items =
      command.add_option("--items", flags.items,
                         "Rows of outputs are parts of items (pixels, boxes, tokens): item i has those from "
                         "the i-th of these whole "
                         "numbers to the next, [items + 1], as Arrow's lists have. Scores are then of items");
  auto* reduce =
      command
          .add_option_function<std::string>(
              "--reduce", [&flags](const std::string& word) { flags.reduce = parse_reduction(word); },
              "How the scores of an item's parts become one: sum, mean, max, or the mean of the largest, as "
              "top5. "
              "MNLP of sequences is the mean of log_confidence")
          ->check(read_by(parse_reduction))
          ->type_name("HOW");
  items->needs(reduce)->type_name("ARRAY");
  reduce->needs(items);
}

std::vector<index_t> offsets_in(const std::string& spec, input_files& files) {
  std::vector<index_t> offsets = files.open_integers(spec, 0);
  if (offsets.empty())
    throw shape_error(spec + " is empty; give the offsets of items: 0, and where each item ends");
  return offsets;
}

/// The scores of items from those of their parts, [items, width].
std::vector<float> item_scores(const where& on, matrix_view<const float> pieces,
                               std::span<const index_t> offsets, const score_options& options) {
  const index_t items = index_t(offsets.size()) - 1;
  std::vector<float> scores(std::size_t(items * pieces.cols)), column(std::size_t(pieces.rows)),
      of_items(static_cast<std::size_t>(items));
  for (index_t c = 0; c < pieces.cols; ++c) {
    for (index_t i = 0; i < pieces.rows; ++i) column[std::size_t(i)] = pieces(i, c);
    reduce_parts(host_of(on), {column.data(), pieces.rows}, {offsets.data(), index_t(offsets.size())},
                 *options.items.reduce, {of_items.data(), items});
    for (index_t i = 0; i < items; ++i) scores[std::size_t(i * pieces.cols + c)] = of_items[std::size_t(i)];
  }
  if (options.on_nan == "keep" || options.items.reduce->how == reduction::kind::sum) return scores;
  for (index_t i = 0; i < items; ++i)
    if (offsets[std::size_t(i)] == offsets[std::size_t(i + 1)])
      throw value_error("score: item " + std::to_string(i) + " has no part, and so no " +
                        name_of(*options.items.reduce) +
                        "; reduce by sum, or write NaN for it (--on-nan keep)");
  return scores;
}

void run(const score_options& options) {
  input_files files(options.common.memory);
  const where on = options.common.on(files.pages());
  const auto columns = parse_columns(options.acquisitions);
  model_arrays arrays(options.model, files);
  if (parts_of(columns).has(part::outputs)) arrays.give_outputs();
  const pool_inputs& pool = arrays.inputs;
  require_parts(pool, columns);
  pool.check("score");
  const index_t width = index_t(columns.size());
  const std::vector<index_t> offsets =
      options.items.items.empty() ? std::vector<index_t>{} : offsets_in(options.items.items, files);
  const double bytes = double(pool.rows) * double(width) * sizeof(float);
  const double needed = bytes + double(files.copied());
  if (options.common.memory > 0 && needed > double(options.common.memory))
    throw value_error("score: the scores, and copies of inputs in other formats, take " + human_bytes(needed) +
                      " but --memory allows " + human_bytes(double(options.common.memory)) +
                      "; raise it or score fewer acquisitions at a time");
  if (options.common.dry_run) {
    return print_dry_run(options.common, "score",
                         "score " + std::to_string(pool.rows) + " rows by " + std::to_string(width) +
                             (width == 1 ? " acquisition" : " acquisitions") + " and write " +
                             human_bytes(bytes) + " to " + options.out,
                         {{"rows", pool.rows}, {"acquisitions", options.acquisitions}, {"out", options.out}});
  }

  const auto values = std::make_unique_for_overwrite<float[]>(std::size_t(pool.rows * width));
  const matrix_view<float> scores{values.get(), pool.rows, width};
  {
    progress line("scoring", double(pool.rows));
    score_columns(on, pool, columns, scores, options.common.seed, [&](index_t rows) { line.at(double(rows)); });
  }
  require_unchanged_files("score");
  if (parts_of(columns).has(part::committee))
    if (const std::string doubt = doubt_axes(*pool.committee); !doubt.empty()) say("warning: " + doubt);
  const nan_rows invalid = rows_with_nan(on, scores);
  if (invalid.count > 0) {
    const std::string what = describe_invalid(pool, parts_of(columns), invalid, "cannot be scored");
    if (options.on_nan == "refuse")
      throw value_error("score: " + what + "; mend them, or write NaN for them (--on-nan keep)");
    say("warning: " + what + "; their scores are NaN");
  }
  const std::vector<float> reduced =
      offsets.empty() ? std::vector<float>{} : item_scores(on, scores, offsets, options);
  const matrix_view<const float> result =
      offsets.empty() ? scores : matrix_view<const float>{reduced.data(), index_t(offsets.size()) - 1, width};
  if (width == 1)
    write_npy(options.out, vector_view<const float>{result.data, result.rows});
  else
    write_npy(options.out, result);
  if (!options.common.json) return;
  nlohmann::ordered_json body{{"rows", pool.rows},
                              {"acquisitions", options.acquisitions},
                              {"out", options.out},
                              {"invalid_rows", invalid.count}};
  if (!offsets.empty()) body["items"] = result.rows;
  print_json("score", body);
}

}  // namespace

void add_score(CLI::App& app) {
  auto options = std::make_shared<score_options>();
  CLI::App* command = app.add_subcommand("score", "Score every row by one or more acquisition functions");
  options->model.add_to(*command);
  command
      ->add_option("--acquisition", options->acquisitions,
                   "Names, separated by commas; see `poolwise strategies`")
      ->required()
      ->delimiter(',')
      ->check(strategy_name())
      ->type_name("NAMES");
  command->add_option("--out", options->out, "The scores, fp32: [rows], or [rows, acquisitions] for several")
      ->required()
      ->check(CLI::Validator(check_npy, ""))
      ->type_name("FILE.npy");
  command->add_option("--on-nan", options->on_nan, "Rows that cannot be scored: refuse, or keep as NaN")
      ->check(CLI::IsMember({"refuse", "keep"}))
      ->capture_default_str();
  add_items(*command, options->items);
  add_common(*command, options->common);
  command->footer(
      "Example:\n  poolwise score --logits logits.npy --acquisition entropy,margin --out scores.npy\n"
      "  poolwise score --logits tokens.npy --acquisition mnlp --items offsets.npy --reduce mean --out "
      "scores.npy");
  command->callback([options] { run(*options); });
}

}  // namespace poolwise::cli
