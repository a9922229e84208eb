#include "poolwise/campaign/page.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <unordered_map>

#include "poolwise/campaign/audit.hpp"
#include "poolwise/campaign/holdout.hpp"
#include "poolwise/campaign/outlook.hpp"
#include "poolwise/campaign/people_tables.hpp"
#include "poolwise/campaign/rounds.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/learn/pca.hpp"
#include "poolwise/loop/loop.hpp"

namespace poolwise {
namespace {

using json = nlohmann::json;

constexpr double ms_an_hour = 3600.0 * 1000;

report_estimate estimate_of(const share_estimate& share) {
  return {share.value.value_or(std::nan("")), share.bounds.low, share.bounds.high};
}

report_estimate estimate_of(const forecast_value& said, double from = 0) {
  return {from + said.value, from + said.low, from + said.high};
}

/// How two models did on the items of one held-out set, the later one first.
std::optional<paired_counts> same_items(const holdout_result& before, const holdout_result& after) {
  if (after.right.empty() || before.right.size() != after.right.size()) return std::nullopt;
  paired_counts both;
  for (std::size_t i = 0; i < after.right.size(); ++i) {
    const bool was = before.right[i] == '1', is = after.right[i] == '1';
    ++(is ? was ? both.both : both.first_only : was ? both.second_only : both.neither);
  }
  return both;
}

/// What was handed out in each round, and when its labels came.
struct round_state {
  batch_record record;
  round_entry entry;
  index_t labelled = 0, outstanding = 0;
  std::vector<double> hours;  // from handing out to the first label, of each labelled item
};

/// What the page's parts are made from.
class page_maker {
 public:
  page_maker(campaign& of, const tables& seen) : of_(of), settings_(of.settings()), seen_(seen) {
    counts_ = seen.counts();
    results_ = holdout_results(seen);
    labels_ = labels_so_far(seen, settings_);
    begun_ = seen.at(0).at_ms;
    for (const round_entry& one : seen.rounds()) {
      rounds_.push_back({round_in(one.body), one, 0, 0, {}});
      rounds_.back().record.round = one.round;
    }
    read_items();
  }

  campaign_report make();

 private:
  struct item_state {
    std::size_t round = 0;  // place in rounds_
    std::string slice, label;
  };

  void read_items();
  report_progress progress_at(index_t event, index_t labels) const;
  report_progress progress_for(double labels) const;
  void add_budgets(campaign_report& page) const;
  void add_targets(campaign_report& page, const outlook& ahead) const;
  void add_curves(campaign_report& page, const outlook& ahead) const;
  void add_arms(campaign_report& page) const;
  void add_efforts(campaign_report& page) const;
  void add_slices(campaign_report& page) const;
  void add_drift(campaign_report& page) const;
  void add_model_audits(campaign_report& page) const;
  void add_lead_times(campaign_report& page) const;
  void add_stopping(campaign_report& page) const;
  void add_rounds(campaign_report& page) const;
  void add_versions(campaign_report& page) const;
  void add_people(campaign_report& page) const;
  void add_map(campaign_report& page) const;

