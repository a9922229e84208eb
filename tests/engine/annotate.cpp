// Annotators: labels out of answers, agreement, speed and drift, whom to ask; against crowd-kit, krippendorff
// and irrCAC (tests/conformance/people), known matrices and closed forms.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "poolwise/annotate/inference.hpp"
#include "poolwise/annotate/people.hpp"
#include "poolwise/annotate/quality.hpp"
#include "poolwise/annotate/routing.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/metrics/agreement.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

using nlohmann::json;
using reference::expect_refused;

const json& published() {
  static const json all = json::parse(std::ifstream(POOLWISE_VECTORS "/people/people.json"));
  return all;
}

answer_columns columns(index_t items, index_t annotators, index_t classes) {
  answer_columns all;
  for (index_t i = 0; i < items; ++i) all.items.push_back(std::to_string(i));
  for (index_t k = 0; k < annotators; ++k) all.annotators.push_back("a" + std::to_string(k));
  for (index_t c = 0; c < classes; ++c) all.labels.push_back("c" + std::to_string(c));
  return all;
}

void add(answer_columns& to, index_t item, index_t annotator, index_t label) {
  to.item.push_back(std::int32_t(item));
  to.annotator.push_back(std::int32_t(annotator));
  to.label.push_back(std::int32_t(label));
}

answer said(const std::string& item, const std::string& by, const std::string& label, index_t guideline = 0) {
  answer one;
  one.item = item;
  one.annotator = by;
  one.label = label;
  one.guideline = guideline;
  return one;
}

/// Answers of annotators whose confusions are drawn from a Dirichlet, and who are mostly right.
struct simulated {
  answer_columns answers;
  std::vector<std::int32_t> truth;
  std::vector<double> confusion;  // [annotators, classes, classes]
  std::vector<double> expected;   // the Dirichlet's counts

  simulated(unsigned seed, index_t items, index_t annotators, index_t classes, int each)
      : answers(columns(items, annotators, classes)) {
    std::mt19937_64 draw(seed);
    const auto below = [&](index_t n) { return index_t(draw() % std::uint64_t(n)); };
    for (index_t k = 0; k < annotators; ++k)
      for (index_t is = 0; is < classes; ++is) {
        double sum = 0;
        for (index_t said = 0; said < classes; ++said) {
          expected.push_back(said == is ? 12 : 4 / double(classes - 1));
          confusion.push_back(std::gamma_distribution<>(expected.back())(draw));
          sum += confusion.back();
        }
        for (index_t said = 0; said < classes; ++said)
          confusion[confusion.size() - 1 - std::size_t(said)] /= sum;
      }
    for (index_t i = 0; i < items; ++i) {
      truth.push_back(std::int32_t(below(classes)));
      const index_t first = below(annotators);
      for (int n = 0; n < each; ++n) {
        const index_t k = (first + n) % annotators;
        const auto row = confusion.begin() + (k * classes + truth.back()) * classes;
        add(answers, i, k, std::discrete_distribution<index_t>(row, row + classes)(draw));
      }
    }
  }
};

TEST(Inference, IsCrowdKitsDawidSkeneFromTheSameStart) {
  for (const json& one : published().at("dawid_skene")) {
    const index_t classes = one.at("classes"), annotators = index_t(one.at("confusion").size());
    const auto names = one.at("items").get<std::vector<index_t>>();
    answer_columns answers = columns(names.back() + 1, annotators, classes);
    for (const json& a : one.at("answers")) add(answers, a[0], a[1], a[2]);
    // Items that nobody answered are none for crowd-kit.
    ASSERT_EQ(index_t(names.size()), names.back() + 1);
    inference_options options{.pooled = 0, .most_rounds = one.at("rounds"), .tolerance = -1};
    if (!one.at("known").empty()) options.known.assign(answers.items.size(), -1);
    for (const json& known : one.at("known")) options.known[known[0]] = known[1];
    const inference found = dawid_skene(cpu{}, answers, options);
    for (index_t i = 0; i < found.items; ++i)
      for (index_t c = 0; c < classes; ++c)
        ASSERT_NEAR(found.posterior[std::size_t(i * classes + c)],
                    one.at("posterior")[std::size_t(i)][std::size_t(c)].get<double>(), 1e-6)
            << i;
    for (index_t k = 0; k < annotators; ++k)
      for (index_t is = 0; is < classes; ++is)
        for (index_t said = 0; said < classes; ++said)
          ASSERT_NEAR(found.confusion[std::size_t((k * classes + is) * classes + said)],
                      one.at("confusion")[std::size_t(k)][std::size_t(is)][std::size_t(said)].get<double>(),
                      1e-6);
  }
}

