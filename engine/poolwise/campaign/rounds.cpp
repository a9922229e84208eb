#include "poolwise/campaign/rounds.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <iterator>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "poolwise/budget/audit.hpp"
#include "poolwise/campaign/detail/file_digests.hpp"
#include "poolwise/campaign/detail/kept_scores.hpp"
#include "poolwise/campaign/detail/prediction.hpp"
#include "poolwise/campaign/effort.hpp"
#include "poolwise/campaign/holdout.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/loop/loop.hpp"

namespace poolwise {
namespace {

/// What a round begins with.
struct round_start {
  index_t round = 1;
  index_t unavailable = 0;        // items
  std::vector<index_t> labelled;  // rows that were picked or labelled, ascending
  std::vector<index_t> excluded;
  std::vector<std::pair<index_t, std::string>> labels;  // what some of the labelled rows are
  std::optional<model_version> model;                   // the newest
  std::vector<double> gaps;  // by slice of the settings: what it misses its target by
  index_t guideline = 0;
};

/// A round when another one came between its look at the ledger and its record.
struct overtaken {};

/// The rows of a pool whose items stand in the ledger's first `events` events.
void take_rows(const tables& seen, const item_table& items, index_t events, round_start& start) {
  const auto take = [&](const unavailable_item& one) {
    ++start.unavailable;
    const auto row = items.row_of(one.item);
    if (row && (one.picked || one.labelled)) start.labelled.push_back(*row);
    if (row && one.excluded) start.excluded.push_back(*row);
  };
  seen.each_unavailable(take, events);
  std::map<std::string, std::pair<index_t, std::string>, std::less<>> latest;
  seen.each_label(versions::all, [&](const label& one) {
    if (one.event < events) latest[one.item] = {one.event, one.text};
  });
  seen.each_of("withdrawn", [&](const event& one) {
    const auto body = nlohmann::json::parse(one.body);
    const auto ended = latest.find(body.at("item").get<std::string>());
    if (one.number < events && ended != latest.end() &&
        body.value("replaces", index_t(-1)) == ended->second.first)
      latest.erase(ended);
  });
  for (const auto& [item, newest] : latest)
    if (const auto row = items.row_of(item)) start.labels.emplace_back(*row, newest.second);
  std::sort(start.labelled.begin(), start.labelled.end());
  std::sort(start.excluded.begin(), start.excluded.end());
}

/// [rows] what the labelled ones are: their labels where all of these are numbers, else the place of each among
/// all of them in the order of their bytes. NaN for other rows.
std::vector<float> values_of(const round_start& start, index_t rows) {
  std::vector<float> values(std::size_t(rows), std::numeric_limits<float>::quiet_NaN());
  std::map<std::string_view, float> value_of;
  bool numbers = true;
  for (const auto& [row, text] : start.labels) {
    const std::optional<double> number = number_in<double>(text);
    numbers = numbers && number;
    value_of[text] = number ? float(*number) : 0;
  }
  float place = 0;
  if (!numbers)
    for (auto& [text, value] : value_of) value = place++;
  for (const auto& [row, text] : start.labels) values[std::size_t(row)] = value_of[text];
  return values;
}

std::vector<double> gaps_of(const tables& seen, const campaign_settings& settings) {
  std::vector<double> gaps(settings.slices.size());
  const auto latest = latest_holdout(seen);
  if (!latest) return gaps;
  for (std::size_t k = 0; k < gaps.size(); ++k) {
    const slice_settings& slice = settings.slices[k];
    const auto measured = latest->slices.find(slice.name);
    if (slice.target && measured != latest->slices.end() && measured->second.value)
      gaps[k] = std::max(0.0, *slice.target - *measured->second.value);
  }
  return gaps;
}

/// The picks that make good for the slices that miss their targets: shares of `picks`, the largest remainders
/// rounded up.
std::vector<index_t> reserved_picks(const campaign_settings& settings, const std::vector<double>& gaps,
                                    index_t picks) {
  std::vector<double> weight;
  for (std::size_t k = 0; k < gaps.size(); ++k) weight.push_back(gaps[k] * settings.slices[k].priority);
  const double all = std::accumulate(weight.begin(), weight.end(), 0.0);
  const auto reserved = index_t(std::floor(settings.priority * double(picks) + 1e-9));
  std::vector<index_t> share(weight.size(), 0);
  if (!(all > 0)) return share;
  std::vector<std::pair<double, std::size_t>> rest;
  index_t given = 0;
  for (std::size_t k = 0; k < weight.size(); ++k) {
    const double exact = double(reserved) * weight[k] / all;
    share[k] = index_t(std::floor(exact));
    given += share[k];
    rest.emplace_back(double(share[k]) - exact, k);
  }
  std::sort(rest.begin(), rest.end());
  for (std::size_t k = 0; given < reserved && k < rest.size(); ++k, ++given) ++share[rest[k].second];
  return share;
}

constexpr std::int64_t any = std::numeric_limits<std::int64_t>::max();

constexpr const char* time_budget = "seconds";

std::int64_t least_of(std::optional<std::int64_t> a, std::optional<std::int64_t> b) {
  return std::min(a.value_or(any), b.value_or(any));
}

constexpr wording campaign_words{.call = "campaign",
                                 .outputs = "--logits or --probs",
                                 .committee = "--committee or --committee-probs",
                                 .embeddings = "campaign pool add --embeddings",
                                 .predictions = "--predictions",
                                 .queries = "campaign pool add --queries",
                                 .labels = "campaign ingest --labels",
                                 .targets = "--targets",
                                 .cost_matrix = "campaign pool add --cost-matrix",
                                 .private_rows = "campaign pool add --private",
                                 .label_outputs = "--label-logits or --label-probs",
                                 .label_sets = "poolwise select --label-sets; a campaign has one label an item",
                                 .excluded = "campaign exclude",
                                 .cost = "[price] in campaign.toml",
                                 .group = "[items] slice in campaign.toml",
                                 .quota = "[slices] in campaign.toml",
                                 .floor = "a floor in campaign.toml",
                                 .batch = "batch in campaign.toml",
                                 .budget = "[budget] money in campaign.toml",
                                 .budgets = "[budget] hours in campaign.toml",
                                 .apart = "apart in campaign.toml",
                                 .skip = "on_nan = \"skip\" in campaign.toml",
                                 .neighbours = "neighbours in campaign.toml",
                                 .memory = "--memory"};

std::string date_text(std::int64_t ms) {
  const std::time_t seconds = std::time_t(ms / 1000);
  std::tm fields{};
  gmtime_r(&seconds, &fields);
  char text[16];
  std::strftime(text, sizeof text, "%Y-%m-%d", &fields);
  return text;
}

/// Everything that the picks of a round depend on.
class round_maker {
 public:
  /// Views the settings and the items.
  /// known, kept: what earlier rounds left; without them all is read.
  round_maker(const campaign_settings& settings, const pool_version& pool, const item_table& items,
              std::span<const part_file> model, fitted_tariffs fitted, file_digests* known = nullptr,
              kept_scores* kept = nullptr)
      : settings_(settings),
        pool_(pool),
        items_(items),
        fitted_(std::move(fitted)),
        parts_(known),
        kept_(kept) {
    if (!fitted_.price.empty()) fitted_price_ = fitted_amounts(items_.price, fitted_.price, items_);
    if (!fitted_.seconds.empty()) fitted_seconds_ = fitted_amounts(items_.seconds, fitted_.seconds, items_);
    parts_.open(pool.parts);
    parts_.open(model);
    inputs_ = parts_.inputs();
    inputs_.rows = pool.rows;
    inputs_.ids = items_.ids.numbered() ? nullptr : &items_.ids;
    inputs_.cost = {price().data(), index_t(price().size())};
    if (!seconds().empty())
      inputs_.also_cost.push_back({time_budget, {seconds().data(), index_t(seconds().size())}});
    inputs_.group_names = items_.slices;
    inputs_.check(campaign_words.call);
  }

