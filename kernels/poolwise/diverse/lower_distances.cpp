#include "poolwise/diverse/detail/lower_distances.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "poolwise/core/parallel.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/diverse/detail/dot_tiles.hpp"

namespace poolwise {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// Fewer centres than these share too little of a row's way through the cache to repay the products.
constexpr index_t few_centers = 4;

// Where more than this share of all pairs is left to the canonical distance and then lowers nothing, the data
// lie too far from the origin for products to say much.
constexpr double most_idle = 0.5;

constexpr index_t direct_block = 256;

/// When |x|^2 + |c|^2 - 2 x.c is proof that the canonical distance of x and c is not below m.
///
/// With u = 2^-24, n columns, s = ceil(n / 16), g_k = k u / (1 - k u) (Higham, lemma 3.1), N canonical squared
/// norms, P the canonical dot product, d = |x - c|^2 exactly, and A = fl(C - 2 P) for a C <= N_c (1 - b):
/// - a term of a canonical dot is rounded s + 4 times: |P - x.c| <= g_(s+4) |x||c|, and N alike; A once more:
///       d >= N_x + (C - 2 P) + b N_c - g_(s+4) (|x| + |c|)^2 >= N_x + A + b N_c - g_(s+5) (|x| + |c|)^2
/// - a term of the canonical distance is rounded s + 6 times: it is at least d - g_(s+6) d, d <= (|x| + |c|)^2
/// - (|x| + |c|)^2 <= 2 (|x|^2 + |c|^2) <= 2 (N_x + N_c) / (1 - g_(s+4))
/// - an underflow costs at most 2^-150 for each of the 5n products, 2 x.c counting twice.
/// So with b = 4 g_(s+6) / (1 - g_(s+6)) it is at least N_x (1 - b) + A - n 2^-147: not below m where
///       A >= m - N_x (1 - b) + n 2^-147.
/// The code takes 5 for 4, which covers its own roundings in double.
class product_bound {
 public:
  explicit product_bound(index_t cols) : underflow_(double(cols) * 0x1p-147) {
    const double k = double((cols + canonical_lanes - 1) / canonical_lanes + 6) * 0x1p-24;
    const double g = k / (1 - k);
    keep_ = 1 - 5 * g / (1 - g);
  }

  /// Whether it holds at all: no product leaves the range of fp32, nor do so many roundings leave nothing.
  bool holds(float norm2) const { return keep_ > 0 && norm2 <= std::numeric_limits<float>::max() / 16; }

  /// C
  float of_center(float norm2) const { return std::nextafter(float(double(norm2) * keep_), -infinity); }

  /// What A must reach for row x, whose distance is m.
  float of_row(float norm2, float m) const {
    if (m <= 0) return -infinity;
    return std::nextafter(float(double(m) - double(norm2) * keep_ + underflow_), infinity);
  }

 private:
  double underflow_, keep_;
};

/// Pairs on which the canonical distance decides, several at a time.
class decider {
 public:
  decider(matrix_view<const float> points, float* distance) : points_(points), distance_(distance) {}

  void on(index_t row, index_t center) {
    row_[waiting_] = row;
    one_[waiting_] = points_.row(row);
    other_[waiting_] = points_.row(center);
    if (++waiting_ == room) now();
  }

  void now() {
    float fresh[room];
    canonical_squared_distances(vector_view<const float* const>{one_, waiting_}, other_, points_.cols, fresh);
    for (index_t p = 0; p < waiting_; ++p) {
      float& distance = distance_[row_[p]];
      idle_ += fresh[p] >= distance;
      distance = std::min(distance, fresh[p]);
    }
    waiting_ = 0;
  }

  /// Decisions that lowered nothing.
  index_t idle() const { return idle_; }

 private:
  static constexpr index_t room = 256;
  matrix_view<const float> points_;
  float* distance_;
  index_t row_[room];
  const float* one_[room];
  const float* other_[room];
  index_t waiting_ = 0, idle_ = 0;
};

}  // namespace

void distance_sweeper::lower(const std::vector<index_t>& centers, float* distance) {
  if (products_pay_ && index_t(centers.size()) > few_centers)
    lower_by_products(centers, distance);
  else
    lower_directly(centers, distance);
}

void distance_sweeper::lower_directly(const std::vector<index_t>& centers, float* distance) {
  parallel_blocks(on_, points_.rows, direct_block, [&](index_t, index_t begin, index_t end) {
    float fresh[direct_block];
    for (const index_t center : centers) {
      canonical_squared_distances(rows_between(points_, begin, end), points_.row(center), fresh);
      for (index_t i = begin; i < end; ++i) distance[i] = std::min(distance[i], fresh[i - begin]);
    }
  });
}

void distance_sweeper::lower_by_products(const std::vector<index_t>& centers, float* distance) {
  const product_bound bound(points_.cols);
  const tile_size size = tile_size::fitting(points_.cols);
  const dot_tiles tiles(points_, centers, size);
  // Beyond the last centre nothing is ever close.
  std::vector<float> of_center(std::size_t(tiles.chunks() * size.width), infinity);
  for (std::size_t j = 0; j < centers.size(); ++j) {
    float norm2 = 0;
    canonical_squared_norms(rows_between(points_, centers[j], centers[j] + 1), &norm2);
    if (!bound.holds(norm2)) {
      products_pay_ = false;
      return lower_directly(centers, distance);
    }
    of_center[j] = bound.of_center(norm2);
  }

  per_thread rooms(on_, dot_tiles::scratch(tiles));
  per_thread deciders(on_, decider(points_, distance));
  parallel_blocks(on_, points_.rows, size.height, [&](index_t, index_t begin, index_t end) {
    float norm2[tile_size::tallest];
    canonical_squared_norms(rows_between(points_, begin, end), norm2);
    auto& room = rooms.mine();
    decider& decide = deciders.mine();
    tiles.load(begin, end, room);
    for (index_t chunk = 0; chunk < tiles.chunks(); ++chunk) {
      const index_t* const center = centers.data() + chunk * size.width;
      const float* const of = of_center.data() + chunk * size.width;
      const float* product = tiles.products(chunk, room);
      const index_t stride = tiles.stride(chunk);
      for (index_t i = begin; i < end; ++i, product += stride) {
        if (!bound.holds(norm2[i - begin])) {
          for (index_t j = 0; j < tiles.count(chunk); ++j) decide.on(i, center[j]);
          continue;
        }
        const float reach = bound.of_row(norm2[i - begin], distance[i]);
        for (index_t j = 0; j < stride; j += tile_size::step) {
          unsigned any = 0;
          for (index_t k = j; k < j + tile_size::step; ++k) any |= unsigned(of[k] - 2 * product[k] < reach);
          if (any == 0) continue;
          for (index_t k = j; k < j + tile_size::step; ++k)
            if (of[k] - 2 * product[k] < reach) decide.on(i, center[k]);
        }
      }
      decide.now();
    }
  });
  index_t idle = 0;
  for (const decider& of_thread : deciders.all()) idle += of_thread.idle();
  products_pay_ = double(idle) <= most_idle * double(points_.rows) * double(centers.size());
}

}  // namespace poolwise
