// The row scorers on a device against their definitions in long double, and the CPU's picks.
#include "poolwise/score/score.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/topk/topk.hpp"
#include "reference/on_device.hpp"
#include "reference/outputs.hpp"
#include "reference/score.hpp"
#include "reference/score_cases.hpp"

namespace poolwise {
namespace {

using reference::all_of;
using reference::all_of_logits;
using reference::all_of_probabilities;
using reference::exact;
using reference::inf;
using reference::matrix;
using reference::nan;
using ::reference::on_device;
using reference::one_row;
using reference::real;
using reference::unit;

/// Where a matrix lies on the device: elements left free before it, and between its rows.
struct place {
  std::size_t offset = 0;
  index_t padding = 0;
};

/// A matrix in device memory, to the byte; what lies between the rows is NaN.
template <class T>
class device_matrix {
 public:
  explicit device_matrix(const matrix<T>& x, place at = {})
      : rows_(x.rows), cols_(x.cols), stride_(x.cols + at.padding), data_(spread(x, at.padding), at.offset) {}

  matrix_view<const T> view() const { return {data_.data(), rows_, cols_, stride_}; }

 private:
  static std::vector<T> spread(const matrix<T>& x, index_t padding) {
    if (padding == 0 || x.rows == 0) return x.data;
    const index_t stride = x.cols + padding;
    std::vector<T> wide(std::size_t((x.rows - 1) * stride + x.cols), reference::narrow<T>(nan));
    for (index_t i = 0; i < x.rows; ++i)
      for (index_t c = 0; c < x.cols; ++c) wide[std::size_t(i * stride + c)] = x(i, c);
    return wide;
  }

  index_t rows_, cols_, stride_;
  on_device<T> data_;
};

template <class T>
std::vector<float> scores_of(const matrix<T>& x, outputs kind, const std::vector<acquisition>& which,
                             place at = {}, cuda on = {}) {
  const device_matrix<T> device(x, at);
  const index_t wanted = index_t(which.size());
  const auto scores = on_device<float>::room(x.rows * wanted);
  score(on, device.view(), kind, which, {scores.data(), x.rows, wanted});
  return scores.to_host();
}

float score_of(const std::vector<float>& row, outputs kind, acquisition which) {
  return scores_of(one_row(row), kind, {which})[0];
}

// A term e^d is off by |d| units (the rounding of d), 4 of the exponential (2 ulp) and 4 of the level's
// rescale; terms with d < -30 weigh nothing here. A thread adds up to 128 terms, and no sum is longer than 12
// additions of these: random roundings, of which 2e-6 is many standard deviations. A ratio is one exponential.
// lg2 is off by 2^-22 relatively, entropy of probabilities is a sum of those.
real tolerance(real want, outputs kind, acquisition which) {
  switch (which) {
    case acquisition::energy:
      return 2e-6L + 2 * unit * std::abs(want);
    case acquisition::ratio:
      return kind == outputs::logits ? (48 * want + 1e-12L) * unit : unit;
    case acquisition::entropy:
      return 2e-6L * want + 1e-30L;
    default:
      return kind == outputs::logits ? 2e-6L * want + 1e-30L : 2 * unit;
  }
}

template <class T>
void expect_exact(const matrix<T>& x, outputs kind, const std::vector<float>& got) {
  reference::expect_exact(x, kind, got, tolerance);
}

template <class T>
class CudaScore : public testing::Test {};
TYPED_TEST_SUITE(CudaScore, reference::element_types);

// Around every edge of the mapping: vectors, lanes of a tile (128, 256, 512 bytes), stripes of a warp and of a
// block, a row for a warp (16 KiB) and for a block (64 KiB).
template <class T>
std::vector<index_t> widths() {
  const index_t width = 16 / index_t(sizeof(T)), stripe = 32 * width;
  return {1,
          2,
          3,
          width - 1,
          width,
          width + 1,
          10,
          8 * width - 1,
          8 * width,
          8 * width + 1,
          16 * width,
          16 * width + 1,
          stripe - 1,
          stripe,
          stripe + 1,
          2 * stripe + 3,
          32 / index_t(sizeof(T)) * 32 + 1,
          1000};
}
template <class T>
std::vector<index_t> long_widths() {
  const index_t kib = 1024 / index_t(sizeof(T));
  return {16 * kib, 16 * kib + 1, 64 * kib, 64 * kib + 1, 131 * kib + 5};
}

TYPED_TEST(CudaScore, EveryAcquisitionMatchesItsDefinitionAtEveryWidth) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (index_t cols : widths<TypeParam>())
      for (index_t rows : {1, 37}) {
        SCOPED_TRACE("rows " + std::to_string(rows) + " cols " + std::to_string(cols));
        const auto x = reference::random_outputs<TypeParam>(kind, rows, cols, unsigned(rows * 1000 + cols));
        expect_exact(x, kind, scores_of(x, kind, all_of(kind)));
      }
}

TYPED_TEST(CudaScore, LongRows) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (index_t cols : long_widths<TypeParam>()) {
      SCOPED_TRACE(cols);
      const auto x = reference::random_outputs<TypeParam>(kind, 2, cols, unsigned(cols));
      const auto want = scores_of(x, kind, all_of(kind));
      expect_exact(x, kind, want);
      if (cols % 2 == 1) continue;
      EXPECT_TRUE(reference::same_bits(scores_of(x, kind, all_of(kind), {1, 3}), want));
    }
}

