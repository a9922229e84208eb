// Ids out of CSV and JSON Lines, as other programs write them and as they go wrong.
#include "poolwise/files/ids.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <random>
#include <thread>

#include "poolwise/core/error.hpp"
#include "poolwise/files/output.hpp"
#include "reference/errors.hpp"
#include "reference/gzip.hpp"
#include "reference/scratch.hpp"

namespace poolwise {
namespace {

using reference::message_of;
using reference::scratch_folder;
using reference::write_file;

class Ids : public ::testing::Test {
 protected:
  std::vector<std::string> read(const std::string& name, const std::string& text, index_t rows) {
    const row_ids ids(write_file(folder / name, text), rows);
    EXPECT_EQ(ids.numbered(), rows == 0);
    std::vector<std::string> list;
    for (index_t i = 0; i < rows; ++i) list.push_back(ids[i]);
    return list;
  }
  std::vector<std::string> csv(const std::string& text, index_t rows) { return read("x.csv", text, rows); }
  std::vector<std::string> jsonl(const std::string& text, index_t rows) { return read("x.jsonl", text, rows); }

  template <class Error>
  std::string refusal(const std::string& name, const std::string& text, index_t rows = 2) {
    const auto message = message_of<Error>([&] { read(name, text, rows); });
    EXPECT_EQ(message.rfind("row_ids: ", 0), 0u) << message;
    EXPECT_SAYS(message, name);
    return message;
  }