  opened_parts& files() { return parts_; }
  const item_table& items() const { return items_; }

  /// A round from what is left when so much was spent.
  handed_out make(const where& on, const round_start& start, const spending& spent,
                  const round_request& request);

  /// The picks that a round as it is recorded asks for.
  std::vector<picked_item> make_again(const where& on, const round_start& start, const batch_record& round);

 private:
  struct drawn {
    std::vector<index_t> rows;
    std::int64_t money = 0, seconds = 0;
  };
  struct means {
    std::int64_t money = any, seconds = any;
  };
  drawn draw_audit(const round_start& start, const batch_record& round) const;
  void set_limits(const round_start& start, const drawn& draws, const means& left, batch_record& round) const;
  std::vector<picked_item> pick(const where& on, const round_start& start, const drawn& draws,
                                batch_record& round, const query_run& how);
  batch run_strategy(const where& on, const pool_inputs& pool, const query_spec& spec, query_run how);
  picked_item item_of(index_t row, const char* arm) const;
  std::vector<std::uint8_t> taken(const round_start& start) const;
  double mean_confidence(const std::vector<std::uint8_t>& gone) const;
  const std::vector<std::int64_t>& price() const {
    return fitted_.price.empty() ? items_.price : fitted_price_;
  }
  const std::vector<std::int64_t>& seconds() const {
    return fitted_.seconds.empty() ? items_.seconds : fitted_seconds_;
  }

