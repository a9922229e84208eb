// Strategies as text.
#include "poolwise/query/strategy.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

TEST(Strategy, IsSpelledOutWithEveryParameter) {
  EXPECT_EQ(spelled_out(parse_strategy("power(margin)/10x/graph_cut(lambda=4)")),
            "power(margin, beta=1)/10x/graph_cut(lambda=4, neighbours=32)");
  EXPECT_EQ(spelled_out(parse_strategy("lc/12.5%/bald/100/kcenter")),
            "least_confidence/12.5%/bald/100/kcenter");
  for (const strategy_entry& entry : strategies()) {
    const std::string text = spelled_out(parse_strategy(entry.example()));
    EXPECT_EQ(spelled_out(parse_strategy(text)), text);
    for (const parameter& p : entry.parameters)
      EXPECT_NE(text.find(std::string(p.name) + "="), std::string::npos);
  }
}

TEST(Strategy, EveryListedNameParsesToItself) {
  for (const strategy_entry& entry : strategies()) {
    const strategy s = parse_strategy(entry.example());
    EXPECT_EQ(s.name, entry.example());
    ASSERT_EQ(s.stages.size(), 1u);
    EXPECT_EQ(s.first().entry, &entry) << entry.name;
    EXPECT_NE(entry.scores(), entry.pick != nullptr) << entry.name;
    EXPECT_NE(std::string(entry.formula), "");
    EXPECT_NE(std::string(entry.source), "");
    EXPECT_NE(entry.needs_text(), "");
    for (const parameter& p : entry.parameters) {
      EXPECT_EQ(s.first().given[p.name], p.standard);
      arguments given(entry);
      given.set("", p.name, p.standard);  // is in its own range
      EXPECT_NE(std::string(p.meaning), "");
    }
  }
}

TEST(Strategy, StagesAndWhatIsKeptBetweenThem) {
  const strategy s = parse_strategy("margin/1000/kcenter");
  ASSERT_EQ(s.stages.size(), 2u);
  EXPECT_EQ(s.first().entry->fused, acquisition::margin);
  EXPECT_EQ(s.first().keep.rows, 1000);
  EXPECT_STREQ(s.last().entry->name, "kcenter");
  EXPECT_TRUE(s.needs(part::outputs));
  EXPECT_TRUE(s.needs(part::embeddings));
  EXPECT_FALSE(s.needs(part::committee));
  EXPECT_EQ(s.score(), nullptr);

  const strategy b = parse_strategy("bald/10x/badge");
  EXPECT_EQ(b.first().entry->disagrees, disagreement::bald);
  EXPECT_EQ(b.first().keep.per_pick, 10);
  EXPECT_TRUE(b.needs(part::committee));
  EXPECT_TRUE(b.needs(part::outputs));

  const strategy many = parse_strategy("margin/50%/bald/20%/typiclust/10x/kcenter");
  ASSERT_EQ(many.stages.size(), 4u);
  EXPECT_EQ(many.stages[0].keep.percent, 50);
  EXPECT_STREQ(many.stages[2].entry->name, "typiclust");
  EXPECT_EQ(many.stages[2].keep.per_pick, 10);
}

TEST(Strategy, ParametersAndScoresThatAStrategyIsMadeOf) {
  const strategy cut = parse_strategy("graph_cut( lambda = 4.5 )");
  EXPECT_EQ(cut.first().given["lambda"], 4.5);
  EXPECT_EQ(cut.first().given.count("neighbours"), 32);
  EXPECT_EQ(cut.first().text, "graph_cut( lambda = 4.5 )");
  const strategy power = parse_strategy("power(bald, beta=2)/10x/kcenter");
  ASSERT_NE(power.first().inner, nullptr);
  EXPECT_STREQ(power.first().inner->entry->name, "bald");
  EXPECT_EQ(power.first().given["beta"], 2);
  EXPECT_TRUE(power.needs(part::committee));
  EXPECT_NE(parse_strategy("margin").score(), nullptr);
  EXPECT_EQ(parse_strategy("kcenter").score(), nullptr);
}

TEST(Strategy, KeepCountsStayBetweenPicksAndPool) {
  EXPECT_EQ((keep_rule{}.count(10, 100)), 100);
  EXPECT_EQ((keep_rule{20, 0}.count(10, 100)), 20);
  EXPECT_EQ((keep_rule{5, 0}.count(10, 100)), 10);
  EXPECT_EQ((keep_rule{500, 0}.count(10, 100)), 100);
  EXPECT_EQ((keep_rule{0, 3}.count(10, 100)), 30);
  EXPECT_EQ((keep_rule{0, 30}.count(10, 100)), 100);
  EXPECT_EQ((keep_rule{0, index_t{1} << 62}.count(10, 100)), 100);  // no overflow
  EXPECT_EQ((keep_rule{0, 0, 20}.count(10, 101)), 21);
  EXPECT_EQ((keep_rule{0, 0, 1}.count(10, 100)), 10);
}

std::string refusal(const std::string& text) {
  try {
    parse_strategy(text);
  } catch (const value_error& e) {
    return e.what();
  }
  return "";
}

