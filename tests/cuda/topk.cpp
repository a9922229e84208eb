// Top-k on devices: the candidates of the CPU, whatever the ties, the tiles and the devices.
#include "poolwise/topk/topk.hpp"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/topk/detail/guess.hpp"
#include "reference/errors.hpp"
#include "reference/on_device.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;
using reference::on_device;
using floats = std::vector<float>;
using bars = std::vector<std::uint8_t>;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

vector_view<const float> view(const floats& x) { return {x.data(), index_t(x.size())}; }

std::vector<int> all_devices() {
  int count = 0;
  reference::succeed(cudaGetDeviceCount(&count));
  std::vector<int> devices(static_cast<std::size_t>(count));
  for (int d = 0; d < count; ++d) devices[std::size_t(d)] = d;
  return devices;
}

floats random_scores(std::size_t size, std::uint32_t seed) {
  std::mt19937 next(seed);
  floats scores(size);
  for (float& s : scores) s = float(next()) * 0x1p-32f;
  return scores;
}

/// Orders and values that a threshold could trip over.
std::map<std::string, floats> awkward_scores(std::size_t size) {
  std::map<std::string, floats> all;
  all["random"] = random_scores(size, 1);
  all["ascending"] = all["random"];
  std::sort(all["ascending"].begin(), all["ascending"].end());
  all["all equal"] = floats(size, 0.25f);
  all["all -inf"] = floats(size, -infinity);
  all["all +inf"] = floats(size, infinity);
  std::mt19937 next(3);
  const auto choose = [&](floats from) {
    floats scores(size);
    for (float& s : scores) s = from[next() % from.size()];
    return scores;
  };
  all["few values"] = choose({0.5f, 1.0f, 1.5f});
  all["zeros and denormals"] = choose({0.0f, -0.0f, 0x1p-149f, -0x1p-149f, 0x1.8p-127f, 0x1p-126f});
  all["infinities"] = choose({-infinity, infinity, 0.0f, std::numeric_limits<float>::max()});
  return all;
}

/// From device memory, with the scores misaligned; and from host memory over all devices.
void expect_as_on_the_cpu(const floats& scores, index_t k, std::size_t ceiling = 0) {
  const auto expected = top_k(cpu{1}, view(scores), k);
  const on_device<float> x(scores, 1 + scores.size() % 4);
  EXPECT_EQ(top_k(cuda{0, nullptr, ceiling}, x.view(), k), expected);
  EXPECT_EQ(top_k(offload{all_devices(), ceiling}, view(scores), k), expected);
}