  const campaign_settings& settings_;
  pool_version pool_;
  const item_table& items_;
  fitted_tariffs fitted_;
  std::vector<std::int64_t> fitted_price_, fitted_seconds_;
  opened_parts parts_;
  kept_scores* kept_;
  index_t rows_scored_ = 0;
  pool_inputs inputs_;
};

std::vector<std::uint8_t> round_maker::taken(const round_start& start) const {
  std::vector<std::uint8_t> marks(std::size_t(pool_.rows));
  for (const auto* rows : {&start.labelled, &start.excluded})
    for (const index_t row : *rows) marks[std::size_t(row)] = 1;
  return marks;
}

picked_item round_maker::item_of(index_t row, const char* arm) const {
  const auto place = std::size_t(row);
  picked_item item;
  item.row = row;
  item.item = items_.ids[row];
  item.arm = arm;
  if (!price().empty()) item.cost = price()[place];
  if (!seconds().empty()) item.seconds = seconds()[place];
  if (!items_.length.empty()) item.length = items_.length[place];
  if (inputs_.model)
    if (const std::vector<double> p = probabilities_of(*inputs_.model, inputs_.model_kind, row); !p.empty()) {
      item.predicted = class_of(p);
      item.confidence = p[std::size_t(*item.predicted)];
    }
  if (!items_.type.empty()) item.type = items_.types[std::size_t(items_.type[place])];
  if (!items_.slice.empty()) item.slice = items_.slices[std::size_t(items_.slice[place])];
  return item;
}

double round_maker::mean_confidence(const std::vector<std::uint8_t>& gone) const {
  constexpr index_t most = 20'000;
  const index_t available = index_t(std::count(gone.begin(), gone.end(), 0));
  double sum = 0;
  index_t seen = 0, count = 0;
  for (index_t row = 0; row < pool_.rows; ++row) {
    if (gone[std::size_t(row)] != 0) continue;
    // Of more rows than `most` those at equal distances.
    const index_t before = seen++;
    if (available > most && before * most / available == (before - 1) * most / available && before > 0)
      continue;
    const std::vector<double> p = probabilities_of(*inputs_.model, inputs_.model_kind, row);
    if (p.empty()) continue;
    sum += *std::max_element(p.begin(), p.end());
    ++count;
  }
  return count > 0 ? sum / double(count) : 0;
}

// Uniform over what is left: the same for any model.
round_maker::drawn round_maker::draw_audit(const round_start& start, const batch_record& round) const {
  drawn draws;
  const std::vector<std::uint8_t> gone = taken(start);
  const allowance limit{.picks = round.audit, .barred = {gone.data(), pool_.rows}};
  const audit_options options{.draws = round.audit, .seed = round.spec.seed, .round = round.spec.round};
  for (const audit_pick& p : audit_draw(limit, pool_.rows, options).picks) {
    draws.rows.push_back(p.row);
    if (!price().empty()) draws.money += price()[std::size_t(p.row)];
    if (!seconds().empty()) draws.seconds += seconds()[std::size_t(p.row)];
  }
  return draws;
}

/// What is left to the strategy after the draws.
void round_maker::set_limits(const round_start& start, const drawn& draws, const means& left,
                             batch_record& round) const {
  if (left.money != any) round.spec.budget = left.money - draws.money;
  if (left.seconds != any) round.spec.budgets = {{time_budget, left.seconds - draws.seconds}};
  if (settings_.slices.empty()) return;
  std::vector<index_t> there(items_.slices.size(), 0), audited(items_.slices.size(), 0);
  std::vector<std::uint8_t> gone = taken(start);
  for (const index_t row : draws.rows) {
    ++audited[std::size_t(items_.slice[std::size_t(row)])];
    gone[std::size_t(row)] = 1;
  }
  for (std::size_t row = 0; row < gone.size(); ++row)
    if (gone[row] == 0) ++there[std::size_t(items_.slice[row])];
  const std::vector<index_t> reserved = reserved_picks(settings_, start.gaps, *round.spec.batch);
  round.spec.quota.assign(there.size(), pool_.rows);
  round.spec.floor.assign(there.size(), 0);
  index_t owed = 0;
  for (std::size_t k = 0; k < settings_.slices.size(); ++k) {
    const slice_settings& slice = settings_.slices[k];
    index_t& quota = round.spec.quota[k];
    if (slice.quota) quota = std::max<index_t>(0, *slice.quota - audited[k]);
    const index_t wanted = std::max<index_t>(0, std::max(slice.floor, reserved[k]) - audited[k]);
    const index_t floor = std::min({wanted, quota, there[k], *round.spec.batch - owed});
    if (floor < wanted)
      round.remarks.push_back("slice " + slice.name + " is to have " + std::to_string(wanted) +
                              " picks of the strategy at least, and can have " + std::to_string(floor));
    round.spec.floor[k] = floor;
    owed += floor;
  }
}

handed_out round_maker::make(const where& on, const round_start& start, const spending& spent,
                             const round_request& request) {
  const auto rest = [](std::optional<std::int64_t> limit, std::int64_t used) {
    return limit ? std::optional(*limit - used) : std::nullopt;
  };
  const index_t items = least_of(rest(settings_.total.labels, spent.items), settings_.round.labels);
  const means left{least_of(rest(settings_.total.money, spent.money), settings_.round.money),
                   least_of(rest(settings_.total.seconds, spent.seconds), settings_.round.seconds)};
  if (items <= 0 || left.money < 0 || left.seconds < 0)
    throw budget_error("campaign: the budget is used up: " + std::to_string(spent.items) + " items for " +
                       std::to_string(spent.money) + " " + settings_.unit + " and " +
                       human_seconds(double(spent.seconds)) + " of people were handed out");
  handed_out made;
  batch_record& round = made.round;
  round.round = start.round;
  round.guideline = start.guideline;
  round.price = fitted_.price;
  round.took = fitted_.seconds;
  round.remarks = fitted_.sentences;
  round.pool = pool_.version;
  round.library = POOLWISE_VERSION;
  round.hypothesis = request.hypothesis.empty() ? settings_.hypothesis : request.hypothesis;
  const std::vector<std::uint8_t> gone = taken(start);
  round.available = index_t(std::count(gone.begin(), gone.end(), 0));
  if (inputs_.model && settings_.audit > 0) round.mean_confidence = mean_confidence(gone);
  round.spec = settings_.query;
  if (!request.strategy.empty()) round.spec.strategy = request.strategy;
  round.spec.round = std::uint32_t(start.round);
  const index_t batch = std::min({request.batch.value_or(*settings_.query.batch), items, round.available});
  if (batch == 0) throw budget_error("campaign: every item of the pool was picked, labelled or ruled out");
  round.audit = index_t(std::ceil(settings_.audit * double(batch) - 1e-9));
  // So that the draws are affordable whatever is drawn, and their probabilities those that are recorded.
  const auto at_most = [&](const std::vector<std::int64_t>& cost, std::int64_t has) {
    std::int64_t dearest = 0;
    for (std::size_t row = 0; row < cost.size(); ++row)
      if (gone[row] == 0) dearest = std::max(dearest, cost[row]);
    if (has != any && dearest > 0) round.audit = std::min(round.audit, has / dearest);
  };
  at_most(price(), left.money);
  at_most(seconds(), left.seconds);
  round.spec.batch = batch - round.audit;
  const drawn draws = draw_audit(start, round);
  set_limits(start, draws, left, round);
  made.items = pick(on, start, draws, round, request.how);
  made.reading.rows_scored = rows_scored_;
  return made;
}

std::vector<picked_item> round_maker::make_again(const where& on, const round_start& start,
                                                 const batch_record& recorded) {
  batch_record round = recorded;
  return pick(on, start, draw_audit(start, round), round, {});
}

/// Asks the strategy, and its first stage only for what it has not scored before.
batch round_maker::run_strategy(const where& on, const pool_inputs& pool, const query_spec& spec,
                                query_run how) {
  const strategy what = parse_strategy(spec.strategy);
  const bool keeps = kept_ != nullptr && how.checkpoint.empty() && scores_by_row(what, spec);
  parts needed = spec.apart ? parts(part::embeddings) : parts();
  for (const stage& one : what.stages)
    if (!keeps || &one != &what.first()) needed = needed | one.needs();
  parts_.bring_all(needed);
  const query asked = prepare(spec, pool, campaign_words);
  std::vector<float> scores;
  if (keeps) {
    scores = kept_->of_rows(on, parts_, what.first(), campaign_words.call);
    std::vector<index_t> invalid;  // they are shown
    for (index_t row = 0; row < pool.rows; ++row)
      if (std::isnan(scores[std::size_t(row)])) invalid.push_back(row);
    parts_.bring(invalid);
    how.first_scores = {scores.data(), index_t(scores.size())};
  }
  rows_scored_ = keeps ? kept_->rows_scored() : pool.rows;
  how.held += parts_.copied_bytes() + scores.size() * sizeof(float);
  return run(on, asked, how);
}

std::vector<picked_item> round_maker::pick(const where& on, const round_start& start, const drawn& draws,
                                           batch_record& round, const query_run& how) {
  std::vector<picked_item> items;
  if (*round.spec.batch > 0) {
    pool_inputs pool = inputs_;
    std::vector<index_t> labelled;
    std::vector<index_t> drawn_rows = draws.rows;
    std::sort(drawn_rows.begin(), drawn_rows.end());
    std::merge(start.labelled.begin(), start.labelled.end(), drawn_rows.begin(), drawn_rows.end(),
               std::back_inserter(labelled));
    pool.labelled = labelled;
    pool.excluded = start.excluded;
    const std::vector<float> labels = values_of(start, pool.rows);
    pool.labels = {labels.data(), index_t(labels.size())};
    if (!round.spec.budget) pool.cost = {};
    if (round.spec.budgets.empty()) pool.also_cost.clear();
    if (!round.spec.quota.empty()) pool.group = {items_.slice.data(), pool_.rows};
    const batch chosen = run_strategy(on, pool, round.spec, how);
    round.of_optimum = chosen.of_optimum;
    for (const std::string& sentence : chosen.remarks) round.remarks.push_back(sentence);
    std::vector<index_t> rows;
    for (const poolwise::pick& p : chosen.picks) rows.push_back(p.row);
    parts_.bring(rows);
    for (const poolwise::pick& p : chosen.picks) {
      picked_item& item = items.emplace_back(item_of(p.row, "strategy"));
      if (std::isfinite(p.score)) item.score = double(p.score);
      if (inputs_.model)
        round.selected_entropy =
            std::max(round.selected_entropy.value_or(0),
                     entropy_of(probabilities_of(*inputs_.model, inputs_.model_kind, p.row)));
      item.reason = p.reason;
      for (std::size_t k = 0; k < p.kept_by.size(); ++k)
        if (std::isfinite(p.kept_by[k])) item.kept_by.emplace(chosen.kept_by[k], double(p.kept_by[k]));
    }
  }
  parts_.bring(draws.rows);
  for (const index_t row : draws.rows) {
    picked_item& item = items.emplace_back(item_of(row, "audit"));
    item.probability = double(round.audit) / double(round.available);
    item.reason =
        "drawn at random, one of " + std::to_string(round.audit) + " of " + std::to_string(round.available);
  }
  round.picks = index_t(items.size());
  round.cost = round.seconds = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    items[i].round = round.round;
    items[i].rank = index_t(i) + 1;
    round.cost += items[i].cost;
    round.seconds += items[i].seconds;
  }
  return items;
}

/// What a model predicts for a sample of the pool, the same rows for every model of it.
void describe_predictions(opened_parts& parts, model_version& model) {
  const pool_inputs& pool = parts.inputs();
  if (!pool.model) return;
  constexpr index_t most = 2'000;
  const std::vector<index_t> sample = initial_rows(pool.rows, std::min(most, pool.rows), 0);
  parts.bring(sample);
  for (const index_t row : sample) {
    const std::vector<double> p = probabilities_of(*pool.model, pool.model_kind, row);
    if (p.empty()) continue;
    model.predicted.push_back(class_of(p));
    model.mean_entropy += entropy_of(p);
    model.mean_confidence += *std::max_element(p.begin(), p.end());
  }
  const double count = double(std::max<std::size_t>(1, model.predicted.size()));
  model.mean_entropy /= count;
  model.mean_confidence /= count;
}

/// The model of these parts: the newest one again if it says the same, else the next.
model_version model_of(round_maker& maker, const round_start& start, const round_request& request, index_t pool,
                       std::span<const part_file> described) {
  model_version model;
  model.parts.assign(described.begin(), described.end());
  if (start.model && start.model->pool == pool && start.model->parts.size() == described.size() &&
      std::equal(
          described.begin(), described.end(), start.model->parts.begin(),
          [](const part_file& a, const part_file& b) { return a.part == b.part && a.sha256 == b.sha256; }))
    return *start.model;
  model.model = start.model ? start.model->model + 1 : 1;
  model.pool = pool;
  model.reference = request.reference;
  describe_predictions(maker.files(), model);
  return model;
}

struct made_round {
  handed_out batch;
  std::optional<model_version> model;  // to be recorded, if it is new
  index_t unavailable = 0;
};

made_round make_round(campaign& of, const where& on, const round_request& request, std::int64_t now_ms) {
  const campaign_settings& settings = of.settings();
  if (settings.until_ms && now_ms > *settings.until_ms)
    throw budget_error("campaign: the time is over: campaign.toml lets no round begin after " +
                       date_text(*settings.until_ms));
  const pool_version pool = of.pool();
  std::vector<part_file> model = request.model;
  for (part_file& one : model) one.file = absolute_spec(one.file);
  fitted_tariffs fitted = of.log().read([&](const tables& seen) { return fit_tariffs(seen, settings); });
  file_digests known(of.folder());
  kept_scores kept(kept_in(of.folder()));
  round_maker maker(settings, pool, of.items(pool), model, std::move(fitted), &known, &kept);
  maker.files().require_recorded();  // a round of files that have changed could not be made again
  round_start start;
  of.log().read([&](const tables& seen) {
    take_rows(seen, maker.items(), seen.size(), start);
    start.round = index_t(seen.rounds().size()) + 1;
    if (const auto latest = seen.latest("model")) start.model = model_in(latest->body);
    start.guideline = latest_guideline(seen);
    start.gaps = gaps_of(seen, settings);
    return 0;
  });
  made_round made;
  made.unavailable = start.unavailable;
  made.batch = maker.make(on, start, of.spent(), request);
  if (!model.empty()) {
    const std::vector<part_file> described = maker.files().described(pool.parts.size());
    const model_version its = model_of(maker, start, request, pool.version, described);
    made.batch.round.model = its.model;
    if (!start.model || start.model->model != its.model) made.model = its;
  }
  known.save();
  made.batch.reading.bytes_read = maker.files().bytes_read();
  made.batch.reading.bytes_kept = kept.bytes_read();
  return made;
}

}  // namespace

