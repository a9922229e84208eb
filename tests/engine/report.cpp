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

class CampaignPage : public Report {
 protected:
  std::string render(const campaign_report& report) const { return render_html(report, script); }
};

/// The section of a page.
std::string section_of(const std::string& page, const std::string& id) {
  return between(page, "<section id=\"" + id + "\">", "</section>");
}

std::string heading_of(const std::string& page, const std::string& id) {
  return between(section_of(page, id), "<h2>", "</h2>");
}

/// As the page writes it: with entities, and no line broken before a per cent sign.
std::string shown(const std::string& text) { return html::unbroken(html::escape(text)); }

TEST_F(CampaignPage, EveryPageIsWholeAndRefersToNothingOutside) {
  const std::pair<const char*, campaign_report> reports[] = {
      {"full", example::full_report()},
      {"long", example::full_report(std::getenv("POOLWISE_LOOK") ? 500 : 100)},
      {"one", example::full_report(1)},
      {"empty", {}},
      {"awkward", example::awkward_report()}};
  for (const auto& [name, report] : reports) {
    SCOPED_TRACE(name);
    const auto page = render(report);
    const auto charts = charts_of(page);
    for (const auto& [id, chart] : charts.items()) {
      EXPECT_EQ(count(page, "id=\"" + id + "\""), 1u) << id;
      EXPECT_GT(chart["data"].size(), 0u) << id;
      for (const auto& t : chart["data"]) EXPECT_EQ(t["x"].size(), t["y"].size()) << id;
    }
    EXPECT_EQ(count(page, "class=\"chart\""), charts.size());
    EXPECT_EQ(count(page, "<script"), 3u);
    EXPECT_EQ(count(page, "</script"), 3u);
    for (const char* never : {"<!--", "http:", "https:", "<link", "@import", "<iframe", "src=", "<base", "url(",
                              "alert(1)</", ">nan<", ">inf<", ">null<"})
      EXPECT_EQ(page.find(never), std::string::npos) << never;
    EXPECT_EQ(count(page, "href="), count(page, "href=\"#"));
    for (const char* element : {"section", "div", "table", "figure", "details", "ul", "p", "b"})
      EXPECT_EQ(count(page, std::string("<") + element + ">") + count(page, std::string("<") + element + " "),
                count(page, std::string("</") + element + ">"))
          << element;
    // POOLWISE_LOOK names a folder with plotly.min.js, to look at the pages in a browser.
    if (const char* look = std::getenv("POOLWISE_LOOK"))
      std::ofstream(std::string(look) + "/" + name + ".html")
          << render_html(report, std::string(look) + "/plotly.min.js");
  }
}

TEST_F(CampaignPage, EachPartWithoutDataIsLeftOutAlone) {
  using part = std::pair<std::string, void (*)(campaign_report&)>;
  const part parts[] = {{"targets", [](auto& r) { r.targets.clear(); }},
                        {"spent", [](auto& r) { r.budgets.clear(); }},
                        {"end",
                         [](auto& r) {
                           r.verdict.reset();
                           r.end.reset();
                           r.next.clear();
                         }},
                        {"curves", [](auto& r) { r.curves.clear(); }},
                        {"against-random", [](auto& r) { r.arms = {}; }},
                        {"slices", [](auto& r) { r.slices.clear(); }},
                        {"rules", [](auto& r) { r.stopping.clear(); }},
                        {"forecasts", [](auto& r) { r.past_forecasts.clear(); }},
                        {"distributions", [](auto& r) { r.distributions.clear(); }},
                        {"picks", [](auto& r) { r.map = {}; }},
                        {"lead-times", [](auto& r) { r.lead_times.clear(); }},
                        {"drift", [](auto& r) { r.drift.clear(); }},
                        {"rounds", [](auto& r) { r.rounds.clear(); }},
                        {"versions", [](auto& r) { r.versions.clear(); }}};
  const auto full = render(example::full_report());
  for (const auto& [removed, remove] : parts) {
    auto report = example::full_report();
    remove(report);
    const auto page = render(report);
    for (const auto& [id, unused] : parts) {
      EXPECT_EQ(count(full, " id=\"" + id + "\""), 1u) << id;
      EXPECT_EQ(count(page, " id=\"" + id + "\""), id == removed ? 0u : 1u) << id << " without " << removed;
    }
  }
  const auto empty = render(campaign_report{});
  EXPECT_EQ(empty.find("<section"), std::string::npos);
  EXPECT_EQ(empty.find("<nav"), std::string::npos);
  EXPECT_TRUE(charts_of(empty).empty());
}

