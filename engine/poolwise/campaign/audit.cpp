#include "poolwise/campaign/audit.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <unordered_map>

#include "poolwise/campaign/records.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/metrics/composition.hpp"

namespace poolwise {
namespace {

/// A pick and the label that it has now; empty: none.
struct labelled_pick {
  picked_item pick;
  std::string label;
};

std::string label_of(const tables& seen, const std::string& item) {
  const item_record known = seen.item(item);
  if (!known.label) return {};
  const auto label = nlohmann::json::parse(seen.at(*known.label).body).at("label");
  return label.is_string() ? label.get<std::string>() : label.dump();
}

/// Those drawn at random, in the order of the draws.
std::vector<labelled_pick> random_picks(const tables& seen, const round_entry& round) {
  std::vector<labelled_pick> picks;
  seen.each_decision(round, [&](const decision& one) {
    if (one.arm == "audit") picks.push_back({picked_item_in(one.body), ""});
  });
  for (labelled_pick& one : picks) one.label = label_of(seen, one.pick.item);
  return picks;
}

/// Counts by name, of two samples.
class counted {
 public:
  void add(const std::string& name, bool second) { ++counts_[name][second ? 1 : 0]; }
  std::vector<index_t> of(int sample) const {
    std::vector<index_t> all;
    for (const auto& [name, pair] : counts_) all.push_back(pair[std::size_t(sample)]);
    return all;
  }
  /// Whether both have items, of more than one name.
  bool comparable() const {
    index_t sums[2] = {0, 0};
    for (const auto& [name, pair] : counts_)
      for (std::size_t k = 0; k < 2; ++k) sums[k] += pair[k];
    return counts_.size() > 1 && sums[0] > 0 && sums[1] > 0;
  }

 private:
  std::map<std::string, std::array<index_t, 2>> counts_;
};

/// The features of picked items, by the newest pool.
class pool_features {
 public:
  explicit pool_features(campaign& of, const pool_version& pool) : items_(of.items(pool)) {
    std::vector<part_file> arrays;
    for (const part_file& one : pool.parts)
      if (one.part == "embeddings") arrays.push_back(one);
    if (arrays.empty()) return;
    // What is left can be tested without them.
    try {
      opened_.open(arrays);
      if (opened_.inputs().rows == pool.rows)
        all_ = opened_.inputs().embeddings;
      else
        problem_ = "the embeddings have " + std::to_string(opened_.inputs().rows) + " rows and the pool " +
                   std::to_string(pool.rows);
    } catch (const error& problem) {
      problem_ = problem.what();
    }
  }

  const std::string& problem() const { return problem_; }

  /// Those of `picks` that have a row of finite values.
  std::vector<float> of(std::span<const labelled_pick> picks) const {
    std::vector<float> x;
    for (const labelled_pick& one : picks) {
      const auto row = items_.row_of(one.pick.item);
      if (!all_ || !row) continue;
      const float* const values = all_->row(*row);
      if (std::all_of(values, values + all_->cols, [](float v) { return std::isfinite(v); }))
        x.insert(x.end(), values, values + all_->cols);
    }
    return x;
  }
  index_t cols() const { return all_ ? all_->cols : 0; }