handed_out next_round(campaign& of, const where& on, const round_request& request, std::int64_t now_ms) {
  return make_round(of, on, request, now_ms).batch;
}

handed_out hand_out(campaign& of, const where& on, const round_request& request, std::int64_t now_ms) {
  for (int attempt = 0; attempt < 5; ++attempt) {
    const made_round made = make_round(of, on, request, now_ms);
    const batch_record& round = made.batch.round;
    try {
      of.record(now_ms, [&](const tables& seen) {
        if (seen.unavailable_items() != made.unavailable || index_t(seen.rounds().size()) + 1 != round.round)
          throw overtaken{};
        std::vector<new_event> events;
        if (made.model) events.push_back({"model", body_of(*made.model)});
        events.push_back({"round", body_of(round)});
        for (const picked_item& item : made.batch.items) events.push_back({"decision", body_of(item)});
        return events;
      });
    } catch (const overtaken&) {
      continue;
    }
    const std::filesystem::path file = batch_file(of.folder(), round.round);
    std::filesystem::create_directories(file.parent_path());
    write_text(file, batch_csv(made.batch));
    return made.batch;
  }
  throw conflict_error(
      "campaign: other processes handed out items five times while a batch was made; try again");
}

handed_out recorded_round(const campaign& of, index_t number) {
  return of.log().read([&](const tables& seen) {
    const auto entry = seen.round(number);
    if (!entry)
      throw usage_error("campaign: there is no round " + std::to_string(number) + "; there are " +
                        std::to_string(seen.rounds().size()));
    handed_out batch{.round = round_in(entry->body), .items = {}};
    seen.each_decision(*entry, [&](const decision& one) { batch.items.push_back(picked_item_in(one.body)); });
    return batch;
  });
}

