// IDX files, plain and gzip, built byte by byte; and the real Fashion-MNIST.
#include "poolwise/files/idx.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

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

std::string big_endian(std::uint32_t value) {
  return {char(value >> 24), char(value >> 16), char(value >> 8), char(value)};
}

std::string idx(const std::vector<std::uint32_t>& shape, const std::string& values, int type = 8) {
  std::string bytes{'\0', '\0', char(type), char(shape.size())};
  for (const std::uint32_t extent : shape) bytes += big_endian(extent);
  return bytes + values;
}

class Idx : public ::testing::Test {
 protected:
  idx_array read(const std::string& bytes) { return read_idx(write_file(folder / "x-idx", bytes)); }
  std::string refusal(const std::string& bytes) {
    const auto message = message_of<format_error>([&] { read(bytes); });
    EXPECT_EQ(message.rfind("read_idx: " + (folder / "x-idx").string(), 0), 0u) << message;
    return message;
  }

  scratch_folder folder;
};

TEST_F(Idx, PlainAndGzipReadAlike) {
  const std::string bytes = idx({2, 3}, std::string("\x00\x01\x7f\x80\xfe\xff", 6));
  for (const std::string& file : {bytes, gzip(bytes)}) {
    const idx_array got = read(file);
    EXPECT_EQ(got.shape, (std::vector<index_t>{2, 3}));
    EXPECT_EQ(got.values, (std::vector<std::uint8_t>{0, 1, 127, 128, 254, 255}));
  }
}

TEST_F(Idx, ExtentsAreBigEndianAndMayBeZero) {
  EXPECT_EQ(read(idx({0x00010203}, std::string(0x010203, 'x'))).shape, std::vector<index_t>{0x010203});
  EXPECT_EQ(read(idx({0, 28, 28}, "")).shape, (std::vector<index_t>{0, 28, 28}));
  EXPECT_TRUE(read(idx({0, 28, 28}, "")).values.empty());
}

TEST_F(Idx, MoreThanOneStepOfReading) {
  std::string values(40'000'000, '\0');
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = char(i * 31 >> 7);
  const idx_array got = read(idx({40, 1000, 1000}, values));
  ASSERT_EQ(got.values.size(), values.size());
  EXPECT_TRUE(std::equal(values.begin(), values.end(), reinterpret_cast<const char*>(got.values.data())));
}

TEST_F(Idx, WhatIsNotIdx) {
  EXPECT_SAYS(refusal(""), "is not an IDX file");
  EXPECT_SAYS(refusal(std::string(3, '\0')), "is not an IDX file");
  EXPECT_SAYS(refusal("\x93NUMPY and so on"), "is not an IDX file");
  EXPECT_SAYS(refusal(std::string("\x00\x01\x08\x01\x00\x00\x00\x00", 8)), "is not an IDX file");
  EXPECT_SAYS(refusal(std::string("\x00\x00\x08\x00", 4)), "is not an IDX file");
  for (int type : {0, 9, 11, 12, 13, 14, 255})
    EXPECT_SAYS(refusal(idx({1}, std::string(8, '\0'), type)),
                "has element type " + std::to_string(type) + ";");
}

TEST_F(Idx, EveryTruncationAndEveryExcess) {
  const std::string whole = idx({2, 3}, "abcdef");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    refusal(whole.substr(0, size));
    refusal(gzip(whole.substr(0, size)));
  }
  EXPECT_SAYS(refusal(whole.substr(0, 10)), "is truncated in its header");
  EXPECT_SAYS(refusal(whole.substr(0, 15)),
              "is truncated: shape [2, 3] needs 6 bytes of values, the file has 3");
  EXPECT_SAYS(refusal(whole + "g"), "is longer than its shape [2, 3] says");
  EXPECT_SAYS(refusal(gzip(whole + "g")), "is longer than its shape [2, 3] says");
}

// Memory grows with the file, not with what it claims: this would otherwise ask for 2^62 bytes.
TEST_F(Idx, ClaimsBeyondAllMemoryAreTruncations) {
  EXPECT_SAYS(refusal(idx({0x80000000u, 0x80000000u}, "abc")),
              "needs 4611686018427387904 bytes of values, the file has 3");
  EXPECT_SAYS(refusal(idx({0xffffffffu, 0xffffffffu, 0xffffffffu}, "abc")), "more than 2^63 - 1 bytes");
  EXPECT_SAYS(refusal(idx({0, 0xffffffffu, 0xffffffffu}, "")), "more than 2^63 - 1 bytes");
}

TEST_F(Idx, DamagedGzipIsRefused) {
  const std::string whole = gzip(idx({2, 3}, "abcdef"));
  EXPECT_EQ(read(whole).values.size(), 6u);
  // From its second byte on a truncated file is known as gzip.
  for (std::size_t size = 2; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    refusal(whole.substr(0, size));
  }
  std::string wrong_sum = whole;
  wrong_sum[whole.size() - 8] ^= 1;
  EXPECT_SAYS(refusal(wrong_sum), "is corrupt gzip");
  std::string wrong_value = whole;
  wrong_value[whole.size() - 9] ^= 1;
  EXPECT_SAYS(refusal(wrong_value), "is corrupt gzip");
  EXPECT_SAYS(refusal(whole.substr(0, whole.size() - 12)), "unexpected end of file");
}

