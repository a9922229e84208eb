// poolwise score: acquisition scores of every row, as an array.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "cli.hpp"
#include "inputs.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise::cli {
namespace {

struct score_options {
  common_options common;
  model_flags model;
  std::vector<std::string> acquisitions;
  std::string out, on_nan = "refuse";
};

struct column {
  std::string name;
  ranking by;
};

std::vector<column> parse_columns(const std::vector<std::string>& names) {
  std::vector<column> columns;
  for (const auto& name : names) {
    const strategy what = parse_strategy(name);
    if (what.needs_embeddings() || !(what.needs_outputs() || what.needs_committee()))
      throw CLI::ValidationError("--acquisition",
                                 "\"" + name +
                                     "\" is no score of model outputs; see "
                                     "`poolwise strategies` for acquisitions and disagreements");
    columns.push_back({name, what.rank_by});
  }
  return columns;
}

template <class Score>
std::vector<Score> run_of(const std::vector<column>& columns, std::size_t from) {
  std::vector<Score> run;
  for (std::size_t i = from; i < columns.size(); ++i) {
    const auto* one = std::get_if<Score>(&columns[i].by);
    if (!one) break;
    run.push_back(*one);
  }
  return run;
}

// A few hundred megabytes between two looks at the progress line.
index_t chunk_rows(const real_matrix& x) {
  return std::max<index_t>(1, (index_t{1} << 26) / std::max<index_t>(1, cols_of(x)));
}

void score_model(const where& on, const pool_inputs& pool, std::span<const acquisition> which,
                 matrix_view<float> out) {
  progress line("scoring", double(pool.rows));
  const index_t chunk = chunk_rows(*pool.model);
  for (index_t begin = 0; begin < pool.rows; begin += chunk) {
    line.at(double(begin));
    const index_t end = std::min(pool.rows, begin + chunk);
    score(on, rows_between(*pool.model, begin, end), pool.model_kind, which,
          {out.row(begin), end - begin, out.cols, out.stride});
  }
}

void require_parts(const pool_inputs& pool, const std::vector<column>& columns) {
  for (const column& c : columns)
    if (const auto* of_model = std::get_if<acquisition>(&c.by)) {
      if (!pool.model) throw CLI::RequiredError("--logits or --probs");
      // Of no rows: is it a score of such outputs?
      score(cpu{}, rows_between(*pool.model, 0, 0), pool.model_kind, *of_model, vector_view<float>{});
    } else if (!pool.committee) {
      throw CLI::RequiredError("--committee or --committee-probs");
    }
}

// Neighbouring columns of one kind share one read of the inputs.
void score_columns(const where& on, const pool_inputs& pool, const std::vector<column>& columns,
                   matrix_view<float> out) {
  for (std::size_t i = 0; i < columns.size();) {
    const auto of_model = run_of<acquisition>(columns, i);
    const auto of_committee = run_of<disagreement>(columns, i);
    const index_t width = index_t(of_model.size() + of_committee.size());
    const matrix_view<float> part{out.data + i, out.rows, width, out.stride};
    if (!of_model.empty()) {
      score_model(on, pool, of_model, part);
    } else {
      score_committee(on, *pool.committee, pool.committee_kind, of_committee, part);
    }
    i += std::size_t(width);
  }
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

// The first of them, as an error message.
std::string describe_invalid(const pool_inputs& pool, const nan_rows& invalid) {
  const index_t row = invalid.first;
  std::string why = pool.model ? why_invalid(*pool.model, pool.model_kind, row) : std::string();
  if (why.empty()) why = "has no distribution for some member of the committee";
  return "row " + std::to_string(row) + " " + why + "; " + std::to_string(invalid.count) + " of " +
         std::to_string(pool.rows) + " rows cannot be scored";
}

// Only one format is written; another name would promise another.
std::string check_npy(const std::string& file) {
  const auto ending = std::filesystem::path(file).extension();
  return ending.empty() || ending == ".npy" ? ""
                                            : "scores are written as .npy, and " + file + " is not named so";
}

void run(const score_options& options) {
  input_files files(options.common.memory);
  const where on = options.common.on(files.pages());
  const auto columns = parse_columns(options.acquisitions);
  const model_arrays arrays(options.model, files);
  const pool_inputs& pool = arrays.inputs;
  require_parts(pool, columns);
  pool.check("score");
  const index_t width = index_t(columns.size());
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
  score_columns(on, pool, columns, scores);
  const nan_rows invalid = rows_with_nan(on, scores);
  if (invalid.count > 0) {
    const std::string what = describe_invalid(pool, invalid);
    if (options.on_nan == "refuse")
      throw value_error("score: " + what + "; mend them, or write NaN for them (--on-nan keep)");
    say("warning: " + what + "; their scores are NaN");
  }
  if (width == 1)
    write_npy(options.out, vector_view<const float>{values.get(), pool.rows});
  else
    write_npy(options.out, matrix_view<const float>(scores));
  if (options.common.json)
    print_json("score", {{"rows", pool.rows},
                         {"acquisitions", options.acquisitions},
                         {"out", options.out},
                         {"invalid_rows", invalid.count}});
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
  add_common(*command, options->common);
  command->footer(
      "Example:\n  poolwise score --logits logits.npy --acquisition entropy,margin --out scores.npy");
  command->callback([options] { run(*options); });
}

}  // namespace poolwise::cli