TEST_F(CampaignPage, TheFirstScreenHasEveryFigure) {
  const auto page = render(example::full_report());
  for (const char* text :
       {"2 of 5 targets are met after 820 labels in 12 rounds; 108.40 of 200.00 EUR are spent; the end is "
        "expected "
        "about 12 May 2026, when accuracy of night reaches 85 %.",
        "As of 2 May 2026, 09:00 UTC.",
        "Hypothesis: Night items buy more accuracy for their price than day items.", "88.3 % (86.3 to 90.3 %)",
        ", target 85 %", "79.1 % (76.1 to 82.1 %)", "not measured",
        "Expected on 12 May 2026 (8 to 20 May 2026), at 1,040 (980 to 1,150) labels, for 134.80 EUR (127.60 to "
        "148.00 EUR)",
        "108.40 EUR</b> spent, 4.56 EUR committed, 87.04 EUR left of 200.00 EUR",
        "24.6 hours</b> spent, 1.2 hours committed, 14.2 hours left of 40 hours",
        "820 labels</b> spent, 38 labels committed, without a limit",
        "61 days</b> spent, 29 days left of 90 days", "1 of 4 rules says stop, and all of them are asked for.",
        "Decide on rain:"})
    EXPECT_NE(page.find(html::unbroken(text)), std::string::npos) << text;
  EXPECT_NE(page.find("<h1"), std::string::npos);
  EXPECT_LT(page.find("out of reach"), page.find("on course"));
  EXPECT_LT(page.find("on course"), page.find("</span> met"));
  EXPECT_NE(page.find("width:54.20%\"></span><span class=\"committed\" style=\"width:2.28%"),
            std::string::npos);
}

TEST_F(CampaignPage, TheSentenceFitsEveryState) {
  using state = report_target::state;
  campaign_report r;
  EXPECT_EQ(status_sentence(r), "Nothing is labelled yet; the end cannot be forecast yet.");
  r.now = {1, 1, 250, 0};
  EXPECT_EQ(status_sentence(r), "1 label in 1 round; the cost is 250 cents; the end cannot be forecast yet.");
  r.targets = {{"accuracy", 0.9, {}, state::on_course, {}, ""}};
  r.budgets = {{report_budget::kind::hours, 2.5, 0, 8}, {report_budget::kind::money, 250, 0, {}}};
  r.end = report_end{{report_estimate{2000}, {}, {}}, "the money is spent"};
  EXPECT_EQ(
      status_sentence(r),
      "The target is not met yet after 1 label in 1 round; 250 cents are spent; the end is expected at about "
      "2,000 labels, when the money is spent.");
  r.budgets.pop_back();
  r.targets = {{"a", 0.9, {}, state::met, {}, ""}, {"b", 0.9, {}, state::met, {}, ""}};
  r.verdict = {true, ""};
  EXPECT_EQ(
      status_sentence(r),
      "All 2 targets are met after 1 label in 1 round; 2.5 of 8 hours are spent; the rules say: stop now.");
  EXPECT_EQ(render(r).find("The end is expected"), std::string::npos);
  r.verdict = {false, ""};
  r.end = report_end{};
  for (auto& t : r.targets) t.is = state::unknown;
  r.budgets.clear();
  r.now.money = 0;
  EXPECT_EQ(status_sentence(r),
            "None of the 2 targets is met yet after 1 label in 1 round; the end cannot be forecast yet.");
}

TEST_F(CampaignPage, BudgetsOfNothingAndOverspentOnes) {
  campaign_report r;
  r.budgets = {{report_budget::kind::money, 0, 0, 0}, {report_budget::kind::labels, 30, 20, 40}};
  const auto page = render(r);
  EXPECT_NE(page.find(html::unbroken("0 % spent, 0 % committed")), std::string::npos);
  EXPECT_NE(page.find("<b>10 labels too much</b> of 40 labels"), std::string::npos);
  EXPECT_NE(page.find("width:75.00%\"></span><span class=\"committed\" style=\"width:25.00%"),
            std::string::npos);
}

