// The GPU part of FAISS, where the installed FAISS has one (POOLWISE_HAS_FAISS_GPU). It proposes; what it says
// is settled by canonical distances (neighbours_cuda.cu).
//
// FAISS's kernels multiply in fp32: cuBLAS uses TF32 only for a handle that asks for it, and FAISS's does not.
// Should something else have changed that, proposals differ from canonical distances by more than the bound,
// which settle_kernel notices. cuVS, which FAISS can be built to call, picks its own arithmetic and is not
// used.
#include <faiss/gpu/GpuDistance.h>
#include <faiss/gpu/GpuIndexFlat.h>
#include <faiss/gpu/GpuIndexIVFFlat.h>
#include <faiss/gpu/StandardGpuResources.h>
#include <faiss/impl/FaissException.h>

#include <algorithm>
#include <limits>
#include <string>

#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/graph/detail/neighbours_cuda.hpp"

namespace poolwise {
namespace {

constexpr std::size_t most_scratch = std::size_t(1) << 30;  // more makes FAISS's tiles no faster

/// FAISS on the caller's stream, within `scratch` bytes. FAISS frees its memory when this goes, so the stream
/// must have been waited for.
class faiss_device {
 public:
  faiss_device(const cuda& on, std::size_t scratch) {
    provider_.setTempMemory(scratch);
    provider_.setPinnedMemory(0);
    provider_.setDefaultStream(on.device, on.stream);
  }
  faiss::gpu::StandardGpuResources* provider() { return &provider_; }

 private:
  faiss::gpu::StandardGpuResources provider_;
};

/// FAISS's exceptions as ours; it knows one kind.
template <class Body>
void faiss_call(const char* call, Body&& body) {
  try {
    body();
  } catch (const faiss::FaissException& e) {
    const std::string what = std::string(call) + ": FAISS failed: " + e.what();
    cudaGetLastError();  // not left for the caller to find
    if (what.find("alloc") != std::string::npos) throw memory_error(what);
    throw cuda_error(what);
  }
}

/// Before FAISS 1.10 there is no cuVS to turn off.
template <class Options>
void without_cuvs(Options& options) {
  if constexpr (requires { options.use_cuvs; }) options.use_cuvs = false;
}

/// The rows without padding between them.
class dense_rows {
 public:
  dense_rows(device_memory& memory, matrix_view<const float> x) : view_(x) {
    if (x.stride == x.cols) return;
    copy_ = memory.array<float>(x.rows * x.cols);
    view_ = {copy_.data(), x.rows, x.cols};
    const std::size_t width = std::size_t(x.cols) * sizeof(float);
    check(cudaMemcpy2DAsync(copy_.data(), width, x.data, std::size_t(x.stride) * sizeof(float), width,
                            std::size_t(x.rows), cudaMemcpyDeviceToDevice, memory.stream()),
          memory.call(), "copying rows");
  }
  matrix_view<const float> view() const { return view_; }

 private:
  device_array<float> copy_;
  matrix_view<const float> view_;
};

/// The proposals for some points.
struct proposal_arrays {
  proposal_arrays(device_memory& memory, index_t rows, index_t proposals)
      : each(proposals),
        d2(memory.array<float>(rows * proposals)),
        id(memory.array<std::int64_t>(rows * proposals)) {}

  static std::size_t bytes(index_t each) { return std::size_t(each) * (sizeof(float) + sizeof(std::int64_t)); }
  neighbour_proposals of(index_t rows) const { return {{d2.data(), rows, each}, {id.data(), rows, each}}; }