TEST(Strategy, ChangesWithTheNumberOfLabels) {
  const strategy all = parse_strategy("typiclust@50,margin/10x/kcenter@500,power(margin, beta=2)");
  EXPECT_EQ(all.at(0).name, "typiclust");
  EXPECT_EQ(all.at(49).name, "typiclust");
  EXPECT_EQ(all.at(50).name, "margin/10x/kcenter");
  EXPECT_EQ(all.at(500).name, "power(margin, beta=2)");
  EXPECT_TRUE(all.needs(part::embeddings));
  EXPECT_FALSE(all.at(500).needs(part::embeddings));
  EXPECT_EQ(all.score(), nullptr);
  EXPECT_EQ(spelled_out(parse_strategy("typiclust@50,margin")),
            "typiclust(neighbours=20, clusters=500)@50,margin");
  for (const char* wrong :
       {"typiclust@0,margin", "typiclust@9,kcenter@9,margin", "typiclust@x,margin", "typiclust@50,", ",margin"})
    EXPECT_NE(refusal(wrong), "") << wrong;
  EXPECT_NE(refusal("margin,entropy").find("typiclust@500,margin"), std::string::npos);
  EXPECT_NE(refusal("margin@50").find("there is no"), std::string::npos);
}

TEST(Strategy, UnknownNamesGetTheNearest) {
  EXPECT_NE(refusal("margni").find("nearest name is \"margin\""), std::string::npos);
  EXPECT_NE(refusal("entorpy").find("\"entropy\""), std::string::npos);
  EXPECT_NE(refusal("core-sett").find("\"kcenter\""), std::string::npos);
  EXPECT_NE(refusal("margin/10x/bage").find("\"badge\""), std::string::npos);
  EXPECT_NE(refusal("").find("there is no"), std::string::npos);
}

TEST(Strategy, NamesAreKnownByTheirAliasesCaseAside) {
  const std::pair<const char*, const char*> known[] = {{"MARGIN", "margin"},
                                                       {"k-center", "kcenter"},
                                                       {"coreset", "kcenter"},
                                                       {"Core_Set", "kcenter"},
                                                       {"lc", "least_confidence"},
                                                       {"bt", "margin"},
                                                       {"least-confident", "least_confidence"}};
  for (const auto& [given, meant] : known)
    EXPECT_EQ(parse_strategy(given).first().entry->name, std::string(meant));
  EXPECT_EQ(parse_strategy("Graph-Cut(lambda=4)/10x/BADGE").first().text, "graph_cut(lambda=4)");
  std::set<std::string> words;
  for (const strategy_entry& entry : strategies()) {
    EXPECT_TRUE(words.insert(entry.name).second) << entry.name;
    for (const char* alias : entry.aliases) {
      EXPECT_TRUE(words.insert(alias).second) << alias;
      EXPECT_EQ(parse_strategy(std::string(alias) + (entry.does.has(trait::takes_score) ? "(margin)" : ""))
                    .first()
                    .entry,
                &entry);
    }
  }
}

TEST(Strategy, MalformedTextIsRefused) {
  EXPECT_NE(refusal("margin/10x").find("2 parts"), std::string::npos);
  EXPECT_NE(refusal("margin/10x/kcenter/badge").find("4 parts"), std::string::npos);
  for (const char* keep : {"0", "-3", "x", "", "1.5", "10y", "99999999999999999999", "0%", "101%", "%", "nan%"})
    EXPECT_NE(refusal(std::string("margin/") + keep + "/badge").find("cannot keep"), std::string::npos) << keep;
  const auto says = [](const char* text, const char* part) {
    EXPECT_NE(refusal(text).find(part), std::string::npos) << text << ": " << refusal(text);
  };
  says("graph_cut(lamda=4)", "there is no parameter \"lamda\"; it takes lambda, neighbours");
  says("graph_cut(lambda=1)", "lambda is 1; it must be at least 2");
  says("graph_cut(lambda=x)", "lambda is \"x\", which is no number");
  says("graph_cut(lambda=inf)", "it must be");
  says("graph_cut(lambda=nan)", "it must be");
  says("facility_location(neighbours=2.5)", "it must be a whole number");
  says("probcover(purity=2)", "it must be from 0 to 1");
  says("power(margin,beta=0)", "it must be more than 0");
  says("graph_cut(4)", "gives a parameter of graph_cut no value");
  says("kcenter(x=1)", "the strategy takes none");
  says("power", "write such as power(margin)");
  says("power(beta=2)", "is made of a score");
  says("power(kcenter)", "ranks no rows");
  says("power(margin,bald)", "no value");
  says("graph_cut(lambda=4", "parenthesis");
  says("graph_cut)lambda=4(", "parenthesis");
  says("graph_cut(lambda=4)x", "goes on behind");
}

TEST(Strategy, AScoreInsideOfScoresHasItsLimit) {
  const auto nested = [](int deep) {
    std::string text = "margin";
    for (int i = 0; i < deep; ++i) text = "power(" + text + ")";
    return text;
  };
  EXPECT_EQ(parse_strategy(nested(8)).name, nested(8));
  EXPECT_NE(refusal(nested(9)).find("more than 8 deep"), std::string::npos);
  // As long as a file may be: neither the stack nor the time runs out.
  std::string endless;
  for (int i = 0; i < 100'000; ++i) endless += "power(";
  EXPECT_NE(refusal(endless + "margin" + std::string(100'000, ')')).find("more than 8 deep"),
            std::string::npos);
}

}  // namespace
}  // namespace poolwise