TEST(Inference, RecoversKnownMatricesAndItsIntervalsCoverThem) {
  index_t held = 0, all = 0, held_accuracies = 0, accuracies = 0;
  double far = 0;
  for (unsigned seed = 1; seed <= 12; ++seed) {
    const simulated s(seed, 600, 12, 3, 4);
    const inference found = dawid_skene(cpu{}, s.answers, {.pooled = 0, .expected = s.expected});
    EXPECT_TRUE(found.converged);
    for (index_t k = 0; k < 12; ++k) {
      double right = 0, own = 0;
      for (std::size_t a = 0; a < s.answers.item.size(); ++a) {
        if (s.answers.annotator[a] != k) continue;
        ++own;
        right += s.answers.label[a] == s.truth[std::size_t(s.answers.item[a])];
      }
      double expected = 0;
      for (std::int32_t is = 0; is < 3; ++is)
        for (std::int32_t said = 0; said < 3; ++said) {
          const double truth = s.confusion[std::size_t((k * 3 + is) * 3 + said)];
          const auto rate = found.confusion_rate(k, is, said);
          held += rate.bounds.holds(truth);
          ++all;
          far += std::abs(rate.value - truth);
          if (is == said) expected += truth / 3;
        }
      held_accuracies += found.accuracy(k).bounds.holds(expected);
      ++accuracies;
      EXPECT_NEAR(found.accuracy(k).value, right / own, 0.1);
    }
  }
  // 1,296 entries, those of a row hang together: two standard errors of some 430 are .021.
  EXPECT_GT(double(held) / double(all), 0.93);
  EXPECT_LT(double(held) / double(all), 0.97);
  EXPECT_GT(double(held_accuracies) / double(accuracies), 0.91);
  EXPECT_LT(far / double(all), 0.035);
}

TEST(Inference, HasTheSameBitsForAnyNumberOfThreadsAndBeatsTheMajority) {
  simulated s(3, 3000, 30, 4, 3);
  const inference one = dawid_skene(cpu{.threads = 1}, s.answers),
                  many = dawid_skene(cpu{.threads = 5}, s.answers);
  EXPECT_EQ(one.posterior, many.posterior);
  EXPECT_EQ(one.confusion, many.confusion);
  EXPECT_EQ(one.log_likelihood, many.log_likelihood);
  const inference votes = majority_vote(s.answers),
                  coin = dawid_skene(cpu{}, s.answers, {.skills = skill_model::one_coin});
  const auto right = [&](const inference& of) {
    index_t sum = 0;
    for (index_t i = 0; i < of.items; ++i) sum += of.label_of(i) == s.truth[std::size_t(i)];
    return sum;
  };
  EXPECT_GT(right(one), right(votes) + 60);
  EXPECT_GT(right(coin), right(votes));
  for (index_t k = 0; k < 30; ++k)  // one accuracy an annotator, whatever the class
    EXPECT_DOUBLE_EQ(coin.confusion[std::size_t(k * 16)], coin.confusion[std::size_t(k * 16 + 5)]);
}

TEST(Inference, TakesGoldAsKnownAndAClassifierAsOneMore) {
  // Two against one; gold says that the one is right, wherever it is known.
  answer_columns answers = columns(40, 3, 2);
  for (index_t i = 0; i < 40; ++i) {
    add(answers, i, 0, i % 2);
    for (const index_t k : {1, 2}) add(answers, i, k, 1 - i % 2);
  }
  EXPECT_EQ(dawid_skene(cpu{}, answers).label_of(39), 0);
  std::vector<std::int32_t> known(40, -1);
  for (std::size_t i = 0; i < 30; ++i) known[i] = std::int32_t(i % 2);
  const inference found = dawid_skene(cpu{}, answers, {.known = known});
  EXPECT_EQ(found.label_of(39), 1);
  EXPECT_GT(found.accuracy(0).bounds.low, 0.75);
  EXPECT_LT(found.accuracy(1).bounds.high, 0.25);
  // A classifier that is always sure and right half of the time is learned to tell nothing.
  answers = columns(400, 4, 2);
  std::vector<float> probs;
  std::mt19937_64 draw(4);
  for (index_t i = 0; i < 400; ++i) {
    for (index_t k = 0; k < 3; ++k) add(answers, i, k, draw() % 10 < 8 ? i % 2 : 1 - i % 2);
    const auto p = float(draw() % 2);
    probs.insert(probs.end(), {p, 1 - p});
  }
  const inference soft = dawid_skene(cpu{}, answers, {.soft = {{3, {probs.data(), 400, 2}}}});
  EXPECT_NEAR(soft.accuracy(3).value, 0.5, 0.08);
  EXPECT_NEAR(soft.accuracy(0).value, 0.8, 0.08);
  probs[0] = NAN;  // no answer about the first item
  EXPECT_NE(dawid_skene(cpu{}, answers, {.soft = {{3, {probs.data(), 400, 2}}}}).posterior, soft.posterior);
}