TYPED_TEST(CudaScore, TheSameBitsWhereverTheMatrixLiesAndWhateverIsBesideARow) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (index_t cols : {1, 2, 3, 7, 8, 10, 64, 65, 129, 300, 700}) {
      SCOPED_TRACE(cols);
      const index_t rows = cols == 10 ? 300 : cols < 65 ? 140 : 20;
      const auto x = reference::random_outputs<TypeParam>(kind, rows, cols, 11);
      const auto& which = all_of(kind);
      const auto want = scores_of(x, kind, which);
      for (place at : {place{1, 0}, {3, 0}, {0, 3}, {1, 5}, {0, 8}})
        EXPECT_TRUE(reference::same_bits(scores_of(x, kind, which, at), want))
            << at.offset << ' ' << at.padding;
      // The last row alone, as in another tile of a larger matrix.
      matrix<TypeParam> last(1, cols);
      std::copy(x.data.end() - cols, x.data.end(), last.data.begin());
      const std::vector<float> tail(want.end() - index_t(which.size()), want.end());
      EXPECT_TRUE(reference::same_bits(scores_of(last, kind, which), tail));
    }
}

TEST(CudaScore, OneAcquisitionAloneHasTheBitsItHasAmongOthers) {
  const auto x = reference::random_outputs<float16>(outputs::logits, 53, 10, 3);
  const auto together = scores_of(x, outputs::logits, all_of_logits);
  const device_matrix<float16> device(x);
  for (std::size_t a = 0; a < all_of_logits.size(); ++a) {
    const auto alone = on_device<float>::room(53);
    score(cuda{}, device.view(), outputs::logits, all_of_logits[a], alone.view());
    const auto got = alone.to_host();
    for (std::size_t i = 0; i < 53; ++i) EXPECT_EQ(got[i], together[i * all_of_logits.size() + a]);
  }
  // More columns than one launch writes, into a wider matrix.
  std::vector<acquisition> many;
  for (int k = 0; k < 11; ++k) many.push_back(all_of_logits[std::size_t(k) % all_of_logits.size()]);
  const on_device<float> wide(std::vector<float>(53 * 12, 9.0f));
  score(cuda{}, device.view(), outputs::logits, many, {wide.data(), 53, 11, 12});
  const auto got = wide.to_host();
  for (std::size_t i = 0; i < 53; ++i) {
    for (std::size_t k = 0; k < 11; ++k)
      EXPECT_EQ(got[i * 12 + k], together[i * all_of_logits.size() + k % all_of_logits.size()]);
    EXPECT_EQ(got[i * 12 + 11], 9.0f);
  }
}

TYPED_TEST(CudaScore, ConfidentRowsAreExactRelativelyToTheirEntropy) {
  std::mt19937_64 engine(17);
  std::uniform_real_distribution<float> around(-0.5f, 0.5f), anywhere(-20.0f, 20.0f);
  for (index_t cols : {10, 1000}) {
    matrix<TypeParam> x(30, cols);
    for (index_t i = 0; i < x.rows; ++i) {
      const float offset = anywhere(engine);
      for (index_t c = 0; c < cols; ++c) x(i, c) = reference::narrow<TypeParam>(offset + around(engine));
      x(i, index_t(engine() % std::uint64_t(cols))) =
          reference::narrow<TypeParam>(offset + 15 + float(i % 3) * 5);
    }
    expect_exact(x, outputs::logits, scores_of(x, outputs::logits, all_of_logits));
    for (index_t i = 0; i < x.rows; ++i) {
      const auto p = reference::softmax(x.values(i)).p;
      for (index_t c = 0; c < cols; ++c) x(i, c) = reference::narrow<TypeParam>(float(p[std::size_t(c)]));
    }
    expect_exact(x, outputs::probabilities, scores_of(x, outputs::probabilities, all_of_probabilities));
  }
}

