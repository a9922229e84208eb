// Who waits: under the simulator's lazy streams nothing runs before it is waited for, and any wait but the
// test's own fails, so a call that waits behind its caller's back shows.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/score/score.hpp"
#include "poolwise/topk/best_rows.hpp"
#include "poolwise/topk/topk.hpp"
#include "reference/on_device.hpp"

namespace poolwise {
namespace {

using reference::on_device;
using reference::succeed;

constexpr index_t rows = 300, cols = 3;

std::vector<float> random_values(index_t count) {
  std::mt19937 next(1);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = float(next()) * 0x1p-32f;
  return values;
}

std::vector<float> now_in(const on_device<float>& x) {
  std::vector<float> values(static_cast<std::size_t>(x.view().size));
  succeed(cudaMemcpy(values.data(), x.data(), values.size() * sizeof(float), cudaMemcpyDeviceToHost));
  return values;
}

/// `call(stream, result)` leaves the result as it was until the stream has run.
template <class Call>
void expect_to_return_at_once(Call call) {
  const std::vector<float> before(static_cast<std::size_t>(rows * cols), -7);
  const on_device<float> result(before);
  cudaStream_t stream = nullptr;
  succeed(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  call(cuda{0, stream}, result.data());
  EXPECT_EQ(now_in(result), before) << "the call waited";
  while (cudaStreamQuery(stream) == cudaErrorNotReady) continue;
  EXPECT_NE(now_in(result), before);
  succeed(cudaStreamDestroy(stream));
}

TEST(SimulatedStreams, CallsThatWriteToTheDeviceDoNotWait) {
  const on_device<float> x(random_values(rows * cols)), center(random_values(cols));
  const auto points = x.rows(rows, cols);
  expect_to_return_at_once([&](const cuda& on, float* to) { squared_norms(on, points, {to, rows}); });
  expect_to_return_at_once([&](const cuda& on, float* to) {
    squared_distances(on, points, center.view(), {to, rows});
  });
  expect_to_return_at_once([&](const cuda& on, float* to) {
    score(on, points, outputs::logits, acquisition::entropy, {to, rows});
  });
  expect_to_return_at_once([&](const cuda& on, float* to) {
    output_gradient(on, points, outputs::logits, {to, rows, cols});
  });
}

/// Run with every wait after the first failing.
TEST(SimulatedStreams, PicksAreWaitedForOnce) {
  const auto scores = random_values(1'000);
  const on_device<float> x(scores);
  EXPECT_EQ(top_k(cuda{}, x.view(), 1), top_k(cpu{}, {scores.data(), 1'000}, 1));
  EXPECT_THROW(find_nan(cuda{}, x.view()), cuda_error);
}

TEST(SimulatedStreams, FusedPicksAreWaitedForOnce) {
  const auto logits = random_values(1'000 * cols);
  const on_device<float> x(logits);
  const auto best = best_rows(cuda{}, x.rows(1'000, cols), outputs::logits, acquisition::margin, 1).best;
  EXPECT_EQ(best.size(), 1u);
}

}  // namespace
}  // namespace poolwise
