// The best rows of model outputs on devices against the best of the scores there.
#include "poolwise/topk/best_rows.hpp"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "reference/on_device.hpp"
#include "reference/outputs.hpp"

namespace poolwise {
namespace {

using ::reference::on_device;

std::vector<int> all_devices() {
  int count = 0;
  ::reference::succeed(cudaGetDeviceCount(&count));
  std::vector<int> devices(static_cast<std::size_t>(count));
  for (int d = 0; d < count; ++d) devices[std::size_t(d)] = d;
  return devices;
}

/// Rows of two or more classes whose entropies lie far apart beside the difference of the backends: the larger
/// of two probabilities takes every step from 0.6 to 1 once, in a shuffled order. (At 1/2 entropy is flat.)
template <class T>
reference::matrix<T> separated_rows(index_t rows, index_t cols) {
  reference::matrix<T> x(rows, cols);
  for (index_t i = 0; i < rows; ++i) {
    const index_t step = i * 7'919 % rows;  // a permutation: 7919 is prime
    const float p = 0.6f + 0.4f * float(step) / float(rows);
    x(i, i % cols) = reference::narrow<T>(p);
    x(i, (i + 1) % cols) = reference::narrow<T>(1 - p);
  }
  return x;
}

template <class T>
void expect_as_on_the_cpu(index_t rows, index_t cols, acquisition which, index_t k, std::size_t ceiling = 0) {
  SCOPED_TRACE(std::to_string(rows) + " rows, " + std::to_string(k) + " best, ceiling " +
               std::to_string(ceiling));
  auto x = separated_rows<T>(rows, cols);
  std::vector<std::uint8_t> barred(static_cast<std::size_t>(rows));
  for (std::size_t i = 0; i < barred.size(); i += 5) barred[i] = 1;
  for (const index_t row : {index_t(4), index_t(10), rows - 2}) x(row, 0) = reference::narrow<T>(NAN);
  const vector_view<const std::uint8_t> bars{barred.data(), rows};
  const auto best = [&](const where& on, const real_matrix& from, vector_view<const std::uint8_t> some) {
    return best_rows(on, from, outputs::probabilities, which, k, some);
  };
  const best_of_rows expected = best(cpu{}, x.view(), bars);
  const on_device<T> there(x.data, 1);
  const on_device<std::uint8_t> bars_there(barred);
  const best_of_rows resident = best(cuda{0, nullptr, ceiling}, there.rows(rows, cols), bars_there.view()),
                     sent = best(offload{all_devices(), ceiling}, x.view(), bars);
  ASSERT_EQ(resident.best.size(), expected.best.size());
  for (std::size_t i = 0; i < expected.best.size(); ++i) {
    ASSERT_EQ(resident.best[i].row, expected.best[i].row) << i;
    ASSERT_NEAR(resident.best[i].score, expected.best[i].score, 1e-5f);
  }
  EXPECT_EQ(sent.best, resident.best);
  EXPECT_EQ(resident.invalid, expected.invalid);
  EXPECT_EQ(sent.invalid, expected.invalid);
}

TEST(CudaBestRows, AreThoseOfTheCpu) {
  expect_as_on_the_cpu<float>(4'001, 3, acquisition::entropy, 30);
  expect_as_on_the_cpu<float>(1'003, 2, acquisition::least_confidence, 600);
  expect_as_on_the_cpu<float>(61, 5, acquisition::margin, 100);
}

TEST(CudaBestRows, UnderAnyCeiling) {
  for (const std::size_t ceiling : {60'000, 200'000})
    expect_as_on_the_cpu<float>(3'001, 3, acquisition::entropy, 20, ceiling);
}

TEST(CudaBestRows, MassiveTies) {
  const index_t rows = 6'000;
  const std::vector<float> x(std::size_t(rows) * 2, 0.5f);
  const on_device<float> there(x);
  const auto best = [&](const where& on, const float* data) {
    return best_rows(on, matrix_view<const float>{data, rows, 2}, outputs::probabilities, acquisition::entropy,
                     50)
        .best;
  };
  const auto resident = best(cuda{}, there.data());
  ASSERT_EQ(resident.size(), 50u);
  for (std::size_t i = 0; i < resident.size(); ++i) EXPECT_EQ(resident[i].row, index_t(i));
  EXPECT_EQ(best(offload{all_devices(), 200'000}, x.data()), resident);
}

TEST(CudaBestRows, NothingToChooseFrom) {
  const std::vector<float> x(20, 0.5f);
  const on_device<float> there(x);
  const auto best = [&](index_t rows, index_t k) {
    return best_rows(cuda{}, matrix_view<const float>{there.data(), rows, 2}, outputs::probabilities,
                     acquisition::entropy, k)
        .best.size();
  };
  EXPECT_EQ(best(0, 3), 0u);
  EXPECT_EQ(best(10, 0), 0u);
  EXPECT_EQ(best(10, 11), 10u);
}

}  // namespace
}  // namespace poolwise
