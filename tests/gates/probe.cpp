// Launches the kernels that read a whole pool, on arrays whose rows are full and aligned, where nothing excuses
// a sector too many: the simulator's counters of this program are held to limits.toml.
#include <gtest/gtest.h>

#include <vector>

#include "poolwise/distance/distance.hpp"
#include "poolwise/distance/neighbours.hpp"
#include "poolwise/score/score.hpp"
#include "reference/on_device.hpp"

namespace poolwise {
namespace {

using reference::on_device;

TEST(Probe, Distance) {
  const index_t rows = 64, cols = 128;
  const on_device<float> points{std::vector<float>(std::size_t(rows * cols), 1.0f)},
      center{std::vector<float>(cols)};
  const auto d2 = on_device<float>::room(rows);
  squared_distances(cuda{}, points.rows(rows, cols), center.view(), d2.view());
  squared_norms(cuda{}, points.rows(rows, cols), d2.view());
  EXPECT_EQ(d2.to_host(), std::vector<float>(rows, cols));
}

template <class T>
void score_rows(index_t rows, index_t cols) {
  const on_device<T> logits{std::vector<T>(std::size_t(rows * cols))};
  const auto scores = on_device<float>::room(rows);
  for (const outputs kind : {outputs::logits, outputs::probabilities})
    score(cuda{}, matrix_view<const T>(logits.rows(rows, cols)), kind, acquisition::entropy, scores.view());
  EXPECT_EQ(scores.to_host().size(), std::size_t(rows));
}

TEST(Probe, Score) {
  for (const index_t cols : {16, 1024, 8192}) {  // a tile of rows; a warp a row; a block a row
    score_rows<float>(64, cols);
    score_rows<float16>(64, cols);
    score_rows<bfloat16>(64, cols);
  }
}

TEST(Probe, Neighbours) {
  const index_t rows = 32, cols = 64, neighbours = 8;
  std::vector<float> host(std::size_t(rows * cols));
  for (std::size_t i = 0; i < host.size(); ++i) host[i] = float(i * i % 97);
  const on_device<float> points(host);
  const auto which = on_device<index_t>::room(rows * neighbours);
  knn_graph(cuda{}, points.rows(rows, cols), {which.data(), rows, neighbours});
  EXPECT_EQ(which.to_host().size(), std::size_t(rows * neighbours));
}

}  // namespace
}  // namespace poolwise