TEST(Inference, OfSeveralLabelsGoesByClassAndWrongUsesAreRefused) {
  answer_columns sets = columns(2, 2, 0);
  sets.labels = {"cat|dog", "dog", "cats"};
  add(sets, 0, 0, 0);
  add(sets, 1, 0, 2);
  add(sets, 1, 1, 1);
  EXPECT_EQ(answers_about("cat", sets).label, (std::vector<std::int32_t>{1, 0, 0}));
  EXPECT_EQ(answers_about("dog", sets).label, (std::vector<std::int32_t>{1, 0, 1}));
  EXPECT_EQ(dawid_skene(cpu{}, columns(0, 0, 0)).items, 0);
  const inference empty = dawid_skene(cpu{}, columns(2, 1, 2));
  EXPECT_DOUBLE_EQ(empty.posterior[0], 0.5);
  answer_columns wrong = columns(2, 1, 2);
  add(wrong, 0, 0, 2);
  expect_refused<value_error>([&] { dawid_skene(cpu{}, wrong); }, "an answer has the label 2, and there are 2");
  wrong.label = {0};
  expect_refused<shape_error>([&] { dawid_skene(cpu{}, wrong, {.known = {0}}); }, "known has 1 places");
  expect_refused<value_error>([&] { dawid_skene(cpu{}, wrong, {.known = {0, 2}}); }, "class 2 of 2");
  expect_refused<shape_error>([&] { dawid_skene(cpu{}, wrong, {.expected = {1}}); }, "expected has 1 entries");
  expect_refused<value_error>([&] { dawid_skene(cpu{}, wrong, {.pooled = -1}); }, "negative");
  std::vector<float> probs(4, 0.5f);
  expect_refused<shape_error>(
      [&] {
        dawid_skene(cpu{}, wrong, {.soft = {{0, {probs.data(), 1, 2}}}});
      },
      "[1, 2]");
  const std::vector<answer> twice = {said("a", "x", "no"), said("a", "x", "yes")};
  const std::vector<std::string> labels = {"yes", "no"};
  EXPECT_EQ(columns_of(twice, labels).label, std::vector<std::int32_t>{0});
}

TEST(Agreement, IsWhatIrrCACAndKrippendorffSay) {
  const std::map<std::string, rating_scale> scales = {{"nominal", rating_scale::nominal},
                                                      {"ordinal", rating_scale::ordinal},
                                                      {"interval", rating_scale::interval}};
  for (const json& one : published().at("agreement")) {
    std::vector<std::int32_t> cells;
    for (const json& row : one.at("rows")) cells.insert(cells.end(), row.begin(), row.end());
    const ratings said{{cells.data(), index_t(one.at("rows").size()), index_t(one.at("rows")[0].size())}};
    for (const auto& [name, alpha] : one.at("alpha").items())
      EXPECT_NEAR(krippendorff_alpha(said, scales.at(name))->value, alpha.get<double>(), 1e-9) << name;
    for (const auto& [name, given] : one.at("irrcac").items()) {
      const auto space = name.find(' ');
      const std::string what = name.substr(0, space);
      const rating_scale scale = scales.at(name.substr(space + 1));
      const agreement_estimate found = what == "fleiss" ? *fleiss_kappa(said, scale)
                                       : what == "gwet" ? gwet_ac(said, scale)
                                                        : *krippendorff_alpha(said, scale);
      EXPECT_NEAR(found.value, given[0].get<double>(), 1e-9) << name;
      EXPECT_NEAR(found.standard_error, given[1].get<double>(), 1e-9) << name;
      EXPECT_NEAR(found.bounds.low, std::max(-1.0, given[2].get<double>()), 1e-9) << name;
      EXPECT_NEAR(found.bounds.high, given[3].get<double>(), 1e-9) << name;
    }
  }
  // Gwet 2014, table of four raters, as irrCAC prints it.
  std::vector<std::int32_t> cells;
  for (const json& row : published().at("agreement")[0].at("rows"))
    cells.insert(cells.end(), row.begin(), row.end());
  const ratings gwets{{cells.data(), 12, 4}};
  EXPECT_NEAR(fleiss_kappa(gwets)->value, 0.76117, 5e-6);
  EXPECT_NEAR(gwet_ac(gwets).value, 0.77544, 5e-6);
  EXPECT_NEAR(krippendorff_alpha(gwets)->value, 0.74342, 5e-6);
  EXPECT_NEAR(percent_agreement(gwets).value, 0.81818, 5e-6);
}