TEST(CudaEntropy, SmallEntropiesStayPositiveAndFallWithTheGap) {
  const auto z = reference::growing_gaps();
  const auto got = scores_of(z, outputs::logits, {acquisition::entropy});
  for (index_t gap = 0; gap <= 80; ++gap) {
    const real want = exact(z.values(gap), outputs::logits, acquisition::entropy);
    EXPECT_NEAR(got[std::size_t(gap)], want, 4e-6L * want) << gap;
    EXPECT_GT(got[std::size_t(gap)], 0);
    if (gap > 0) {
      EXPECT_LT(got[std::size_t(gap)], got[std::size_t(gap - 1)]);
    }
  }
}

TEST(CudaEntropy, WideRows) {
  for (outputs kind : {outputs::logits, outputs::probabilities}) {
    const auto x = reference::wide_rows(kind);
    expect_exact(x, kind, scores_of(x, kind, all_of(kind)));
  }
}

TYPED_TEST(CudaScore, RowsThatNeedCareAtEveryMapping) {
  const auto rows = reference::rows_that_need_care<TypeParam>();
  for (const auto& row : rows) ASSERT_EQ(row.want.size(), all_of_probabilities.size());
  for (index_t cols : {3, 4, 100, 200, 600, 9000, 40000}) {
    SCOPED_TRACE(cols);
    matrix<TypeParam> x(index_t(2 * rows.size()), cols);
    std::fill(x.data.begin(), x.data.end(), reference::narrow<TypeParam>(-inf));
    for (std::size_t r = 0; r < rows.size(); ++r)
      for (std::size_t c = 0; c < rows[r].first.size(); ++c) {
        const auto value = reference::narrow<TypeParam>(rows[r].first[c]);
        x(index_t(2 * r), index_t(c)) = value;
        // Far apart, so that other threads, warps and blocks hold them.
        x(index_t(2 * r + 1), cols - 1 - index_t(c) * (cols / 3)) = value;
      }
    const auto got = scores_of(x, outputs::logits, all_of_probabilities);
    for (std::size_t i = 0; i < 2 * rows.size(); ++i)
      for (std::size_t a = 0; a < all_of_probabilities.size(); ++a) {
        const float want = rows[i / 2].want[a], is = got[i * all_of_probabilities.size() + a];
        if (want == 0)
          EXPECT_EQ(is, 0.0f) << i << ' ' << a;
        else
          EXPECT_NEAR(is, want, 1e-6f) << i << ' ' << a;
      }
  }
}

TEST(CudaScore, AllEqualIsTheLogarithmOfTheColumns) {
  for (index_t cols : {2, 10, 33, 100, 1000, 20000}) {
    const auto got = scores_of(one_row(std::vector<float>(std::size_t(cols), -4.25f)), outputs::logits,
                               {acquisition::entropy, acquisition::ratio});
    EXPECT_NEAR(got[0], std::log(float(cols)), 2e-6f * std::log(float(cols)));
    EXPECT_NEAR(got[1], 1.0f, 2.5e-7f);
  }
}

TEST(CudaScore, ProbabilitiesCountByTheirShareOfTheSum) {
  for (const auto& row : reference::rows_as_given)
    EXPECT_EQ(score_of(row.p, outputs::probabilities, row.which), row.want) << row.p[0];
  EXPECT_NEAR(score_of({1e-45f, 1}, outputs::probabilities, acquisition::entropy), 0.0f, 1e-30f);
  for (index_t cols : {2, 10, 70, 300}) {
    const auto x = reference::rounded_rows(70, cols);
    expect_exact(x, outputs::probabilities, scores_of(x, outputs::probabilities, all_of_probabilities));
  }
}