  campaign& of_;
  const campaign_settings& settings_;
  const tables& seen_;
  ledger_counts counts_;
  std::vector<holdout_result> results_;
  labels_shown labels_;
  std::vector<round_state> rounds_;
  std::map<std::string, item_state> items_;          // that were picked
  std::map<std::string, std::string> other_labels_;  // of items that were not
  std::int64_t begun_ = 0;
};

void page_maker::read_items() {
  for (std::size_t k = 0; k < rounds_.size(); ++k)
    seen_.each_decision(rounds_[k].entry, [&](const decision& one) {
      items_[one.item] = {k, one.group.value_or(""), ""};
    });
  seen_.each_label(versions::current, [&](const label& one) {
    const auto item = items_.find(one.item);
    if (item == items_.end()) {
      other_labels_[one.item] = one.text;
      return;
    }
    item->second.label = one.text;
    round_state& round = rounds_[item->second.round];
    ++round.labelled;
    round.hours.push_back(double(one.at_ms - round.entry.at_ms) / ms_an_hour);
  });
  for (round_state& round : rounds_) round.outstanding = round.entry.picks - round.labelled;
}

report_progress page_maker::progress_at(index_t event, index_t labels) const {
  report_progress at;
  at.labels = double(labels);
  for (const round_state& round : rounds_) {
    if (round.entry.event >= event) break;
    at.round = round.entry.round;
    at.money += double(round.record.cost);
    at.hours += double(round.record.seconds) / 3600;
  }
  return at;
}

/// Where so many labels will be, at what labels cost so far.
report_progress page_maker::progress_for(double labels) const {
  report_progress at;
  const double picked = double(std::max<index_t>(1, counts_.total.picked));
  double seconds = 0;
  for (const round_state& round : rounds_) seconds += double(round.record.seconds);
  const double more = labels - double(counts_.total.labelled);
  at.labels = labels;
  at.money = double(counts_.total.cost) + more * double(counts_.total.cost) / picked;
  at.hours = seconds / 3600 * (1 + more / picked);
  at.round = counts_.rounds;
  return at;
}

void page_maker::add_budgets(campaign_report& page) const {
  using kind = report_budget::kind;
  const tally& all = counts_.total;
  std::int64_t seconds = 0;
  for (const round_state& round : rounds_) seconds += round.record.seconds;
  if (settings_.price.given()) {
    report_budget money{kind::money, double(all.cost - all.cost_outstanding), double(all.cost_outstanding), {}};
    if (settings_.total.money) money.limit = double(*settings_.total.money);
    page.budgets.push_back(money);
  }
  if (settings_.seconds.given()) {
    const double open = all.picked > 0 ? double(all.outstanding) / double(all.picked) : 0;
    report_budget hours{kind::hours, double(seconds) * (1 - open) / 3600, double(seconds) * open / 3600, {}};
    if (settings_.total.seconds) hours.limit = double(*settings_.total.seconds) / 3600;
    page.budgets.push_back(hours);
  }
  report_budget labels{kind::labels, double(all.labelled), double(all.outstanding), {}};
  if (settings_.total.labels) labels.limit = double(*settings_.total.labels);
  page.budgets.push_back(labels);
  if (settings_.until_ms) {
    const double day = 24 * ms_an_hour;
    page.budgets.push_back(
        {kind::days, double(page.at_ms - begun_) / day, 0, double(*settings_.until_ms - begun_) / day});
  }
}

void page_maker::add_targets(campaign_report& page, const outlook& ahead) const {
  using state = report_target::state;
  for (const target_outlook& one : ahead.targets) {
    report_target& target = page.targets.emplace_back();
    target.name = one.name;
    target.at_least = one.at_least;
    if (one.now) target.now = estimate_of(*one.now);
    if (one.met()) {
      target.is = state::met;
    } else if (!one.labels) {
      target.why = ahead.missing;
    } else if (!one.labels->within_reach()) {
      target.is = state::out_of_reach;
      target.why = "the curve flattens below it";
    } else {
      target.is = state::on_course;
      const double none = std::numeric_limits<double>::infinity();
      target.expected.labels =
          report_estimate{one.labels->labels.value_or(none), *one.labels->low, one.labels->high.value_or(none)};
      if (one.effort.money) target.expected.money = estimate_of(*one.effort.money, double(counts_.total.cost));
      if (one.effort.days) {
        const double day = 24 * ms_an_hour;
        const forecast_value& days = *one.effort.days;
        target.expected.at_ms =
            estimate_of({days.value * day, days.low * day, days.high * day}, double(page.at_ms));
      }
    }
  }
}

void page_maker::add_curves(campaign_report& page, const outlook& ahead) const {
  std::vector<std::string> names{""};
  for (const slice_settings& one : settings_.slices) names.push_back(one.name);
  for (const std::string& name : names) {
    report_curve curve;
    curve.slice = name;
    curve.target = name.empty() ? settings_.target : std::nullopt;
    for (const slice_settings& one : settings_.slices)
      if (one.name == name) curve.target = one.target;
    for (const holdout_result& one : results_) {
      const auto slice = one.slices.find(name);
      if (!name.empty() && slice == one.slices.end()) continue;
      curve.points.push_back(
          {progress_at(one.event, one.labels), estimate_of(name.empty() ? one.all : slice->second)});
    }
    if (!curve.points.empty()) page.curves.push_back(std::move(curve));
  }
  if (!ahead.falls.empty()) page.next.push_back("Look at the learning curve: " + ahead.falls + ".");
  if (!ahead.curve) return;
  report_curve forecast;
  forecast.of = report_curve::kind::forecast;
  const double now = double(ahead.labels), end = std::max(2 * now, now + 4 * double(*settings_.query.batch));
  for (int k = 0; k <= 8; ++k) {
    const double labels = std::round(now + (end - now) * k / 8);
    forecast.points.push_back(
        {progress_for(labels),
         estimate_of(forecast_accuracy(*ahead.curve, std::max<index_t>(1, index_t(labels))))});
  }
  page.curves.push_back(std::move(forecast));
  for (const outlook::past_forecast& one : ahead.past)
    page.past_forecasts.push_back({"accuracy", 0, one.round, estimate_of(one.said), one.came, true});
}

void page_maker::add_efforts(campaign_report& page) const {
  report_table table{.heading = "What a label took",
                     .caption = "From the log; times by their robust mean.",
                     .header = {"type", "labels", settings_.unit, "seconds"},
                     .rows = {}};
  const auto text = [](const forecast_value& one) {
    char figures[80];
    std::snprintf(figures, sizeof figures, "%.2f (%.2f to %.2f)", one.value, one.low, one.high);
    return std::string(figures);
  };
  for (const type_effort& one : efforts_by_type(labels_.records))
    table.rows.push_back({one.type.empty() ? "all" : one.type, std::to_string(one.labels),
                          one.cost ? text(*one.cost) : "", one.time ? text(one.time->mean) : ""});
  for (const std::string& sentence : fit_tariffs(seen_, settings_).sentences)
    table.caption += " " + sentence + ".";
  if (!table.rows.empty()) page.tables.push_back(std::move(table));
}

void page_maker::add_arms(campaign_report& page) const { page.arms.sentence = saving_text(labels_.saved); }

void page_maker::add_slices(campaign_report& page) const {
  std::map<std::string, index_t> labelled;
  for (const auto& [id, item] : items_)
    if (!item.label.empty()) ++labelled[item.slice];
  for (const slice_settings& one : settings_.slices) {
    report_slice& slice = page.slices.emplace_back();
    slice.name = one.name;
    slice.labelled = labelled[one.name];
    slice.target = one.target;
    slice.quota = one.quota;
    if (one.floor > 0) slice.floor = one.floor;
    if (!results_.empty())
      if (const auto found = results_.back().slices.find(one.name); found != results_.back().slices.end())
        slice.accuracy = estimate_of(found->second);
  }
}

void page_maker::add_drift(campaign_report& page) const {
  const std::vector<round_drift> rounds = drift_by_round(of_, seen_);
  const auto watch = [&](const std::string& name, bool alarms) -> report_watch& {
    for (report_watch& one : page.drift)
      if (one.name == name) return one;
    report_watch& one = page.drift.emplace_back();
    one.name = name;
    one.sentence = alarms ? "No round differs from those before." : "It moves with the model, and is no alarm.";
    return one;
  };
  for (const round_drift& round : rounds) {
    for (const drift_line& line : round.report.lines) {
      report_watch& one = watch(line.name + ", " + line.test, true);
      one.points.push_back({round.round, line.statistic, line.adjusted});
      if (!line.drifted) continue;
      one.holds = true;
      one.sentence = "Round " + std::to_string(round.round) + " is not like the rounds before.";
    }
    if (round.scores) {
      report_watch& one = watch("confidence, PSI", false);
      one.points.push_back({round.round, round.scores->stability.value_or(0), round.scores->p});
    }
  }
}

void page_maker::add_model_audits(campaign_report& page) const {
  report_table table{.heading = "Accuracy on the pool, by the items drawn at random",
                     .caption =
                         "Of the model of each round, before it saw their labels. LURE, and AIPW with the "
                         "model's own confidence; 95 % intervals.",
                     .header = {"round", "draws", "effective labels", "LURE", "AIPW"},
                     .rows = {}};
  const auto text = [](const std::optional<pool_estimate>& one) {
    if (!one) return std::string();
    char figures[80];
    std::snprintf(figures, sizeof figures, "%.1f %% (%.1f to %.1f)", 100 * one->value, 100 * one->bounds.low,
                  100 * one->bounds.high);
    return std::string(figures);
  };
  for (const model_audit& one : audit_models(seen_, settings_)) {
    char labels[24] = "";
    if (one.accuracy) std::snprintf(labels, sizeof labels, "%.1f", one.accuracy->effective_labels);
    if (one.draws > 0)
      table.rows.push_back({std::to_string(one.round), std::to_string(one.draws), labels,
                            one.accuracy ? text(one.accuracy) : one.missing, text(one.assisted)});
  }
  if (!table.rows.empty()) page.tables.push_back(std::move(table));
}

/// Where labels are made of answers.
void page_maker::add_people(campaign_report& page) const {
  if (!seen_.latest("answer")) return;
  for (report_table& table : tables_of(people_of(seen_, settings_), settings_))
    page.tables.push_back(std::move(table));
}

void page_maker::add_lead_times(campaign_report& page) const {
  for (const round_state& round : rounds_) {
    report_lead_time& lead = page.lead_times.emplace_back();
    lead.round = round.entry.round;
    lead.labelled = round.labelled;
    lead.outstanding = round.outstanding;
    std::vector<double> hours = round.hours;
    if (hours.empty()) continue;
    std::sort(hours.begin(), hours.end());
    const auto at = [&](double share) { return hours[std::size_t(share * double(hours.size() - 1) + .5)]; };
    lead.median_hours = at(.5);
    lead.p10_hours = at(.1);
    lead.p90_hours = at(.9);
  }
}

void page_maker::add_stopping(campaign_report& page) const {
  const std::vector<stop_round> history = stopping_history(seen_, settings_);
  const stop_verdict verdict = judge(history, counts_, settings_);
  page.verdict = report_verdict{verdict.holds, verdict.sentence};
  const stop_settings limits = stopping_settings(settings_, counts_);
  const auto watch = [&](const stop_rule& rule, const auto& self) -> void {
    for (const stop_rule& part : rule.parts) self(part, self);
    if (!rule.parts.empty()) return;
    report_watch& one = page.stopping.emplace_back();
    one.name = rule.text();
    for (std::size_t k = 0; k < history.size(); ++k) {
      const stop_verdict then = judge_stop(rule, std::span(history).first(k + 1), limits);
      if (then.known && !then.figures.empty())
        one.points.push_back({k < results_.size() ? results_[k].round : index_t(k), then.figures[0].value, {}});
      one.holds = then.holds;
      one.sentence = then.sentence;
    }
  };
  watch(parse_stop_rule(settings_.stop), watch);
}

void page_maker::add_rounds(campaign_report& page) const {
  for (std::size_t k = 0; k < rounds_.size(); ++k) {
    const round_state& round = rounds_[k];
    report_round& row = page.rounds.emplace_back();
    row.round = round.entry.round;
    row.at_ms = round.entry.at_ms;
    row.strategy = round.record.spec.strategy;
    row.picks = round.entry.picks;
    row.audit_picks = round.record.audit;
    row.labelled = round.labelled;
    row.money = double(round.record.cost);
    row.hypothesis = round.record.hypothesis;
    row.remarks = round.record.remarks;
    if (round.record.guideline > 0)
      row.remarks.push_back("guideline " + std::to_string(round.record.guideline));
    const holdout_result *before = nullptr, *after = nullptr;
    for (const holdout_result& one : results_) {
      if (one.round < round.entry.round) before = &one;
      if (one.round >= round.entry.round && after == nullptr) after = &one;
    }
    if (before != nullptr && after != nullptr && after->all.value && before->all.value) {
      char text[160];
      std::snprintf(text, sizeof text, "accuracy %.1f %% to %.1f %%", 100 * *before->all.value,
                    100 * *after->all.value);
      row.outcome = text;
      if (const auto both = same_items(*before, *after)) {
        const interval change = newcombe_paired(*both);
        std::snprintf(text, sizeof text, " (by %+.1f to %+.1f %%, p %.2g)", 100 * change.low, 100 * change.high,
                      mcnemar_p(*both));
        row.outcome += text;
      }
    }
  }
}

void page_maker::add_versions(campaign_report& page) const {
  const auto add = [&](const std::string& name, const std::string& value) {
    page.versions.emplace_back(name, value);
  };
  if (const auto latest = seen_.latest("pool")) {
    const pool_version pool = pool_in(latest->body);
    add("pool", "version " + std::to_string(pool.version) + ", " + std::to_string(pool.rows) + " items");
    if (!pool.items.empty()) add("items", pool.items_sha256);
    for (const part_file& part : pool.parts) add(part.part, part.sha256);
  }
  if (const auto latest = seen_.latest("model")) {
    const model_version model = model_in(latest->body);
    add("model", std::to_string(model.model) + (model.reference.empty() ? "" : " (" + model.reference + ")"));
    for (const part_file& part : model.parts) add(part.part, part.sha256);
  }
  if (const index_t guideline = latest_guideline(seen_); guideline > 0)
    add("guideline", "version " + std::to_string(guideline));
  add("ledger", to_text(seen_.head()));
  add("Poolwise", POOLWISE_VERSION);
}

void page_maker::add_map(campaign_report& page) const {
  constexpr index_t shown = 2'000;
  const auto latest = seen_.latest("pool");
  if (!latest) return;
  const pool_version pool = pool_in(latest->body);
  std::vector<part_file> arrays;
  for (const part_file& one : pool.parts)
    if (one.part == "embeddings") arrays.push_back(one);
  if (arrays.empty() || items_.empty()) return;
  opened_parts opened;
  try {
    opened.open(arrays);
  } catch (const error&) {
    return;  // a page of what is left is better than none
  }
  const matrix_view<const float> all = *opened.inputs().embeddings;
  if (all.rows != pool.rows || all.cols < 2) return;
  const item_table& rows = of_.items(pool);
  struct place {
    index_t row;
    const std::string* id;
    const item_state* item;
  };
  std::vector<place> picks;
  for (const auto& [id, item] : items_)
    if (const auto row = rows.row_of(id)) picks.push_back({*row, &id, &item});
  std::sort(picks.begin(), picks.end(), [](const place& a, const place& b) {
    return a.item->round > b.item->round || (a.item->round == b.item->round && a.row < b.row);
  });
  if (index_t(picks.size()) > shown) picks.resize(std::size_t(shown));
  const std::vector<index_t> sample = initial_rows(pool.rows, std::min(shown, pool.rows), 0);
  opened.bring(sample);
  for (const place& one : picks) opened.bring(std::span(&one.row, 1));
  std::vector<float> x;
  const auto take = [&](index_t row) { x.insert(x.end(), all.row(row), all.row(row) + all.cols); };
  for (const index_t row : sample) take(row);
  for (const place& one : picks) take(one.row);
  if (!std::all_of(x.begin(), x.end(), [](float v) { return std::isfinite(v); })) return;
  const index_t sampled = index_t(sample.size()), count = sampled + index_t(picks.size());
  if (count < 2) return;
  const pca fitted = fit_pca({x.data(), sampled >= 2 ? sampled : count, all.cols}, 2);
  std::vector<float> xy(std::size_t(2 * count));
  fitted.transform({x.data(), count, all.cols}, {xy.data(), count, 2});
  std::vector<float> labelled;
  std::vector<const std::string*> labelled_ids;
  for (std::size_t k = 0; k < picks.size(); ++k) {
    if (picks[k].item->label.empty()) continue;
    labelled.insert(labelled.end(), all.row(picks[k].row), all.row(picks[k].row) + all.cols);
    labelled_ids.push_back(picks[k].id);
  }
  std::vector<float> d2(std::size_t(sampled), 0.0f);
  std::vector<index_t> which(std::size_t(sampled), 0);
  if (!labelled_ids.empty())
    nearest(cpu{}, {x.data(), sampled, all.cols}, {labelled.data(), index_t(labelled_ids.size()), all.cols},
            {d2.data(), sampled}, {which.data(), sampled});
  page.map.pool_rows = pool.rows;
  double kept = 0, total = 0;
  for (const float d : fitted.deviation) kept += double(d) * double(d);
  for (index_t i = 0; i < sampled; ++i)
    for (index_t c = 0; c < all.cols; ++c) {
      const double off = double(x[std::size_t(i * all.cols + c)]) - double(fitted.mean[std::size_t(c)]);
      total += off * off / double(sampled);
    }
  if (total > 0) page.map.explained_variance = std::min(1.0, kept / total);
  for (index_t i = 0; i < sampled && !labelled_ids.empty(); ++i)
    page.map.background.push_back({double(xy[std::size_t(2 * i)]), double(xy[std::size_t(2 * i + 1)]),
                                   *labelled_ids[std::size_t(which[std::size_t(i)])],
                                   std::sqrt(double(d2[std::size_t(i)]))});
  for (std::size_t k = 0; k < picks.size(); ++k) {
    const std::size_t at = 2 * (std::size_t(sampled) + k);
    page.map.picks.push_back({double(xy[at]), double(xy[at + 1]), rounds_[picks[k].item->round].entry.round,
                              *picks[k].id, picks[k].item->label});
  }
}

campaign_report page_maker::make() {
  campaign_report page;
  page.name = settings_.name;
  page.hypothesis = settings_.hypothesis;
  page.at_ms = seen_.at(seen_.size() - 1).at_ms;
  page.money = {settings_.unit, 0};
  page.now = progress_at(seen_.size(), counts_.total.labelled);
  const outlook ahead = look_ahead(seen_, settings_);
  add_budgets(page);
  add_targets(page, ahead);
  add_curves(page, ahead);
  add_arms(page);
  add_efforts(page);
  add_people(page);
  add_slices(page);
  add_model_audits(page);
  page.distributions = distributions_of(of_, seen_);
  add_drift(page);
  add_lead_times(page);
  add_stopping(page);
  add_rounds(page);
  add_versions(page);
  add_map(page);
  if (page.verdict->stop)
    page.next.push_back("Stop, or change what campaign.toml asks for.");
  else if (counts_.total.outstanding > 0)
    page.next.push_back("Label the " + std::to_string(counts_.total.outstanding) +
                        " items that are handed out.");
  else
    page.next.push_back("Fit the model to all labels, evaluate it, and hand out the next batch.");
  return page;
}

}  // namespace

campaign_report report_of(campaign& of) {
  return of.log().read([&](const tables& seen) { return page_maker(of, seen).make(); });
}

}  // namespace poolwise