TEST_F(CampaignPage, CurvesAgainstLabelsMoneyAndHours) {
  auto report = example::full_report(4);
  const auto page = render(report);
  const auto chart = charts_of(page)["accuracy"];
  const auto& data = chart["data"];
  ASSERT_EQ(data.size(), 16u);  // a band and a line, measured and forecast, of 4 slices
  for (std::size_t i = 0; i < data.size(); ++i) EXPECT_EQ(data[i]["visible"], i < 4) << i;
  EXPECT_EQ(data[1]["x"], json({100.0, 160.0, 220.0, 280.0, 340.0}));
  EXPECT_EQ(data[1]["customdata"][0], "71.8 % (69.8 to 73.8 %)");
  EXPECT_EQ(data[3]["line"]["dash"], "dash");
  const auto& axes = chart["choices"]["axis"];
  EXPECT_EQ(axes["labels"]["traces"]["x"][1], data[1]["x"]);
  EXPECT_EQ(axes["money"]["traces"]["x"][1], json({22.0, 29.2, 36.4, 43.6, 50.8}));
  EXPECT_EQ(axes["money"]["traces"]["x"][0].size(), 10u);
  EXPECT_EQ(axes["hours"]["traces"]["x"][1][0], 3.0);
  const auto& slices = chart["choices"]["slice"];
  EXPECT_EQ(slices.size(), 5u);
  EXPECT_EQ(slices["2"]["traces"]["visible"][8], true);
  EXPECT_EQ(slices["2"]["traces"]["visible"][0], false);
  EXPECT_EQ(slices["1"]["layout"]["shapes"][0]["y0"], 0.9);
  EXPECT_EQ(slices["every"]["traces"]["visible"][0], false);
  EXPECT_EQ(slices["every"]["traces"]["visible"][1], true);
  EXPECT_EQ(heading_of(page, "curves"),
            html::unbroken("Accuracy of all items went from 71.8 % to 83.4 % with 340 labels"));
  EXPECT_EQ(count(section_of(page, "curves"), "<tr>"), 1u + 4 * (5 + 7));

  for (auto& curve : report.curves)
    for (auto& point : curve.points) point.at.hours = point.at.money = 0;
  const auto labels_alone = render(report);
  EXPECT_EQ(charts_of(labels_alone)["accuracy"]["choices"]["axis"].size(), 1u);
  EXPECT_EQ(section_of(labels_alone, "curves").find("type=\"radio\""), std::string::npos);

  report.curves = {report.curves[0]};
  report.curves[0].points.resize(1);
  const auto point = charts_of(render(report))["accuracy"]["data"];
  ASSERT_EQ(point.size(), 1u);
  EXPECT_NEAR(point[0]["error_y"]["array"][0], 0.02, 1e-12);
}

TEST_F(CampaignPage, NothingIsClaimedThatTheIntervalDoesNotSay) {
  const auto heading = [&](std::optional<report_estimate> saved) {
    auto report = example::full_report(2);
    report.arms.saved_labels = saved;
    return heading_of(render(report), "against-random");
  };
  EXPECT_EQ(heading(report_estimate{240, 110, 390}),
            "Active selection saved 240 (110 to 390) labels against random picks");
  EXPECT_EQ(heading(report_estimate{-30, -50, -10}),
            "Active selection cost 30 (10 to 50) labels more than random picks");
  for (const auto& unsure : {std::optional<report_estimate>{report_estimate{0, -5, 5}},
                             {report_estimate{240}},
                             {report_estimate{240, 0, 390}},
                             {report_estimate{240, -1, 390}},
                             {report_estimate{NAN}}})
    EXPECT_EQ(heading(unsure), "Active selection has not been shown to save labels yet");
  EXPECT_EQ(heading({}), "Active selection against random picks");
  campaign_report words;
  words.arms.sentence = "Too few audit picks to compare.";
  EXPECT_NE(section_of(render(words), "against-random").find(words.arms.sentence), std::string::npos);
  EXPECT_TRUE(charts_of(render(words)).empty());
}

