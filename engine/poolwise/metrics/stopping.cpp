#include "poolwise/metrics/stopping.hpp"

#include <algorithm>
#include <boost/math/distributions/beta.hpp>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <cstdio>

#include "poolwise/core/error.hpp"
#include "poolwise/metrics/agreement.hpp"
#include "poolwise/metrics/detail/stop_words.hpp"
#include "poolwise/metrics/forecast.hpp"
#include "poolwise/metrics/learning_curve_fit.hpp"

namespace poolwise {
namespace {

using history = std::span<const stop_round>;

constexpr const char* accuracy_name = "accuracy";

std::string shown(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", x);
  // A budget is read to the last unit.
  if (x == std::floor(x) && std::abs(x) < 1e15) std::snprintf(text, sizeof text, "%.0f", x);
  return text;
}

std::string counted(index_t n, const char* one) { return std::to_string(n) + " " + one + (n == 1 ? "" : "s"); }

void missing(stop_verdict& verdict, const std::string& what) {
  verdict.known = verdict.holds = false;
  verdict.sentence = "cannot be judged: " + what;
}

/// P(share >= at_least) after value * tested of them came out right, under Jeffreys' prior.
double certainty_of(double value, index_t tested, double at_least) {
  if (at_least <= 0) return 1;
  if (at_least >= 1) return 0;
  const double n = double(tested), right = value * n;
  return boost::math::cdf(
      boost::math::complement(boost::math::beta_distribution(right + 0.5, n - right + 0.5), at_least));
}

void judge_target(std::span<const double> arguments, history rounds, const stop_settings& settings,
                  stop_verdict& verdict) {
  const double asked = arguments[0];
  if (settings.targets.empty()) return missing(verdict, "no target is set");
  verdict.holds = true;
  index_t reached = 0;
  std::string each;
  for (const stop_target& target : settings.targets) {
    const measured_share* at = rounds.back().measure(target.measure);
    if (at == nullptr) return missing(verdict, "the last round has no " + target.measure);
    if (at->tested < 1 && asked > 0.5)
      return missing(verdict, target.measure +
                                  " does not say on how many items it was measured, which a certainty of " +
                                  shown(asked) + " needs");
    const bool over = at->value >= target.at_least;
    const double certainty =
        at->tested < 1 ? double(over) : certainty_of(at->value, at->tested, target.at_least);
    const bool holds = at->tested < 1 ? over : certainty >= asked;
    each += (each.empty() ? "" : ", ") + target.measure + " " + shown(at->value);
    if (at->tested > 0) each += " of " + counted(at->tested, "item");
    each += " is " + std::string(over ? "at least " : "below ") + shown(target.at_least);
    verdict.figures.push_back({target.measure, at->value});
    verdict.figures.push_back({target.measure + ", at least", target.at_least});
    if (at->tested > 0) {
      each += " (certainty that it is reached: " + shown(certainty) + ")";
      verdict.figures.push_back({target.measure + ", tested", double(at->tested)});
      verdict.figures.push_back({target.measure + ", certainty", certainty});
    }
    reached += holds;
  }
  const index_t all = index_t(settings.targets.size());
  verdict.holds = reached == all;
  verdict.figures.push_back({"certainty asked for", asked});
  verdict.sentence =
      (all == 1        ? std::string("the target is ") + (verdict.holds ? "" : "not ") + "reached"
       : verdict.holds ? "all " + std::to_string(all) + " targets are reached"
                       : std::to_string(reached) + " of " + std::to_string(all) + " targets are reached") +
      " with the certainty " + shown(asked) + ": " + each;
}

void judge_budget(std::span<const double>, history rounds, const stop_settings& settings,
                  stop_verdict& verdict) {
  const stop_round& last = rounds.back();
  struct resource {
    const char* name;
    std::optional<double> spent, most;
    double least_use;  // of one label more
  };
  const resource resources[] = {{"money", last.money, settings.money, settings.label_cost.value_or(0)},
                                {"hours", last.hours, settings.hours, 0},
                                {"days", last.days, settings.days, 0},
                                {"labels", double(last.labels), settings.labels, 1}};
  std::string spent, left, unknown;
  for (const resource& r : resources) {
    if (!r.most) continue;
    if (!r.spent) {
      unknown += (unknown.empty() ? "" : ", ") + std::string(r.name);
      continue;
    }
    const bool over = *r.spent >= *r.most || *r.spent + r.least_use > *r.most;
    verdict.holds = verdict.holds || over;
    (over ? spent : left) += std::string(", ") + r.name + " " + shown(*r.spent) + " of " + shown(*r.most);
    verdict.figures.push_back({r.name, *r.spent});
    verdict.figures.push_back({std::string(r.name) + ", at most", *r.most});
  }
  if (!settings.money && !settings.hours && !settings.days && !settings.labels)
    return missing(verdict, "no budget is set");
  // What is spent stops, whatever else is not known.
  if (!unknown.empty() && !verdict.holds)
    return missing(verdict, "the last round does not say what was spent: " + unknown);
  verdict.sentence =
      verdict.holds ? "the budget is spent: " + spent.substr(2) : "the budget is not spent: " + left.substr(2);
}

void judge_kappa(std::span<const double> arguments, history rounds, const stop_settings&,
                 stop_verdict& verdict) {
  const double at_least = arguments[0];
  const auto window = std::size_t(arguments[1]);
  const std::string have = counted(index_t(window), "pair") + " of successive models";
  double sum = 0;
  if (rounds.size() <= window)
    return missing(verdict, have + " need " + counted(index_t(window) + 1, "round") + ", and there are " +
                                std::to_string(rounds.size()));
  for (std::size_t i = rounds.size() - window; i < rounds.size(); ++i) {
    const auto &before = rounds[i - 1].predicted, &now = rounds[i].predicted;
    if (before.empty() || now.empty())
      return missing(verdict, "one of the last " + counted(index_t(window) + 1, "round") +
                                  " has no predictions on a stop set");
    const auto agreement = cohen_kappa(before, now);
    sum += agreement ? agreement->value : 1;  // where both name one class alone
  }
  const double kappa = sum / double(window), items = double(rounds.back().predicted.size());
  verdict.holds = kappa >= at_least;
  verdict.figures = {{"kappa", kappa}, {"at least", at_least}, {"pairs", double(window)}, {"items", items}};
  verdict.sentence = "the predictions " + std::string(verdict.holds ? "are stable" : "still move") +
                     ": mean kappa " + shown(kappa) + " over the last " + have + " on " + shown(items) +
                     " items, where at least " + shown(at_least) + " counts as stable";
}

/// An entropy below a bound.
void judge_entropy(const std::optional<double>& entropy, double below, const char* what, const char* name,
                   stop_verdict& verdict) {
  if (!entropy) return missing(verdict, std::string("the last round has no ") + what);
  verdict.holds = *entropy < below;
  verdict.figures = {{name, *entropy}, {"below", below}};
  verdict.sentence = std::string("the ") + what + " is " + shown(*entropy) + " nats, " +
                     (verdict.holds ? "below " : "not below ") + shown(below);
}

void judge_uncertainty(std::span<const double> arguments, history rounds, const stop_settings&,
                       stop_verdict& verdict) {
  judge_entropy(rounds.back().pool_entropy, arguments[0], "mean entropy of the pool", "pool entropy", verdict);
}

void judge_confidence(std::span<const double> arguments, history rounds, const stop_settings&,
                      stop_verdict& verdict) {
  judge_entropy(rounds.back().selected_entropy, arguments[0], "largest entropy of the items selected next",
                "selected entropy", verdict);
}

void judge_change(std::span<const double> arguments, history rounds, const stop_settings&,
                  stop_verdict& verdict) {
  const stop_round& last = rounds.back();
  if (!last.changed || last.compared.value_or(0) < 1)
    return missing(verdict, "the last round does not say how many predictions in the pool changed");
  const double share = double(*last.changed) / double(*last.compared);
  verdict.holds = share <= arguments[0];
  verdict.figures = {{"changed", double(*last.changed)},
                     {"compared", double(*last.compared)},
                     {"share", share},
                     {"at most", arguments[0]}};
  verdict.sentence = std::to_string(*last.changed) + " of " + counted(*last.compared, "prediction") +
                     " in the pool changed since the round before, a share of " + shown(share) +
                     " where at most " + shown(arguments[0]) + " is asked for";
}

struct gain {
  double value, deviation;
  bool paired;
};

/// Of accuracy between two rounds. Half an item more in each cell, or one right and one wrong more in each
/// test, keep a test without differences from having no noise.
gain gain_between(const stop_round& before, const stop_round& now, const measured_share& a,
                  const measured_share& b) {
  if (!now.right.empty() && now.right.size() == before.right.size()) {
    double won = 0.5, lost = 0.5;
    const double n = double(now.right.size()) + 2;
    for (std::size_t i = 0; i < now.right.size(); ++i) {
      won += now.right[i] && !before.right[i];
      lost += !now.right[i] && before.right[i];
    }
    const double difference = won - lost;
    return {b.value - a.value, std::sqrt(won + lost - difference * difference / n) / n, true};
  }
  const auto variance = [](const measured_share& m) {
    const double n = double(m.tested) + 2, share = (m.value * double(m.tested) + 1) / n;
    return share * (1 - share) / n;
  };
  return {b.value - a.value, std::sqrt(variance(a) + variance(b)), false};
}

void judge_performance(std::span<const double> arguments, history rounds, const stop_settings&,
                       stop_verdict& verdict) {
  const double within = arguments[0], certainty = arguments[2];
  const auto back = std::size_t(arguments[1]);
  if (rounds.size() <= back)
    return missing(verdict, "a rise over " + counted(index_t(back), "round") + " needs " +
                                counted(index_t(back) + 1, "round") + ", and there are " +
                                std::to_string(rounds.size()));
  const stop_round &before = rounds[rounds.size() - 1 - back], &now = rounds.back();
  const measured_share *a = before.measure(accuracy_name), *b = now.measure(accuracy_name);
  if (a == nullptr || b == nullptr) return missing(verdict, "one of the two rounds compared has no accuracy");
  const bool pairs = !now.right.empty() && now.right.size() == before.right.size();
  if (!pairs && (a->tested < 1 || b->tested < 1))
    return missing(verdict, "accuracy does not say on how many items it was measured");
  const gain rise = gain_between(before, now, *a, *b);
  const double z = boost::math::quantile(boost::math::normal(), certainty);
  const double most = rise.value + z * rise.deviation;
  verdict.holds = most < within;
  verdict.figures = {{"rise", rise.value},
                     {"rise, at most", most},
                     {"within", within},
                     {"rounds", double(back)},
                     {"certainty", certainty},
                     {"paired", double(rise.paired)},
                     {"items", double(rise.paired ? index_t(now.right.size()) : b->tested)}};
  verdict.sentence = "over the last " + counted(index_t(back), "round") + " accuracy went from " +
                     shown(a->value) + " to " + shown(b->value) + ", a rise of " +
                     (verdict.holds ? "" : "not surely ") + "less than " + shown(within) + ": with certainty " +
                     shown(certainty) + " it is below " + shown(most) +
                     (rise.paired ? " (items paired)" : " (items not paired)");
}

void judge_cost(std::span<const double> arguments, history rounds, const stop_settings& settings,
                stop_verdict& verdict) {
  if (!settings.label_cost || !settings.error_cost || !settings.uses)
    return missing(verdict,
                   "set what a label costs, what a wrong answer costs, and how many answers there will be");
  std::vector<curve_point> points;
  for (const stop_round& r : rounds)
    if (const measured_share* at = r.measure(accuracy_name); at != nullptr && r.labels > 0) {
      if (!points.empty() && points.back().labels == r.labels) points.pop_back();
      points.push_back({r.labels, at->value, at->tested});
    }
  if (index_t(points.size()) < least_curve_points)
    return missing(verdict, "a curve needs " + std::to_string(least_curve_points) +
                                " rounds with an accuracy, and there are " + std::to_string(points.size()));
  const curve_fit fit = fit_learning_curve(points);
  const index_t labels = index_t(arguments[0]), last = rounds.back().labels;
  const double cost = *settings.label_cost * double(labels), per_share = *settings.error_cost * *settings.uses;
  const forecast_value rise = forecast_gain(fit, last, last + labels);
  const auto dearer = std::count_if(fit.replicates.begin(), fit.replicates.end(), [&](const fitted_law& law) {
    return per_share * (law.at(double(last + labels)) - law.at(double(last))) < cost;
  });
  const double certainty = double(dearer) / double(fit.replicates.size());
  verdict.holds = certainty >= arguments[1];
  verdict.figures = {{"cost", cost},
                     {"gain", per_share * rise.value},
                     {"gain, low", per_share * rise.low},
                     {"gain, high", per_share * rise.high},
                     {"labels", double(labels)},
                     {"certainty", certainty},
                     {"certainty asked for", arguments[1]}};
  verdict.sentence = "the next " + counted(labels, "label") + " cost " + shown(cost) + " and gain " +
                     shown(per_share * rise.value) + " (" + shown(per_share * rise.low) + " to " +
                     shown(per_share * rise.high) + ") by fewer errors; that they cost more has certainty " +
                     shown(certainty) + ", where " + shown(arguments[1]) + " is asked for";
  if (fit.fall.beyond_noise())
    verdict.sentence += "; the curve fell from " + std::to_string(fit.fall.from) + " to " +
                        std::to_string(fit.fall.to) + " labels, which the fit cannot follow";
}

void check(history rounds) {
  const auto refuse = [](std::size_t i, const std::string& what) {
    throw value_error("judge_stop: round " + std::to_string(i) + " " + what);
  };
  std::size_t stop_set = 0;
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    const stop_round& r = rounds[i];
    if (r.labels < 0 || (i > 0 && r.labels < rounds[i - 1].labels))
      refuse(i, "has " + std::to_string(r.labels) + " labels, fewer than before; pass rounds in order");
    for (const measured_share& m : r.measures)
      if (!(m.tested > 0 ? m.value >= 0 && m.value <= 1 : std::isfinite(m.value)) || m.tested < 0)
        refuse(i, "has " + m.name + " " + std::to_string(m.value) + " of " + std::to_string(m.tested) +
                      " items; pass a share from 0 to 1");
    for (const auto* amount : {&r.pool_entropy, &r.selected_entropy, &r.money, &r.hours, &r.days})
      if (*amount && !(**amount >= 0 && std::isfinite(**amount)))
        refuse(i, "has the amount " + std::to_string(**amount) + "; pass finite ones of at least 0");
    if (r.changed && r.compared && (*r.changed < 0 || *r.changed > *r.compared))
      refuse(i,
             "has " + std::to_string(*r.changed) + " of " + std::to_string(*r.compared) + " classes changed");
    if (r.predicted.empty()) continue;
    if (stop_set != 0 && r.predicted.size() != stop_set)
      refuse(i, "predicts " + std::to_string(r.predicted.size()) + " items of a stop set of " +
                    std::to_string(stop_set) + "; predict the same ones each round");
    stop_set = r.predicted.size();
  }
}

stop_verdict joined(const stop_rule& rule, history rounds, const stop_settings& settings);

stop_verdict judged(const stop_rule& rule, history rounds, const stop_settings& settings) {
  if (rule.name == "any" || rule.name == "all") return joined(rule, rounds, settings);
  stop_verdict verdict;
  verdict.rule = rule.text();
  for (const stop_word& word : stop_words()) {
    if (rule.name != word.name) continue;
    if (rule.arguments.size() != word.parameters.size()) break;
    if (rounds.empty())
      missing(verdict, "there is no round yet");
    else
      word.judge(rule.arguments, rounds, settings, verdict);
    return verdict;
  }
  throw usage_error("judge_stop: there is no rule " + verdict.rule + "; make rules by parse_stop_rule");
}

stop_verdict joined(const stop_rule& rule, history rounds, const stop_settings& settings) {
  const bool all = rule.name == "all";
  stop_verdict verdict;
  verdict.rule = rule.text();
  verdict.known = false;
  std::string holding, open;
  index_t count = 0;
  for (const stop_rule& part : rule.parts) {
    const stop_verdict& one = verdict.parts.emplace_back(judged(part, rounds, settings));
    verdict.known = verdict.known || one.known;
    count += one.holds;
    (one.holds ? holding : open) += ((one.holds ? holding : open).empty() ? "" : ", ") + one.rule;
  }
  const index_t parts = index_t(rule.parts.size());
  verdict.holds = all ? count == parts : count > 0;
  verdict.figures = {{"hold", double(count)}, {"rules", double(parts)}};
  verdict.sentence = std::to_string(count) + " of " + counted(parts, "rule") + " " +
                     (count == 1 ? "holds" : "hold") + (all ? ", and all must" : ", and one is enough");
  if (all ? !open.empty() : !holding.empty()) verdict.sentence += all ? "; open: " + open : ": " + holding;
  return verdict;
}

}  // namespace

