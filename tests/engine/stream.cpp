// Rows that come one after the other, against rules written out again, and laws of every prefix.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/stream/record.hpp"
#include "reference/errors.hpp"
#include "reference/scratch.hpp"

namespace poolwise {
namespace {

std::vector<double> scores_of(std::size_t rows, unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<double> scores;
  for (std::size_t i = 0; i < rows; ++i) scores.push_back(double(random() % 1000) / 1500);
  return scores;
}

std::vector<stream_decision> decisions(const stream_spec& spec, const std::vector<double>& scores) {
  stream_sampler sampler(spec);
  std::vector<stream_decision> all;
  for (const double score : scores) all.push_back(sampler.decide(score));
  return all;
}

// Zliobaite et al. 2014, as they write it: what a row says, then the threshold, then the estimate of what was
// spent.
TEST(Stream, ThresholdsAndTheEstimatedBudgetAreThoseOfThePaper) {
  for (const bool variable : {false, true})
    for (const double budget : {0.05, 0.3, 1.0}) {
      const auto scores = scores_of(600, 1);
      const auto got = decisions({.rule = variable ? stream_rule::variable : stream_rule::fixed,
                                  .budget = budget,
                                  .kept_by = stream_budget::estimate,
                                  .classes = 3,
                                  .step = 0.02,
                                  .window = 40},
                                 scores);
      double spent = 0, theta = variable ? 1 : 1 / 3.0 + budget * (1 - 1 / 3.0);
      index_t asked = 0;
      for (std::size_t i = 0; i < scores.size(); ++i) {
        const double confidence = 1 - scores[i];
        bool ask = false;
        if (spent / 40 < budget) {
          ask = variable ? confidence < theta : confidence <= theta;
          if (variable) theta *= ask ? 1 - 0.02 : 1 + 0.02;
        }
        spent = spent * (39.0 / 40) + ask;
        asked += ask;
        ASSERT_EQ(got[i].ask, ask) << i;
        ASSERT_EQ(got[i].probability, ask ? 1 : 0);
      }
      EXPECT_GT(asked, 20);
    }
}

TEST(Stream, TheBalancedFilterIsThatOfThePaper) {
  const auto scores = scores_of(500, 2);
  const double budget = 0.2;
  const auto got = decisions({.rule = stream_rule::biqf,
                              .budget = budget,
                              .kept_by = stream_budget::none,
                              .window = 30,
                              .tolerance = 20},
                             scores);
  double asked = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    std::vector<double> window(scores.begin() + (i < 30 ? 0 : long(i) - 29), scores.begin() + long(i) + 1);
    std::sort(window.begin(), window.end());
    const double place = (1 - budget) * double(window.size() - 1);
    const std::size_t below = std::size_t(place), above = std::min(below + 1, window.size() - 1);
    const double quantile = window[below] + (window[above] - window[below]) * (place - double(below));
    const double left = budget * double(i + 1) - asked;
    const bool ask = scores[i] >= quantile - (window.back() - window.front()) * left / 20;
    asked += ask;
    ASSERT_EQ(got[i].ask, ask) << i;
  }
  EXPECT_NEAR(asked / 500, budget, 0.03);
}

TEST(Stream, TheBudgetHoldsAtEveryPrefixWhateverTheRule) {
  for (const stream_rule_entry& rule : stream_rules())
    for (const double budget : {0.01, 0.1, 1.0 / 3, 0.7, 1.0})
      for (const double threshold : {0.2, 1e6}) {  // the second wants every row
        const auto made = decisions({.rule = rule.id, .budget = budget, .threshold = threshold, .seed = 5},
                                    scores_of(300, 3));
        index_t asked = 0;
        for (std::size_t n = 1; n <= made.size(); ++n) {
          const stream_decision& d = made[n - 1];
          asked += d.ask;
          ASSERT_LE(double(asked), std::ceil(budget * double(n) - 1e-9)) << rule.name << " " << n;
          ASSERT_TRUE(d.probability >= 0 && d.probability <= 1 && d.row == index_t(n) - 1);
          ASSERT_TRUE(d.ask ? d.probability > 0 : d.probability < 1) << rule.name << " " << n;
        }
        const bool by_threshold = rule.id != stream_rule::random && rule.id != stream_rule::split &&
                                  rule.id != stream_rule::biqf && rule.id != stream_rule::iwal &&
                                  rule.id != stream_rule::randomised;
        if (threshold > 1 && by_threshold) {
          EXPECT_EQ(asked, index_t(std::ceil(budget * 300 - 1e-9))) << rule.name;
        }
      }
}

// 4,000 seeds: a share of probability p lies within 5 sqrt(p (1 - p) / 4000) < 0.04 of it but once in 1.7
// million.
TEST(Stream, RowsAreDrawnWithTheProbabilitiesThatAreRecorded) {
  constexpr int seeds = 4000;
  for (const stream_rule rule :
       {stream_rule::random, stream_rule::iwal, stream_rule::randomised, stream_rule::split}) {
    stream_spec spec{.rule = rule, .budget = 0.3, .kept_by = stream_budget::none, .threshold = 0.5};
    for (const double score : {0.45, 0.55}) {
      double asked = 0, weights = 0, probability = 0;
      for (int seed = 0; seed < seeds; ++seed) {
        spec.seed = std::uint64_t(seed);
        const stream_decision d = stream_sampler(spec).decide(score);
        asked += d.ask;
        if (d.ask) weights += 1 / d.probability;
        probability = d.probability;
      }
      const double wanted = rule == stream_rule::random ? 0.3
                            : rule == stream_rule::iwal ? 0.1 + 0.9 * score
                            : rule == stream_rule::split
                                ? 0.1 * 0.3 + 0.9 * (score > 0.5)
                                : 0.5 * std::erfc(((1 - score) / 0.5 - 1) / std::sqrt(2));
      EXPECT_NEAR(probability, wanted, 2e-7);
      EXPECT_NEAR(asked / seeds, wanted, 0.04);
      EXPECT_NEAR(weights / seeds, 1, 0.04 / wanted);  // importance weights are unbiased
    }
  }
}

TEST(Stream, ARecordGoesOnWhereItWasCut) {
  const reference::scratch_folder folder;
  const auto file = folder / "stream.jsonl";
  const stream_spec spec{.rule = stream_rule::split, .budget = 0.4, .seed = 7};
  const auto scores = scores_of(60, 4);
  const auto whole = decisions(spec, scores);
  {
    recorded_stream begun(file, spec);
    for (std::size_t i = 0; i < 40; ++i) EXPECT_EQ(begun.decide(scores[i]), whole[i]);
    reference::expect_refused<conflict_error>([&] { recorded_stream(file, spec); }, "stream");
  }
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  const std::string full = text.str();
  // As a process leaves it that is killed amid any byte of the first lines, and of the last one.
  std::vector<std::size_t> cuts;
  for (std::size_t n = 0; n < 400; ++n) cuts.push_back(n);
  for (std::size_t n = full.size() - 90; n <= full.size(); ++n) cuts.push_back(n);
  for (const std::size_t cut : cuts) {
    std::ofstream(file) << full.substr(0, cut);
    recorded_stream again(file, spec);
    const auto rows = std::size_t(again.sampler().rows());
    ASSERT_EQ(index_t(rows),
              std::max<index_t>(0, std::count(full.begin(), full.begin() + long(cut), '\n') - 1));
    if (cut % 50 != 0 && cut != full.size()) continue;
    for (std::size_t i = rows; i < 60; ++i) ASSERT_EQ(again.decide(scores[i]), whole[i]) << cut;
  }
}

TEST(Stream, WrongUsesAreRefused) {
  const reference::scratch_folder folder;
  const auto file = folder / "stream.jsonl";
  { recorded_stream(file, {}).decide(0.9); }
  const auto refused = [&](auto wrong, const stream_spec& spec, const char* text) {
    reference::expect_refused<decltype(wrong)>([&] { recorded_stream(file, spec); }, text);
  };
  refused(value_error(""), {.budget = 0.2}, "is of a stream with other options");
  refused(usage_error(""), {.budget = 0}, "the budget is 0.0");
  refused(usage_error(""), {.budget = 1.5}, "give a share above 0, 1 at most");
  refused(usage_error(""), {.step = 1}, "the step is not between 0 and 1");
  refused(usage_error(""), {.window = 0}, "the window has no row");
  refused(usage_error(""), {.threshold = NAN}, "the threshold is not above 0");
  refused(usage_error(""), {.least = 0}, "the least probability");
  std::ofstream(file, std::ios::app) << "{\"row\":1,\"score\":0.9,\"ask\":false,\"probability\":1.0}\n";
  refused(format_error(""), {}, "is damaged: line 3 is no decision of this stream");
  std::ofstream(file) << "row,score\n1,2\n";
  refused(format_error(""), {}, "is not the record of a stream");
  std::ofstream(file) << "a report";
  refused(format_error(""), {}, "is not the record of a stream");
  stream_sampler sampler({});
  EXPECT_THROW(sampler.decide(NAN), value_error);
  EXPECT_EQ(sampler.rows(), 0);  // it was not seen
  EXPECT_THROW(parse_stream_rule("fixd"), usage_error);
  for (const stream_rule_entry& rule : stream_rules()) EXPECT_EQ(parse_stream_rule(rule.name), rule.id);
}

}  // namespace
}  // namespace poolwise
