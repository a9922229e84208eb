// What the kernels can reach on each chip: for every case the time that its bytes, its instructions and its
// MUFU operations need, and which of them is the limit. Instructions and MUFU operations an element are those
// that the gates counted in the machine code (ctest -L gate). On a GPU the call is timed, too.
#ifdef POOLWISE_HAS_CUDA
#include <cuda_runtime_api.h>
#endif

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "poolwise/committee/committee.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/score/score.hpp"
#include "poolwise/topk/topk.hpp"

namespace {

using poolwise::index_t;

/// Bytes, lane instructions and MUFU operations a second: 92 % of the memory's peak, and what the
/// multiprocessors issue at their sustained clock (data sheets).
struct chip {
  const char* name;
  const char* machine_code;
  double bytes, instructions, mufu;
};
constexpr chip chips[] = {{"A100", "sm_80", 1.88e12, 19.5e12, 2.44e12},
                          {"H100", "sm_90", 3.08e12, 29.7e12, 3.71e12},
                          {"H200", "sm_90", 4.42e12, 29.7e12, 3.71e12},
                          {"B200", "sm_100", 7.06e12, 35.0e12, 4.38e12}};

/// A public call on arrays in device memory.
struct roofline_case {
  std::string name;
  std::string kernel;  // as the gates name it; empty where its hot loop is not counted by the element
  index_t rows, cols;
  double element_bytes, row_bytes;  // read for each element, and written or read once for each row
  std::function<void(const poolwise::cuda&, const void* x, float* out, index_t rows)> call;

  double bytes() const { return double(rows) * (double(cols) * element_bytes + row_bytes); }
  double elements() const { return double(rows) * double(cols); }
};

template <class T>
poolwise::real_matrix logits(const void* x, index_t rows, index_t cols) {
  return poolwise::matrix_view<const T>{static_cast<const T*>(x), rows, cols};
}

template <class T>
roofline_case entropy_of(const char* name, const char* kernel, index_t rows, index_t cols) {
  return {name,
          kernel,
          rows,
          cols,
          sizeof(T),
          sizeof(float),
          [cols](const poolwise::cuda& on, const void* x, float* out, index_t n) {
            poolwise::score(on, logits<T>(x, n, cols), poolwise::outputs::logits,
                            poolwise::acquisition::entropy, {out, n});
          }};
}

/// An element is one of a member's; a row, those of all members.
template <class T>
roofline_case bald_of(const char* name, const char* kernel, index_t rows, index_t members, index_t cols) {
  return {name,
          kernel,
          rows,
          members * cols,
          sizeof(T),
          sizeof(float),
          [=](const poolwise::cuda& on, const void* x, float* out, index_t n) {
            const poolwise::disagreement bald[] = {poolwise::disagreement::bald};
            poolwise::score_committee(on,
                                      poolwise::cube_view<const T>{static_cast<const T*>(x), members, n, cols},
                                      poolwise::outputs::logits, bald, {out, n, 1});
          }};
}

std::vector<roofline_case> all_cases() {
  const auto floats = [](const void* x) { return static_cast<const float*>(x); };
  return {
      entropy_of<float>("entropy, fp32 logits", "", 10'000'000, 10),
      entropy_of<float>("entropy, fp32 logits", "score_row_kernel<(outputs)0, float, 32>", 1'000'000, 1000),
      entropy_of<poolwise::float16>("entropy, fp16 logits", "score_row_kernel<(outputs)0, float16, 32>",
                                    1'000'000, 1000),
      entropy_of<poolwise::bfloat16>("entropy, bf16 logits", "score_row_kernel<(outputs)0, bfloat16, 256>",
                                     100'000, 128'000),
      bald_of<float>("BALD of 10 members, fp32 logits", "mix_tile_kernel<(outputs)0, float>", 10'000'000, 10,
                     10),
      bald_of<poolwise::float16>("BALD of 10 members, fp16 logits", "mix_row_kernel<(outputs)0, float16>",
                                 1'000'000, 10, 1000),
      {"squared_distances", "canonical_rows_by_quads_kernel<difference, store>", 1'000'000, 512, sizeof(float),
       sizeof(float),
       [=](const poolwise::cuda& on, const void* x, float* out, index_t n) {
         poolwise::squared_distances(on, {floats(x), n, 512}, {floats(x), 512}, {out, n});
       }},
      {"squared_norms", "canonical_rows_by_quads_kernel<product, store>", 1'000'000, 512, sizeof(float),
       sizeof(float),
       [=](const poolwise::cuda& on, const void* x, float* out, index_t n) {
         poolwise::squared_norms(on, {floats(x), n, 512}, {out, n});
       }},
      {"top_k, k = 1000", "", 1'000'000'000, 1, sizeof(float), 0,
       [=](const poolwise::cuda& on, const void* x, float*, index_t n) {
         poolwise::top_k(on, {floats(x), n}, 1000);
       }},
  };
}

struct counted {
  double instructions = 0, mufu = 0;
};

/// The fields of a line of CSV, of which some are quoted.
std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"')
      quoted = !quoted;
    else if (c == ',' && !quoted)
      fields.emplace_back();
    else if (c != '\r')
      fields.back() += c;
  }
  return fields;
}