 private:
  const item_table& items_;
  opened_parts opened_;
  std::optional<matrix_view<const float>> all_;
  std::string problem_;
};

constexpr index_t least_draws = 4;  // of a round, and of those before

round_drift compare(std::span<const labelled_pick> before, std::span<const labelled_pick> now,
                    const pool_features& features, double alpha) {
  round_drift drift;
  counted slices, types, labels;
  std::vector<double> then, today;
  for (const bool second : {false, true})
    for (const labelled_pick& one : second ? now : before) {
      if (!one.pick.slice.empty()) slices.add(one.pick.slice, second);
      if (!one.pick.type.empty()) types.add(one.pick.type, second);
      if (!one.label.empty()) labels.add(one.label, second);
      if (one.pick.confidence) (second ? today : then).push_back(*one.pick.confidence);
    }
  std::vector<std::vector<index_t>> kept;
  kept.reserve(6);
  std::vector<drift_counts> counts;
  for (const auto& [name, column] : {std::pair{"slice", &slices}, {"type", &types}, {"label", &labels}}) {
    if (!column->comparable()) continue;
    kept.push_back(column->of(0));
    kept.push_back(column->of(1));
    counts.push_back({name, kept[kept.size() - 2], kept.back()});
  }
  std::vector<drift_line> others;
  const index_t cols = features.cols();
  if (cols > 0) {
    const std::vector<float> a = features.of(before), b = features.of(now);
    const matrix_view<const float> first{a.data(), index_t(a.size()) / cols, cols},
        second{b.data(), index_t(b.size()) / cols, cols};
    if (std::min(first.rows, second.rows) >= least_draws) {
      const mmd_test mmd = maximum_mean_discrepancy(first, second);
      others.push_back({.name = "features", .test = "mmd", .statistic = mmd.squared, .p = mmd.p});
      const auc_test told = classifier_drift(first, second);
      others.push_back({.name = "features", .test = "classifier", .statistic = told.area, .p = told.p_greater});
    }
  }
  drift.report = report_drift({}, counts, others, {.alpha = alpha, .counts = {}});
  if (!then.empty() && !today.empty()) {
    const ks_test ks = kolmogorov_smirnov(then, today);
    drift.scores = drift_line{.name = "confidence",
                              .test = "ks",
                              .statistic = ks.distance,
                              .p = ks.p,
                              .stability = population_stability(then, today),
                              .adjusted = ks.p};
  }
  return drift;
}

/// By the names of a column of the items.
report_distribution distribution_of(const std::string& name, const std::vector<std::string>& names,
                                    const std::vector<index_t>& column,
                                    const std::vector<std::pair<std::string, bool>>& picks) {
  report_distribution all{.name = name, .groups = {}, .test = "chi-squared", .picked_p = {}, .labelled_p = {}};
  std::vector<index_t> in_pool(names.size(), 0), picked(in_pool), labelled(in_pool);
  for (const index_t one : column) ++in_pool[std::size_t(one)];
  std::unordered_map<std::string, std::size_t> number;
  for (std::size_t k = 0; k < names.size(); ++k) number.emplace(names[k], k);
  index_t all_picked = 0, all_labelled = 0;
  for (const auto& [group, has_label] : picks) {
    const auto place = number.find(group);
    if (place == number.end()) continue;
    ++picked[place->second];
    labelled[place->second] += has_label;
    ++all_picked;
    all_labelled += has_label;
  }
  for (std::size_t k = 0; k < names.size(); ++k)
    all.groups.push_back({names[k], in_pool[k], picked[k], labelled[k]});
  // Of a pool that shrank there may be more picks than items.
  for (std::size_t k = 0; k < names.size(); ++k)
    if (picked[k] > in_pool[k]) return all;
  if (all_picked > 0) all.picked_p = audit_composition(in_pool, picked).p;
  if (all_labelled > 0) all.labelled_p = audit_composition(in_pool, labelled).p;
  return all;
}

}  // namespace

model_audit audit_model(const tables& seen, const campaign_settings& settings, const round_entry& round) {
  const batch_record record = round_in(round.body);
  model_audit audit;
  audit.round = round.round;
  audit.model = record.model;
  audit.available = record.available;
  std::vector<double> wrong, right, confidence, inclusion, proposals;
  index_t predicted = 0;
  for (const labelled_pick& one : random_picks(seen, round)) {
    // One after another, each of those that are left.
    proposals.push_back(1 / double(audit.available - audit.draws));
    ++audit.draws;
    if (!one.pick.predicted || !one.pick.probability) continue;
    ++predicted;
    if (one.label.empty()) continue;
    ++audit.labelled;
    right.push_back(class_name(settings, *one.pick.predicted) == one.label ? 1 : 0);
    wrong.push_back(1 - right.back());
    inclusion.push_back(*one.pick.probability);
    if (one.pick.confidence) confidence.push_back(*one.pick.confidence);
  }
  if (audit.draws < 2)
    audit.missing = std::to_string(audit.draws) + " items were drawn at random, and 2 are needed";
  else if (predicted < audit.draws)
    audit.missing = "there was no model in this round";
  else if (audit.labelled < audit.draws)
    audit.missing = std::to_string(audit.draws - audit.labelled) + " of the " + std::to_string(audit.draws) +
                    " items that were drawn at random have no label yet";
  if (!audit.missing.empty()) return audit;
  audit.accuracy = complement_of(lure(wrong, proposals, audit.available));
  if (record.mean_confidence && confidence.size() == right.size())
    audit.assisted =
        aipw(right, confidence, inclusion, *record.mean_confidence, audit.available, sampling::fixed_number);
  return audit;
}

std::vector<model_audit> audit_models(const tables& seen, const campaign_settings& settings) {
  std::vector<model_audit> all;
  for (const round_entry& one : seen.rounds()) all.push_back(audit_model(seen, settings, one));
  return all;
}

std::optional<model_audit> latest_model_audit(const tables& seen, const campaign_settings& settings) {
  const std::vector<round_entry> rounds = seen.rounds();
  const auto looked_at = std::min<std::size_t>(3, rounds.size());
  for (std::size_t k = 0; k < looked_at; ++k) {
    const round_entry& round = rounds[rounds.size() - 1 - k];
    if (round.picks > 10'000) continue;
    model_audit audit = audit_model(seen, settings, round);
    if (audit.accuracy) return audit;
  }
  return std::nullopt;
}

std::vector<round_drift> drift_by_round(campaign& of, const tables& seen, double alpha) {
  constexpr std::size_t most_before = 1'000;
  const auto latest = seen.latest("pool");
  std::vector<std::vector<labelled_pick>> rounds;
  std::vector<index_t> numbers;
  for (const round_entry& one : seen.rounds()) {
    rounds.push_back(random_picks(seen, one));
    numbers.push_back(one.round);
  }
  std::vector<round_drift> all;
  if (!latest || rounds.size() < 2) return all;
  const pool_features features(of, pool_in(latest->body));
  index_t before = 0, tested = 0;
  for (std::size_t k = 0; k < rounds.size(); ++k) {
    const auto draws = index_t(rounds[k].size());
    tested += k > 0 && draws >= least_draws && before >= least_draws;
    before += draws;
  }
  std::vector<labelled_pick> reference = rounds[0];
  before = index_t(reference.size());
  for (std::size_t k = 1; k < rounds.size(); ++k) {
    const auto draws = index_t(rounds[k].size());
    round_drift drift;
    if (draws >= least_draws && before >= least_draws)
      drift = compare(std::span(reference).last(std::min(most_before, reference.size())), rounds[k], features,
                      alpha / double(tested));
    else
      drift.missing = std::to_string(draws) + " items were drawn at random, and " + std::to_string(before) +
                      " before; " + std::to_string(least_draws) + " are needed of both";
    drift.remark = features.problem();
    drift.round = numbers[k];
    drift.draws = draws;
    drift.before = before;
    all.push_back(std::move(drift));
    reference.insert(reference.end(), rounds[k].begin(), rounds[k].end());
    before += draws;
  }
  return all;
}

std::vector<report_distribution> distributions_of(campaign& of, const tables& seen) {
  const campaign_settings& settings = of.settings();
  std::unordered_map<std::string, std::string> label_of_item;
  seen.each_label(versions::current, [&](const label& one) { label_of_item.emplace(one.item, one.text); });
  std::vector<std::pair<std::string, bool>> slices, types;
  std::map<std::string, index_t> by_label;
  counted arms;
  for (const round_entry& round : seen.rounds())
    seen.each_decision(round, [&](const decision& one) {
      const auto found = label_of_item.find(one.item);
      const bool has_label = found != label_of_item.end();
      slices.emplace_back(one.group.value_or(""), has_label);
      if (!settings.type_column.empty()) types.emplace_back(picked_item_in(one.body).type, has_label);
      if (!has_label) return;
      ++by_label[found->second];
      arms.add(found->second, one.arm == "audit");
    });
  std::vector<report_distribution> all;
  if (!by_label.empty()) {
    report_distribution labels{.name = "label", .groups = {}, .test = "", .picked_p = {}, .labelled_p = {}};
    for (const auto& [name, count] : by_label) labels.groups.push_back({name, {}, count, count});
    if (arms.comparable()) {
      labels.test = "chi-squared, of the strategy's picks against those drawn at random";
      labels.labelled_p = compare_composition(arms.of(0), arms.of(1)).p;
    }
    all.push_back(std::move(labels));
  }
  if (settings.slice_column.empty() && settings.type_column.empty()) return all;
  const pool_version pool = of.pool();
  const item_table& items = of.items(pool);
  if (!settings.slice_column.empty())
    all.push_back(distribution_of(settings.slice_column, items.slices, items.slice, slices));
  if (!settings.type_column.empty())
    all.push_back(distribution_of(settings.type_column, items.types, items.type, types));
  return all;
}

}  // namespace poolwise