const measured_share* stop_round::measure(const std::string& name) const {
  const auto at = std::find_if(measures.begin(), measures.end(), [&](const auto& m) { return m.name == name; });
  return at == measures.end() ? nullptr : &*at;
}

std::span<const stop_word> stop_words() {
  static const parameter certainty{"certainty", 0.95, between(0.5, 0.9999), "of the claim"};
  static const std::vector<stop_word> words{
      {"target", "every target is reached with this certainty", "", {certainty}, judge_target},
      {"budget",
       "money, hours, days or labels are spent, or too little money is left for a label",
       "",
       {},
       judge_budget},
      {"kappa",
       "successive models agree on the stop set, by the mean of so many pairs",
       "Bloodgood & Vijay-Shanker 2009",
       {{"at_least", 0.99, between(-1, 1), "mean Cohen's kappa"},
        {"rounds", 3, whole_from(1), "pairs of models"}},
       judge_kappa},
      {"uncertainty",
       "the mean entropy of the pool is low",
       "Zhu, Wang & Hovy 2008",
       {{"below", 0.01, at_least(0), "nats"}},
       judge_uncertainty},
      {"confidence",
       "the entropy of each item selected next is low",
       "Zhu & Hovy 2007",
       {{"below", 0.001, at_least(0), "nats"}},
       judge_confidence},
      {"change",
       "few predictions in the pool change between rounds",
       "Zhu, Wang & Hovy 2008",
       {{"at_most", 0, between(0, 1), "share of the pool"}},
       judge_change},
      {"performance",
       "accuracy rose by less than this over so many rounds",
       "Agresti & Min 2005",
       {{"within", 0.005, above(0), "rise of accuracy"},
        {"rounds", 1, whole_from(1), "to look back"},
        certainty},
       judge_performance},
      {"cost",
       "so many labels more cost more than they gain by fewer errors, in this share of the fitted curves",
       "Pullar-Strecker et al. 2022",
       {{"labels", 1000, whole_from(1), "more"},
        {"certainty", 0.5, between(0, 1), "share of the fitted curves"}},
       judge_cost}};
  return words;
}

stop_verdict judge_stop(const stop_rule& rule, std::span<const stop_round> rounds,
                        const stop_settings& settings) {
  check(rounds);
  return judged(rule, rounds, settings);
}

}  // namespace poolwise