/// What the gates counted for a kernel on a chip; nothing where they have not run.
std::optional<counted> counted_by_gates(const std::string& machine_code, const std::string& kernel) {
  std::ifstream table(std::string(POOLWISE_GATES) + "/" + machine_code + ".csv");
  for (std::string line; std::getline(table, line);) {
    const auto fields = fields_of(line);  // chip, kernel, registers, occupancy, instructions, mufu
    if (fields.size() == 6 && fields[1] == kernel && !fields[4].empty())
      return counted{std::stod(fields[4]), std::stod(fields[5])};
  }
  return std::nullopt;
}

void print_model(const roofline_case& one, const chip& on) {
  const auto found = one.kernel.empty() ? std::nullopt : counted_by_gates(on.machine_code, one.kernel);
  const double by_bytes = one.bytes() / on.bytes;
  const double by_instructions = found ? found->instructions * one.elements() / on.instructions : 0;
  const double by_mufu = found ? found->mufu * one.elements() / on.mufu : 0;
  const double time = std::max({by_bytes, by_instructions, by_mufu});
  const char* const limit = time == by_bytes ? "memory" : time == by_mufu ? "MUFU" : "instructions";
  std::printf("  %-5s memory %8.3f ms  ", on.name, by_bytes * 1e3);
  if (found)
    std::printf("instructions %8.3f ms (%5.2f)  MUFU %8.3f ms (%4.2f)  ", by_instructions * 1e3,
                found->instructions, by_mufu * 1e3, found->mufu);
  else
    std::printf("%-54s  ",
                one.kernel.empty() ? "instructions not counted" : "instructions: run ctest -L gate first");
  std::printf("-> %8.3f ms, %6.0f GB/s, limit: %s [model]\n", time * 1e3, one.bytes() / time * 1e-9, limit);
}

#ifdef POOLWISE_HAS_CUDA
/// Prints the GB/s of a call on this machine's first GPU, on as many rows of zeros as its memory holds, up to
/// those of the case.
bool print_measured(const roofline_case& one, const char* device) {
  std::size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) return false;
  const double row = double(one.cols) * one.element_bytes + sizeof(float);
  const index_t rows = std::min(one.rows, index_t(double(free) * 0.6 / row));
  void *x = nullptr, *out = nullptr;
  cudaEvent_t begin = nullptr, end = nullptr;
  const auto bytes = std::size_t(double(rows * one.cols) * one.element_bytes);
  bool fine = cudaMalloc(&x, bytes) == cudaSuccess && cudaMemset(x, 0, bytes) == cudaSuccess &&
              cudaMalloc(&out, std::size_t(rows) * sizeof(float)) == cudaSuccess &&
              cudaEventCreate(&begin) == cudaSuccess && cudaEventCreate(&end) == cudaSuccess;
  double best = 0;
  for (int repeat = 0; fine && repeat < 5; ++repeat) {
    float ms = 0;
    fine = cudaEventRecord(begin) == cudaSuccess;
    one.call({}, x, static_cast<float*>(out), rows);
    fine = fine && cudaEventRecord(end) == cudaSuccess && cudaEventSynchronize(end) == cudaSuccess &&
           cudaEventElapsedTime(&ms, begin, end) == cudaSuccess;
    best = std::max(best, one.bytes() * double(rows) / double(one.rows) / double(ms) * 1e-6);
  }
  if (fine)
    std::printf("  measured on %s: %.0f GB/s, the best of 5, %lld rows\n", device, best, (long long)(rows));
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  cudaFree(out);
  cudaFree(x);
  return fine;
}

std::string device_name() {
  cudaDeviceProp properties;
  return cudaGetDeviceProperties(&properties, 0) == cudaSuccess ? properties.name : "";
}
#else
bool print_measured(const roofline_case&, const char*) { return false; }
std::string device_name() { return ""; }
#endif

}  // namespace

int main() {
  const std::string device = device_name();
  for (const roofline_case& one : all_cases()) {
    std::printf("%s [%lld, %lld]  %.3g GB  %s\n", one.name.c_str(), (long long)(one.rows),
                (long long)(one.cols), one.bytes() * 1e-9, one.kernel.c_str());
    for (const chip& on : chips) print_model(one, on);
    if (!device.empty() && !print_measured(one, device.c_str())) std::printf("  not measured: CUDA refused\n");
  }
  if (device.empty()) std::printf("Nothing was measured: this machine has no GPU, or this build no CUDA.\n");
}