TEST_F(CampaignPage, AnArrivalWithoutAnEnd) {
  campaign_report r;
  r.now.labels = 10;
  r.end = report_end{{report_estimate{2000, 1500, INFINITY}, {}, report_estimate{NAN}}, ""};
  EXPECT_EQ(status_sentence(r), "10 labels; the end is expected at about 2,000 labels.");
  EXPECT_NE(render(r).find("at 2,000 (from 1,500) labels"), std::string::npos);
  r.end->expected.labels = report_estimate{INFINITY, 1500, INFINITY};
  EXPECT_EQ(status_sentence(r), "10 labels; the end cannot be forecast yet.");
  EXPECT_NE(render(r).find("expected from 1,500 labels."), std::string::npos);
}

TEST_F(CampaignPage, SlicesStandAgainstTheirTargetsFloorsAndQuotas) {
  const auto page = render(example::full_report());
  const auto charts = charts_of(page);
  EXPECT_EQ(heading_of(page, "slices"), "1 of 3 slices with a target meets it");
  const auto& accuracy = charts["slice-accuracy"];
  EXPECT_EQ(trace(accuracy, "meets its target")["y"], json::array({0}));
  EXPECT_EQ(trace(accuracy, "below its target")["y"], json({1, 2}));
  EXPECT_NEAR(trace(accuracy, "below its target")["error_x"]["arrayminus"][1], 0.045, 1e-12);
  EXPECT_EQ(trace(accuracy, "target")["x"], json({0.9, 0.85, 0.9}));
  EXPECT_EQ(accuracy["layout"]["yaxis"]["ticktext"], json({"day", "night", "rain", "tunnel"}));
  EXPECT_EQ(trace(charts["slice-labels"], "labels")["x"], json({420, 250, 110, 12}));
  EXPECT_EQ(trace(charts["slice-labels"], "floor")["x"], json({200, 150}));
  EXPECT_EQ(trace(charts["slice-labels"], "quota")["y"], json({0, 2}));
  const auto many = render(example::awkward_report());
  EXPECT_EQ(trace(charts_of(many)["slice-accuracy"], "below its target")["y"],
            json({0, 1}));  // the furthest below
  EXPECT_NE(many.find("Shown are the 24 of 64 slices"), std::string::npos);
  EXPECT_EQ(count(section_of(many, "slices"), "<tr>"), 65u);
}

TEST_F(CampaignPage, SharesOfPoolPicksAndLabels) {
  const auto page = render(example::full_report());
  const auto charts = charts_of(page);
  const auto& type = charts["distribution-0"];
  EXPECT_EQ(trace(type, "pool")["x"], json({0.824, 0.176}));
  EXPECT_EQ(trace(type, "picked")["x"], json({620 / 820.0, 200 / 820.0}));
  EXPECT_EQ(trace(type, "labelled")["customdata"][1], "video, labelled: 24.8 % (194)");
  EXPECT_EQ(charts["distribution-1"]["data"].size(), 1u);  // the classes of the pool are unknown
  const auto section = section_of(page, "distributions");
  for (const char* text : {"The picks differ from the pool by data type (p < 0.001)",
                           "Against the pool p < 0.001 for the picks, p < 0.001 for the labels (chi-squared).",
                           "By class, 39.6 % of the labels are car"})
    EXPECT_NE(section.find(shown(text)), std::string::npos) << text;
  auto alike = example::full_report();
  alike.distributions[0].picked_p = 0.43;
  EXPECT_NE(render(alike).find("The picks are not shown to differ from the pool by data type (p = 0.43)"),
            std::string::npos);
}

