// poolwise campaign init, pool add, exclude, ingest, note, guideline, export: what goes into the ledger and out
// of it.
#include <algorithm>

#include "campaign.hpp"
#include "poolwise/campaign/exchange.hpp"
#include "poolwise/campaign/ingest.hpp"
#include "poolwise/campaign/rounds.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/files/read_file.hpp"
#include "poolwise/ledger/export.hpp"

namespace poolwise::cli {
namespace {

struct init_options : campaign_options {
  std::string settings;
};

void run_init(const init_options& options) {
  const std::string text = options.settings.empty()
                               ? std::string()
                               : as_input([&] { return read_file("campaign", options.settings); });
  const campaign made = campaign::init(options.folder, text, options.now_ms());
  if (options.common.json)
    return print_json("campaign.init", {{"name", made.settings().name}, {"folder", options.folder}});
  write_text("-", "began \"" + made.settings().name + "\" in " + options.folder + "\nnext: look at " +
                      settings_of(options.folder).string() + ", then `poolwise campaign pool add " +
                      options.folder + " --items FILE`\n");
}

struct pool_options : campaign_options {
  std::string items, embeddings, queries, private_rows, cost_matrix;
};

void run_pool(const pool_options& options) {
  std::vector<part_file> arrays;
  for (const std::string& file : listed(options.embeddings))
    arrays.push_back({.part = "embeddings", .file = file});
  if (!options.queries.empty()) arrays.push_back({.part = "queries", .file = options.queries});
  if (!options.cost_matrix.empty()) arrays.push_back({.part = "cost-matrix", .file = options.cost_matrix});
  if (!options.private_rows.empty()) arrays.push_back({.part = "private", .file = options.private_rows});
  campaign of = options.open();
  const auto added = as_input([&] { return of.add_pool(options.items, arrays, options.now_ms()); });
  if (added.gone > 0)
    say("warning: " + std::to_string(added.gone) +
        " items that were picked, labelled or ruled out before are not in this version of the pool");
  if (options.common.json)
    return print_json("campaign.pool",
                      {{"version", added.pool.version}, {"rows", added.pool.rows}, {"gone", added.gone}});
  write_text("-", "pool version " + std::to_string(added.pool.version) + ": " +
                      std::to_string(added.pool.rows) + " items\n");
}

struct exclude_options : campaign_options {
  std::string items, why;
};

void run_exclude(const exclude_options& options) {
  campaign of = options.open();
  const pool_version pool = of.pool();
  const item_table& items = of.items(pool);
  std::vector<std::string> ids;
  for (const index_t row : as_input([&] { return items.ids.rows_in(options.items, pool.rows); })) {
    if (row < 0 || row >= pool.rows)
      throw value_error("campaign: there is no item " + std::to_string(row) + " in the pool");
    ids.push_back(items.ids[row]);
  }
  of.exclude(ids, options.why, options.now_ms());
  if (options.common.json) return print_json("campaign.exclude", {{"items", ids.size()}});
  write_text("-", std::to_string(ids.size()) + " items will not be picked\n");
}

struct ingest_options : campaign_options {
  ingest_request request;
  std::string labels, refused, format, by, as = "labels";
};

ingested_as parse_ingested_as(const std::string& text) {
  const std::vector<std::string> all = {"labels", "answers", "gold"};
  const auto found = std::find(all.begin(), all.end(), text);
  if (found == all.end())
    throw usage_error("\"" + text + "\" cannot be ingested; the nearest is " + nearest_word(text, all));
  return ingested_as(found - all.begin());
}

/// Of another tool's file.
void run_ingest_annotations(const ingest_options& options) {
  campaign of = options.open();
  annotation_batch batch{.source = options.request.source,
                         .all = {},
                         .whole = false,
                         .within = {},
                         .strict = options.request.strict,
                         .overrule = options.request.overrule};
  std::vector<refused_label> refused;
  batch.all = as_input([&] {
    return read_annotations(of, options.labels, labelling_tool_in(options.format), options.by, refused);
  });
  if (batch.strict && !refused.empty())
    throw value_error("ingest: line " + std::to_string(refused[0].line) + ": " + refused[0].why + "; " +
                      std::to_string(refused.size()) + " are refused, and nothing is recorded (--strict)");
  recorded_annotations result = record_annotations(of, batch, options.now_ms());
  refused.insert(refused.end(), result.refused.begin(), result.refused.end());
  if (!options.refused.empty() && !refused.empty()) write_text(options.refused, refused_csv(refused));
  if (!refused.empty())
    say("warning: " + std::to_string(refused.size()) + " answers are refused; line " +
        std::to_string(refused[0].line) + ": " + refused[0].why +
        (options.refused.empty() ? " (--refused FILE.csv lists them all)" : ""));
  if (options.common.json)
    return print_json("campaign.ingest", {{"lines", result.read},
                                          {"added", result.added},
                                          {"changed", result.changed},
                                          {"withdrawn", result.withdrawn},
                                          {"known", result.known},
                                          {"labels", result.labels},
                                          {"waiting", result.waiting},
                                          {"proposed", result.proposed},
                                          {"disputed", result.disputed},
                                          {"refused", refused.size()}});
  write_text("-", in_words(result));
}

void run_ingest(const ingest_options& options) {
  if (!options.format.empty()) return run_ingest_annotations(options);
  if (!options.by.empty()) throw usage_error("ingest: --by is of a --format; a CSV file has a column `by`");
  campaign of = options.open();
  ingest_request request = options.request;
  request.file = options.labels;
  request.as = parse_ingested_as(options.as);
  const ingested result = as_input([&] { return ingest(of, request, options.now_ms()); });
  if (!options.refused.empty() && !result.refused.empty())
    write_text(options.refused, refused_csv(result.refused));
  if (!result.refused.empty())
    say("warning: " + std::to_string(result.refused.size()) + " lines are refused; line " +
        std::to_string(result.refused[0].line) + ": " + result.refused[0].why +
        (options.refused.empty() ? " (--refused FILE.csv lists them all)" : ""));
  if (options.common.json)
    return print_json("campaign.ingest", {{"lines", result.lines},
                                          {"added", result.added},
                                          {"replaced", result.replaced},
                                          {"known", result.known},
                                          {"refused", result.refused.size()}});
  const std::string replaced =
      request.as == ingested_as::labels ? " (" + std::to_string(result.replaced) + " in place of others)" : "";
  write_text("-", std::to_string(result.added) + " " + options.as + " recorded" + replaced + ", " +
                      std::to_string(result.known) + " known before, " + std::to_string(result.refused.size()) +
                      " lines refused\n");
}

struct note_options : campaign_options {
  std::string text, by, file;
};

void run_note(const note_options& options) {
  options.open().note(options.text, options.by, options.now_ms());
  if (options.common.json) print_json("campaign.note", {{"recorded", true}});
}

void run_guideline(const note_options& options) {
  options.open().set_guideline(as_input([&] { return read_file("campaign", options.file); }), options.now_ms());
  if (options.common.json) print_json("campaign.guideline", {{"recorded", true}});
}

struct export_options : campaign_options {
  std::string what, out = "-";
  std::string format, media;
  index_t round = 0;
  bool all = false;
};

void run_export(const export_options& options) {
  campaign of = options.open(access::read);
  if (options.what != "batch" && !options.format.empty())
    throw usage_error("campaign: --format is of a batch; export labels as CSV, or as JSONL by --json");
  if (options.what == "batch" && options.round == 0)
    throw usage_error("campaign: say which round's batch (--round)");
  const row_format as = options.common.json ? row_format::jsonl : row_format::csv;
  output_file out(options.out);
  const auto write = [&](std::string_view lines) { out.write(lines); };
  if (options.what == "batch") {
    const handed_out batch = recorded_round(of, options.round);
    write(options.format.empty() ? batch_csv(batch) : as_input([&] {
      return tasks_file(of, batch, labelling_tool_in(options.format), options.media);
    }));
  }
  of.log().read([&](const tables& seen) {
    if (options.what == "events") export_events(seen, write);
    if (options.what == "decisions") export_decisions(seen, as, write);
    if (options.what == "labels")
      export_labels(seen, options.all ? versions::all : versions::current, as, write);
    return 0;
  });
  out.commit();
}

void add_format(CLI::App& verb, std::string& format, const std::string& description) {
  verb.add_option("--format", format, description)
      ->check(CLI::IsMember(labelling_tools()))
      ->type_name("label-studio|prodigy|potato|doccano|cvat");
}

void add_export(CLI::App& campaign) {
  add_verb<export_options>(
      campaign, "export", "Write what the ledger holds",
      [](CLI::App& verb, export_options& options) {
        verb.add_option("WHAT", options.what,
                        "events (JSONL, as the hash tree has them), labels or decisions (CSV, or JSONL with "
                        "--json), or the batch of a round (CSV)")
            ->required()
            ->check(CLI::IsMember({"events", "labels", "decisions", "batch"}))
            ->type_name("WHAT");
        add_number(verb, "--round", options.round, index_t{1}, std::numeric_limits<index_t>::max(),
                   "Of which round the batch");
        add_format(verb, options.format, "Of the batch: what this tool imports (default: CSV)");
        verb.add_option("--media", options.media,
                        "Of the batch: what stands before the names of images and sounds")
            ->type_name("URL");
        verb.add_flag("--all", options.all, "Labels that were replaced, too");
        verb.add_option("--out", options.out, "The file (default: standard output)")->type_name("FILE");
      },
      run_export, "poolwise campaign export boots labels --out labels.csv");
}

}  // namespace

void add_campaign_records(CLI::App& campaign) {
  add_verb<init_options>(
      campaign, "init", "Begin: a folder with campaign.toml and the ledger",
      [](CLI::App& verb, init_options& options) {
        verb.add_option("--settings", options.settings, "Begin with this file (default: a commented example)")
            ->type_name("FILE.toml");
        add_time(verb, options);
      },
      run_init, "poolwise campaign init boots");
  CLI::App* pool = campaign.add_subcommand("pool", "The items that are picked from");
  pool->require_subcommand(1);
  add_verb<pool_options>(
      *pool, "add", "Add a version of the pool, which is picked from henceforth",
      [](CLI::App& verb, pool_options& options) {
        verb.add_option("--items", options.items,
                        "CSV or JSONL, a line an item: its id, and the columns that campaign.toml names")
            ->type_name("FILE");
        verb.add_option("--embeddings", options.embeddings,
                        "Features, [items, features]; or files whose rows follow each other: old.npy,new.npy")
            ->type_name("ARRAY");
        verb.add_option("--queries", options.queries, "Features that picks are to be like, [queries, features]")
            ->type_name("ARRAY");
        verb.add_option("--cost-matrix", options.cost_matrix,
                        "What it costs to take an item of one class for another, [true class, class taken]")
            ->type_name("ARRAY");
        verb.add_option("--private", options.private_rows,
                        "Features that picks are to be unlike, [rows, features]")
            ->type_name("ARRAY");
        add_time(verb, options);
      },
      run_pool, "poolwise campaign pool add boots --items items.csv --embeddings embeddings.npy");
  add_verb<exclude_options>(
      campaign, "exclude", "Rule items out: they are never picked",
      [](CLI::App& verb, exclude_options& options) {
        verb.add_option("--items", options.items, "Their ids (CSV or JSONL), or their rows")
            ->required()
            ->type_name("FILE");
        verb.add_option("--why", options.why, "The reason, as it is recorded")->required()->type_name("TEXT");
        add_time(verb, options);
      },
      run_exclude, "poolwise campaign exclude boots --items broken.csv --why 'the photo is black'");
  add_verb<ingest_options>(
      campaign, "ingest", "Record labels from a file",
      [](CLI::App& verb, ingest_options& options) {
        verb.add_option(
                "--labels", options.labels,
                "CSV or JSONL: item, label, and as there are external, version, by, seconds, confidence, "
                "cost, why, guideline")
            ->required()
            ->type_name("FILE");
        verb.add_option("--source", options.request.source,
                        "Where they come from; with `external` and `version` it tells one answer from another")
            ->required()
            ->type_name("NAME");
        add_format(verb, options.format,
                   "The file is of this tool, with every answer to an item (default: CSV)");
        verb.add_option("--by", options.by, "Whose answers they are, where the file of a tool does not say")
            ->type_name("NAME");
        verb.add_option("--as", options.as,
                        "labels; answers, of which `aggregate` makes labels, so that an item has any number of "
                        "them (`by` is who answered); or gold: labels that are known, to see who is right")
            ->check(read_by(parse_ingested_as))
            ->type_name("KIND");
        verb.add_flag("--strict", options.request.strict, "All lines or none");
        verb.add_flag("--overrule", options.request.overrule, "Take the place of labels from other sources");
        verb.add_option("--refused", options.refused, "Write the lines that are refused, and why")
            ->type_name("FILE.csv");
        add_time(verb, options);
      },
      run_ingest, "poolwise campaign ingest boots --labels answers.csv --source acme");
  add_verb<note_options>(
      campaign, "note", "Record a note",
      [](CLI::App& verb, note_options& options) {
        verb.add_option("--text", options.text, "The note")->required()->type_name("TEXT");
        verb.add_option("--by", options.by, "Who says so")->type_name("NAME");
        add_time(verb, options);
      },
      run_note, "poolwise campaign note boots --text 'the lens was changed' --by ann");
  add_verb<note_options>(
      campaign, "guideline", "Record a version of the labelling guideline",
      [](CLI::App& verb, note_options& options) {
        verb.add_option("--file", options.file, "Its text")->required()->type_name("FILE");
        add_time(verb, options);
      },
      run_guideline, "poolwise campaign guideline boots --file guideline.md");
  add_export(campaign);
}

}  // namespace poolwise::cli
