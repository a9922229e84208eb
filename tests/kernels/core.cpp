// The ground everything stands on: half floats, random numbers, the total order, blocks of work.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "poolwise/core/detail/hash.hpp"
#include "poolwise/core/detail/number_bytes.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/core/threads.hpp"

namespace poolwise {
namespace {

// The value by the format's definition, field by field.
double binary16_value(unsigned bits) {
  const int exponent = int(bits >> 10 & 31);
  const double fraction = double(bits & 1023) / 1024;
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 31) return fraction != 0 ? NAN : sign * INFINITY;
  return sign * (exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15));
}

TEST(Half, EveryFloat16WidensToItsDefinition) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const float got = to_float(float16{std::uint16_t(bits)});
    const double want = binary16_value(bits);
    if (std::isnan(want))
      EXPECT_TRUE(std::isnan(got)) << bits;
    else
      EXPECT_EQ(got, want) << bits;
  }
}

TEST(Half, Bfloat16IsTheUpperHalfOfAFloat) {
  EXPECT_EQ(to_float(bfloat16{0x3f80}), 1.0f);
  EXPECT_EQ(to_float(bfloat16{0xc000}), -2.0f);
  EXPECT_EQ(to_float(bfloat16{0x0001}), 0x1p-133f);
  EXPECT_TRUE(std::isnan(to_float(bfloat16{0x7fc0})));
}

// Known answers of the Random123 distribution.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<std::uint32_t, 4>{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (std::array<std::uint32_t, 4>{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}));
  EXPECT_EQ(philox4x32({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, {0xa4093822u, 0x299f31d0u}),
            (std::array<std::uint32_t, 4>{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}));
}

TEST(Philox, UnitIsBelowOneAndDependsOnEveryArgument) {
  std::set<double> seen;
  for (std::uint64_t seed : {0ull, 1ull, 1ull << 40})
    for (stream s : {stream{1}, stream{2}})
      for (std::uint64_t index : {0ull, 1ull, 1ull << 40})
        for (std::uint32_t epoch : {0u, 1u}) {
          const double u = random_unit(seed, s, index, epoch);
          EXPECT_GE(u, 0.0);
          EXPECT_LT(u, 1.0);
          seen.insert(u);
        }
  EXPECT_EQ(seen.size(), 36u);
}

// FNV-1a and SplitMix64 by their authors; the hash of arrays as it stands in files since version 1.
TEST(Hash, KnownAnswers) {
  const std::string text = "foobar";
  EXPECT_EQ(fnv1a({}), 0xcbf29ce484222325u);
  EXPECT_EQ(fnv1a(std::as_bytes(std::span(text))), 0x85944171f73967e8u);
  EXPECT_EQ(splitmix64(0, 0), 0xe220a8397b1dcdafu);
  hash h;
  h.add(text.data(), text.size());
  h.add_value(std::int64_t{-7});
  EXPECT_EQ(h.value(), 0x0484968e9c6ff1b3u);
}

TEST(NumberBytes, AreLittleEndianAndComeBack) {
  std::vector<std::byte> bytes;
  append_number(bytes, 0x0102030405060708u);
  append_number(bytes, 0xa1b2, 2);
  ASSERT_EQ(bytes.size(), 10u);
  EXPECT_EQ(bytes[0], std::byte{8});
  std::span<const std::byte> rest(bytes);
  EXPECT_EQ(take_number(rest), 0x0102030405060708u);
  EXPECT_EQ(take_number(rest, 2), 0xa1b2u);
  EXPECT_TRUE(rest.empty());
}

TEST(Text, IsCutOutsideParentheses) {
  const auto parts = [](std::string_view text) {
    const auto cut = cut_outside_parentheses(text, ',');
    return std::vector<std::string>(cut.parts.begin(), cut.parts.end());
  };
  using words = std::vector<std::string>;
  EXPECT_EQ(parts("a, b(c, d(e,f)) ,g"), (words{"a", "b(c, d(e,f))", "g"}));
  EXPECT_EQ(parts(""), words{""});
  EXPECT_EQ(parts("  ,"), (words{"", ""}));
  EXPECT_EQ(cut_outside_parentheses("a(b(c), d)", ',').depth, 2);
  EXPECT_EQ(cut_outside_parentheses("a(b)", ',').unmatched, std::string_view::npos);
  EXPECT_EQ(cut_outside_parentheses("a(b", ',').unmatched, 1u);
  EXPECT_EQ(cut_outside_parentheses("a(b))(", ',').unmatched, 4u);
  const std::string text = "a, b";
  EXPECT_EQ(cut_outside_parentheses(text, ',').parts[1].data(), text.data() + 3);
}

TEST(Text, TheNearestWordHasTheFewestEdits) {
  const std::vector<std::string> words = {"margin", "entropy", "energy"};
  EXPECT_EQ(nearest_word("margn", words), "margin");
  EXPECT_EQ(nearest_word("entrgy", words), "energy");
  EXPECT_EQ(nearest_word("x", {}), "");
}

TEST(Text, ANumberIsTheWholeOfItsText) {
  EXPECT_EQ(number_in<index_t>("-12"), -12);
  EXPECT_EQ(number_in<double>("1e3"), 1000.0);
  for (const char* text : {"", " 1", "1 ", "+1", "1x", "1.5", "9223372036854775808"})
    EXPECT_FALSE(number_in<index_t>(text)) << text;
  EXPECT_EQ(in_lower_case("A.NPY \xc3\x84"), "a.npy \xc3\x84");
}