TEST_F(CampaignPage, TheMapHasPicksByRoundAndTheDistanceOfTheOthers) {
  auto report = example::full_report(2);
  report.map.background = {{0, 0, "a", 1}, {1, 0, "a", 2}, {2, 0, "b", 9}};
  const auto page = render(report);
  const auto map = charts_of(page)["map"];
  EXPECT_EQ(heading_of(page, "picks"),
            "Half of the unlabelled items lie within 2 of a labelled one, the farthest at 9");
  EXPECT_EQ(trace(map, "unlabelled")["customdata"][2], "unlabelled, 9 from b");
  EXPECT_EQ(trace(map, "not labelled yet")["x"].size(), 38u);
  EXPECT_EQ(trace(map, "labelled")["x"].size(), 82u);
  EXPECT_EQ(trace(map, "labelled")["customdata"][0], "img-0, round 1: car");
  EXPECT_EQ(trace(map, "labelled")["marker"]["color"][81], 2);
  EXPECT_EQ(map["choices"]["colour"]["coverage"]["traces"]["marker.color"][0], json({1.0, 2.0, 9.0}));
  EXPECT_EQ(map["choices"]["colour"]["rounds"]["traces"]["marker.color"][2],
            trace(map, "labelled")["marker"]["color"]);

  campaign_report large;
  example::add_map(large, 100, 4000);
  const auto thin = render(large);
  EXPECT_NE(thin.find("Shown are 3,000 of 6,000 picks and 3,000 of 50,000 rows"), std::string::npos);
  EXPECT_EQ(trace(charts_of(thin)["map"], "labelled")["customdata"][0], "img-0, round 1: car");
}

TEST_F(CampaignPage, WhatIsWatchedShowsItsThresholdAndTheAlarmsFirst) {
  const auto page = render(example::full_report());
  const auto charts = charts_of(page);
  EXPECT_EQ(heading_of(page, "drift"), "1 of 3 figures is past its threshold of drift");
  EXPECT_EQ(charts["drift-0"]["data"][0]["name"], "KS of the features");
  EXPECT_EQ(charts["drift-0"]["layout"]["shapes"][0]["y0"], 0.1);
  EXPECT_NE(charts["drift-0"]["data"][0]["customdata"][11].get<std::string>().find(", p < 0.001"),
            std::string::npos);
  EXPECT_EQ(heading_of(page, "rules"), "1 of 4 stopping rules says stop");
  EXPECT_FALSE(charts.contains("rules-3"));  // its sentence is all there is
  EXPECT_NE(section_of(page, "rules").find("10,840 of 20,000 cents are spent."), std::string::npos);
  EXPECT_EQ(count(section_of(page, "rules"), "says go on"), 3u);
  const auto awkward = render(example::awkward_report());
  EXPECT_NE(awkward.find("Shown are 12 of 24 figures; the table has all of them."), std::string::npos);
  EXPECT_EQ(count(section_of(awkward, "rules"), "<tr>"), 1u + 3 * 3 + 20);
}

TEST_F(CampaignPage, PastForecastsAreJudged) {
  auto report = example::full_report();
  report.past_forecasts = {{"accuracy", 1, 3, example::within(0.8, 0.02), 0.81},
                           {"labels to 90 %", 1, 3, example::within(2000, 100), 2300, false},
                           {"accuracy", 2, 4, example::within(0.85, 0.01), 0.84}};
  const auto page = render(report);
  EXPECT_EQ(heading_of(page, "forecasts"),
            html::unbroken("2 of 3 past forecasts held within their 90 % intervals"));
  const auto charts = charts_of(page);
  EXPECT_EQ(trace(charts["forecast-0"], "came")["y"], json({0.81, 0.84}));
  EXPECT_EQ(trace(charts["forecast-1"], "forecast")["customdata"][0],
            "2,000 (1,900 to 2,100), made in round 1");
  EXPECT_NE(page.find(html::unbroken(
                "<td>1</td><td>3</td><td>80 %</td><td>78 %</td><td>82 %</td><td>81 %</td><td>1 %</td>")),
            std::string::npos);
}

TEST_F(CampaignPage, TheLogHasEveryRoundTheNewestFirst) {
  const auto section = section_of(render(example::full_report(15)), "rounds");
  EXPECT_NE(section.find("15 rounds picked 900 items for 108.00 EUR"), std::string::npos);
  std::size_t before = 0;
  for (int round = 15; round >= 1; --round) {
    const auto at = section.find("<th scope=\"row\">" + std::to_string(round) + "</th>");
    ASSERT_NE(at, std::string::npos) << round;
    EXPECT_GT(at, before);
    before = at;
  }
  EXPECT_LT(section.find("<summary>3 earlier rounds"), section.find(">3</th>"));
  for (const char* text : {"<td>7.20</td>", "2 rows with a NaN were left out; floor of rain raised",
                           "<td>Night rose by 1.2 points, as expected.</td>"})
    EXPECT_NE(section.find(text), std::string::npos) << text;
  EXPECT_EQ(section_of(render(example::full_report(2)), "rounds").find("Remarks"), std::string::npos);
}