TYPED_TEST(CudaScore, ARowWithoutADistributionScoresNaNAlone) {
  const auto& bad = reference::bad_rows;
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (index_t cols : {3, 20, 100, 600, 9000}) {
      SCOPED_TRACE(cols);
      // Every bad row between two good ones.
      const index_t rows = 2 * index_t(bad.size()) + 1;
      auto x = reference::random_outputs<TypeParam>(kind, rows, cols, 23);
      const auto& which = all_of(kind);
      const auto clean = scores_of(x, kind, which);
      for (std::size_t b = 0; b < bad.size(); ++b) {
        if (bad[b].kind != kind) continue;
        // The last columns on every other row.
        reference::plant(bad[b], x, 2 * index_t(b) + 1, b % 2 ? cols - 3 : 0);
      }
      const auto got = scores_of(x, kind, which);
      for (std::size_t i = 0; i < std::size_t(rows); ++i)
        for (std::size_t a = 0; a < which.size(); ++a) {
          const float s = got[i * which.size() + a];
          if (i % 2 == 1 && bad[i / 2].kind == kind)
            EXPECT_TRUE(std::isnan(s)) << i << ' ' << a;
          else
            EXPECT_EQ(s, clean[i * which.size() + a]) << i << ' ' << a;
        }
    }
}

TYPED_TEST(CudaScore, PicksAreTheCpusOnSeparatedScoresAndOnMassiveTies) {
  // A row of a permutation of gaps: its entropy is far from any other's. Then the same 7 rows again and again.
  for (index_t different : {200, 7}) {
    const index_t rows = 600, cols = 10;
    matrix<TypeParam> x(rows, cols);
    for (index_t i = 0; i < rows; ++i)
      for (index_t c = 0; c < cols; ++c)
        x(i, c) = reference::narrow<TypeParam>(c == i % cols ? float((i * 37) % different) / 16 : 0.0f);
    std::vector<float> host(std::size_t(rows), 0.0f);
    score(cpu{}, x.view(), outputs::logits, acquisition::entropy, {host.data(), rows});
    const auto device = scores_of(x, outputs::logits, {acquisition::entropy});
    for (index_t k : {1, 10, 150}) {
      const auto want = top_k(cpu{}, {host.data(), rows}, k), got = top_k(cpu{}, {device.data(), rows}, k);
      ASSERT_EQ(got.size(), want.size());
      for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i].row, want[i].row) << i;
    }
  }
}

// An entry of p is off by twice |d| units, d its logarithm, and less beside that.
TYPED_TEST(CudaScore, TheOutputGradientMatchesItsDefinition) {
  for (outputs kind : {outputs::logits, outputs::probabilities})
    for (index_t cols : {1, 2, 3, 9, 33, 65, 257, 600, 9000, 33000}) {
      SCOPED_TRACE(cols);
      const index_t rows = cols > 1000 ? 1 : 37;
      const auto x = reference::random_outputs<TypeParam>(kind, rows, cols, unsigned(cols));
      const device_matrix<TypeParam> device(x);
      const on_device<float> wide(std::vector<float>(std::size_t(rows * (cols + 2)), 9.0f));
      output_gradient(cuda{}, device.view(), kind, {wide.data(), rows, cols, cols + 2});
      const auto a = wide.to_host();
      const auto confidence = scores_of(x, kind, {acquisition::least_confidence});
      for (index_t i = 0; i < rows; ++i) {
        const auto d = reference::distribution_of(kind, x.values(i));
        const float* const row = &a[std::size_t(i * (cols + 2))];
        for (index_t c = 0; c < cols; ++c) {
          if (std::size_t(c) == d.argmax)
            EXPECT_EQ(row[c], -confidence[std::size_t(i)]);
          else
            ASSERT_NEAR(row[c], d.p[std::size_t(c)], 140 * unit * d.p[std::size_t(c)] + 2e-38L)
                << i << ' ' << c;
        }
        EXPECT_EQ(row[cols], 9.0f);
      }
    }
}

TEST(CudaOutputGradient, TiesGoToTheLowestClassAndABadRowIsNaN) {
  const auto z = reference::tied_rows();
  const device_matrix<float> device(z);
  const auto room = on_device<float>::room(12);
  output_gradient(cuda{}, device.view(), outputs::logits, {room.data(), 3, 4});
  const auto a = room.to_host();
  EXPECT_LT(a[1], 0);
  EXPECT_GT(a[2], 0);
  for (std::size_t c = 4; c < 8; ++c) EXPECT_TRUE(std::isnan(a[c]));
  EXPECT_NEAR(a[8], -0.75f, 2e-7f);
  EXPECT_NEAR(a[9], 0.25f, 1e-7f);
  // The same class twice far apart, in a row for every mapping.
  for (index_t cols : {40, 300, 5000, 70000}) {
    matrix<float> twice(1, cols);
    twice(0, cols / 2) = twice(0, cols - 1) = 3.0f;
    const device_matrix<float> wide(twice);
    const auto gradient = on_device<float>::room(cols);
    output_gradient(cuda{}, wide.view(), outputs::logits, {gradient.data(), 1, cols});
    const auto g = gradient.to_host();
    EXPECT_LT(g[std::size_t(cols / 2)], 0);
    EXPECT_GT(g[std::size_t(cols - 1)], 0);
  }
}

