// Neighbour lists on CUDA devices. Views lie in device memory unless a name says otherwise.
#pragma once

#include <cstdint>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// Whether the installed FAISS has its GPU part.
#ifdef POOLWISE_HAS_FAISS_GPU
inline constexpr bool has_faiss_gpu = true;
#else
inline constexpr bool has_faiss_gpu = false;
#endif

/// How many references FAISS is asked for: with those that its rounding could have put in the wrong place.
inline index_t with_spare(index_t neighbours) { return neighbours + (neighbours > 64 ? neighbours / 8 : 8); }

inline constexpr index_t most_faiss_gpu_neighbours = 2048;  // faiss/gpu/impl: getMaxKSelection()
inline constexpr index_t most_device_neighbours = 2048;
inline constexpr index_t most_device_references = 0xfffffffe;

/// The `self` of a search in which no point is a reference, too.
inline constexpr index_t not_among_references = -1;

/// nearest_neighbours() of finite arrays; row i of points is reference self + i, which is left out, unless
/// `self` is not_among_references. Does not wait, but for FAISS.
void neighbours_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                     matrix_view<const float> references, index_t self, matrix_view<index_t> which,
                     matrix_view<float> d2);

/// The same of host memory, the points shared out over the devices.
void neighbours_offload(const offload& on, const char* call, matrix_view<const float> points,
                        matrix_view<const float> references, index_t self, matrix_view<index_t> which,
                        matrix_view<float> d2);

/// For each point some references, and their distances as a GEMM in fp32 finds them, nearest first: no
/// reference that is left out is nearer, by that GEMM, than the last. A negative id names none.
struct neighbour_proposals {
  matrix_view<const float> d2;
  matrix_view<const std::int64_t> id;
};

/// neighbours_cuda() by proposals. Points for which they do not decide are compared with all references.
void settle_neighbours_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                            matrix_view<const float> references, index_t self,
                            const neighbour_proposals& proposed, matrix_view<index_t> which,
                            matrix_view<float> d2);

/// The nearest of the proposed alone; -1 where they are too few.
void order_proposals_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                          matrix_view<const float> references, index_t self,
                          const neighbour_proposals& proposed, matrix_view<index_t> which,
                          matrix_view<float> d2);

/// neighbours_cuda() by the proposals of faiss::gpu::bfKnn. Waits.
void neighbours_by_faiss_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                              matrix_view<const float> references, index_t self, index_t proposals,
                              matrix_view<index_t> which, matrix_view<float> d2);

/// knn_graph_ivf() by faiss::gpu::GpuIndexIVFFlat. Waits.
void graph_by_cells_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                         matrix_view<const float> centroids, index_t probes, matrix_view<index_t> neighbours,
                         matrix_view<float> d2);

/// The same of host memory, on the first device.
void graph_by_cells_offload(const offload& on, const char* call, matrix_view<const float> points,
                            matrix_view<const float> centroids, index_t probes, matrix_view<index_t> neighbours,
                            matrix_view<float> d2);

/// The named rows, without padding, in host memory. Waits.
void rows_to_host_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                       const std::vector<index_t>& rows, float* host);

/// Dense rows of host memory to a device. Waits.
void rows_to_device_cuda(const cuda& on, const char* call, const float* host, matrix_view<float> rows);

/// which[i] = the nearest of some centroids on the device, in host memory. Waits.
void nearest_to_host_cuda(const cuda& on, const char* call, matrix_view<const float> points,
                          matrix_view<const float> centroids, index_t* which);

}  // namespace poolwise
