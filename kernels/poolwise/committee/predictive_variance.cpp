#include <algorithm>
#include <string>
#include <vector>

#include "poolwise/committee/committee.hpp"
#include "poolwise/committee/detail/committee_cuda.hpp"
#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/detail/offload.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/reachable.hpp"
#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

/// One output's members so far. A prediction that is not finite makes `squares` NaN and keeps it so.
struct welford {
  double mean = 0, squares = 0;  // squares: sum of squared deviations from the mean

  void add(double x, double inverse_count) {
    const double delta = x - mean;
    mean += delta * inverse_count;
    squares += delta * (x - mean);
  }
};

}  // namespace

void predictive_variance(const where& on, cube_view<const float> predictions, vector_view<float> variance) {
  require_build_for(on, "predictive_variance");
  const index_t members = predictions.members, rows = predictions.rows, outputs = predictions.cols;
  if (members < 1 || outputs < 1)
    throw shape_error("predictive_variance: predictions is [" + std::to_string(members) + ", " +
                      std::to_string(rows) + ", " + std::to_string(outputs) +
                      "]; pass at least one member and one output");
  if (variance.size != rows)
    throw shape_error("predictive_variance: variance has " + std::to_string(variance.size) +
                      " places but predictions has " + std::to_string(rows) + " rows; pass one place per row");
  require_reachable(on, "predictive_variance", {{"predictions", predictions}, {"variance", variance}});
  if constexpr (has_cuda) {
    if (const auto* device = std::get_if<cuda>(&on))
      return predictive_variance_cuda(*device, predictions, variance);
    if (const auto* devices = std::get_if<offload>(&on))
      return for_each_tile(
          *devices, "predictive_variance",
          [](const device_tile& tile, cube_view<const float> x, vector_view<float> of_rows) {
            predictive_variance(tile.on, x, of_rows);
          },
          predictions, variance);
  }
  const cpu host = require_cpu(on, "predictive_variance");
  const index_t block = std::max<index_t>(1, 4096 / outputs);
  parallel_blocks(host, rows, block, [&](index_t, index_t begin, index_t end) {
    std::vector<welford> gathered(std::size_t((end - begin) * outputs));
    for (index_t k = 0; k < members; ++k) {
      const float* x = predictions.member(k).row(begin);
      for (welford& w : gathered) w.add(*x++, 1.0 / double(k + 1));
    }
    auto w = gathered.begin();
    for (index_t i = begin; i < end; ++i) {
      double total = 0;
      for (index_t c = 0; c < outputs; ++c) total += (w++)->squares;
      variance[i] = float(total / double(members * outputs));
    }
  });
}

}  // namespace poolwise
