// Mapped files whose pages are given back on the way: what is resident, and that nothing else changes.
#include "poolwise/core/mapped_pages.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/detail/parallel.hpp"

namespace poolwise {
namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

/// Bytes of files that this process has resident.
std::size_t resident_of_files() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.rfind("RssFile:", 0) == 0) return std::stoull(line.substr(8)) * 1024;
  return 0;
}

/// A file of the numbers 0, 1, 2, ..., mapped.
class numbers {
 public:
  explicit numbers(std::size_t bytes) : bytes_(bytes) {
    std::string name = (std::filesystem::temp_directory_path() / "poolwise-test-XXXXXX").string();
    const int file = mkstemp(name.data());
    unlink(name.c_str());
    std::vector<std::uint32_t> values(mebibyte / 4);
    for (std::size_t done = 0; done < bytes; done += mebibyte) {
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::uint32_t(done / 4 + i);
      EXPECT_EQ(write(file, values.data(), mebibyte), ssize_t(mebibyte));
    }
    data_ = static_cast<const std::uint32_t*>(mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file, 0));
    close(file);
  }
  ~numbers() { munmap(const_cast<std::uint32_t*>(data_), bytes_); }

  const std::uint32_t* data() const { return data_; }
  index_t count() const { return index_t(bytes_ / 4); }

 private:
  std::size_t bytes_;
  const std::uint32_t* data_;
};

TEST(MappedPages, APassKeepsUnderTheCeiling) {
  const numbers file(96 * mebibyte);
  const std::size_t before = resident_of_files();
  mapped_pages pages(before);  // beside what is there already nothing is to stay
  pages.add(file.data(), 96 * mebibyte);
  for (const int threads : {1, 2, 5}) {
    std::atomic<std::size_t> most{0};
    std::atomic<std::uint64_t> sum{0};
    parallel_blocks(cpu{threads, &pages}, file.count(), 1 << 16, [&](index_t b, index_t begin, index_t end) {
      std::uint64_t part = 0;
      for (index_t i = begin; i < end; ++i) part += file.data()[i];
      sum += part;
      if (b % 16 == 0) most = std::max(most.load(), resident_of_files());
    });
    const auto n = std::uint64_t(file.count());
    EXPECT_EQ(sum, n * (n - 1) / 2);
    EXPECT_LT(most - before, 48 * mebibyte);
  }
}

TEST(MappedPages, RoomIsLeftForWhatIsExpected) {
  const numbers file(96 * mebibyte);
  const std::size_t before = resident_of_files();
  mapped_pages pages(before + 512 * mebibyte);  // all of the file could stay
  pages.add(file.data(), 96 * mebibyte);
  pages.expect(504 * mebibyte);
  std::size_t most = 0;
  std::uint64_t sum = 0;
  parallel_blocks(cpu{1, &pages}, file.count(), 1 << 16, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) sum += file.data()[i];
    most = std::max(most, resident_of_files());
  });
  EXPECT_GT(sum, 0u);
  EXPECT_LT(most - before, 48 * mebibyte);
}

TEST(MappedPages, NothingIsGivenBackUnderTheCeiling) {
  const numbers file(16 * mebibyte);
  mapped_pages pages(std::size_t{1} << 40);
  pages.add(file.data(), 16 * mebibyte);
  std::uint64_t sum = 0;
  parallel_blocks(cpu{1, &pages}, file.count(), 1 << 16, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) sum += file.data()[i];
  });
  EXPECT_GT(sum, 0u);
  EXPECT_GE(resident_of_files(), 16 * mebibyte);
}

TEST(MappedPages, NoRangeAndAnEmptyOneAreFine) {
  mapped_pages pages(1);
  pages.add(nullptr, 0);
  for (int i = 0; i < 1000; ++i) pages.settle();
}

}  // namespace
}  // namespace poolwise
