#include "poolwise/reproduce/benchmark_report.hpp"

#include <algorithm>
#include <cstdio>

#include "poolwise/metrics/comparison.hpp"

namespace poolwise {
namespace {

std::string formatted(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string labels_text(const std::optional<double>& labels, const std::vector<learning_curve>& curves) {
  return labels ? formatted("%g", *labels) : "> " + std::to_string(curves.front().labels.back());
}

report_table verdicts(std::span<const figure> figures) {
  report_table table{
      "Against the published figures", "", {"Figure", "Here", "Published", "Verdict", "Source"}, {}};
  for (const figure& f : figures)
    table.rows.push_back({f.name, formatted("%.5f", f.value), expectation(f), verdict(f), f.source});
  return table;
}

report_table comparisons(const benchmark& what, const benchmark_runs& runs,
                         const std::vector<std::vector<double>>& areas, std::size_t baseline) {
  const double best = [&] {
    double highest = 0;
    for (const auto& curves : runs.curves)
      for (const double a : mean_over_seeds(curves).accuracy) highest = std::max(highest, a);
    return highest;
  }();
  report_table table{
      "Against " + what.baseline + ", seed by seed",
      std::to_string(runs.seeds.size()) +
          " seeds. Two-sided paired t and Wilcoxon signed-rank tests of AUBC; Holm's correction is over "
          "the strategies. Deficiency (Baram et al. 2004) of the mean curves, to the highest accuracy of "
          "any of them: below 1 beats " +
          what.baseline + ". Labels are medians over all seeds to an accuracy of " +
          formatted("%g", what.target) + "; a run that never gets there counts as later than any other.",
      {"Strategy", "Difference", "p (t)", "p (t, Holm)", "p (Wilcoxon)", "Deficiency", "Labels",
       "Labels of " + what.baseline, "Ratio", "Seeds that get there"},
      {}};
  std::vector<double> p;
  std::vector<std::size_t> others;
  for (std::size_t s = 0; s < areas.size(); ++s)
    if (s != baseline) {
      others.push_back(s);
      p.push_back(paired_t(areas[s], areas[baseline]).p);
    }
  const auto adjusted = holm(p);
  for (std::size_t k = 0; k < others.size(); ++k) {
    const auto& curves = runs.curves[others[k]];
    const auto left = deficiency(mean_over_seeds(curves), mean_over_seeds(runs.curves[baseline]), best);
    const auto cost = efficiency(curves, runs.curves[baseline], what.target);
    table.rows.push_back({what.strategies[others[k]],
                          formatted("%+.4f", paired_t(areas[others[k]], areas[baseline]).mean),
                          formatted("%.2g", p[k]), formatted("%.2g", adjusted[k]),
                          formatted("%.2g", wilcoxon(areas[others[k]], areas[baseline]).p),
                          left ? formatted("%.3f", *left) : "-", labels_text(cost.labels, curves),
                          labels_text(cost.baseline_labels, runs.curves[baseline]),
                          cost.ratio ? formatted("%.2f", *cost.ratio) : "censored",
                          std::to_string(cost.reached) + " of " + std::to_string(cost.seeds) + ", " +
                              what.baseline + " " + std::to_string(cost.baseline_reached)});
  }
  return table;
}

report_table ranks(const benchmark& what, const benchmark_runs& runs,
                   const std::vector<std::vector<double>>& areas) {
  const friedman_test test = friedman(areas);
  const index_t n = test.blocks, k = test.strategies;
  report_table table{
      "Ranks",
      "Friedman over " + std::to_string(runs.seeds.size()) +
          " seeds as blocks: chi squared = " + formatted("%.3f", test.chi_squared) +
          ", p = " + formatted("%.2g", test.p) + ". Nemenyi's critical difference of mean ranks at 5 % is " +
          formatted("%.3f", critical_difference(0.05, k, n)) +
          "; the table has its p for each pair. Seeds of one data set are not independent data sets: this "
          "speaks of this data set alone.",
      {"Strategy", "Mean rank"},
      {}};
  table.header.insert(table.header.end(), what.strategies.begin(), what.strategies.end());
  for (std::size_t i = 0; i < areas.size(); ++i) {
    std::vector<std::string> row = {what.strategies[i], formatted("%.2f", test.mean_ranks[i])};
    for (std::size_t j = 0; j < areas.size(); ++j)
      row.push_back(i == j ? "" : formatted("%.2g", nemenyi_p(test.mean_ranks[i] - test.mean_ranks[j], k, n)));
    table.rows.push_back(std::move(row));
  }
  return table;
}

report_table penalties(const benchmark& what, const benchmark_runs& runs) {
  report_table table{
      "Pairwise penalty matrix",
      "The share of rounds in which the strategy of the row beats that of the column by a two-sided paired "
      "t test over " +
          std::to_string(runs.seeds.size()) +
          " seeds at 5 % (Ash et al. 2020). A small mean of a column: rarely beaten.",
      {"beats"},
      {}};
  table.header.insert(table.header.end(), what.strategies.begin(), what.strategies.end());
  const auto beats = penalty_matrix(runs.curves);
  std::vector<std::string> means = {"mean"};
  for (std::size_t j = 0; j < beats.size(); ++j) {
    double sum = 0;
    for (const auto& row : beats) sum += row[j];
    means.push_back(formatted("%.3f", sum / double(beats.size())));
  }
  for (std::size_t i = 0; i < beats.size(); ++i) {
    std::vector<std::string> row = {what.strategies[i]};
    for (const double share : beats[i]) row.push_back(formatted("%.3f", share));
    table.rows.push_back(std::move(row));
  }
  table.rows.push_back(std::move(means));
  return table;
}

}  // namespace

std::string verdict(const figure& f) { return f.holds() ? "agrees" : "MISSED"; }

std::string expectation(const figure& f) {
  const char* between = f.kind == agreement::within ? " within " : nullptr;
  if (between) return formatted("%.5g", f.published) + between + formatted("%.2g", f.tolerance);
  const bool least = f.kind == agreement::at_least;
  return (least ? "at least " : "at most ") +
         formatted("%.5g", least ? f.published - f.tolerance : f.published + f.tolerance);
}

experiment_report report_benchmark(const benchmark& what, const benchmark_runs& runs,
                                   std::span<const figure> figures) {
  experiment_report report;
  report.title = what.title;
  report.protocol = what.protocol + ". " + std::to_string(runs.seeds.size()) + " seeds" +
                    (runs.skipped.empty() ? "." : ", " + std::to_string(runs.skipped.size()) + " left out.");
  report.target = what.target;
  report.baseline = what.baseline;
  report.strategies = summarise(what.strategies, runs.curves, what.baseline, what.target);
  std::vector<std::vector<double>> areas;
  for (const auto& curves : runs.curves) areas.push_back(measured(curves, aubc));
  const auto baseline = std::size_t(std::find(what.strategies.begin(), what.strategies.end(), what.baseline) -
                                    what.strategies.begin());
  if (!figures.empty()) report.tables.push_back(verdicts(figures));
  if (baseline < areas.size() && areas.size() > 1)
    report.tables.push_back(comparisons(what, runs, areas, baseline));
  if (areas.size() > 2) report.tables.push_back(ranks(what, runs, areas));
  if (areas.size() > 1) report.tables.push_back(penalties(what, runs));
  return report;
}

}  // namespace poolwise