TEST(Agreement, HasLimitsAndRefusesWhatCannotBeCompared) {
  const std::vector<std::int32_t> same = {1, 1, 2, 2, 3, 3}, one = {1, 1, 1, 1}, alone = {1, -1, -1, 2};
  EXPECT_DOUBLE_EQ(krippendorff_alpha({{same.data(), 3, 2}})->value, 1);
  EXPECT_DOUBLE_EQ(fleiss_kappa({{same.data(), 3, 2}})->value, 1);
  EXPECT_DOUBLE_EQ(gwet_ac({{same.data(), 3, 2}}).bounds.high, 1);
  EXPECT_FALSE(fleiss_kappa({{one.data(), 2, 2}}));
  EXPECT_FALSE(krippendorff_alpha({{one.data(), 2, 2}}));
  EXPECT_DOUBLE_EQ(gwet_ac({{one.data(), 2, 2}}).value, 1);
  expect_refused<value_error>([&] { gwet_ac({{alone.data(), 2, 2}}); }, "no item has two labels");
  expect_refused<shape_error>([&] { percent_agreement({{alone.data(), 0, 2}}); }, "there are no labels");
  expect_refused<value_error>([&] { fleiss_kappa({{same.data(), 3, 2}}, rating_scale::nominal, 1); }, "level");
  const std::vector<double> values = {0, 1};
  expect_refused<shape_error>([&] { gwet_ac({{same.data(), 3, 2}, values}); }, "there are 2 values");
}

TEST(Routing, TellsWhatAnAnswerTellsAndWhomToAsk) {
  const std::vector<double> sure = {1, 0, 0, 1}, coin = {0.5, 0.5, 0.5, 0.5}, even = {0.5, 0.5};
  EXPECT_NEAR(expected_information(even, sure), std::log(2.0), 1e-12);
  EXPECT_NEAR(expected_information(even, coin), 0, 1e-12);
  const std::vector<double> skilled = {0.9, 0.1, 0.2, 0.8}, p = {0.3, 0.7};
  double expected = 0;  // by its other form: the fall of the entropy
  const auto h = [](double x) { return -x * std::log(x) - (1 - x) * std::log(1 - x); };
  for (std::size_t said = 0; said < 2; ++said) {
    const double joint = p[0] * skilled[said], all = joint + p[1] * skilled[2 + said];
    expected += all * h(joint / all);
  }
  EXPECT_NEAR(expected_information(p, skilled), h(0.3) - expected, 1e-12);
  expect_refused<shape_error>([&] { expected_information(p, std::vector<double>(3, 0.3)); }, "3 confusions");

  annotator cheap, senior, away;
  cheap.price = 2;
  cheap.languages = {"en"};
  cheap.most_open = 2;
  senior.price = 20;
  senior.roles = {"annotator", "senior"};
  away.hours = parse_working_hours("sat");
  const std::vector<double> poor = {0.7, 0.3, 0.3, 0.7}, good = {0.95, 0.05, 0.05, 0.95};
  const std::vector<routed_annotator> people = {{cheap, poor}, {senior, good}, {away, sure}};
  std::vector<routed_item> items(5);
  for (routed_item& one : items) one.posterior = even;
  items[1].costly = true;
  items[2].posterior = {0.99, 0.01};
  items[2].asked = {0};
  items[3].language = "fi";
  items[4].asked = {0, 2};  // and still even
  const auto asked = [&](routing_options options) {
    std::map<index_t, std::int32_t> by;
    for (const assignment& one : route(items, people, options)) by[one.item] = one.annotator;
    return by;
  };
  // 1 Jan 1970 was a Thursday: who works on Saturdays is away.
  EXPECT_EQ(asked({}), (std::map<index_t, std::int32_t>{{0, 0}, {1, 1}, {3, 1}, {4, 1}}));
  EXPECT_EQ(asked({.money = 22}), (std::map<index_t, std::int32_t>{{0, 0}, {1, 1}}));
  EXPECT_EQ(asked({.answers = 1}), (std::map<index_t, std::int32_t>{{0, 0}}));
  EXPECT_EQ(asked({.most_answers = 2}).count(4), 0u);
  EXPECT_EQ(asked({.least_answers = 2}).count(2), 1u);
  EXPECT_EQ(asked({.now_ms = 2 * 86'400'000}).at(0), 2);
}