// What a call takes for itself stays below its ceiling, and the tiles it is cut into leave the bits alone.
TEST(CudaScore, ACeilingOnMemoryChangesNothing) {
  const auto x = reference::random_outputs<float>(outputs::logits, 5, 70001, 6);
  const auto want = scores_of(x, outputs::logits, all_of_logits);
  EXPECT_TRUE(reference::same_bits(scores_of(x, outputs::logits, all_of_logits, {}, {0, nullptr, 400}), want));
  EXPECT_THROW(scores_of(x, outputs::logits, all_of_logits, {}, {0, nullptr, 40}), memory_error);
  const auto short_rows = reference::random_outputs<float>(outputs::logits, 50, 10, 6);
  const device_matrix<float> device(short_rows);
  const auto a = on_device<float>::room(500), b = on_device<float>::room(500);
  output_gradient(cuda{}, device.view(), outputs::logits, {a.data(), 50, 10});
  output_gradient(cuda{0, nullptr, 200}, device.view(), outputs::logits, {b.data(), 50, 10});
  EXPECT_EQ(a.to_host(), b.to_host());
}

// Two rows more than 2^32 bytes apart, of which only they are ever touched.
TEST(CudaScore, OffsetsAre64Bit) {
  const index_t stride = (index_t{1} << 30) + 1;
  void* room = nullptr;
  if (cudaMalloc(&room, std::size_t(stride + 20) * sizeof(float)) != cudaSuccess) {
    cudaGetLastError();
    GTEST_SKIP() << "no 4 GiB of device memory";
  }
  auto* const data = static_cast<float*>(room);
  for (index_t cols : {10, 20}) {
    const auto x = reference::random_outputs<float>(outputs::logits, 2, cols, 8);
    for (index_t i = 0; i < 2; ++i)
      ::reference::succeed(
          cudaMemcpy(data + i * stride, &x(i, 0), std::size_t(cols) * 4, cudaMemcpyHostToDevice));
    const index_t wanted = index_t(all_of_logits.size());
    const auto scores = on_device<float>::room(2 * wanted);
    score(cuda{}, matrix_view<const float>{data, 2, cols, stride}, outputs::logits, all_of_logits,
          {scores.data(), 2, wanted});
    EXPECT_TRUE(reference::same_bits(scores.to_host(), scores_of(x, outputs::logits, all_of_logits)));
  }
  cudaFree(room);
}

TEST(CudaScore, NoRows) {
  score(cuda{}, matrix_view<const float>{nullptr, 0, 5}, outputs::logits, all_of_logits,
        {nullptr, 0, index_t(all_of_logits.size())});
  output_gradient(cuda{}, matrix_view<const float>{nullptr, 0, 5}, outputs::logits, {nullptr, 0, 5});
  const auto x = reference::random_outputs<float>(outputs::logits, 3, 5, 1);
  EXPECT_TRUE(scores_of(x, outputs::logits, {}).empty());
}

TEST(CudaScore, WrongUsesAreRefused) {
  const auto x = reference::random_outputs<float>(outputs::probabilities, 3, 2, 1);
  const device_matrix<float> device(x);
  const auto s = on_device<float>::room(6);
  const std::vector<acquisition> two{acquisition::entropy, acquisition::margin};
  EXPECT_THROW(score(cuda{}, device.view(), outputs::logits, two, {s.data(), 2, 2}), shape_error);
  EXPECT_THROW(score(cuda{}, device.view(), outputs::logits, two, {s.data(), 3, 1}), shape_error);
  EXPECT_THROW(score(cuda{}, device.view(), outputs::probabilities, acquisition::energy, {s.data(), 3}),
               value_error);
  EXPECT_THROW(output_gradient(cuda{}, device.view(), outputs::logits, {s.data(), 2, 3}), shape_error);
  EXPECT_THROW(score(cuda{99}, device.view(), outputs::logits, acquisition::entropy, {s.data(), 3}),
               cuda_error);
}

}  // namespace
}  // namespace poolwise
