// Pools larger than the memory that the command may take.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <random>

#include "poolwise/files/array.hpp"
#include "run_command.hpp"

namespace poolwise::test {
namespace {

constexpr std::int64_t mebibyte = 1 << 20;

/// A .npy header of 128 bytes.
std::string npy_header(const std::string& shape, const std::string& descr = "<f4") {
  std::string text = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
  text.resize(117, ' ');
  return std::string("\x93NUMPY\x01\x00\x76\x00", 10) + text + "\n";
}

std::string shape_of(index_t rows, index_t cols) {
  return "(" + std::to_string(rows) + ", " + std::to_string(cols) + ")";
}

/// An array in a file: a row of zeros, `real` MiB of numbers, and zeros again, which take no room on most file
/// systems. Numbers lie around -1, so that as logits they have more energy than zeros.
std::string write_pool(const std::string& file, const std::string& header, index_t bytes, index_t real,
                       unsigned seed) {
  const int out = open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  EXPECT_EQ(write(out, header.data(), header.size()), ssize_t(header.size()));
  std::mt19937 next(seed);
  std::normal_distribution<float> normal(-1);
  std::vector<float> block(std::size_t(mebibyte) / sizeof(float));
  for (float& v : block) v = normal(next);
  for (index_t b = 0; b < real; ++b) {
    std::rotate(block.begin(), block.begin() + 4097, block.end());
    for (std::size_t i = next() % 64; i < block.size(); i += 64) block[i] = normal(next);
    std::vector<float> written(block);
    if (b == 0) std::fill_n(written.begin(), 256, 0.0f);
    EXPECT_EQ(write(out, written.data(), std::size_t(mebibyte)), mebibyte);
  }
  EXPECT_EQ(ftruncate(out, off_t(header.size()) + bytes), 0);
  close(out);
  return file;
}

std::string write_pool(const std::string& file, index_t rows, index_t cols, index_t real, unsigned seed) {
  return write_pool(file, npy_header(shape_of(rows, cols)), rows * cols * 4, real, seed);
}

struct peak {
  std::string picks;
  std::int64_t bytes;
};

peak peak_of(const std::vector<std::string>& arguments, const std::vector<std::string>& more = {}) {
  auto all = arguments;
  all.insert(all.end(), more.begin(), more.end());
  const outcome result = run(all);
  EXPECT_EQ(result.code, 0) << result.err;
  return {result.out, result.peak_bytes};
}

TEST(OutOfCore, APoolOfTwiceTheCeilingGivesTheSamePicksAndScores) {
  const scratch folder;
  const index_t rows = 200'000;
  const std::string embeddings = write_pool(folder / "e.npy", rows, 256, 195, 1);
  const std::string logits = write_pool(folder / "l.npy", rows, 10, 7, 2);
  const std::string wide = write_pool(folder / "w.npy", rows, 256, 195, 3);
  const std::int64_t allowed = (32 + 64) * mebibyte;
  for (const auto& [name, model] : std::vector<std::pair<std::string, std::string>>{
           {"energy", wide}, {"kcenter", wide}, {"badge", logits}, {"energy/100x/kcenter", wide}}) {
    SCOPED_TRACE(name);
    const std::vector<std::string> select = {"select",   "--logits",   model, "--embeddings",
                                             embeddings, "--strategy", name,  "--batch",
                                             "40",       "--apart",    "3"};
    const peak without = peak_of(select), under = peak_of(select, {"--memory", "32MiB"});
    auto plan = select;
    plan[0] = "plan";
    plan.insert(plan.end(), {"--memory", "32MiB", "--json"});
    const auto planned = run(plan).json();
    EXPECT_EQ(planned["fits"], true);
    EXPECT_GT(planned["seconds"], 0.0);
    EXPECT_LE(planned["peak_bytes"], allowed);
    EXPECT_EQ(under.picks, without.picks);
    if (!measured) continue;
    EXPECT_GT(without.bytes, 200 * mebibyte);
    EXPECT_LT(under.bytes, planned["peak_bytes"]);
  }
  const std::vector<std::string> score = {"score",         "--logits",       wide,
                                          "--acquisition", "entropy,margin", "--out"};
  peak_of(score, {folder / "without.npy"});
  const peak under = peak_of(score, {folder / "under.npy", "--memory", "32MiB"});
  EXPECT_EQ(contents(folder / "under.npy"), contents(folder / "without.npy"));
  if (measured) {
    EXPECT_LT(under.bytes, allowed);
  }
}

TEST(OutOfCore, CommitteesToo) {
  const scratch folder;
  const std::string members =
      write_pool(folder / "m.npy", npy_header("(4, 100000, 64)"), index_t{4} * 100'000 * 64 * 4, 97, 4);
  const std::vector<std::string> select = {"select", "--committee", members, "--strategy",
                                           "bald",   "--batch",     "40",    "--json"};
  const outcome without = run(select);
  auto tight = select;
  tight.insert(tight.end(), {"--memory", "16MiB"});
  const outcome under = run(tight);
  ASSERT_EQ(under.code, 0) << under.err;
  EXPECT_EQ(under.json()["picks"], without.json()["picks"]);
  if (measured) {
    EXPECT_LT(under.peak_bytes, (16 + 64) * mebibyte);
  }
}

// A file that was just written can lie in the cache in pieces of 2 MiB, which every row that is read brings
// along.
TEST(OutOfCore, RowsThatLieFarFromEachOther) {
  const scratch folder;
  const index_t rows = 400'000;
  const std::string embeddings = write_pool(folder / "e.npy", rows, 64, 97, 1);
  std::vector<std::int64_t> labelled;
  for (index_t row = 0; row < rows; row += 4000) labelled.push_back(row);
  save(folder / "l.npy", labelled);
  const std::string logits = write_pool(folder / "p.npy", rows, 8, 5, 2);
  for (const char* strategy : {"kcenter", "random/30x/kcenter", "badge"}) {
    const std::vector<std::string> select = {
        "select",     "--embeddings", embeddings, "--logits", logits,      "--labelled", folder / "l.npy",
        "--strategy", strategy,       "--batch",  "60",       "--threads", "2"};
    const peak freely = peak_of(select), under = peak_of(select, {"--memory", "40MiB"});
    EXPECT_EQ(under.picks, freely.picks);
    if (measured) {
      EXPECT_LE(under.bytes, (40 + 64) * mebibyte) << strategy;
    }
  }
}

// The file of an array that is copied needs no mapping; nothing else may lie there while its pages are given
// back.
TEST(OutOfCore, AFileThatIsConvertedLosesNoneOfWhatComesAfterIt) {
  const scratch folder;
  const index_t rows = 200'000;
  const std::string logits = write_pool(folder / "l.npy", rows, 100, 76, 1);
  const std::string doubles =
      write_pool(folder / "e.npy", npy_header(shape_of(rows, 8), "<f8"), rows * 8 * 8, 12, 2);
  const std::vector<std::string> select = {
      "select",  "--logits", logits, "--embeddings", doubles, "--strategy", "margin/50%/kcenter",
      "--batch", "30"};
  EXPECT_EQ(peak_of(select, {"--memory", "60MiB"}).picks, peak_of(select).picks);
}

TEST(OutOfCore, WhatCannotBeIsRefused) {
  const scratch folder;
  const std::string embeddings = write_pool(folder / "e.npy", 200'000, 256, 1, 1);
  const auto refusal = [&](const std::string& file, const std::string& memory) {
    const outcome result =
        run({"select", "--embeddings", file, "--strategy", "kcenter", "--batch", "40", "--memory", memory});
    EXPECT_EQ(result.code, 6);
    return result.err;
  };
  EXPECT_NE(refusal(embeddings, "4MiB").find("beside the mapped inputs but --memory allows 4.0 MiB"),
            std::string::npos);
  // A copy in float32 is memory of the command's own.
  write_pool(folder / "f8.npy", npy_header("(100000, 256)", "<f8"), index_t{100'000} * 256 * 8, 1, 1);
  const std::string converted = refusal(folder / "f8.npy", "64MiB");
  EXPECT_NE(converted.find("is float64 and is converted to float32, which takes 98 MiB"), std::string::npos)
      << converted;
}

// `ctest -C slow`: 20 GB, of which 2 are not zeros, under 2 GiB.
TEST(LargeOutOfCore, TwentyGigabytesUnderTwo) {
  const scratch folder;
  const index_t cols = 256, rows = 20'000'000, prefix_rows = 2048 * 1024;
  const std::string all = write_pool(folder / "all.npy", rows, cols, 2048, 5);
  const std::string prefix = write_pool(folder / "prefix.npy", prefix_rows, cols, 2048, 5);
  const std::string labelled = save(folder / "labelled.npy", std::vector<std::int64_t>{0});
  const std::int64_t allowed = 2048 * mebibyte + 64 * mebibyte;
  for (const char* name : {"energy", "kcenter", "energy/100x/kcenter"}) {
    const auto select = [&](const std::string& file) {
      return std::vector<std::string>{"select", "--logits",   file, "--embeddings", file, "--labelled",
                                      labelled, "--strategy", name, "--batch",      "200"};
    };
    const peak expected = peak_of(select(prefix));
    const peak under = peak_of(select(all), {"--memory", "2GiB"});
    EXPECT_EQ(under.picks, expected.picks);
    EXPECT_LT(under.bytes, allowed);
    std::printf("%s of %.1f GB under 2 GiB: peak %lld MiB\n", name, double(rows * cols * 4) / 1e9,
                static_cast<long long>(under.bytes / mebibyte));
  }
  const auto score = [&](const std::string& file, const std::string& out) {
    return std::vector<std::string>{"score",   "--logits", file,        "--acquisition",
                                    "entropy", "--out",    folder / out};
  };
  peak_of(score(prefix, "prefix_scores.npy"));
  const peak under = peak_of(score(all, "scores.npy"), {"--memory", "2GiB"});
  EXPECT_LT(under.bytes, allowed);
  const array some = open_npy(folder / "prefix_scores.npy"), every = open_npy(folder / "scores.npy");
  EXPECT_EQ(std::memcmp(some.data, every.data, some.bytes()), 0);
  std::printf("scores of the same: peak %lld MiB\n", static_cast<long long>(under.bytes / mebibyte));
}

}  // namespace
}  // namespace poolwise::test
