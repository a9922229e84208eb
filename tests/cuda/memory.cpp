// A pool ten times larger than the memory of the devices: the same scores and picks.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "poolwise/score/score.hpp"
#include "poolwise/topk/best_rows.hpp"
#include "reference/on_device.hpp"
#include "reference/outputs.hpp"

namespace poolwise {
namespace {

/// Rows of `cols` logits, the first two ahead of the others by far, with one of 200 gaps between them: massive
/// ties, and between them distances that no backend's rounding closes.
reference::matrix<float16> pool_of(index_t rows, index_t cols) {
  reference::matrix<float16> x(rows, cols);
  std::vector<float16> row(static_cast<std::size_t>(cols), reference::narrow<float16>(-30));
  for (index_t i = 0; i < rows; ++i) {
    row[0] = reference::narrow<float16>(0.015625f * float(i * 7'919 % 200));
    row[1] = reference::narrow<float16>(0);
    std::copy(row.begin(), row.end(), x.data.begin() + i * cols);
  }
  return x;
}

std::vector<index_t> rows_of_best(const std::vector<candidate>& best) {
  std::vector<index_t> rows;
  for (const candidate& c : best) rows.push_back(c.row);
  return rows;
}

TEST(SimulatedMemory, APoolTenTimesLargerIsScoredAndSelected) {
  std::size_t unused = 0, bytes = 0;
  ::reference::succeed(cudaMemGetInfo(&unused, &bytes));
  const index_t cols = 100, k = 1'000, rows = index_t(10 * bytes / (cols * sizeof(float16)));
  const auto x = pool_of(rows, cols);
  int count = 0;
  ::reference::succeed(cudaGetDeviceCount(&count));
  offload all{{}, 0};
  while (int(all.devices.size()) < count) all.devices.push_back(int(all.devices.size()));

  const auto best = [&](const where& on) {
    return rows_of_best(best_rows(on, x.view(), outputs::logits, acquisition::margin, k).best);
  };
  const auto expected = best(cpu{});
  EXPECT_EQ(best(all), expected);

  std::vector<float> scores(static_cast<std::size_t>(rows)), scores_on_cpu(scores);
  score(cpu{}, x.view(), outputs::logits, acquisition::margin, {scores_on_cpu.data(), rows});
  score(all, x.view(), outputs::logits, acquisition::margin, {scores.data(), rows});
  index_t far = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) far += !(std::abs(scores[i] - scores_on_cpu[i]) < 1e-5f);
  EXPECT_EQ(far, 0);
  EXPECT_EQ(rows_of_best(top_k(all, {scores.data(), rows}, k)), expected);
}

}  // namespace
}  // namespace poolwise
