// How calls behave beside the application that makes them: they open no device but theirs, give memory back,
// refuse memory on the wrong side, and leave its errors and streams alone. Suites named SimulatedBeside run
// under the settings that tests/CMakeLists.txt names.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "poolwise/committee/committee.hpp"
#include "poolwise/core/device_memory.hpp"
#include "poolwise/core/devices.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/kcenter.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"
#include "poolwise/graph/neighbours.hpp"
#include "poolwise/score/score.hpp"
#include "poolwise/topk/best_rows.hpp"
#include "poolwise/topk/topk.hpp"
#include "reference/errors.hpp"
#include "reference/on_device.hpp"

namespace poolwise {
namespace {

using reference::expect_refused;
using reference::on_device;
using reference::succeed;

constexpr index_t rows = 300, cols = 40;

std::vector<float> values(index_t count = rows * cols) {
  std::mt19937 next(1);
  std::vector<float> some(std::size_t(count), 0.0f);
  for (float& v : some) v = float(next()) * 0x1p-32f;
  return some;
}

matrix_view<const float> matrix_of(const std::vector<float>& x) { return {x.data(), rows, cols}; }

// GPUSIM_CONTEXTS=1: a context on another device than 1 ends the program.
TEST(SimulatedBeside, NoOtherDeviceIsOpened) {
  const auto x = values();
  const offload one{{1}, 200'000};
  std::vector<float> scores(std::size_t(rows), 0.0f);
  const vector_view<float> to{scores.data(), rows};
  EXPECT_EQ(list_cuda_devices().devices.size(), 3u);
  score(one, matrix_of(x), outputs::logits, acquisition::entropy, to);
  const auto picks = kcenter(one, matrix_of(x), {.picks = 5});
  EXPECT_EQ(picks, kcenter(cpu{}, matrix_of(x), {.picks = 5}));
  kmeans_pp(one, matrix_of(x), {.picks = 5}, 1);
  top_k(one, to, 3);
  std::vector<index_t> which(std::size_t(rows * 3), 0);
  knn_graph(one, matrix_of(x), {which.data(), rows, 3});
}

int compute_capability() {
  int major = 0;
  succeed(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
  return major;
}

std::size_t free_now() {
  std::size_t free = 0, total = 0;
  succeed(cudaDeviceSynchronize());
  succeed(cudaMemGetInfo(&free, &total));
  return free;
}

TEST(Beside, MemoryGoesBackWhenAskedFor) {
  const auto x = values();
  release_device_memory();
  const std::size_t before = free_now();
  kcenter(offload{}, matrix_of(x), {.picks = 5});
  EXPECT_LT(free_now(), before) << "nothing is kept for the next call";
  release_device_memory();
  EXPECT_EQ(free_now(), before);
}

TEST(Beside, TheDefaultPoolIsTheApplications) {
  cudaMemPool_t pool = nullptr;
  succeed(cudaDeviceGetDefaultMemPool(&pool, 0));
  std::uint64_t threshold = 12345, after = 0, used = 0;
  succeed(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &threshold));
  const auto x = values();
  kcenter(offload{}, matrix_of(x), {.picks = 5});
  succeed(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &after));
  succeed(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemHigh, &used));
  EXPECT_EQ(after, threshold);
  EXPECT_EQ(used, 0u);
}

/// An allocator that counts, and has no more than `most` bytes.
struct counting_allocator {
  std::mutex mutex;
  std::map<void*, std::size_t> held;
  std::size_t in_use = 0, calls = 0, failing = 0, most = std::size_t(1) << 30;