TEST_F(Idx, DamagedFilesAreRefusedOrWhole) {
  const std::string originals[] = {idx({2, 3}, "abcdef"), gzip(idx({6}, "abcdef"))};
  std::mt19937 random(4);
  for (int round = 0; round < 4000; ++round) {
    std::string bytes = originals[round % 2];
    bytes[random() % bytes.size()] = char(random());
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    try {
      const idx_array got = read(bytes);
      index_t product = 1;
      for (const index_t extent : got.shape) product *= extent;
      EXPECT_EQ(index_t(got.values.size()), product);
    } catch (const format_error&) {
    }
  }
}

TEST_F(Idx, FilesThatCannotBeRead) {
  EXPECT_SAYS(message_of<io_error>([&] { read_idx(folder / "none"); }), "No such file or directory");
  EXPECT_SAYS(message_of<io_error>([&] { read_idx(folder.path()); }), "Is a directory");
}

// ---- Fashion-MNIST

class FashionMnist : public Idx {
 protected:
  void put(const std::string& name, const std::string& bytes) { write_file(folder / name, bytes); }
  void put_all() {
    put("train-images-idx3-ubyte.gz", gzip(idx({3, 2, 2}, "abcdefghijkl")));
    put("train-labels-idx1-ubyte.gz", gzip(idx({3}, std::string("\x00\x09\x01", 3))));
    put("t10k-images-idx3-ubyte", idx({1, 2, 2}, "mnop"));
    put("t10k-labels-idx1-ubyte", idx({1}, "\x05"));
  }
};

TEST_F(FashionMnist, FourFilesPlainOrGzip) {
  put_all();
  const image_set set = read_fashion_mnist(folder.path());
  EXPECT_EQ(set.train_images.shape, (std::vector<index_t>{3, 2, 2}));
  EXPECT_EQ(set.train_labels.values, (std::vector<std::uint8_t>{0, 9, 1}));
  EXPECT_EQ(set.test_images.values, (std::vector<std::uint8_t>{'m', 'n', 'o', 'p'}));
  EXPECT_EQ(set.test_labels.values, std::vector<std::uint8_t>{5});
}

TEST_F(FashionMnist, AMissingFileSaysHowToGetIt) {
  put_all();
  for (const char* name : {"train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte"}) {
    std::filesystem::remove(folder / name);
    const auto message = message_of<io_error>([&] { read_fashion_mnist(folder.path()); });
    EXPECT_SAYS(message, "read_fashion_mnist: no " + std::string(name).substr(0, 20));
    EXPECT_SAYS(message, "dataset-fashion-mnist");
    EXPECT_SAYS(message,
                "train-images-idx3-ubyte.gz, t10k-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
                "t10k-labels-idx1-ubyte.gz");
    put_all();
  }
  EXPECT_SAYS(message_of<io_error>([&] { read_fashion_mnist(folder / "none"); }), "dataset-fashion-mnist");
}

TEST_F(FashionMnist, ImagesAndLabelsMustAgree) {
  const auto refusal_of = [&] { return message_of<shape_error>([&] { read_fashion_mnist(folder.path()); }); };
  put_all();
  put("train-labels-idx1-ubyte.gz", idx({2}, std::string("\x00\x01", 2)));
  EXPECT_SAYS(refusal_of(), "the training images have shape [3, 2, 2] but the labels [2]");
  put_all();
  put("t10k-labels-idx1-ubyte", idx({1, 1}, "\x05"));
  EXPECT_SAYS(refusal_of(), "the test images have shape [1, 2, 2] but the labels [1, 1]");
  put_all();
  put("t10k-images-idx3-ubyte", idx({1, 4}, "mnop"));
  EXPECT_SAYS(refusal_of(), "the test images have shape [1, 4]");
}

TEST_F(FashionMnist, LabelsAreBelowTen) {
  put_all();
  put("train-labels-idx1-ubyte.gz", idx({3}, std::string("\x00\x01\x0a", 3)));
  EXPECT_SAYS(message_of<value_error>([&] { read_fashion_mnist(folder.path()); }),
              "the training label of item 2 is 10; labels are 0 to 9");
}

void expect_balanced(const idx_array& images, const idx_array& labels, index_t items) {
  EXPECT_EQ(images.shape, (std::vector<index_t>{items, 28, 28}));
  EXPECT_EQ(labels.shape, std::vector<index_t>{items});
  for (int label = 0; label < 10; ++label)
    EXPECT_EQ(std::count(labels.values.begin(), labels.values.end(), label), items / 10) << label;
}

TEST_F(FashionMnist, TheRealOne) {
  ASSERT_TRUE(std::filesystem::is_directory(fashion_mnist_folder))
      << "no " << fashion_mnist_folder << ": install the package dataset-fashion-mnist";
  const image_set set = read_fashion_mnist(fashion_mnist_folder);
  expect_balanced(set.train_images, set.train_labels, 60'000);
  expect_balanced(set.test_images, set.test_labels, 10'000);
  // The first training item is the ankle boot of every tutorial.
  EXPECT_EQ(set.train_labels.values[0], 9);
}

}  // namespace
}  // namespace poolwise