TEST_F(CampaignPage, LeadTimesOfWhatHasComeBack) {
  const auto page = render(example::full_report());
  EXPECT_EQ(
      heading_of(page, "lead-times"),
      "From handing out to labelling took 23.7 hours at the median of round 12; 38 items are outstanding");
  EXPECT_EQ(trace(charts_of(page)["lead"], "median")["x"].size(), 12u);
  campaign_report waiting;
  waiting.lead_times = {{1, 0, 20, 0, 0, 0}};
  EXPECT_EQ(heading_of(render(waiting), "lead-times"), "No label has come back yet; 20 items are outstanding");
}

TEST_F(CampaignPage, ValuesThatCannotBeAreRefused) {
  const auto refused = [&](auto&& change) {
    auto report = example::full_report(2);
    change(report);
    return message_of<value_error>([&] { render(report); });
  };
  EXPECT_EQ(refused([](auto& r) { r.money.decimals = 7; }), "render_html: money has 7 decimals; pass 0 to 6");
  EXPECT_EQ(refused([](auto& r) { r.interval_level = 95; }),
            "render_html: interval_level is 95.0; pass a share between 0 and 1");
  EXPECT_EQ(refused([](auto& r) { r.budgets[1].spent = -1; }),
            "render_html: a budget's spent amount is -1.0; pass 0 or more");
  EXPECT_EQ(refused([](auto& r) { r.distributions[0].groups[1].picked = -2; }),
            "render_html: a count of group 'video' is -2.0; pass 0 or more");
  auto ragged = example::full_report(2);
  ragged.tables[0].rows[1].pop_back();
  EXPECT_EQ(
      message_of<shape_error>([&] { render(ragged); }),
      "render_html: the table 'A video costs three times an image' has a row of 3 cells and a header of 4; "
      "pass rows as wide as the header");
}

TEST(PageText, NumbersAndDates) {
  EXPECT_EQ(html::grouped(1234567.891, 2), "1,234,567.89");
  EXPECT_EQ(html::grouped(-999), "\u2212999");
  EXPECT_EQ(html::grouped(-0.001, 2), "0.00");
  EXPECT_EQ(html::grouped(NAN), "\u2013");
  EXPECT_EQ(html::three_digits(0.012345), "0.0123");
  EXPECT_EQ(html::three_digits(-12345.6), "\u221212,346");
  EXPECT_EQ(html::three_digits(INFINITY), "\u2013");
  EXPECT_EQ(html::date(0), "1 Jan 1970");
  EXPECT_EQ(html::date_and_time(951782400000 + 59 * 60000), "29 Feb 2000, 00:59 UTC");
  for (const double never : {-1.0, 1e300, double(NAN)}) EXPECT_EQ(html::date(never), "\u2013");
  EXPECT_EQ(html::counted(1, "item"), "1 item");
  EXPECT_EQ(html::counted(0, "item"), "0 items");
}

TEST(PageText, CommonLastWordsStandOnce) {
  EXPECT_EQ(html::joined("8 May 2026", " to ", "20 May 2026"), "8 to 20 May 2026");
  EXPECT_EQ(html::joined("8 Apr 2026", " to ", "8 May 2026"), "8 Apr to 8 May 2026");
  EXPECT_EQ(html::joined("8 May 2025", " to ", "8 May 2026"), "8 May 2025 to 8 May 2026");
  EXPECT_EQ(html::joined("5 %", " to ", "5 %"), "5 to 5 %");
  EXPECT_EQ(html::joined("", " to ", "9"), " to 9");
}

TEST(PageText, NamesAreCutBetweenCharacters) {
  EXPECT_EQ(html::shortened("caf\u00e9", 4), "caf\u00e9");
  EXPECT_EQ(html::shortened("caf\u00e9s", 4), "caf\u2026");
  EXPECT_EQ(html::shortened("\u00e9\u00e9\u00e9", 2), "\u00e9\u2026");
  EXPECT_EQ(html::shortened("", 1), "");
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
