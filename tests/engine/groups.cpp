// Groups and their quotas, as files name them.
#include "poolwise/files/groups.hpp"

#include <gtest/gtest.h>

#include "poolwise/core/error.hpp"
#include "reference/errors.hpp"
#include "reference/scratch.hpp"

namespace poolwise {
namespace {

using reference::message_of;
using reference::scratch_folder;
using reference::write_file;
using numbers = std::vector<index_t>;

class Groups : public ::testing::Test {
 protected:
  grouping of(const numbers& groups, const std::string& quotas, std::optional<index_t> batch = {}) {
    const array given{
        dtype::i8, {index_t(groups.size())}, reinterpret_cast<const std::byte*>(groups.data()), {}, "g"};
    return list(quotas, batch).applied_to(given);
  }
  quota_list list(const std::string& quotas, std::optional<index_t> batch = {}) {
    return quota_list(write_file(folder / "q.csv", quotas), batch);
  }
  template <class Error>
  void refused(const std::string& quotas, const std::string& words) {
    const auto message = message_of<Error>([&] { list(quotas); });
    EXPECT_EQ(message.rfind("quotas: " + (folder / "q.csv").string(), 0), 0u) << message;
    EXPECT_SAYS(message, words);
  }

  scratch_folder folder;
};

TEST_F(Groups, AQuotaForEachInAnyOrderAndDialect) {
  for (const char* quotas : {"group,quota\n0,2\n1,5\n", "0,2\n1,5\n", "\xef\xbb\xbfgroup,quota\n0,2\n1,5",
                             "Group, Quota\n0, 2\n 1, 5\n", "quota;note;group\n2;x;0\n5;;1\n",
                             "group\tquota\r\n\"0\"\t2\r\n1\t5\r\n\r\n", "0,2\n\n01,5\n"}) {
    SCOPED_TRACE(quotas);
    const grouping made = of({1, 0, 0, 1}, quotas);
    EXPECT_EQ(made.group, (numbers{1, 0, 0, 1}));
    EXPECT_EQ(made.quota, (numbers{2, 5}));
  }
}

TEST_F(Groups, AnyNumberOrNameIsAGroup) {
  const grouping noise = of({3, -1, 3}, "group,quota\n-1,0\n3,7\n900000000000,1\n");
  EXPECT_EQ(noise.group, (numbers{1, 0, 1}));
  EXPECT_EQ(noise.quota, (numbers{0, 7, 1}));
  const quota_list named = list("group,quota\nred,1\n\"blue, light\",2\n7,3\n");
  const auto table = write_file(folder / "g.csv", "id,Group\na,\"blue, light\"\nb, red\nc,07\n");
  EXPECT_EQ(named.applied_to(table).group, (numbers{1, 0, 2}));
  const auto lines = write_file(folder / "g.jsonl", "{\"group\":7}\n{\"group\":\"red\"}\n");
  EXPECT_EQ(named.applied_to(lines).group, (numbers{2, 0}));
  const auto nameless = write_file(folder / "g", "group\nred\n");
  EXPECT_EQ(named.applied_to(nameless).group, numbers{0});
}

TEST_F(Groups, AStarStandsForEveryOther) {
  const grouping made = of({5, 0, 6, 5}, "group,quota\n0,2\n*,4\n");
  EXPECT_EQ(made.group, (numbers{1, 0, 2, 1}));
  EXPECT_EQ(made.quota, (numbers{2, 4, 4}));
  EXPECT_EQ(of({5}, "*,1\n").quota, numbers{1});
}

TEST_F(Groups, SharesOfTheBatchAreRoundedUp) {
  EXPECT_EQ(of({0}, "0,30%\n1, 33.4 %\n2,0%\n3,100%\n4,7%\n5,12\n", 100).quota,
            (numbers{30, 34, 0, 100, 7, 12}));
  EXPECT_EQ(of({0}, "0,30%\n", 1).quota, numbers{1});
  EXPECT_SAYS(message_of<usage_error>([&] { list("0,1\n1,30%\n"); }),
              "line 2: a share is of the batch, and no number of picks is given; give one (--batch)");
}

TEST_F(Groups, AThirdColumnIsAFloor) {
  for (const char* quotas :
       {"group,quota,floor\n0,9,2\n1,,3\n", "0,9,2\n1,,3\n", "floor;note;Group;quota\n2;x;0;9\n3;;1;\n",
        "group,quota,floor\n0,9,2%\n1,,3%\n"}) {
    SCOPED_TRACE(quotas);
    const grouping made = of({1, 0, 0}, quotas, 100);
    EXPECT_EQ(made.quota, (numbers{9, grouping::any_number}));
    EXPECT_EQ(made.floor, (numbers{2, 3}));
    EXPECT_EQ(made.names, (std::vector<std::string>{"0", "1"}));
  }
  EXPECT_EQ(of({5, 0}, "group,quota,floor\n0,2,\n*,,4\n").floor, (numbers{0, 4}));
  EXPECT_TRUE(of({0}, "group,quota,floor\n0,2,\n").floor.empty());
  const auto lines = write_file(
      folder / "f.jsonl", "{\"group\":\"a\",\"quota\":\"\",\"floor\":1}\n{\"group\":\"b\",\"quota\":2}\n");
  const auto named = write_file(folder / "g.csv", "group\nb\na\n");
  EXPECT_EQ(quota_list(lines, {}).applied_to(named).floor, (numbers{1, 0}));
  refused<format_error>("group,quota,floor\n0,,\n", "line 2: \"0,\" is not a group and its quota");
  refused<format_error>("group,quota,floor\n0,3,many\n",
                        "line 2: \"0,3,many\" is not a group and its quota and floor");
  refused<format_error>("group,quota,floor\n0,3,-1\n", "line 2: \"0,3,-1\"");
  EXPECT_SAYS(message_of<usage_error>([&] { list("0,,30%\n"); }), "line 1: a share is of the batch");
}

TEST_F(Groups, WrongQuotasAreRefusedByTheirLine) {
  refused<format_error>("group,quota\n0,two\n",
                        "line 2: \"0,two\" is not a group and its quota; write a group");
  refused<format_error>("group,quota\n0,-1\n", "line 2: \"0,-1\"");
  refused<format_error>("group,quota\n0,101%\n", "line 2: \"0,101%\"");
  refused<format_error>("group,quota\n0,nan%\n", "line 2: \"0,nan%\"");
  refused<format_error>("group,quota\n0,9223372036854775808\n", "line 2");
  refused<format_error>("group,quota\n,1\n", "line 2: \",1\"");
  refused<format_error>("group,quota\n0,1\n0,2\n", ", lines 2 and 3 both give a quota to group 0; give it one");
  refused<format_error>("*,1\n*,2\n", ", lines 1 and 2 both give a quota to group *");
  refused<format_error>("group,quota\n", "gives no group a quota");
  refused<format_error>("", "line 1: no header line");
  refused<format_error>("name,share\na,b\n", "line 1: no column `group` among 'name', 'share'; begin with");
  refused<format_error>("group,quota\n0\n", "line 2: 1 fields");
}

TEST_F(Groups, AGroupWithoutAQuotaIsNamedByItsFirstRow) {
  EXPECT_SAYS(message_of<value_error>([&] {
                of({0, -1, 2}, "0,1\n2,1\n");
              }),
              "quotas: row 1 of g is in group -1, to which " + (folder / "q.csv").string() +
                  " gives no quota; give every group a quota, or all others one by the group *");
}

}  // namespace
}  // namespace poolwise
