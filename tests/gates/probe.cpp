// Launches the kernels that read a whole pool, on arrays whose rows are full and aligned, where nothing excuses
// a sector too many: the simulator's counters of this program are held to limits.toml.
#include <gtest/gtest.h>

#include <vector>

#include "poolwise/committee/committee.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/kcenter.hpp"
#include "poolwise/diverse/kmeans_pp.hpp"
#include "poolwise/graph/neighbours.hpp"
#include "poolwise/score/score.hpp"
#include "poolwise/topk/best_rows.hpp"
#include "poolwise/topk/topk.hpp"
#include "reference/on_device.hpp"

namespace poolwise {
namespace {

using reference::on_device;

/// Values without a pattern that a kernel could profit from.
std::vector<float> scattered(index_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = float(i * 7919 % 4093) / 4096;
  return values;
}

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

TEST(Probe, Gradients) {
  const index_t rows = 64, cols = 64;
  const on_device<float> logits(scattered(rows * cols)), gradients(std::vector<float>(rows * cols));
  output_gradient(cuda{}, logits.rows(rows, cols), outputs::logits, {gradients.data(), rows, cols});
  EXPECT_NE(gradients.to_host(), std::vector<float>(rows * cols));
}

template <class T>
void score_members(index_t rows, index_t cols) {
  const index_t members = 4;
  const on_device<T> x{std::vector<T>(std::size_t(members * rows * cols))};
  const auto scores = on_device<float>::room(rows);
  for (const outputs kind : {outputs::logits, outputs::probabilities})
    score_committee(cuda{}, cube_view<const T>{x.data(), members, rows, cols}, kind,
                    std::vector{disagreement::bald}, {scores.data(), rows, 1});
  EXPECT_EQ(scores.to_host().size(), std::size_t(rows));
}

TEST(Probe, Committee) {
  for (const index_t cols : {16, 256, 1024}) {  // a tile of rows; a warp a row; a block a row
    score_members<float>(2048 / cols, cols);
    score_members<float16>(2048 / cols, cols);
    score_members<bfloat16>(2048 / cols, cols);
  }
  score_members<float>(1, 16384);
  score_members<float16>(1, 16384);
  score_members<bfloat16>(1, 16384);
  // What an accumulator keeps between members.
  const index_t rows = 256, cols = 16;
  const on_device<float> member{std::vector<float>(std::size_t(rows * cols))};
  const auto scores = on_device<float>::room(rows);
  committee_accumulator gathered(rows, cols, std::vector{disagreement::bald}, cuda{});
  for (int k = 0; k < 3; ++k) gathered.add(cuda{}, member.rows(rows, cols), outputs::logits);
  gathered.finish(cuda{}, {scores.data(), rows, 1});
  const on_device<float> predictions{std::vector<float>(4 * 64 * 32)};
  const auto variance = on_device<float>::room(64);
  predictive_variance(cuda{}, {predictions.data(), 4, 64, 32}, variance.view());
  EXPECT_EQ(variance.to_host(), std::vector<float>(64));
}

TEST(Probe, TopK) {
  const index_t rows = index_t{1} << 16;
  const on_device<float> scores(scattered(rows));
  EXPECT_EQ(find_nan(cuda{}, scores.view()).count, 0);
  EXPECT_EQ(top_k(cuda{}, scores.view(), 64).size(), 64u);
  const index_t cols = 16;
  const on_device<float> logits(scattered(4096 * cols));
  EXPECT_EQ(best_rows(cuda{}, real_matrix(logits.rows(4096, cols)), outputs::logits, acquisition::entropy, 16)
                .best.size(),
            16u);
}

TEST(Probe, Nearest) {
  const index_t rows = 256, references = 128, cols = 64;
  const on_device<float> points(scattered(rows * cols)), others(scattered(references * cols));
  const auto d2 = on_device<float>::room(rows);
  const auto which = on_device<index_t>::room(rows);
  nearest(cuda{}, points.rows(rows, cols), others.rows(references, cols), d2.view(), which.view());
  EXPECT_EQ(find_nonfinite(cuda{}, points.rows(rows, cols)).count, 0);
  EXPECT_EQ(d2.to_host().size(), std::size_t(rows));
}

TEST(Probe, Diverse) {
  const index_t rows = 256, cols = 64, classes = 32, picks = 20;
  const on_device<float> points(scattered(rows * cols)), outputs(scattered(rows * classes));
  EXPECT_EQ(kcenter(cuda{}, points.rows(rows, cols), {.picks = picks}).size(), std::size_t(picks));
  EXPECT_EQ(kmeans_pp(cuda{}, points.rows(rows, cols), {.picks = picks}, 1).size(), std::size_t(picks));
  const factored_rows badge{outputs.rows(rows, classes), points.rows(rows, cols), true};
  EXPECT_EQ(kmeans_pp(cuda{}, badge, {.picks = picks}, 1).size(), std::size_t(picks));
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