TEST(Routing, TakesTheCheapestSourceWhoseErrorIsGuaranteed) {
  const std::vector<audited_source> sources = {
      {"crowd", 1, 9, 100}, {"model", 2, 2, 400}, {"people", 9, 0, 100}};
  const source_choice choice = cheapest_within(sources, 0.05);
  ASSERT_TRUE(choice.cheapest);
  EXPECT_EQ(*choice.cheapest, 1u);
  EXPECT_NEAR(choice.sources[2].most_wrong, 1 - std::pow(0.05 / 3, 1.0 / 100), 1e-9);
  EXPECT_GT(choice.sources[0].lacking, 0);
  const audited_source more{"crowd", 1, 9, 100 + choice.sources[0].lacking};
  EXPECT_FALSE(cheapest_within(std::vector{more, sources[1], sources[2]}, 0.05).sources[0].lacking);
  EXPECT_FALSE(cheapest_within(sources, 0.001).cheapest);
  expect_refused<value_error>([&] { cheapest_within(sources, 0); }, "the bound is 0");
  // A source whose error is just above the bound is taken in at most 5 % of audits.
  std::mt19937_64 draw(1);
  int taken = 0;
  for (int trial = 0; trial < 2000; ++trial)
    taken += cheapest_within(
                 std::vector<audited_source>{
                     {"one", 1, std::binomial_distribution<index_t>(150, 0.0501)(draw), 150}},
                 0.05)
                 .cheapest.has_value();
  EXPECT_LE(taken, 120);  // two and a half standard errors above 100 / 2000
}

TEST(Quality, SpeedIsRobustDriftIsSeenAndImpossibleAnswersAreNamed) {
  std::mt19937_64 draw(2);
  std::lognormal_distribution<> usual(std::log(8.0), 0.5);
  std::vector<double> seconds(400);
  for (double& one : seconds) one = usual(draw);
  const auto plain = speed_of(seconds);
  EXPECT_NEAR(plain->median, 8, 0.8);
  EXPECT_NEAR(plain->mean, 8 * std::exp(0.125), 1.2);
  EXPECT_TRUE(plain->median_bounds.holds(8));
  for (std::size_t i = 0; i < 40; ++i) seconds[i] = 36'000;  // gone for the night
  EXPECT_NEAR(speed_of(seconds)->median, plain->median, 1.5);
  EXPECT_FALSE(speed_of(std::vector<double>{0, 0}));

  std::vector<double> right(200, 1);
  EXPECT_FALSE(drift_of(right)->drifted);
  for (std::size_t i = 160; i < 200; ++i) right[i] = i % 2;
  EXPECT_TRUE(drift_of(right)->drifted);
  EXPECT_FALSE(drift_of(std::vector<double>(99, 1)));
  expect_refused<value_error>([&] { drift_of(right, 0); }, "a window of 0");

  std::vector<answer> answers;
  for (std::size_t i = 0; i < 60; ++i) {
    answers.push_back(said(std::to_string(i), "a", "x"));
    answers.back().seconds = usual(draw);
  }
  answers[7].seconds = 0.05;
  answers[9].label = "y";
  const auto doubtful = impossible_answers(answers, std::vector<std::string>{"x"});
  ASSERT_EQ(doubtful.size(), 2u);
  EXPECT_EQ(doubtful[0].answer, 7);
  EXPECT_NE(doubtful[0].why.find("too fast to have looked"), std::string::npos);
  EXPECT_EQ(doubtful[1].why, "\"y\" is no label of the campaign");
}