std::filesystem::path batch_file(const std::filesystem::path& folder, index_t round) {
  char number[24];
  std::snprintf(number, sizeof number, "%04lld", static_cast<long long>(round));
  return folder / "rounds" / number / "batch.csv";
}

std::string batch_csv(const handed_out& batch) {
  std::string csv = "item,round,rank,row,arm,slice,cost,seconds,score,reason\n";
  for (const picked_item& one : batch.items) {
    char score[32] = "";
    if (one.score) std::snprintf(score, sizeof score, "%.9g", *one.score);
    for (const std::string& field : {csv_field(one.item), std::to_string(one.round), std::to_string(one.rank),
                                     std::to_string(one.row), one.arm, csv_field(one.slice),
                                     std::to_string(one.cost), std::to_string(one.seconds), std::string(score)})
      (csv += field) += ',';
    (csv += csv_field(one.reason)) += '\n';
  }
  return csv;
}

replayed replay(campaign& of, const where& on, index_t number) {
  replayed result;
  result.recorded = recorded_round(of, number);
  const batch_record& round = result.recorded.round;
  pool_version pool;
  model_version model;
  round_start start;
  std::string settings_text;
  of.log().read([&](const tables& seen) {
    const index_t begun = seen.round(number)->event;
    for (const char* kind : {"campaign", "settings"})
      seen.each_of(kind, [&](const event& one) {
        if (one.number < begun) settings_text = nlohmann::json::parse(one.body).at("settings");
      });
    seen.each_of("pool", [&](const event& one) {
      if (pool_version version = pool_in(one.body); version.version == round.pool) pool = std::move(version);
    });
    seen.each_of("model", [&](const event& one) {
      if (model_version its = model_in(one.body); its.model == round.model) model = std::move(its);
    });
    return 0;
  });
  const campaign_settings settings = read_settings(settings_text, settings_of(of.folder()).string());
  const item_table items = items_of(pool, settings);
  round_maker maker(settings, pool, items, model.parts, {round.price, round.took, {}});
  maker.files().require_recorded();
  of.log().read([&](const tables& seen) {
    take_rows(seen, maker.items(), seen.round(number)->event, start);
    return 0;
  });
  result.again.round = round;
  result.again.items = maker.make_again(on, start, round);
  // What an earlier version of the library did not record.
  for (std::size_t i = 0; i < std::min(result.again.items.size(), result.recorded.items.size()); ++i)
    if (!result.recorded.items[i].confidence) result.again.items[i].confidence.reset();
  const auto& before = result.recorded.items;
  const auto& after = result.again.items;
  for (std::size_t i = 0; i < std::max(before.size(), after.size()) && result.difference.empty(); ++i)
    if (i >= before.size() || i >= after.size() || body_of(before[i]) != body_of(after[i]))
      result.difference = "pick " + std::to_string(i + 1) + " is " +
                          (i < after.size() ? body_of(after[i]) : "not there") + ", and the ledger has " +
                          (i < before.size() ? body_of(before[i]) : "none");
  return result;
}

}  // namespace poolwise
