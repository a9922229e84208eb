// Strategies as text.
#include "poolwise/query/strategy.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

TEST(Strategy, EveryListedNameParsesToItself) {
  for (const strategy_entry& entry : strategy_entries()) {
    const strategy s = parse_strategy(entry.name);
    EXPECT_EQ(s.name, entry.name);
    EXPECT_EQ(s.rank_by.index(), entry.rank_by.index()) << entry.name;
    EXPECT_EQ(s.diversify, entry.diversify) << entry.name;
    EXPECT_NE(std::string(entry.formula), "");
    EXPECT_NE(std::string(entry.source), "");
  }
}

TEST(Strategy, ComposedOfThreeParts) {
  const strategy s = parse_strategy("margin/1000/kcenter");
  EXPECT_EQ(std::get<acquisition>(s.rank_by), acquisition::margin);
  EXPECT_EQ(s.keep.rows, 1000);
  ASSERT_NE(s.diversify, nullptr);
  EXPECT_STREQ(s.diversify->name, "kcenter");
  EXPECT_TRUE(s.needs_outputs());
  EXPECT_TRUE(s.needs_embeddings());
  EXPECT_FALSE(s.needs_committee());

  const strategy b = parse_strategy("bald/10x/badge");
  EXPECT_EQ(std::get<disagreement>(b.rank_by), disagreement::bald);
  EXPECT_EQ(b.keep.per_pick, 10);
  EXPECT_TRUE(b.needs_committee());
  EXPECT_TRUE(b.needs_outputs());
}

TEST(Strategy, KeepCountsStayBetweenPicksAndPool) {
  EXPECT_EQ((keep_rule{}.count(10, 100)), 100);
  EXPECT_EQ((keep_rule{20, 0}.count(10, 100)), 20);
  EXPECT_EQ((keep_rule{5, 0}.count(10, 100)), 10);
  EXPECT_EQ((keep_rule{500, 0}.count(10, 100)), 100);
  EXPECT_EQ((keep_rule{0, 3}.count(10, 100)), 30);
  EXPECT_EQ((keep_rule{0, 30}.count(10, 100)), 100);
  EXPECT_EQ((keep_rule{0, index_t{1} << 62}.count(10, 100)), 100);  // no overflow
}

std::string refusal(const std::string& text) {
  try {
    parse_strategy(text);
  } catch (const value_error& e) {
    return e.what();
  }
  return "";
}

TEST(Strategy, UnknownNamesGetTheNearest) {
  EXPECT_NE(refusal("margni").find("nearest name is \"margin\""), std::string::npos);
  EXPECT_NE(refusal("entorpy").find("\"entropy\""), std::string::npos);
  EXPECT_NE(refusal("k-center").find("\"kcenter\""), std::string::npos);
  EXPECT_NE(refusal("margin/10x/bage").find("\"badge\""), std::string::npos);
  EXPECT_NE(refusal("margin/10x/entropy").find("no diversity strategy \"entropy\""), std::string::npos);
  EXPECT_NE(refusal("").find("there is no"), std::string::npos);
}

TEST(Strategy, MalformedTextIsRefused) {
  EXPECT_NE(refusal("margin/10x").find("2 parts"), std::string::npos);
  EXPECT_NE(refusal("margin/10x/kcenter/badge").find("4 parts"), std::string::npos);
  EXPECT_NE(refusal("kcenter/10x/badge").find("ranks no rows"), std::string::npos);
  for (const char* keep : {"0", "-3", "x", "", "1.5", "10y", "99999999999999999999"})
    EXPECT_NE(refusal(std::string("margin/") + keep + "/badge").find("cannot keep"), std::string::npos) << keep;
}

}  // namespace
}  // namespace poolwise
