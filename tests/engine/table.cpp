// Tables of labelled rows: what is read, what is refused, and what tells one from another.
#include "poolwise/files/table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/errors.hpp"
#include "reference/gzip.hpp"
#include "reference/scratch.hpp"

namespace poolwise {
namespace {

using reference::gzip;
using reference::message_of;
using reference::scratch_folder;
using reference::write_file;
using values = std::vector<double>;
using labels = std::vector<std::int32_t>;
using names = std::vector<std::string>;

class Table : public ::testing::Test {
 protected:
  labelled_table read(const std::string& name, const std::string& text) {
    return read_table(write_file(folder / name, text));
  }

  template <class Error>
  void refused(const std::string& name, const std::string& text, const std::string& words) {
    const auto message = message_of<Error>([&] { read(name, text); });
    EXPECT_EQ(message.rfind("read_table: " + (folder / name).string(), 0), 0u) << message;
    EXPECT_NE(message.find(words), std::string::npos) << message;
  }

  scratch_folder folder;
};

TEST_F(Table, CsvWithTheClassInTheLastColumn) {
  const auto table = read("x.csv",
                          "\xef\xbb\xbf"
                          "a,\"b, c\",class\r\n1,-2.5e-1,ten\r\n+3,0,\"el,even\"\r\n4,5,ten\r\n");
  EXPECT_EQ(table.rows, 3);
  EXPECT_EQ(table.cols, 2);
  EXPECT_EQ(table.features, (values{1, -.25, 3, 0, 4, 5}));
  EXPECT_EQ(table.class_names, (names{"el,even", "ten"}));
  EXPECT_EQ(table.labels, (labels{1, 0, 1}));
}

TEST_F(Table, OtherSeparatorsSpacesAndBlankLinesAtTheEnd) {
  for (const char* text : {"a;b;y\n1;-2;x\n3;4;z\n", "a, b, y\n1, -2, x\n3, 4, z\n\n\n"}) {
    const auto table = read("x.csv", text);
    EXPECT_EQ(table.features, (values{1, -2, 3, 4})) << text;
    EXPECT_EQ(table.class_names, (names{"x", "z"})) << text;
  }
  EXPECT_EQ(read("x.TSV", "a\ty\n1\tx\n").features, values{1});
}

// UCI's files have none.
TEST_F(Table, AHeaderLineIsToldFromARow) {
  const std::string rows = "0.5,2,x\n3,4,z\n5,6,x\n";
  for (const char* header : {"", "a,b,y\n", "0,1,class\n", "1,2,3\n", "0,1,2\n", "a,2,y\n"}) {
    const auto table = read("x.csv", header + rows);
    EXPECT_EQ(table.features, (values{.5, 2, 3, 4, 5, 6})) << header;
    EXPECT_EQ(table.labels, (labels{0, 1, 0})) << header;
  }
  const auto numbers = read("x.csv", "1.5,2,1\n3,4,0\n5,6,1\n");
  EXPECT_EQ(numbers.rows, 3);
  EXPECT_EQ(numbers.labels, (labels{1, 0, 1}));
  // Years that name columns, a class that no other row has, and a row that looks like numbers of columns.
  for (const char* text : {"1990,1991,y\n1,2,a\n3,4,b\n", "1.5,2,7\n3,4,0\n5,6,1\n", "1,2,x\n3,4,z\n5,6,x\n",
                           "0,1,2\n3,4,1\n5,6,2\n"})
    refused<format_error>("x.csv", text, "line 1: the fields may be the columns' names or a row");
}

// A few bytes must not claim the memory of the machine.
TEST_F(Table, SmallFilesMakeNoLargeTables) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += std::to_string(i % 2) + " 1000000:1\n";
  refused<shape_error>("x.svm", text,
                       "has 200 rows of 1000000 features, which are kept with their zeros and take 1.5 GiB");
  EXPECT_EQ(read("x.svm", "0 1000:1\n1 1:2\n").cols, 1000);
  const std::string line(17 << 20, '1');
  refused<format_error>("x.csv", "a,y\n" + line, "line 2 is longer than 16 MiB");
}

TEST_F(Table, ClassesThatAreNumbersRiseAsNumbers) {
  EXPECT_EQ(read("x.csv", "a,y\n1,10\n1,9\n1,-1\n").class_names, (names{"-1", "9", "10"}));
  EXPECT_EQ(read("y.csv", "a,y\n1,b\n1,9\n1,10\n").class_names, (names{"9", "10", "b"}));
}

TEST_F(Table, LibsvmLeavesZerosOut) {
  const auto table = read("x.txt", "# a comment\n+1 1:2 4:-3 # the rest\n\n-1\t2:0.5\n-1\n");
  EXPECT_EQ(table.rows, 3);
  EXPECT_EQ(table.cols, 4);
  EXPECT_EQ(table.features, (values{2, 0, 0, -3, 0, .5, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(table.class_names, (names{"-1", "+1"}));
  EXPECT_EQ(table.labels, (labels{1, 0, 0}));
}

TEST_F(Table, EitherMayBeCompressed) {
  const std::string csv = "a,y\n1,x\n2,z\n", svm = "1 1:2\n2 1:3\n";
  EXPECT_EQ(read("x.csv.gz", gzip(csv)).features, (values{1, 2}));
  EXPECT_EQ(read("x.csv", gzip(csv)).features, (values{1, 2}));
  EXPECT_EQ(read("x.csv.gz", csv).features, (values{1, 2}));
  EXPECT_EQ(read("x.svm.gz", gzip(svm)).features, (values{2, 3}));
  std::string long_csv = "a,y\n";
  for (int i = 0; i < 5000; ++i)
    long_csv += std::to_string(i) + ",x\n";  // past the first buffer, below 2^16 for gzip()
  const auto table = read("long.csv.gz", gzip(long_csv));
  EXPECT_EQ(table.rows, 5000);
  EXPECT_EQ(table.features.back(), 4999);
}

TEST_F(Table, DamagedGzipIsRefused) {
  const std::string whole = gzip("a,y\n1,x\n2,z\n");
  refused<format_error>("x.csv.gz", whole.substr(0, whole.size() - 9), "is corrupt gzip");
  std::string wrong_value = whole;
  wrong_value[20] ^= 1;
  refused<format_error>("x.csv.gz", wrong_value, "is corrupt gzip");
}

TEST_F(Table, WrongCsvIsRefusedByItsLine) {
  refused<format_error>("x.csv", "", "line 1: no header line");
  refused<format_error>("x.csv", "a,b,y\n1,2,x\n1,x\n", "line 3: 2 fields, but the first line has 3");
  refused<format_error>("x.csv", "a,b,y\n1,2,x\n\n1,2,x\n", "line 3: 1 fields");
  refused<format_error>("x.csv", "a,b,y\n1,zwei,x\n", "line 2: 'zwei' in column 2 is no finite number");
  refused<format_error>("x.csv", "a,b,y\n1,,x\n", "'' in column 2");
  refused<format_error>("x.csv", "a,b,y\n1,2 3,x\n", "'2 3' in column 2");
  refused<format_error>("x.csv", "a,b,y\n1,nan,x\n", "'nan'");
  refused<format_error>("x.csv", "a,b,y\n1,inf,x\n", "'inf'");
  refused<format_error>("x.csv", "a,b,y\n1,1e999,x\n", "'1e999'");
  refused<format_error>("x.csv", "a,b,y\n1,2,\n", "line 2: the class in the last column is empty");
  refused<format_error>("x.csv", "a,y\n1,\"x\n", "does not end");
  refused<shape_error>("x.csv", "a,b,y\n", "has 0 rows of 2 features");
  refused<shape_error>("x.csv", "y\nx\n", "has 1 rows of 0 features");
}

TEST_F(Table, WrongLibsvmIsRefusedByItsLine) {
  refused<format_error>("x", "1 1:2\nx 1:2\n", "line 2: 'x' in the place of the class is no finite number");
  refused<format_error>("x", "1 0:2\n", "'0:2' is no index:value with a rising index from 1");
  refused<format_error>("x", "1 2:2 1:3\n", "'1:3'");
  refused<format_error>("x", "1 2:2 2:3\n", "'2:3'");
  refused<format_error>("x", "1 2\n", "'2'");
  refused<format_error>("x", "1 :2\n", "':2'");
  refused<format_error>("x", "1 a:2\n", "'a:2'");
  refused<format_error>("x", "1 1:\n", "'' in feature 1");
  refused<format_error>("x", "1 1:nan\n", "'nan' in feature 1");
  refused<format_error>("x", "1 1000001:1\n", "'1000001:1'");
  refused<format_error>("x", "a,b,y\n1,2,x\n", "line 1: 'a,b,y'");
  refused<shape_error>("x", "", "has 0 rows");
  refused<shape_error>("x", "1\n2\n", "has 2 rows of 0 features");
}

TEST_F(Table, FilesThatCannotBeReadAreSaid) {
  const auto message = message_of<io_error>([&] { read_table(folder / "none.csv"); });
  EXPECT_NE(message.find("none.csv"), std::string::npos) << message;
  EXPECT_NE(message.find("check the path"), std::string::npos) << message;
  message_of<io_error>([&] { read_table(folder.path()); });
}

TEST_F(Table, AFingerprintTellsValuesClassesAndOrder) {
  const auto print = [&](const std::string& rows) { return fingerprint(read("x.csv", "a,b,y\n" + rows)); };
  const auto whole = print("1,2,x\n3,4,z\n5,6,x\n");
  EXPECT_EQ(print("1.0,2,x\n3,4e0,z\n5,6,x\n").ordered, whole.ordered);
  const auto turned = print("3,4,z\n1,2,x\n5,6,x\n");
  EXPECT_NE(turned.ordered, whole.ordered);
  EXPECT_EQ(turned.rows, whole.rows);
  for (const char* other :
       {"1,2,x\n3,4,x\n5,6,z\n", "1,2,x\n3,4,z\n5,7,x\n", "2,1,x\n3,4,z\n5,6,x\n", "1,2,x\n3,4,z\n"}) {
    EXPECT_NE(print(other).ordered, whole.ordered) << other;
    EXPECT_NE(print(other).rows, whole.rows) << other;
  }
  EXPECT_EQ(print("-0,2,x\n").ordered, print("0,2,x\n").ordered);
}

TEST_F(Table, ConstantColumns) {
  EXPECT_EQ(constant_columns(read("x.csv", "a,b,c,y\n1,2,0,x\n1,3,-0,z\n1,2,0,x\n")),
            (std::vector<index_t>{0, 2}));
  EXPECT_TRUE(constant_columns(read("x.csv", "a,y\n1,x\n2,x\n")).empty());
}

}  // namespace
}  // namespace poolwise