// A simulated sort takes 50 ms, so each test takes as few as show the point.
TEST(CudaTopK, HasTheCandidatesOfTheCpu) {
  for (const std::size_t size : {0, 1, 3, 33}) {
    SCOPED_TRACE(size);
    expect_as_on_the_cpu(random_scores(size, 1), 20);
  }
  const auto all = awkward_scores(6'001);
  for (const auto& [name, scores] : all) {
    SCOPED_TRACE(name);
    expect_as_on_the_cpu(scores, 20);
  }
  for (const index_t k :
       {index_t(0), index_t(1), index_t(2'000), index_t(6'001), std::numeric_limits<index_t>::max()}) {
    SCOPED_TRACE(k);
    expect_as_on_the_cpu(all.at("few values"), k);
  }
}

TEST(CudaTopK, UnderAnyCeiling) {
  expect_as_on_the_cpu(random_scores(2'000, 6), 10, 25'000);
  expect_as_on_the_cpu(random_scores(2'000, 7), 900, 25'000);
  expect_as_on_the_cpu(random_scores(5'000, 8), 2'000, 100'000);
}

TEST(CudaTopK, ADeceivedSampleCostsTimeAlone) {
  for (const float shift : {1.0f, -1.0f}) {
    floats scores = random_scores(6'000, 11);
    const top_k_guess guess = guess_top_k(6'000, 10);
    ASSERT_GT(guess.step, 0);
    for (std::size_t i = 0; i < scores.size(); i += std::size_t(guess.step)) scores[i] += shift;
    expect_as_on_the_cpu(scores, 10);
  }
}

TEST(CudaTopK, NanIsRefusedByNameAndNumber) {
  floats scores = random_scores(10'000, 6);
  for (const std::size_t row : {9'999, 7'000, 7'001, 4'003}) scores[row] = nan;
  const on_device<float> x(scores);
  const std::string words = "top_k: the score of row 4003 is NaN (4 such rows); leave these rows out";
  expect_refused<value_error>([&] { top_k(cuda{}, x.view(), 10); }, words);
  expect_refused<value_error>([&] { top_k(offload{all_devices(), 50'000}, view(scores), 10); }, words);
  bars barred(10'000);
  barred[4'003] = barred[5] = 1;
  const on_device<std::uint8_t> b(barred);
  const vector_view<const std::uint8_t> host_bars{barred.data(), 10'000};
  EXPECT_EQ(find_nan(cuda{}, x.view()), (nan_rows{4'003, 4}));
  EXPECT_EQ(find_nan(cuda{}, x.view(), b.view()), (nan_rows{7'000, 3}));
  EXPECT_EQ(find_nan(offload{all_devices(), 20'000}, view(scores)), (nan_rows{4'003, 4}));
  EXPECT_EQ(find_nan(offload{all_devices()}, view(scores), host_bars), (nan_rows{7'000, 3}));
  EXPECT_EQ(find_nan(cuda{}, {x.data(), 4'003}), nan_rows{});
  EXPECT_EQ(find_nan(cuda{}, {}), nan_rows{});
  const floats all(3'000, nan);
  EXPECT_EQ(find_nan(offload{}, view(all)), (nan_rows{0, 3'000}));
}

TEST(CudaTopK, ChunksBeyondThe32BitRows) {
  const index_t far = (index_t(1) << 40) + 12'345;
  const auto all = awkward_scores(4'000);
  for (const char* const name : {"random", "few values", "infinities"})
    for (const index_t k : {5, 700}) {
      if (k == 700 && name != std::string("few values")) continue;
      SCOPED_TRACE(std::string(name) + ", k " + std::to_string(k));
      floats with_nan = all.at(name);
      with_nan[17] = nan;
      bars barred(4'000);
      for (std::size_t i = 0; i < barred.size(); i += 5) barred[i] = 1;
      const on_device<float> x(with_nan);
      const on_device<std::uint8_t> b(barred);
      top_k_state expected(k), device(k), host(k);
      for (const index_t begin : {2'000, 0}) {
        const index_t first = far + begin;
        const vector_view<const std::uint8_t> some{barred.data() + begin, 2'000};
        expected.add(cpu{1}, {with_nan.data() + begin, 2'000}, first, some);
        device.add(cuda{}, {x.data() + begin, 2'000}, first, {b.data() + begin, 2'000});
        host.add(offload{all_devices(), 60'000}, {with_nan.data() + begin, 2'000}, first, some);
      }
      EXPECT_EQ(device.best(), expected.best());
      EXPECT_EQ(host.best(), expected.best());
    }
}

TEST(CudaTopK, DevicesThatBeginLateBringNothingTwice) {
  const floats scores = random_scores(2'000, 3);
  const auto expected = top_k(cpu{1}, view(scores), 5);
  for (int repeat = 0; repeat < 25; ++repeat) {  // now and then a device ends before the last begins
    top_k_state host(5);
    host.add(offload{all_devices(), 60'000}, view(scores), 0);
    ASSERT_EQ(host.best(), expected) << "repeat " << repeat;
  }
}

TEST(CudaTopK, OnAStreamOfTheCaller) {
  const floats scores = random_scores(5'000, 8);
  const on_device<float> x(scores);
  cudaStream_t stream = nullptr;
  reference::succeed(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  EXPECT_EQ(top_k(cuda{0, stream}, x.view(), 100), top_k(cpu{}, view(scores), 100));
  EXPECT_EQ(find_nan(cuda{0, stream}, x.view()), nan_rows{});
  reference::succeed(cudaStreamDestroy(stream));
}

TEST(CudaTopK, TooLittleMemoryIsRefused) {
  const on_device<float> x(random_scores(5'000, 8));
  expect_refused<memory_error>([&] { top_k(cuda{0, nullptr, 1'000}, x.view(), 100); }, "the ceiling is 1000");
}

}  // namespace
}  // namespace poolwise
