// Neighbour lists of host arrays on devices, and rows on their way between the two.
#include <algorithm>
#include <future>
#include <string>
#include <vector>

#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/detail/rows_cuda.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/graph/detail/neighbours_cuda.hpp"

namespace poolwise {
namespace {

template <class T>
void copy_rows(const cuda& on, const char* call, matrix_view<T> to, matrix_view<const T> from) {
  if (from.rows == 0 || from.cols == 0) return;
  check(cudaMemcpy2DAsync(to.data, std::size_t(to.stride) * sizeof(T), from.data,
                          std::size_t(from.stride) * sizeof(T), std::size_t(from.cols) * sizeof(T),
                          std::size_t(from.rows), cudaMemcpyDefault, on.stream),
        call, "copying rows");
}

template <class T>
matrix_view<T> some_rows(matrix_view<T> x, index_t begin, index_t end) {
  if (x.data == nullptr) return x;
  return {x.row(begin), end - begin, x.cols, x.stride};
}

void wait_for(const cuda& on, const char* call) {
  check(cudaStreamSynchronize(on.stream), call, "waiting for the device");
}

/// The rows, each of `row_bytes`, that fit into half of what is left; the other half is for what is called with
/// them.
index_t rows_that_fit(const device_memory& memory, std::size_t row_bytes, index_t rows) {
  return std::clamp<index_t>(index_t(memory.left() / 2 / row_bytes), 1, rows);
}

/// Tiles are not overlapped with their copies: a point costs a distance to every reference, its copy one row.
void on_one_device(int device, std::size_t ceiling, const char* call, matrix_view<const float> points,
                   matrix_view<const float> references, index_t self, matrix_view<index_t> which,
                   matrix_view<float> d2) {
  if (points.rows == 0) return;
  const current_device here(device, call);
  const own_stream stream(call);
  const cuda on{device, stream, ceiling};
  device_memory memory(on, call);
  const auto all = memory.array<float>(references.rows * references.cols);
  const matrix_view<float> device_references{all.data(), references.rows, references.cols};
  copy_rows(on, call, device_references, references);

  const index_t lists = which.cols;
  const index_t tile = rows_that_fit(
      memory, std::size_t(points.cols) * sizeof(float) + std::size_t(lists) * (sizeof(index_t) + sizeof(float)),
      points.rows);
  const auto tile_points = memory.array<float>(tile * points.cols);
  const auto tile_which = memory.array<index_t>(tile * lists);
  const auto tile_d2 = memory.array<float>(d2.data == nullptr ? 0 : tile * lists);
  cuda rest = on;
  if (ceiling > 0) rest.memory = std::max<std::size_t>(1, memory.left());
  for (index_t begin = 0; begin < points.rows; begin += tile) {
    const index_t end = std::min(points.rows, begin + tile), rows = end - begin;
    const matrix_view<float> x{tile_points.data(), rows, points.cols};
    const matrix_view<index_t> found{tile_which.data(), rows, lists};
    const matrix_view<float> found_d2{tile_d2.data(), rows, lists};
    copy_rows(on, call, x, rows_between(points, begin, end));
    neighbours_cuda(rest, call, x, device_references, self == not_among_references ? self : self + begin, found,
                    found_d2);
    copy_rows<index_t>(on, call, some_rows(which, begin, end), found);
    if (d2.data != nullptr) copy_rows<float>(on, call, some_rows(d2, begin, end), found_d2);
  }
  wait_for(on, call);
}

}  // namespace

void neighbours_offload(const offload& on, const char* call, matrix_view<const float> points,
                        matrix_view<const float> references, index_t self, matrix_view<index_t> which,
                        matrix_view<float> d2) {
  const index_t devices = index_t(on.devices.size());
  if (devices == 0) throw value_error(std::string(call) + ": got no devices; pass at least one");
  std::vector<std::future<void>> shares;
  for (index_t g = 0; g < devices; ++g)
    shares.push_back(std::async(std::launch::async, [=, &on] {
      const index_t begin = points.rows * g / devices, end = points.rows * (g + 1) / devices;
      on_one_device(on.devices[std::size_t(g)], on.memory, call, rows_between(points, begin, end), references,
                    self == not_among_references ? self : self + begin, some_rows(which, begin, end),
                    some_rows(d2, begin, end));
    }));
  for (auto& share : shares) share.wait();
  for (auto& share : shares) share.get();
}

void graph_by_cells_offload(const offload& on, const char* call, matrix_view<const float> points,
                            matrix_view<const float> centroids, index_t probes, matrix_view<index_t> neighbours,
                            matrix_view<float> d2) {
  if constexpr (has_faiss_gpu) {
    if (on.devices.empty()) throw value_error(std::string(call) + ": got no devices; pass at least one");
    const current_device here(on.devices[0], call);
    const own_stream stream(call);
    cuda device{on.devices[0], stream, on.memory};
    device_memory memory(device, call);
    const auto rows = memory.array<float>(points.rows * points.cols);
    const auto cells = memory.array<float>(centroids.rows * centroids.cols);
    const auto found = memory.array<index_t>(neighbours.rows * neighbours.cols);
    const auto found_d2 = memory.array<float>(d2.data == nullptr ? 0 : found.size());
    const matrix_view<float> x{rows.data(), points.rows, points.cols},
        c{cells.data(), centroids.rows, centroids.cols};
    const matrix_view<index_t> which{found.data(), neighbours.rows, neighbours.cols};
    const matrix_view<float> which_d2{found_d2.data(), neighbours.rows, neighbours.cols};
    copy_rows(device, call, x, points);
    copy_rows(device, call, c, centroids);
    if (on.memory > 0) device.memory = std::max<std::size_t>(1, memory.left());
    graph_by_cells_cuda(device, call, x, c, probes, which, which_d2);
    copy_rows<index_t>(device, call, neighbours, which);
    if (d2.data != nullptr) copy_rows<float>(device, call, d2, which_d2);
    wait_for(device, call);
  }
}

void rows_to_host_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                       const std::vector<index_t>& rows, float* host) {
  const current_device here(on.device, call);
  const index_t count = index_t(rows.size());
  if (count == points.rows) {
    copy_rows<float>(on, call, {host, count, points.cols}, points);
    return wait_for(on, call);
  }
  device_memory memory(on, call);
  const std::size_t row_bytes = std::size_t(points.cols) * sizeof(float) + sizeof(index_t);
  const index_t tile = rows_that_fit(memory, row_bytes, count);
  const auto numbers = memory.array<index_t>(tile);
  const auto gathered = memory.array<float>(tile * points.cols);
  for (index_t begin = 0; begin < count; begin += tile) {
    const index_t some = std::min(tile, count - begin);
    copy_async(numbers.data(), rows.data() + begin, some, memory);
    gather_rows(memory, points, {numbers.data(), some}, {gathered.data(), some, points.cols});
    copy_async(host + begin * points.cols, gathered.data(), some * points.cols, memory);
  }
  wait_for(on, call);
}

void rows_to_device_cuda(const cuda& on, const char* call, const float* host, matrix_view<float> rows) {
  const current_device here(on.device, call);
  copy_rows<float>(on, call, rows, {host, rows.rows, rows.cols});
  wait_for(on, call);
}

void nearest_to_host_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                          matrix_view<const float> centroids, index_t* which) {
  if (points.rows == 0) return;
  const current_device here(on.device, call);
  device_memory memory(on, call);
  const auto d2 = memory.array<float>(points.rows);
  const auto found = memory.array<index_t>(points.rows);
  cuda rest = on;
  if (on.memory > 0) rest.memory = std::max<std::size_t>(1, memory.left());
  nearest(rest, points, centroids, d2.view(), found.view());
  copy_async(which, found.data(), points.rows, memory);
  wait_for(on, call);
}

}  // namespace poolwise