  scratch_folder folder;
};

using list = std::vector<std::string>;

TEST_F(Ids, WithoutAFileARowIsItsNumber) {
  const row_ids ids;
  EXPECT_TRUE(ids.numbered());
  EXPECT_EQ(ids[0], "0");
  EXPECT_EQ(ids[5'000'000'000], "5000000000");
}

TEST_F(Ids, CsvWithTheColumnAnywhere) {
  EXPECT_EQ(csv("id\na\nb\n", 2), (list{"a", "b"}));
  EXPECT_EQ(csv("id\na\nb", 2), (list{"a", "b"}));
  EXPECT_EQ(csv("text,id,cost\nx,a,1\ny,b,2\n", 2), (list{"a", "b"}));
  EXPECT_EQ(csv("text,id\r\nx,a\r\ny,b\r\n", 2), (list{"a", "b"}));
  EXPECT_EQ(csv("\xef\xbb\xbfid,text\na,x\nb,\n", 2), (list{"a", "b"}));
  EXPECT_EQ(csv("\"id\",\"text\"\n\"a\",x\nb,\"y\"\n", 2), (list{"a", "b"}));
  EXPECT_EQ(csv("ID,id\n1,a\n", 1), list{"a"});
  EXPECT_EQ(csv("text,Id\nx,a\n", 1), list{"a"});
  EXPECT_EQ(csv("text, ID \nx,a\n", 1), list{"a"});
  EXPECT_EQ(csv("id\n", 0), list{});
  EXPECT_EQ(csv("id", 0), list{});
}

TEST_F(Ids, SeparatorsAreCommasSemicolonsOrTabs) {
  EXPECT_EQ(csv("text;id\nx, y;a\n;b\n", 2), (list{"a", "b"}));
  EXPECT_EQ(csv("id;price, net\na,1;2\n", 1), list{"a,1"});
  EXPECT_EQ(csv("\"a,b\";id\nx;a\n", 1), list{"a"});
  EXPECT_EQ(csv("id,x;y\na;b,\n", 1), list{"a;b"});
  EXPECT_EQ(read("x.tsv", "text\tid\r\nx;\ta,b\r\n", 1), list{"a,b"});
  EXPECT_EQ(read("X.TSV.GZ", reference::gzip("text\tid\nx\ta\n"), 1), list{"a"});
}

TEST_F(Ids, BlankLinesAtTheEndDoNotCount) {
  EXPECT_EQ(csv("id\na\nb\n\n", 2), (list{"a", "b"}));
  EXPECT_EQ(csv("id,x\r\na,1\r\nb,2\r\n\r\n\r\n", 2), (list{"a", "b"}));
  EXPECT_EQ(jsonl("{\"id\":\"a\"}\n{\"id\":\"b\"}\n\n \r\n", 2), (list{"a", "b"}));
  EXPECT_EQ(jsonl("\n\n", 0), list{});
}

TEST_F(Ids, TheColumnMayBeCalledOtherwise) {
  const auto text = write_file(folder / "x.csv", "id,task_id\n1,a\n2,b\n");
  EXPECT_EQ(row_ids(text, 2, "TASK_ID")[1], "b");
  EXPECT_EQ(row_ids(write_file(folder / "x.ndjson", "{\"Task\":\"a\"}\n"), 1, "task")[0], "a");
  EXPECT_SAYS(
      message_of<format_error>([&] { row_ids(text, 2, "key"); }),
      "line 1: no column `key` among 'id', 'task_id'; name the column that holds the ids (--id-column)");
  // Other files about the rows, such as picks, may call it id.
  const row_ids ids(text, 2, "task_id");
  EXPECT_EQ(ids.rows_in(write_file(folder / "y.csv", "rank,id\n1,b\n"), 2), std::vector<index_t>{1});
  EXPECT_EQ(ids.rows_in(write_file(folder / "y.csv", "id,task_id\nx,a\n"), 2), std::vector<index_t>{0});
}

TEST_F(Ids, RowsByIdsNumbersAndMasks) {
  const row_ids numbered, named(write_file(folder / "x.csv", "id\na\nb\nc\n"), 3);
  EXPECT_EQ(numbered.rows_in(write_file(folder / "picks.csv", "rank,row,id\n1,2,2\n2,0,0\n"), 3),
            (std::vector<index_t>{2, 0}));
  EXPECT_SAYS(message_of<usage_error>([&] { numbered.rows_in(folder / "x.csv", 3); }),
              "no row is called 'a', as rows have no ids; give --ids, or row numbers (" +
                  (folder / "x.csv").string() + ")");
  EXPECT_EQ(named.rows_in(write_file(folder / "nameless", "id\nc\n"), 3), std::vector<index_t>{2});
  EXPECT_EQ(named.rows_in(write_file(folder / "nameless", "{\"id\":\"b\"}\n"), 3), std::vector<index_t>{1});
  EXPECT_EQ(named.rows_in(write_file(folder / "none.csv", "id\n"), 3), std::vector<index_t>{});
  write_npy(folder / "rows.npy", vector_view<const std::int64_t>{std::vector<std::int64_t>{2}.data(), 1});
  std::filesystem::rename(folder / "rows.npy", folder / "rows");
  EXPECT_EQ(named.rows_in(folder / "rows", 3), std::vector<index_t>{2});
}

TEST_F(Ids, CsvQuotingAsInRfc4180) {
  EXPECT_EQ(csv("id,t\n\"a,b\",1\n\"say \"\"so\"\"\",2\n\"two\r\nlines\",3\n\"\"\"\",4\n", 4),
            (list{"a,b", "say \"so\"", "two\r\nlines", "\""}));
  EXPECT_EQ(csv("t,id\n\"many\n\nlines, \"\"quoted\"\"\",a\n,\" b \"\n", 2), (list{"a", " b "}));
  EXPECT_EQ(csv("id\n a \nZo\xc3\xab\n\xf0\x9f\x90\x88\n", 3), (list{" a ", "Zo\xc3\xab", "\xf0\x9f\x90\x88"}));
}

TEST_F(Ids, MalformedCsvNamesTheLine) {
  const auto says = [&](const std::string& text, const std::string& part) {
    EXPECT_SAYS(refusal<format_error>("x.csv", text), part);
  };
  says("", "line 1: no header line");
  says("name,text\na,b\n", "line 1: no column `id` among 'name', 'text'; name the column that holds the ids");
  says("Id,ID\na,b\n", "line 1: two columns `id`");
  says("id,x,id\na,b,c\n", "line 1: two columns `id`");
  says("id,x\na,1\nb\n", "line 3: 1 fields, but the header line has 2");
  says("id,x\na,1,2\n", "line 2: 3 fields");
  says("id,x\na,1\n\nb,2\n", "line 3: 1 fields");
  says("id,x\n\"a\nb\",1\nc\n", "line 4: 1 fields");  // the quoted line break counts as a line
  says("id\na\nb\"c\n", "line 3: a quote inside a field that is not quoted");
  says("id\n\"a\"b\n", "line 2: text after a closing quote");
  says("id\na\n\"b\nc\nd", "line 3: a quoted field that does not end");
  says(std::string("\xff\xfei\0d\0\n\0", 8),
       "line 1: UTF-16, as spreadsheets' \"Unicode text\" is; save it as UTF-8");
  says("id\ra\rb\r", "line 1: a carriage return without a line feed");
  says("id\na\r", "line 2: a carriage return without a line feed");
}

TEST_F(Ids, TextThatIsNotUtf8IsRefused) {
  for (const char* wrong : {"Zo\xeb", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                            "\xf8\x88\x80\x80\x80", "\x80", "\xf0\x80\x80\xaf", "\xe2\x82", "\xc3("}) {
    EXPECT_SAYS(refusal<format_error>("x.csv", std::string("id\na\n") + wrong + "\n"),
                "line 3: the id is not UTF-8");
    EXPECT_SAYS(refusal<format_error>("x.jsonl", std::string("{\"id\":\"a\"}\n{\"id\":\"") + wrong + "\"}\n"),
                "line 2: not JSON");
  }
  // The edges of what is allowed.
  const list edges{"\xc2\x80",     "\xdf\xbf",         "\xe0\xa0\x80",    "\xed\x9f\xbf",
                   "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"};
  std::string text = "id\n";
  for (const std::string& edge : edges) text += edge + "\n";
  EXPECT_EQ(csv(text, index_t(edges.size())), edges);
}

TEST_F(Ids, JsonLinesOfStringsAndIntegers) {
  EXPECT_EQ(jsonl("{\"id\":\"a\"}\n{\"id\":\"b\"}\n", 2), (list{"a", "b"}));
  EXPECT_EQ(jsonl("{\"id\":\"a\"}\r\n{\"x\":{\"id\":1},\"id\":\"b\"}", 2), (list{"a", "b"}));
  EXPECT_EQ(jsonl("\xef\xbb\xbf{\"id\": 7}\n{\"id\": -1}\n{\"id\": 18446744073709551615}\n", 3),
            (list{"7", "-1", "18446744073709551615"}));
  EXPECT_EQ(jsonl("{\"id\":\"Zo\\u00eb, \\\"so\\\"\\n\"}\n", 1), list{"Zo\xc3\xab, \"so\"\n"});
  EXPECT_EQ(jsonl("", 0), list{});
}

// Python's json writes such words.
TEST_F(Ids, NumbersThatJsonHasNotMayStandBesideTheId) {
  EXPECT_EQ(
      jsonl("{\"score\":NaN,\"x\":[-Infinity,Infinity],\"id\":\"NaN \\\"\"}\n{\"id\":\"Infinity\",\"s\":NaN}\n",
            2),
      (list{"NaN \"", "Infinity"}));
  EXPECT_SAYS(refusal<format_error>("x.jsonl", "{\"id\":NaN}\n"), "the id null is neither");
}

TEST_F(Ids, MalformedJsonLinesNameTheLine) {
  const auto says = [&](const std::string& text, const std::string& part) {
    EXPECT_SAYS(refusal<format_error>("x.jsonl", text), part);
  };
  says("{\"id\":\"a\"}\n{\"id\":\n", "line 2: not JSON");
  says("{\"id\":\"a\"}\n\n{\"id\":\"b\"}\n", "line 2: not JSON");
  says("{\"id\":\"a\"}{\"id\":\"b\"}\n", "line 1: not JSON");
  says("{\"id\":\"a\"}\n{\"name\":\"b\"}\n", "line 2: no \"id\"");
  says("[\"id\"]\n", "line 1: no \"id\"");
  says("\"id\"\n", "line 1: no \"id\"");
  says("{\"id\":1.5}\n", "line 1: the id 1.5 is neither a string nor a 64-bit integer");
  says("{\"id\":null}\n", "the id null is neither");
  says("{\"id\":true}\n", "the id true is neither");
  says("{\"id\":[\"a\"]}\n", "is neither");
  says("{\"id\":18446744073709551616}\n", "is neither a string nor a 64-bit integer; write it as a string");
}

TEST_F(Ids, RepeatedAndEmptyIdsAreRefused) {
  EXPECT_SAYS(refusal<value_error>("x.csv", "id,t\na,1\n\"b\",\"2\n\"\nc,3\nb,4\n", 4),
              "line 6: the id 'b' of row 3 is already that of row 1 (line 3); give every row its own");
  EXPECT_SAYS(refusal<value_error>("x.jsonl", "{\"id\":1}\n{\"id\":\"1\"}\n"),
              "line 2: the id '1' of row 1 is already that of row 0 (line 1)");
  EXPECT_SAYS(refusal<value_error>("x.csv", "id,t\na,1\n,2\n"), "line 3: the id of row 1 is empty");
  EXPECT_SAYS(refusal<value_error>("x.csv", "id\na\n\nb\n", 3), "line 3: the id of row 1 is empty");
  EXPECT_SAYS(refusal<value_error>("x.jsonl", "{\"id\":\"\"}\n{\"id\":\"\"}\n"),
              "line 1: the id of row 0 is empty");
}

TEST_F(Ids, TheirNumberIsThePools) {
  EXPECT_SAYS(refusal<shape_error>("x.csv", "id\na\nb\nc\n"),
              "has 3 ids but the pool has 2 rows; give one id a row");
  EXPECT_SAYS(refusal<shape_error>("x.csv", "id\na\n"), "has 1 ids but the pool has 2 rows");
  EXPECT_SAYS(refusal<shape_error>("x.jsonl", ""), "has 0 ids but the pool has 2 rows");
}

TEST_F(Ids, TheirMemoryIsAskedForBeforeItIsTaken) {
  std::string text = "id\n";
  for (int i = 0; i < 1000; ++i) text += "an-id-of-more-than-fifteen-bytes-" + std::to_string(i) + "\n";
  const auto file = write_file(folder / "x.csv", text);
  EXPECT_SAYS(
      message_of<value_error>([&] {
        row_ids(file, 1000, "id", {10'000, "--memory"});
      }),
      "x.csv holds ids that are kept in memory, which takes 31 KiB or more, but --memory allows 9.8 KiB");
  EXPECT_SAYS(message_of<value_error>([&] {
                row_ids(file, 1000, "id", {100'000, "--memory"});
              }),
              "takes 98 KiB");
  const row_ids ids(file, 1000, "id", {200'000, "--memory"});
  EXPECT_GT(ids.bytes(), 1000 * (sizeof(std::string) + 33));
  EXPECT_LT(ids.bytes(), 200'000u);
}

TEST_F(Ids, FilesThatCannotBeRead) {
  EXPECT_SAYS(message_of<io_error>([&] { row_ids(folder / "none.csv", 1); }),
              "row_ids: cannot read " + (folder / "none.csv").string() + ": No such file or directory");
  std::filesystem::create_directory(folder / "folder.csv");
  EXPECT_SAYS(message_of<io_error>([&] { row_ids(folder / "folder.csv", 1); }), "Is a directory");
  EXPECT_SAYS(refusal<format_error>("x.txt", "id\na\n"), "is neither .csv, .tsv nor .jsonl");
}

TEST_F(Ids, APipeServesAsWell) {
  const auto pipe = folder / "pipe.csv";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::string text = "id\n";
  for (int i = 0; i < 50'000; ++i) text += std::to_string(i) + "\n";
  std::thread writer([&] { std::ofstream(pipe) << text; });
  const row_ids ids(pipe, 50'000);
  writer.join();
  EXPECT_EQ(ids[49'999], "49999");
}

TEST_F(Ids, AMillionOfThem) {
  constexpr index_t rows = 1'000'000;
  std::string text = "id\n";
  for (index_t i = 0; i < rows; ++i) text += "item-" + std::to_string(i) + "-of-the-pool\n";
  const row_ids ids(write_file(folder / "x.csv", text), rows);
  EXPECT_EQ(ids[0], "item-0-of-the-pool");
  EXPECT_EQ(ids[rows - 1], "item-999999-of-the-pool");
  text += "item-12345-of-the-pool\n";
  EXPECT_SAYS(message_of<value_error>([&] { row_ids(write_file(folder / "x.csv", text), rows + 1); }),
              "line 1000002: the id 'item-12345-of-the-pool' of row 1000000 is already that of row 12345");
}

// Whatever a field holds comes back through csv_field and the reader.
TEST_F(Ids, FieldsComeBackAsTheyWere) {
  EXPECT_EQ(csv_field("plain text"), "plain text");
  EXPECT_EQ(csv_field(""), "");
  EXPECT_EQ(csv_field("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_field("say \"so\""), "\"say \"\"so\"\"\"");
  EXPECT_EQ(csv_field("two\nlines"), "\"two\nlines\"");
  EXPECT_EQ(csv_field("cr\r"), "\"cr\r\"");
  std::mt19937 random(5);
  list fields;
  std::string text = "other,id\n";
  for (int i = 0; i < 2000; ++i) {
    std::string field = std::to_string(i);
    for (auto length = random() % 8; length > 0; --length) field += "a,\"\r\n;' \t"[random() % 9];
    fields.push_back(field);
    text += csv_field(field + ",\"") + "," + csv_field(field) + (i % 2 == 0 ? "\n" : "\r\n");
  }
  EXPECT_EQ(csv(text, index_t(fields.size())), fields);
}

TEST_F(Ids, DamagedFilesAreRefusedOrRead) {
  const std::string originals[] = {"id,t\n\"a,b\",1\n\"say \"\"so\"\"\",2\nc,\"x\ny\"\n",
                                   "{\"id\":\"a\"}\n{\"id\":7,\"x\":[1,2]}\n{\"id\":\"\\u00eb\"}\n"};
  std::mt19937 random(9);
  int read_well = 0;
  for (int round = 0; round < 4000; ++round) {
    const bool lines = round % 2 == 1;
    std::string text = originals[lines];
    for (auto flips = 1 + random() % 3; flips > 0; --flips) {
      const std::size_t at = random() % text.size();
      if (random() % 4 == 0)
        text.resize(at + 1);
      else
        text[at] = random() % 2 == 0 ? "\",\r\n{}:1"[random() % 8] : char(random());
    }
    try {
      const list ids = lines ? jsonl(text, 3) : csv(text, 3);
      EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 3u);
      ++read_well;
    } catch (const error& refused) {
      EXPECT_EQ(std::string(refused.what()).find('\n'), std::string::npos) << refused.what();
    }
  }
  EXPECT_GT(read_well, 0);
  EXPECT_LT(read_well, 4000);
}

}  // namespace
}  // namespace poolwise
