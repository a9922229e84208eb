// The report: what stands in the page, that nothing breaks out of it, and that it needs nothing from outside.
#include "poolwise/report/report.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "engine/campaign_example.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/report/detail/charts.hpp"
#include "poolwise/report/detail/png.hpp"
#include "poolwise/report/detail/text.hpp"
#include "reference/errors.hpp"

namespace poolwise {
namespace {

using html::percent;
using nlohmann::json;
using reference::message_of;

// ---- PNG and base64

std::uint32_t big_endian(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t k = 0; k < 4; ++k) value = value << 8 | std::uint8_t(bytes.at(at + k));
  return value;
}

/// CRC-32 by its definition, bit by bit (ISO/IEC 15948, annex D).
std::uint32_t slow_crc(const std::string& bytes) {
  std::uint32_t crc = 0xffffffffu;
  for (const char c : bytes) {
    crc ^= std::uint8_t(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

struct chunk {
  std::string type, data;
};

std::vector<chunk> chunks_of(const std::string& png) {
  EXPECT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
  std::vector<chunk> chunks;
  for (std::size_t at = 8; at < png.size();) {
    const std::size_t length = big_endian(png, at);
    chunks.push_back({png.substr(at + 4, 4), png.substr(at + 8, length)});
    EXPECT_EQ(big_endian(png, at + 8 + length), slow_crc(png.substr(at + 4, 4 + length))) << chunks.back().type;
    at += 12 + length;
  }
  return chunks;
}

std::vector<std::uint8_t> decoded(const std::string& data, std::size_t height, std::size_t width) {
  std::vector<std::uint8_t> rows(height * (width + 1) + 1);
  uLongf size = uLongf(rows.size());
  EXPECT_EQ(uncompress(rows.data(), &size, reinterpret_cast<const Bytef*>(data.data()), uLong(data.size())),
            Z_OK);
  EXPECT_EQ(size, height * (width + 1));
  std::vector<std::uint8_t> pixels;
  for (std::size_t y = 0; y < height; ++y) {
    EXPECT_EQ(rows[y * (width + 1)], 0) << "filter of row " << y;
    const auto row = rows.begin() + std::ptrdiff_t(y * (width + 1) + 1);
    pixels.insert(pixels.end(), row, row + std::ptrdiff_t(width));
  }
  return pixels;
}

TEST(Png, DecodesToTheSamePixels) {
  for (const auto& [height, width] :
       {std::pair<index_t, index_t>{1, 1}, {1, 300}, {300, 1}, {28, 28}, {17, 255}}) {
    SCOPED_TRACE(std::to_string(height) + " x " + std::to_string(width));
    std::vector<std::uint8_t> pixels;
    for (index_t i = 0; i < height * width; ++i) pixels.push_back(std::uint8_t(i * i * 31 >> 3));
    const auto chunks = chunks_of(grey_png(height, width, pixels));
    ASSERT_EQ(chunks.size(), 3u);
    EXPECT_EQ(chunks[0].type, "IHDR");
    ASSERT_EQ(chunks[0].data.size(), 13u);
    EXPECT_EQ(big_endian(chunks[0].data, 0), width);
    EXPECT_EQ(big_endian(chunks[0].data, 4), height);
    EXPECT_EQ(chunks[0].data.substr(8), std::string("\x08\0\0\0\0", 5));
    EXPECT_EQ(chunks[1].type, "IDAT");
    EXPECT_EQ(decoded(chunks[1].data, std::size_t(height), std::size_t(width)), pixels);
    EXPECT_EQ(chunks[2].type, "IEND");
    EXPECT_EQ(chunks[2].data, "");
  }
}

TEST(Png, RefusesSizesThatDoNotFit) {
  const std::vector<std::uint8_t> six(6);
  EXPECT_NO_THROW(grey_png(2, 3, six));
  EXPECT_THROW(grey_png(2, 2, six), shape_error);
  EXPECT_THROW(grey_png(-2, -3, six), shape_error);
  EXPECT_THROW(grey_png(0, 0, {}), shape_error);
  EXPECT_THROW(grey_png(index_t(1) << 62, 4, {}), shape_error);  // the product would be 0 in 64 bits
  try {
    grey_png(2, 2, six);
  } catch (const shape_error& e) {
    EXPECT_NE(std::string(e.what()).find("grey_png: got 6 bytes for an image of 2 x 2; pass"),
              std::string::npos);
  }
}

TEST(Base64, VectorsOfRfc4648) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [text, code] : vectors) EXPECT_EQ(base64(text), code);
}

TEST(Base64, EveryByteAndTheWholeAlphabet) {
  EXPECT_EQ(base64("\xff\xfe\xfd"), "//79");
  EXPECT_EQ(base64(std::string_view("\0\0\0", 3)), "AAAA");
  EXPECT_EQ(base64("\xfb\xf0"), "+/A=");
}

// ---- The page

constexpr const char* fake_plotly = "/* a chart library */ var Plotly = {};";
constexpr double t_975_4 = 2.7764451051977987;  // Student's t, 4 degrees of freedom, of any table

class Report : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = std::filesystem::path(::testing::TempDir()) /
             ("report_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    script = write("plotly.min.js", fake_plotly);
    unsetenv("POOLWISE_PLOTLY");
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::filesystem::path write(const std::string& name, const std::string& text) const {
    const auto file = folder / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
    return file;
  }

  std::string render(const experiment_report& report) const { return render_html(report, script); }

  std::filesystem::path folder, script;
};

/// `random` at 0.5, 0.6, 0.7, 0.8 and `margin` at 0.5, 0.7, 0.8, 0.9 for 10, 20, 30, 40 labels, each seed a
/// little apart.
experiment_report small_report(int seeds = 5) {
  experiment_report report;
  report.title = "A report";
  report.protocol = "How it was done.";
  report.target = 0.75;
  report.class_names = {"cat", "dog"};
  report.environment = {{"seeds", "0 to 4"}};
  for (const bool random : {true, false}) {
    strategy_summary s;
    s.name = random ? "random" : "margin";
    s.aubc_mean = random ? 0.65 : 0.7333;
    s.aubc_sd = 0.0123;
    s.minus_baseline = random ? 0 : 0.0833;
    s.p = random ? 1 : 0.0421;
    if (!random) s.labels_to_target = 30;
    s.class_counts = random ? std::vector<index_t>{100, 50} : std::vector<index_t>{30, 120};
    for (int seed = 0; seed < seeds; ++seed) {
      learning_curve c{{10, 20, 30, 40}, {0.5, 0.6, 0.7, 0.8}};
      if (!random) c.accuracy = {0.5, 0.7, 0.8, 0.9};
      for (std::size_t i = 0; i < 4; ++i) c.accuracy[i] += 0.001 * double(i) * (seed - (seeds - 1) / 2.0);
      s.curves.push_back(c);
    }
    report.strategies.push_back(s);
  }
  report.galleries = {
      {"margin", "The first batch", 2, 2, {{{0, 1, 2, 255}, "1 cat"}, {{9, 9, 9, 9}, "2 dog"}}}};
  return report;
}

std::string between(const std::string& text, const std::string& open, const std::string& close) {
  const auto start = text.find(open);
  if (start == std::string::npos) return {};
  const auto end = text.find(close, start + open.size());
  return text.substr(start + open.size(), end - start - open.size());
}

/// What JavaScript gets, found as a browser finds it: up to the first end tag.
json charts_of(const std::string& page) {
  return json::parse(between(page, "<script type=\"application/json\" id=\"charts\">", "</script"));
}

const json& trace(const json& chart, const std::string& name, bool band = false) {
  for (const auto& t : chart["data"])
    if (t["name"] == name && t.contains("fill") == band && (band || t.value("hoverinfo", "") != "skip"))
      return t;
  throw std::out_of_range("no trace " + name);
}

/// The cells of a strategy's row in the summary, as HTML.
std::vector<std::string> cells_of(const std::string& page, const std::string& strategy) {
  const auto row = between(page, "</span>" + strategy + "</th>", "</tr>");
  std::vector<std::string> cells;
  for (auto at = row.find("<td"); at != std::string::npos; at = row.find("<td", at + 1))
    cells.push_back(between(row.substr(row.find('>', at)), ">", "</td>"));
  return cells;
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

TEST_F(Report, BandsAreTheMeanAndItsStudentInterval) {
  const auto charts = charts_of(render(small_report()));
  const auto& mean = trace(charts["curves"], "margin");
  const auto& band = trace(charts["curves"], "margin", true);
  const double want[] = {0.5, 0.7, 0.8, 0.9};
  ASSERT_EQ(mean["y"].size(), 4u);
  ASSERT_EQ(band["y"].size(), 8u);
  EXPECT_EQ(mean["x"], json({10, 20, 30, 40}));
  EXPECT_EQ(band["x"], json({10, 20, 30, 40, 40, 30, 20, 10}));
  for (std::size_t i = 0; i < 4; ++i) {
    // The seeds lie at 0.001 i (-2 -1 0 1 2) about the mean: s = 0.001 i sqrt(10 / 4).
    const double half = t_975_4 * 0.001 * double(i) * std::sqrt(2.5) / std::sqrt(5.0);
    // Accuracies of at most 1, summed five at a time, are off by a few 2^-53; t is good to 1e-14.
    EXPECT_NEAR(mean["y"][i], want[i], 1e-14);
    EXPECT_NEAR(mean["customdata"][i], half, 1e-13);
    EXPECT_NEAR(band["y"][i], want[i] + half, 1e-13);
    EXPECT_NEAR(band["y"][7 - i], want[i] - half, 1e-13);
  }
}

TEST_F(Report, TogglesNameTheBandsAndTheSeeds) {
  const auto curves = charts_of(render(small_report()))["curves"];
  ASSERT_EQ(curves["data"].size(), 2u + 10u + 2u);
  EXPECT_EQ(curves["toggles"]["bands"]["traces"], json({0, 1}));
  EXPECT_EQ(curves["toggles"]["seeds"]["traces"], json({2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  for (const auto& t : curves["toggles"]["seeds"]["traces"]) {
    EXPECT_EQ(curves["data"][t.get<std::size_t>()]["opacity"], 0);
    EXPECT_EQ(curves["data"][t.get<std::size_t>()]["showlegend"], false);
  }
  // One seed's own numbers, bit for bit.
  EXPECT_EQ(curves["data"][7]["y"].get<std::vector<double>>(), small_report().strategies[1].curves[0].accuracy);
}

TEST_F(Report, LabelsSavedAreReadOffTheMeanCurves) {
  const auto saved = charts_of(render(small_report()))["saved"];
  ASSERT_EQ(saved["data"].size(), 1u);
  const auto& line = trace(saved, "margin");
  const auto n = line["x"].size();
  EXPECT_NEAR(line["x"][n - 1], 0.8, 1e-14);
  EXPECT_NEAR(line["y"][n - 1], 10, 1e-9);
  for (std::size_t i = 0; i < n; ++i) {
    const double level = line["x"][i];
    const double random = 10 + 100 * (level - 0.5);
    const double margin = level <= 0.7 ? 10 + 50 * (level - 0.5) : 20 + 100 * (level - 0.7);
    EXPECT_NEAR(line["y"][i], random - margin, 1e-9) << level;
    EXPECT_NEAR(line["customdata"][i][0], margin, 1e-9) << level;
    EXPECT_NEAR(line["customdata"][i][1], random, 1e-9) << level;
  }
}

TEST_F(Report, AnyStrategyMayBeTheBaseline) {
  auto report = small_report();
  report.baseline = "margin";
  const auto page = render(report);
  EXPECT_NE(page.find(">Against margin<"), std::string::npos);
  EXPECT_NE(page.find("the labels that margin sampling needs"), std::string::npos);
  EXPECT_EQ(page.find("gainst random"), std::string::npos);
  const auto saved = charts_of(page)["saved"];
  ASSERT_EQ(saved["data"].size(), 1u);
  EXPECT_EQ(saved["data"][0]["name"], "random");
  EXPECT_EQ(saved["layout"]["shapes"][0]["name"], "margin");
}

TEST_F(Report, LabelsSavedEndWhereTheStrategyDoes) {
  auto report = small_report();
  for (auto& c : report.strategies[1].curves) c.accuracy = {0.5, 0.52, 0.56, 0.55};
  const auto line = trace(charts_of(render(report))["saved"], "margin");
  ASSERT_GT(line["x"].size(), 0u);
  for (const auto& level : line["x"]) EXPECT_LE(level.get<double>(), 0.56);
  EXPECT_NEAR(line["x"].back(), 0.56, 0.01);
  EXPECT_LT(line["y"].back().get<double>(), 0);
}

TEST(Percent, ATenthWhereItIsNeeded) {
  EXPECT_EQ(percent(0.8), "80 %");
  EXPECT_EQ(percent(0.825), "82.5 %");
  EXPECT_EQ(percent(1 / 3.0), "33.3 %");
  EXPECT_EQ(percent(1), "100 %");
  EXPECT_EQ(percent(0), "0 %");
}

TEST(MeanCurve, TheFirstCrossingCounts) {
  const learning_curve curve{{10, 20, 40, 50}, {0.5, 0.7, 0.6, 0.8}};
  EXPECT_EQ(interpolated_labels(curve, 0.4), 10.0);
  EXPECT_EQ(interpolated_labels(curve, 0.5), 10.0);
  EXPECT_NEAR(interpolated_labels(curve, 0.65).value(), 17.5, 1e-12);
  EXPECT_NEAR(interpolated_labels(curve, 0.7).value(), 20, 1e-12);
  EXPECT_NEAR(interpolated_labels(curve, 0.75).value(), 47.5, 1e-12);
  EXPECT_FALSE(interpolated_labels(curve, 0.81).has_value());
  EXPECT_FALSE(interpolated_labels({}, 0.5).has_value());
}

TEST_F(Report, ClassSharesAndTheEqualShare) {
  const auto classes = charts_of(render(small_report()))["classes"];
  EXPECT_EQ(trace(classes, "random")["y"], json({100 / 150.0, 50 / 150.0}));
  EXPECT_EQ(trace(classes, "margin")["y"], json({0.2, 0.8}));
  EXPECT_EQ(trace(classes, "margin")["customdata"], json({30, 120}));
  EXPECT_EQ(trace(classes, "margin")["x"], json({"cat", "dog"}));
  EXPECT_EQ(classes["layout"]["shapes"][0]["y0"], 0.5);
}

TEST_F(Report, SummaryHasTheNumbersWithSensibleDigits) {
  auto report = small_report();
  auto& margin = report.strategies[1];
  margin.score_seconds = 0.0123;
  margin.select_seconds = 0.00004;
  margin.train_seconds = 123.4;
  const std::vector<std::string> want{"73.33", "1.23", "+8.33", "0.042", "30", "0.012", "&lt; 0.001", "123"};
  EXPECT_EQ(cells_of(render(report), "margin"), want);

  margin.minus_baseline = -0.012;
  margin.p = 0.0002;
  margin.labels_to_target = 32.5;
  const auto cells = cells_of(render(report), "margin");
  EXPECT_EQ(cells[2], "\u22121.20");
  EXPECT_EQ(cells[3], "&#60; 0.001");
  EXPECT_EQ(cells[4], "32.5");

  margin.minus_baseline = -0.00001;  // no minus before a zero
  EXPECT_EQ(cells_of(render(report), "margin")[2], "0.00");
}

TEST_F(Report, RunsThatNobodyTimedHaveNoSeconds) {
  auto report = small_report();
  for (auto& s : report.strategies) s.score_seconds = s.select_seconds = s.train_seconds = 0;
  EXPECT_EQ(cells_of(render(report), "margin").size(), 5u);
  EXPECT_EQ(render(report).find("Seconds"), std::string::npos);
  report.strategies[1].train_seconds = 2;
  EXPECT_EQ(cells_of(render(report), "random").back(), "0");
  EXPECT_NE(render(report).find("Seconds a round"), std::string::npos);
}

TEST_F(Report, ATargetNotReachedIsMoreThanTheBudget) {
  const auto page = render(small_report());
  EXPECT_EQ(cells_of(page, "random")[4], "&gt; 40");
  EXPECT_NE(page.find("Labels to<br>75 %"), std::string::npos);
}

TEST_F(Report, RandomIsNotComparedWithItself) {
  const auto cells = cells_of(render(small_report()), "random");
  EXPECT_EQ(cells[2], "\u2013");
  EXPECT_EQ(cells[3], "\u2013");
}

TEST_F(Report, WithoutRandomNothingIsComparedWithIt) {
  auto report = small_report();
  report.strategies.erase(report.strategies.begin());
  const auto page = render(report);
  EXPECT_EQ(cells_of(page, "margin")[2], "\u2013");
  EXPECT_FALSE(charts_of(page).contains("saved"));
  EXPECT_EQ(page.find("id=\"saved\""), std::string::npos);
}

TEST_F(Report, OneSeedHasNoBand) {
  const auto page = render(small_report(1));
  const auto curves = charts_of(page)["curves"];
  EXPECT_EQ(curves["data"].size(), 2u);
  EXPECT_TRUE(curves["toggles"].empty());
  EXPECT_FALSE(trace(curves, "margin").contains("customdata"));
  EXPECT_EQ(page.find("type=\"checkbox\""), std::string::npos);
  EXPECT_EQ(cells_of(page, "margin")[1], "\u2013");
  EXPECT_EQ(cells_of(page, "margin")[3], "\u2013");
}

TEST_F(Report, PartsWithoutDataAreLeftOut) {
  auto report = small_report();
  report.galleries.clear();
  report.environment.clear();
  for (auto& s : report.strategies) s.class_counts.clear();
  const auto page = render(report);
  for (const char* part : {"id=\"pictures\"", "id=\"environment\"", "id=\"classes\"", "<img"})
    EXPECT_EQ(page.find(part), std::string::npos) << part;
  EXPECT_FALSE(charts_of(page).contains("classes"));

  const auto empty = render({});
  EXPECT_TRUE(charts_of(empty).empty());
  EXPECT_EQ(empty.find("<section"), std::string::npos);
}

TEST_F(Report, EveryChartHasItsPlaceAndACaption) {
  const auto page = render(small_report());
  const auto charts = charts_of(page);
  EXPECT_EQ(charts.size(), 3u);
  for (const auto& [id, chart] : charts.items()) {
    EXPECT_EQ(count(page, "id=\"" + id + "\""), 1u) << id;
    EXPECT_FALSE(chart["layout"]["xaxis"]["title"]["text"].get<std::string>().empty());
    EXPECT_FALSE(chart["layout"]["yaxis"]["title"]["text"].get<std::string>().empty());
  }
  EXPECT_EQ(count(page, "<figcaption><p class=\"caption\">"), 3u);
}

TEST_F(Report, PicturesAreThePixels) {
  const auto page = render(small_report());
  const std::vector<std::uint8_t> first{0, 1, 2, 255}, second{9, 9, 9, 9};
  EXPECT_NE(page.find("alt=\"1 cat\" src=\"data:image/png;base64," + base64(grey_png(2, 2, first)) + "\""),
            std::string::npos);
  EXPECT_NE(page.find("alt=\"2 dog\" src=\"data:image/png;base64," + base64(grey_png(2, 2, second)) + "\""),
            std::string::npos);
}

TEST_F(Report, NoTextEscapes) {
  const std::string hostile = "</script><script>alert(1)</script><!--<b a=\"x\" c='y'>&amp;%{y}";
  const std::string shown =
      "&#60;/script&#62;&#60;script&#62;alert(1)&#60;/script&#62;&#60;!--&#60;b a=&#34;x&#34; "
      "c=&#39;y&#39;&#62;&#38;amp;%{y}";
  auto report = small_report();
  report.title = report.protocol = hostile;
  report.strategies[1].name = report.class_names[0] = hostile;
  report.galleries[0].strategy = report.galleries[0].caption = report.galleries[0].images[0].caption = hostile;
  report.environment = {{hostile, hostile}};
  const auto page = render(report);

  EXPECT_EQ(page.find("alert(1)</"), std::string::npos);
  // Title twice, protocol, the table, gallery name and caption, the picture's alt and caption, two cells.
  EXPECT_EQ(count(page, shown), 10u);
  // The scripts of the page: data, Plotly, its use; and no other.
  EXPECT_EQ(count(page, "<script"), 3u);
  EXPECT_EQ(count(page, "</script"), 3u);
  EXPECT_EQ(count(page, "<!--"), 0u);

  const std::string for_plotly =
      "&#60;/script&#62;&#60;script&#62;alert(1)&#60;/script&#62;&#60;!--&#60;b a=\"x\" "
      "c='y'&#62;&#38;amp;%{y}";
  const auto charts = charts_of(page);
  EXPECT_EQ(trace(charts["curves"], for_plotly)["y"].size(), 4u);
  EXPECT_EQ(trace(charts["classes"], "random")["x"][0], for_plotly);
}

TEST_F(Report, BytesThatAreNotUtf8DoNotStopIt) {
  auto report = small_report();
  report.strategies[1].name = "caf\xe9";
  EXPECT_EQ(trace(charts_of(render(report))["curves"], "caf\ufffd")["y"].size(), 4u);
}

TEST_F(Report, RefersToNothingOutside) {
  const auto page = render(small_report());
  const auto plotly = page.find(fake_plotly);
  ASSERT_NE(plotly, std::string::npos);
  EXPECT_EQ(page.find("http://"), std::string::npos);
  EXPECT_EQ(page.find("https://"), std::string::npos);
  for (const char* loader : {"<link", "@import", "<iframe", "srcset=", "<base"})
    EXPECT_EQ(page.find(loader), std::string::npos) << loader;
  EXPECT_EQ(count(page, "src="), count(page, "src=\"data:image/png;base64,"));
  EXPECT_EQ(count(page, "href="), 0u);
  EXPECT_EQ(count(page, "url("), 0u);
  EXPECT_NE(page.find("content=\"default-src 'none';"), std::string::npos);
}

TEST_F(Report, StrategiesKeepTheirColour) {
  auto report = small_report();
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
    report.strategies.push_back(report.strategies[1]);
    report.strategies.back().name = name;
  }
  const auto styles = series_styles(report);
  EXPECT_EQ(styles[0].colour, "#808080");
  std::set<std::tuple<std::string, std::string, std::string>> looks;
  for (const auto& s : styles) looks.insert({s.colour, s.dash, s.pattern});
  EXPECT_EQ(looks.size(), styles.size());

  const auto page = render(report);
  const auto charts = charts_of(page);
  EXPECT_EQ(trace(charts["curves"], "margin")["line"]["color"], styles[1].colour);
  EXPECT_EQ(trace(charts["curves"], "margin", true)["fillcolor"], styles[1].colour);
  EXPECT_EQ(trace(charts["saved"], "margin")["line"]["color"], styles[1].colour);
  EXPECT_EQ(trace(charts["classes"], "margin")["marker"]["color"], styles[1].colour);
  EXPECT_EQ(count(page, "background:" + styles[1].colour + "\"></span>margin</"), 2u);  // table and gallery
}

TEST_F(Report, SizesThatDoNotFitAreRefused) {
  auto uneven = small_report();
  uneven.strategies[1].curves[2].accuracy.pop_back();
  EXPECT_EQ(
      message_of<shape_error>([&] { render(uneven); }),
      "render_html: strategy 'margin' has a curve of 4 label counts and 3 accuracies; pass one accuracy a "
      "label count");
  auto apart = small_report();
  apart.strategies[1].curves[2].labels[3] = 41;
  EXPECT_EQ(
      message_of<shape_error>([&] { render(apart); }),
      "render_html: strategy 'margin' has seeds at different label counts; pass curves of the same rounds");
  auto classes = small_report();
  classes.strategies[0].class_counts.push_back(1);
  EXPECT_EQ(
      message_of<shape_error>([&] { render(classes); }),
      "render_html: strategy 'random' has 3 class counts but there are 2 class names; pass one count a class");
  auto picture = small_report();
  picture.galleries[0].images[1].pixels.pop_back();
  EXPECT_THROW(render(picture), shape_error);
  picture.galleries[0].height = picture.galleries[0].width = 0;
  EXPECT_THROW(render(picture), shape_error);
  auto pointless = small_report();
  pointless.strategies[0].curves.assign(2, {});
  EXPECT_EQ(
      message_of<shape_error>([&] { render(pointless); }),
      "render_html: strategy 'random' has a curve without points; pass the initial set's accuracy at least");
  for (const double a : {-0.01, 1.01, double(NAN), double(INFINITY)}) {
    auto off = small_report();
    off.strategies[0].curves[0].accuracy[1] = a;
    EXPECT_THROW(render(off), value_error) << a;
  }
}

// ---- The page of a campaign

using CampaignPage = Report;

TEST_F(CampaignPage, Looks) {
  const std::string look = std::getenv("POOLWISE_LOOK");
  const auto write_page = [&](const std::string& name, const campaign_report& r) {
    std::ofstream(look + "/" + name + ".html") << render_html(r, look + "/plotly.min.js");
  };
  write_page("full", example::full_report());
  write_page("long", example::full_report(500));
  write_page("one", example::full_report(1));
  write_page("empty", {});
  write_page("awkward", example::awkward_report());
}

// ---- Plotly's script

TEST_F(Report, PlotlyIsEmbeddedWhole) {
  EXPECT_EQ(count(render(small_report()), std::string("<script>\n") + fake_plotly + "\n</script>"), 1u);
}

TEST_F(Report, AMissingOrUnfitScriptIsRefused) {
  const auto missing = folder / "none.js";
  const auto said = message_of<io_error>([&] { render_html(small_report(), missing); });
  EXPECT_NE(said.find("render_html: cannot read the Plotly script " + missing.string()), std::string::npos);
  EXPECT_NE(said.find("make setup"), std::string::npos);
  EXPECT_THROW(render_html(small_report(), folder), io_error);
  EXPECT_THROW(render_html(small_report(), write("empty.js", "")), io_error);
  EXPECT_THROW(render_html(small_report(), write("a.js", "x = '</script>'")), format_error);
  EXPECT_THROW(render_html(small_report(), write("b.js", "x = '<!-- <script>'")), format_error);
}

TEST_F(Report, PlotlyIsSoughtInOrder) {
  const auto bin = folder / "bin";
  std::filesystem::create_directories(bin);
  const auto said = message_of<io_error>([&] { find_plotly(bin); });
  EXPECT_NE(said.find((folder / "share/poolwise/plotly.min.js").string()), std::string::npos) << said;
  EXPECT_NE(said.find((bin / "share/poolwise/plotly.min.js").string()), std::string::npos) << said;
  EXPECT_NE(said.find("make setup"), std::string::npos);
  EXPECT_NE(said.find("pip download --no-deps plotly"), std::string::npos);

  const auto inside = write("bin/share/poolwise/plotly.min.js", fake_plotly);
  EXPECT_EQ(find_plotly(bin), inside);
  const auto beside = write("share/poolwise/plotly.min.js", fake_plotly);
  EXPECT_EQ(find_plotly(bin), beside);

  setenv("POOLWISE_PLOTLY", script.c_str(), 1);
  EXPECT_EQ(find_plotly(bin), script);
  EXPECT_EQ(find_plotly(), script);
  setenv("POOLWISE_PLOTLY", (folder / "none.js").c_str(), 1);  // what was asked for, or nothing
  EXPECT_NE(message_of<io_error>([&] { find_plotly(bin); }).find("none.js"), std::string::npos);
  setenv("POOLWISE_PLOTLY", "", 1);
  EXPECT_EQ(find_plotly(bin), beside);
  unsetenv("POOLWISE_PLOTLY");
}

}  // namespace
}  // namespace poolwise