TEST(Quality, NeighboursGoldCalibrationAndRelabelling) {
  const std::vector<std::int32_t> near = {1, 2, 0, 3, 3, 0, 2, 1}, labels = {0, 1, 0, 0};
  const std::vector<float> apart = {0.1f, 2, 0.1f, 3, 1, 2, 1, 3};
  const auto pairs = conflicting_duplicates({near.data(), 4, 2}, {apart.data(), 4, 2}, labels, 0.5f);
  ASSERT_EQ(pairs.size(), 1u);
  EXPECT_EQ(pairs[0].first, 0);
  EXPECT_EQ(pairs[0].second, 1);
  const std::vector<std::int32_t> three = {1, 2, 3, 0, 2, 3, 0, 1, 3, 0, 1, 2};
  const auto lone = labels_against_neighbours({three.data(), 4, 3}, labels);
  ASSERT_EQ(lone.size(), 1u);
  EXPECT_EQ(lone[0].item, 1);
  EXPECT_EQ(lone[0].others, 0);
  expect_refused<shape_error>(
      [&] {
        labels_against_neighbours({three.data(), 3, 3}, labels);
      },
      "neighbours of 3 items");

  index_t gold = 0;
  for (index_t task = 0; task < 10'000; ++task) gold += is_gold_turn(1, "ann", task, 0.1);
  EXPECT_NEAR(double(gold), 1000, 4 * 30);
  EXPECT_FALSE(is_gold_turn(1, "ann", 5, 0));
  EXPECT_TRUE(is_gold_turn(1, "ann", 5, 1));

  const std::vector<answer> session = {said("a", "ann", "x", 1), said("a", "bob", "y", 1),
                                       said("b", "ann", "y", 2), said("b", "bob", "y", 1),
                                       said("c", "ann", "x", 1)};
  const calibration_result result = calibrate(session, {{"a", "x"}, {"b", "y"}});
  ASSERT_EQ(result.marks.size(), 2u);
  EXPECT_TRUE(result.marks[0].passed);
  EXPECT_FALSE(result.marks[1].passed);
  EXPECT_EQ(result.pairs[0].same, 1);
  EXPECT_EQ(result.pairs[0].confusions.at({"x", "y"}), 1);
  EXPECT_EQ(result.to_discuss, std::vector<std::string>{"a"});
  EXPECT_EQ(to_relabel(session, 2),
            (std::vector<std::string>{"a", "b", "c"}));  // of b the newest answer is older
  EXPECT_EQ(to_relabel(session, 2, std::vector<std::string>{"x"}), (std::vector<std::string>{"c"}));
  EXPECT_TRUE(to_relabel(session, 1).empty());
}

TEST(People, HoursKindsAndSkillsAreRead) {
  constexpr std::int64_t hour = 3'600'000, day = 24 * hour;  // 1 Jan 1970 was a Thursday
  const auto office = parse_working_hours("mon-fri 09:00-17:00");
  EXPECT_TRUE(office.hold(9 * hour));
  EXPECT_FALSE(office.hold(17 * hour));
  EXPECT_FALSE(office.hold(2 * day + 10 * hour));
  EXPECT_TRUE(office.hold(-3 * day + 10 * hour));  // Monday before
  EXPECT_EQ(parse_working_hours("mon-fri 10:00-18:00 +01:00"), office);
  const auto night = parse_working_hours("thu 22:00-06:00");
  EXPECT_TRUE(night.hold(23 * hour));
  EXPECT_TRUE(night.hold(day + 5 * hour));
  EXPECT_FALSE(night.hold(5 * hour));
  const auto tokyo = parse_working_hours("fri 02:00-04:00 +09:00");  // Thursday, 17:00 to 19:00 in UTC
  EXPECT_TRUE(tokyo.hold(18 * hour));
  EXPECT_FALSE(tokyo.hold(day + 18 * hour));
  EXPECT_EQ(parse_working_hours(""), working_hours{});
  for (const char* const wrong : {"monday", "09:00-25:00", "9-17", "mon mon", "09:00-09:00", "mon +15:00"})
    expect_refused<usage_error>([&] { parse_working_hours(wrong); }, "are no working hours");
  expect_refused<usage_error>([&] { parse_annotator_kind("persn"); }, "the nearest is \"person\"");
  skill_prior skill{.accuracy = 0.8, .by_class = {{"cat", 0.6}}, .by_slice = {{"night", 0.5}}};
  EXPECT_EQ(skill.of("cat", "night"), 0.6);
  EXPECT_EQ(skill.of("dog", "night"), 0.5);
  EXPECT_EQ(skill.of("dog", ""), 0.8);
}

}  // namespace
}  // namespace poolwise