TEST(Text, WhatCommandsATerminalIsEscaped) {
  EXPECT_EQ(printable("caf\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80"),
            "caf\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80");
  EXPECT_EQ(printable("a\x1b[31m\n\x7f"), "a\\x1b[31m\\x0a\\x7f");
  EXPECT_EQ(printable("x\xc2\x9b"
                      "31m\xc2\x80\xc2\xa0"),
            "x\\xc2\\x9b31m\\xc2\\x80\xc2\xa0");
  for (const char* turn : {"\xe2\x80\xaa", "\xe2\x80\xae", "\xe2\x81\xa6", "\xe2\x81\xa9"})
    EXPECT_EQ(printable(turn).substr(0, 4), "\\xe2");
  EXPECT_EQ(printable("\xe2\x80\xa9"), "\xe2\x80\xa9");
  // No UTF-8: alone, cut short, longer than need be, a surrogate, beyond the last.
  EXPECT_EQ(printable("\x9b"), "\\x9b");
  EXPECT_EQ(printable("\xe4\xb8"), "\\xe4\\xb8");
  EXPECT_EQ(printable("\xc0\x9b"), "\\xc0\\x9b");
  EXPECT_EQ(printable("\xe0\x82\x9b"), "\\xe0\\x82\\x9b");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
  EXPECT_EQ(printable("\xe4\xb8\xad", 2), "...");
}

TEST(Threads, AreAsManyAsTheSystemGives) {
  EXPECT_EQ(threads_to_be_had(1), 1);
  EXPECT_EQ(threads_to_be_had(5), 5);
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr uid_t nobody = 65534;
    if (::geteuid() == 0 && ::setreuid(nobody, nobody) != 0) ::_exit(2);
    const rlimit limit{1, 1};
    ::setrlimit(RLIMIT_NPROC, &limit);
    ::_exit(threads_to_be_had(16) == 1 ? 0 : 3);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Order, HigherScoreFirstTiesToTheLowerRow) {
  EXPECT_TRUE(before({7, 2.0f}, {1, 1.0f}));
  EXPECT_TRUE(before({1, 1.0f}, {7, 1.0f}));
  EXPECT_FALSE(before({7, 1.0f}, {1, 1.0f}));
  EXPECT_TRUE(before({1, -0.0f}, {2, 0.0f}));
  EXPECT_TRUE(before({1, 0.0f}, {2, -0.0f}));
  EXPECT_FALSE(before({1, 1.0f}, {1, 1.0f}));
}

TEST(Parallel, EveryItemOnceForAnyThreadCount) {
  for (int threads : {1, 2, 5})
    for (index_t items : {0, 1, 7, 8, 9, 1000}) {
      std::vector<int> visits(std::size_t(items), 0);
      parallel_blocks(cpu{threads}, items, 8, [&](index_t b, index_t begin, index_t end) {
        EXPECT_EQ(begin, b * 8);
        for (index_t i = begin; i < end; ++i) ++visits[std::size_t(i)];
      });
      EXPECT_EQ(std::count(visits.begin(), visits.end(), 1), items);
    }
}

TEST(Parallel, TheLowestFailingBlockIsReported) {
  try {
    parallel_blocks(cpu{3}, 100, 1, [](index_t b, index_t, index_t) {
      if (b % 10 == 3) throw value_error(std::to_string(b));
    });
    FAIL() << "nothing was thrown";
  } catch (const value_error& e) {
    EXPECT_STREQ(e.what(), "3");
  }
}

// The status of a child that computes `sum` and leaves by it; one that hangs is ended by its alarm.
template <class Sum>
int status_of_child(Sum sum) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(sum());
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}

TEST(Parallel, AForkedProcessComputesOnTheThreadThatItHas) {
  const auto sum = [] {
    std::atomic<int> total = 0;
    parallel_blocks(cpu{3}, 10, 1, [&](index_t b, index_t, index_t) { total += int(b); });
    return total.load();
  };
  ASSERT_EQ(sum(), 45);  // OpenMP has its threads now
  const auto alone = [&] { return threads_of(cpu{3}) == 1 ? sum() : -1; };
  EXPECT_EQ(WEXITSTATUS(status_of_child(alone)), 45);
  // A fork in a fork, too.
  EXPECT_EQ(WEXITSTATUS(status_of_child([&] { return WEXITSTATUS(status_of_child(alone)); })), 45);
  EXPECT_EQ(threads_of(cpu{3}), 3);
}

TEST(Interruption, EndsACallFromItsOwnThreadAlone) {
  struct over {};
  const auto caller = std::this_thread::get_id();
  std::atomic<index_t> done = 0;
  int looks = 0;
  const interruptible until([&] {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    if (++looks == 2) throw over();
  });
  const auto block = [&](index_t, index_t, index_t) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ++done;
  };
  EXPECT_THROW(parallel_blocks(cpu{3}, 100'000, 1, block), over);
  EXPECT_EQ(looks, 2);
  EXPECT_LT(done, 10'000);
}

TEST(Interruption, TheInnermostIsAskedAndTheOuterAgainAfterIt) {
  int outer = 0, inner = 0;
  const auto pass = [] {
    parallel_blocks(cpu{1}, 150, 1, [](index_t, index_t, index_t) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
  };
  const interruptible first([&] { ++outer; });
  {
    const interruptible second([&] { ++inner; });
    pass();
    EXPECT_GT(inner, 0);
    EXPECT_EQ(outer, 0);
  }
  pass();
  EXPECT_GT(outer, 0);
}

TEST(Where, CudaIsRefusedByNameWhereThereIsNoKernel) {
  EXPECT_EQ(require_cpu(cpu{3}, "score").threads, 3);
  try {
    require_cpu(cuda{}, "score");
    FAIL() << "nothing was thrown";
  } catch (const no_cuda_error& e) {
    EXPECT_NE(std::string(e.what()).find("score: "), std::string::npos);
  }
}

}  // namespace
}  // namespace poolwise