  index_t each;
  device_array<float> d2;
  device_array<std::int64_t> id;
};

void propose(faiss_device& faiss, matrix_view<const float> points, matrix_view<const float> references,
             const proposal_arrays& to) {
  faiss::gpu::GpuDistanceParams params;
  params.metric = faiss::METRIC_L2;
  params.k = int(to.each);
  params.dims = int(points.cols);
  params.vectors = references.data;
  params.numVectors = references.rows;
  params.queries = points.data;
  params.numQueries = points.rows;
  params.outDistances = to.d2.data();
  params.outIndicesType = faiss::gpu::IndicesDataType::I64;
  params.outIndices = to.id.data();
  without_cuvs(params);
  faiss::gpu::bfKnn(faiss.provider(), params);
}

template <class T>
matrix_view<T> some_rows(matrix_view<T> x, index_t begin, index_t end) {
  if (x.data == nullptr) return x;
  return {x.row(begin), end - begin, x.cols, x.stride};
}

/// What is left of the ceiling, for a call that this one makes.
cuda rest_of(const cuda& on, const device_memory& memory) {
  return {on.device, on.stream, on.memory > 0 ? std::max<std::size_t>(1, memory.left()) : 0};
}

void wait_for(const cuda& on, const char* call) {
  check(cudaStreamSynchronize(on.stream), call, "waiting for the device");
}

}  // namespace

void neighbours_by_faiss_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                              matrix_view<const float> references, index_t self, index_t proposals,
                              matrix_view<index_t> which, matrix_view<float> d2) {
  const current_device here(on.device, call);
  device_memory memory(on, call);
  const dense_rows all(memory, references);
  // A quarter for FAISS, a quarter for the proposals of a tile and its rows, the rest for what settles them.
  const std::size_t quarter = memory.left() / 4;
  faiss_device faiss(on, std::min(quarter, most_scratch));
  const index_t each = std::min(proposals, references.rows);
  const std::size_t row_bytes = proposal_arrays::bytes(each) + std::size_t(points.cols) * sizeof(float);
  const index_t tile = std::clamp<index_t>(index_t(quarter / row_bytes), 1, points.rows);
  const proposal_arrays proposed(memory, tile, each);
  for (index_t begin = 0; begin < points.rows; begin += tile) {
    const index_t end = std::min(points.rows, begin + tile);
    const auto some = rows_between(points, begin, end);
    {
      const dense_rows rows(memory, some);
      faiss_call(call, [&] { propose(faiss, rows.view(), all.view(), proposed); });
    }
    settle_neighbours_cuda(rest_of(on, memory), call, some, references,
                           self == not_among_references ? self : self + begin, proposed.of(end - begin),
                           some_rows(which, begin, end), some_rows(d2, begin, end));
  }
  wait_for(on, call);
}

void graph_by_cells_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                         matrix_view<const float> centroids, index_t probes, matrix_view<index_t> neighbours,
                         matrix_view<float> d2) {
  const index_t each = with_spare(neighbours.cols + 1);
  if (std::max(each, probes) > most_faiss_gpu_neighbours)
    throw shape_error(std::string(call) + ": got " + std::to_string(neighbours.cols) + " neighbours and " +
                      std::to_string(probes) +
                      " probes; FAISS on a GPU takes at most 1819 neighbours and 2048 probes");
  if (points.rows == 0) return;
  const current_device here(on.device, call);
  device_memory memory(on, call);
  const dense_rows rows(memory, points), cells(memory, centroids);
  const index_t cols = points.cols;
  const std::size_t quarter = memory.left() / 4;
  faiss_device faiss(on, std::min(quarter, most_scratch));
  const index_t tile = std::clamp<index_t>(index_t(quarter / proposal_arrays::bytes(each)), 1, points.rows);
  const proposal_arrays proposed(memory, tile, each);
  faiss_call(call, [&] {
    faiss::gpu::GpuIndexFlatConfig flat;
    flat.device = on.device;
    without_cuvs(flat);
    faiss::gpu::GpuIndexFlat coarse(faiss.provider(), int(cols), faiss::METRIC_L2, flat);
    coarse.add(centroids.rows, cells.view().data);
    faiss::gpu::GpuIndexIVFFlatConfig inverted;
    inverted.device = on.device;
    without_cuvs(inverted);
    faiss::gpu::GpuIndexIVFFlat index(faiss.provider(), &coarse, int(cols), centroids.rows, faiss::METRIC_L2,
                                      inverted);
    index.train(centroids.rows, cells.view().data);  // the cells are given: it only sets itself up
    index.add(points.rows, rows.view().data);
    index.nprobe = std::size_t(probes);
    for (index_t begin = 0; begin < points.rows; begin += tile) {
      const index_t end = std::min(points.rows, begin + tile);
      index.search(end - begin, rows.view().row(begin), each, proposed.d2.data(), proposed.id.data());
      order_proposals_cuda(on, call, rows_between(points, begin, end), points, begin, proposed.of(end - begin),
                           some_rows(neighbours, begin, end), some_rows(d2, begin, end));
    }
    wait_for(on, call);
  });
}

}  // namespace poolwise