  device_allocator hook() {
    return {[](std::size_t bytes, int, CUstream_st* stream, void* context) -> void* {
              auto& self = *static_cast<counting_allocator*>(context);
              const std::lock_guard lock(self.mutex);
              void* data = nullptr;
              if (++self.calls == self.failing || self.in_use + bytes > self.most) return nullptr;
              if (cudaMallocAsync(&data, bytes, stream) != cudaSuccess) return nullptr;
              self.held[data] = bytes;
              self.in_use += bytes;
              return data;
            },
            [](void* data, std::size_t bytes, int, CUstream_st* stream, void* context) {
              auto& self = *static_cast<counting_allocator*>(context);
              const std::lock_guard lock(self.mutex);
              EXPECT_EQ(self.held[data], bytes);
              self.held.erase(data);
              self.in_use -= bytes;
              succeed(cudaFreeAsync(data, stream));
            },
            this};
  }
};

TEST(Beside, AnApplicationsAllocatorServesAllCalls) {
  const auto x = values();
  const auto expected = kcenter(cpu{}, matrix_of(x), {.picks = 5});
  counting_allocator own;
  set_device_allocator(own.hook());
  EXPECT_EQ(kcenter(offload{}, matrix_of(x), {.picks = 5}), expected);
  EXPECT_GT(own.calls, 3u);
  EXPECT_EQ(own.in_use, 0u);
  own.most = 1000;
  expect_refused<memory_error>([&] { kcenter(offload{}, matrix_of(x), {.picks = 5}); },
                               "the application's allocator has not as much");
  EXPECT_EQ(own.in_use, 0u);
  set_device_allocator({});
  const std::size_t calls = own.calls;
  EXPECT_EQ(kcenter(offload{}, matrix_of(x), {.picks = 5}), expected);
  EXPECT_EQ(own.calls, calls);
  device_allocator half;
  half.allocate = own.hook().allocate;
  expect_refused<value_error>([&] { set_device_allocator(half); }, "pass allocate and release");
}

TEST(Beside, HostMemoryIsRefusedWhereADeviceReads) {
  const auto x = values();
  const on_device<float> there(x), result(values(rows));
  std::vector<float> scores(std::size_t(rows), 0.0f);
  const vector_view<float> to{scores.data(), rows};
  const std::string host =
      "lies in host memory, which device 0 does not read; copy it to the device, or pass offload{}";
  const auto refused = [&](const std::string& argument, auto call) {
    SCOPED_TRACE(argument);
    expect_refused<value_error>(call, argument + " " + host);
  };
  refused("score: x", [&] { score(cuda{}, matrix_of(x), outputs::logits, acquisition::entropy, to); });
  refused("score: scores",
          [&] { score(cuda{}, there.rows(rows, cols), outputs::logits, acquisition::entropy, to); });
  refused("top_k: scores", [&] { top_k(cuda{}, to, 3); });
  refused("find_nan: scores", [&] { find_nan(cuda{}, to); });
  refused("kcenter: points", [&] { kcenter(cuda{}, matrix_of(x), {.picks = 2}); });
  refused("kcenter: covered", [&] { kcenter(cuda{}, there.rows(rows, cols), {.picks = 2}, to); });
  refused("kmeans_pp: points", [&] { kmeans_pp(cuda{}, matrix_of(x), {.picks = 2}, 1); });
  refused("squared_norms: d2", [&] { squared_norms(cuda{}, there.rows(rows, cols), to); });
  refused("best_rows: x", [&] { best_rows(cuda{}, matrix_of(x), outputs::logits, acquisition::entropy, 3); });
  refused("nearest: references", [&] { nearest(cuda{}, there.rows(rows, cols), matrix_of(x), to); });
  const std::vector<disagreement> bald{disagreement::bald};
  committee_accumulator committee(rows, cols, bald, cuda{});
  refused("committee_accumulator::add: member", [&] { committee.add(cuda{}, matrix_of(x), outputs::logits); });
  // The device still computes.
  EXPECT_EQ(kcenter(cuda{}, there.rows(rows, cols), {.picks = 2}), kcenter(cpu{}, matrix_of(x), {.picks = 2}));
}

TEST(Beside, DeviceMemoryIsRefusedWhereTheHostReads) {
  const on_device<float> there(values());
  const auto refused = [&](const std::string& argument, auto call) {
    expect_refused<value_error>(call,
                                argument + " lies on device 0, but offload takes host memory; pass cuda{0}");
  };
  refused("score: x", [&] {
    std::vector<float> scores(std::size_t(rows), 0.0f);
    score(offload{}, there.rows(rows, cols), outputs::logits, acquisition::entropy, {scores.data(), rows});
  });
  refused("kcenter: points", [&] { kcenter(offload{}, there.rows(rows, cols), {.picks = 2}); });
  refused("top_k: scores", [&] { top_k(offload{}, there.view(), 3); });
}

TEST(SimulatedBeside, MemoryOfAnotherDeviceIsRefused) {
  succeed(cudaSetDevice(1));
  const on_device<float> there(values());
  succeed(cudaSetDevice(0));
  expect_refused<value_error>([&] { kcenter(cuda{0}, there.rows(rows, cols), {.picks = 2}); },
                              "kcenter: points lies on device 1, the call is for device 0");
  EXPECT_EQ(kcenter(cuda{1}, there.rows(rows, cols), {.picks = 2}).size(), 2u);
  int now = -1;
  succeed(cudaGetDevice(&now));
  EXPECT_EQ(now, 0);
}

// An error that the application left is neither taken for ours nor taken away.
TEST(Beside, AnErrorFromBeforeStaysWhereItIs) {
  const auto x = values();
  const on_device<float> there(x), result(values(rows));
  void* data = nullptr;
  ASSERT_NE(cudaMallocHost(&data, ~std::size_t{0} / 2), cudaSuccess);
  score(cuda{}, there.rows(rows, cols), outputs::logits, acquisition::entropy, {result.data(), rows});
  squared_norms(cuda{}, there.rows(rows, cols), {result.data(), rows});
  EXPECT_NE(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

// Its memory is freed all the same: GPUSIM_LEAK finds it otherwise.
TEST(Beside, ACommitteeMayOutliveItsStream) {
  const on_device<float> there(values());
  cudaStream_t stream = nullptr;
  succeed(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  const std::vector<disagreement> bald{disagreement::bald};
  {
    committee_accumulator committee(rows, cols, bald, cuda{0, stream});
    committee.add(cuda{0, stream}, there.rows(rows, cols), outputs::logits);
    succeed(cudaStreamSynchronize(stream));
    succeed(cudaStreamDestroy(stream));
  }
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

// The bf16 copy of the rows is a matter of speed; every allocation fails in its turn, and one of them is that
// copy's.
TEST(Beside, AnOptionalCopyThatFailsChangesNothing) {
  const auto x = values();
  const matrix_view<const float> points = matrix_of(x);
  const auto expected = kcenter(cpu{}, points, {.picks = 20});
  int unharmed = 0, refused = 0;
  counting_allocator own;
  set_device_allocator(own.hook());
  for (own.failing = 1; own.calls = 0, true; ++own.failing) {
    try {
      EXPECT_EQ(kcenter(offload{}, points, {.picks = 20}), expected);
      if (own.calls < own.failing) break;
      ++unharmed;
    } catch (const memory_error&) {
      ++refused;
    }
    EXPECT_EQ(own.in_use, 0u);
  }
  set_device_allocator({});
  EXPECT_EQ(unharmed, compute_capability() >= 8 ? 2 : 0) << "values and facts";
  EXPECT_GT(refused, 5);
}

}  // namespace
}  // namespace poolwise
