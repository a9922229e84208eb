#include "poolwise/score/score.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <span>
#include <string>
#include <variant>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/detail/offload.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/reachable.hpp"
#include "poolwise/core/detail/simd_targets.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/score/detail/blocking.hpp"
#include "poolwise/score/detail/score_cuda.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "poolwise/score/score.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "poolwise/score/fold-inl.hpp"
#include "poolwise/score/short-inl.hpp"
#include "poolwise/score/wide-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {

/// Scores that are more than this (4 MiB) are written past the caches, where they would not stay: memory need
/// not be read before it is written.
inline constexpr index_t least_streamed = 1 << 20;
inline constexpr int most_streamed = 4;  // columns

/// Writes what the rows from `first` on score, that lie four neighbours a lane.
template <class Rows>
HWY_INLINE void write_short(const Rows& read, std::span<const acquisition> which, index_t first, index_t end,
                            const matrix_view<float>& scores) {
  const int columns = int(which.size());
  const auto score = [&](int c) HWY_ATTR {  // of the four rows of a lane, one after the other
    return score_of(read.rows(c / columns), which[std::size_t(c % columns)]);
  };
  if (scores.stride == columns && first + Rows::rows_at_once <= end) {
    float* const to = scores.row(first);
    const bool streams = columns <= most_streamed && scores.rows * columns >= least_streamed &&
                         reinterpret_cast<std::uintptr_t>(to) % 16 == 0;
    alignas(64) float values[Rows::rows_at_once * most_streamed];
    const even_rows<float> fours(streams ? values : to, rows_a_lane * columns);
    for (int c = 0; c < rows_a_lane * columns; c += 4)
      store_columns({{score(c), score(c + 1), score(c + 2), score(c + 3)}}, fours, c);
    if (!streams) return;
    const hn::CappedTag<float, 4> quarter;
    for (int i = 0; i < Rows::rows_at_once * columns; i += int(hn::MaxLanes(quarter)))
      hn::Stream(hn::Load(quarter, values + i), quarter, to + i);
    return;
  }
  alignas(64) float lane[lanes];
  for (int c = 0; c < rows_a_lane * columns; ++c) {
    hn::Store(score(c), floats_tag(), lane);
    for (int k = 0; k < lanes; ++k) {
      const index_t row = first + rows_a_lane * k + c / columns;
      if (row < end) scores(row, c % columns) = lane[k];
    }
  }
}

template <outputs Kind, tracking Track, class T>
void score_block(const matrix_view<const T>& x, index_t begin, index_t end, std::span<const acquisition> which,
                 const matrix_view<float>& scores) {
  if (x.cols < least_wide_columns) {
    short_rows<Kind, T, Track> rows;
    for (index_t first = begin; first < end; first += rows.rows_at_once) {
      rows.read(x, first, end);
      write_short(rows, which, first, end, scores);
    }
    hwy::FlushStream();
    return;
  }
  wide_rows<Kind, T, Track> rows;
  for (index_t first = begin; first < end; first += tile_rows) {
    rows.read(x, first);
    for (int row = 0; row < tile_rows && first + row < end; row += lanes)
      for (std::size_t a = 0; a < which.size(); ++a)
        write_column(score_of(rows.rows(row), which[a]), first + row, index_t(a), scores);
  }
}

template <outputs Kind, class T>
void score_block(const matrix_view<const T>& x, index_t begin, index_t end, std::span<const acquisition> which,
                 const matrix_view<float>& scores) {
  const auto any = [&](auto reads) { return std::any_of(which.begin(), which.end(), reads); };
  const bool second = any([](acquisition a) { return reads_largest(Kind, a); });
  if constexpr (Kind == outputs::logits) {
    if (second)
      score_block<Kind, tracking{.second = true}>(x, begin, end, which, scores);
    else
      score_block<Kind, tracking{}>(x, begin, end, which, scores);
  } else {
    if (!any(reads_bits))
      score_block<Kind, tracking{.second = true}>(x, begin, end, which, scores);
    else if (second)
      score_block<Kind, tracking{.entropy = true, .second = true}>(x, begin, end, which, scores);
    else
      score_block<Kind, tracking{.entropy = true}>(x, begin, end, which, scores);
  }
}

/// Scores the rows [begin, end); both are multiples of `lanes`, unless `end` is the end of the matrix.
void score_rows(const real_matrix& x, outputs kind, index_t begin, index_t end,
                std::span<const acquisition> which, const matrix_view<float>& scores) {
  visit_by_kind(x, kind, [&]<outputs Kind>(const auto& view) HWY_ATTR {
    score_block<Kind>(view, begin, end, which, scores);
  });
}

/// a = the class probabilities of one row, whose largest value and scale `p` holds in every lane.
template <outputs Kind, class T>
HWY_INLINE void write_probabilities(const T* x, index_t cols, const normaliser<Kind, floats>& p, float* a) {
  index_t c = 0;
  for (; c + lanes <= cols; c += lanes) hn::StoreU(p(load_row(x + c)), floats_tag(), a + c);
  if (c == cols) return;
  T padded[lanes] = {};
  alignas(64) float values[lanes];
  std::copy(x + c, x + cols, padded);
  hn::Store(p(load_row(padded)), floats_tag(), values);
  std::copy(values, values + (cols - c), a + c);
}

template <outputs Kind, class T>
void gradient_block(const matrix_view<const T>& x, index_t begin, index_t end, const matrix_view<float>& a) {
  chunk room;
  for (index_t first = begin; first < end; first += lanes) {
    row_window<T> window(x, first);
    fold_of<Kind, tracking{.argmax = true}> fold(room);
    fold_rows<Kind>(window, next_rows(x, first), fold);
    const auto p = normaliser_of(fold);
    alignas(64) float largest[lanes], scale[lanes], missing[lanes];
    alignas(64) std::int32_t argmax[lanes];
    hn::Store(p.largest, floats_tag(), largest);
    hn::Store(p.scale, floats_tag(), scale);
    hn::Store(only_valid(fold, least_confidence(fold)), floats_tag(), missing);
    hn::Store(fold.argmax, ints_tag(), argmax);
    const index_t n = std::min<index_t>(lanes, end - first);
    for (index_t k = 0; k < n; ++k) {
      const normaliser<Kind, floats> same{all(largest[k]), all(scale[k])};
      write_probabilities<Kind>(x.row(first + k), x.cols, same, a.row(first + k));
      a(first + k, argmax[k]) = -missing[k];
    }
  }
}

void gradient_rows(const real_matrix& x, outputs kind, index_t begin, index_t end,
                   const matrix_view<float>& a) {
  visit_by_kind(x, kind,
                [&]<outputs Kind>(const auto& view) HWY_ATTR { gradient_block<Kind>(view, begin, end, a); });
}

}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace poolwise {
namespace {

HWY_EXPORT(score_rows);
HWY_EXPORT(gradient_rows);

std::string rows(index_t n) { return std::to_string(n) + (n == 1 ? " row" : " rows"); }
std::string columns(index_t n) { return std::to_string(n) + (n == 1 ? " column" : " columns"); }

void require_columns(const char* call, const real_matrix& x) {
  if (cols_of(x) >= 1) return;
  throw shape_error(std::string(call) + ": x has 0 columns; pass at least one class");
}

void require_applicable(outputs kind, std::span<const acquisition> which) {
  for (const acquisition_entry& a : acquisitions())
    if (!applies_to(kind, a) && std::count(which.begin(), which.end(), a.id) != 0)
      throw usage_error("score: " + std::string(a.name) +
                        " was asked of probabilities, which do not have it; pass logits, or ask for another "
                        "acquisition");
}

std::string number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", x);
  return text;
}

// Why a row that the kernel found to have no distribution has none.
template <class T>
std::string reason(const T* row, index_t cols, outputs kind) {
  const auto column = [](index_t c) { return " in column " + std::to_string(c); };
  for (index_t c = 0; c < cols; ++c) {
    const float value = to_float(row[c]);
    if (std::isnan(value)) return "holds NaN" + column(c);
    if (value == std::numeric_limits<float>::infinity()) return "holds +Inf" + column(c);
  }
  if (kind == outputs::logits) return "is -Inf in every column";
  double total = 0;
  index_t lowest = 0;
  for (index_t c = 0; c < cols; ++c) {
    total += std::abs(to_float(row[c]));
    if (to_float(row[c]) < to_float(row[lowest])) lowest = c;
  }
  if (const float value = to_float(row[lowest]); value < -sum_rounding)
    return "holds the negative probability " + number(value) + column(lowest);
  return "sums to " + number(total) + ", not 1 within " + number(probability_tolerance) +
         " (are these logits?)";
}

}  // namespace

void score(const where& on, const real_matrix& x, outputs kind, std::span<const acquisition> which,
           matrix_view<float> scores) {
  require_build_for(on, "score");
  require_columns("score", x);
  if (scores.rows != rows_of(x))
    throw shape_error("score: scores has " + rows(scores.rows) + " but x has " + std::to_string(rows_of(x)) +
                      "; pass one row of scores per row of x");
  if (scores.cols != index_t(which.size()))
    throw shape_error("score: scores has " + columns(scores.cols) + " but " + std::to_string(which.size()) +
                      " acquisitions were asked for; pass one column per acquisition");
  require_applicable(kind, which);
  require_reachable(on, "score", {{"x", x}, {"scores", scores}});
  if constexpr (has_cuda) {
    if (const auto* device = std::get_if<cuda>(&on)) return score_cuda(*device, x, kind, which, scores);
    if (const auto* devices = std::get_if<offload>(&on))
      return for_each_tile(
          *devices, "score",
          [&](const device_tile& tile, const real_matrix& rows_of_x, matrix_view<float> scores_of_rows) {
            score(tile.on, rows_of_x, kind, which, scores_of_rows);
          },
          x, scores);
  }
  const cpu host = require_cpu(on, "score");
  if (which.empty()) return;
  const index_t block = rows_per_block(cols_of(x));
  parallel_blocks(holding(host, block * row_bytes(x)), rows_of(x), block,
                  [&](index_t, index_t begin, index_t end) {
                    HWY_DYNAMIC_DISPATCH(score_rows)(x, kind, begin, end, which, scores);
                  });
}

void score(const where& on, const real_matrix& x, outputs kind, acquisition which, vector_view<float> scores) {
  if (scores.size != rows_of(x))
    throw shape_error("score: scores has " + std::to_string(scores.size) + " places but x has " +
                      rows(rows_of(x)) + "; pass one place per row");
  score(on, x, kind, {&which, 1}, {scores.data, scores.size, 1});
}

void output_gradient(const where& on, const real_matrix& x, outputs kind, matrix_view<float> a) {
  require_build_for(on, "output_gradient");
  require_columns("output_gradient", x);
  if (cols_of(x) > std::numeric_limits<std::int32_t>::max())
    throw shape_error("output_gradient: x has " + columns(cols_of(x)) + "; pass fewer than 2^31");
  if (a.rows != rows_of(x) || a.cols != cols_of(x))
    throw shape_error("output_gradient: a is [" + std::to_string(a.rows) + ", " + std::to_string(a.cols) +
                      "] but x is [" + std::to_string(rows_of(x)) + ", " + std::to_string(cols_of(x)) +
                      "]; pass an array of the shape of x");
  require_reachable(on, "output_gradient", {{"x", x}, {"a", a}});
  if constexpr (has_cuda) {
    if (const auto* device = std::get_if<cuda>(&on)) return output_gradient_cuda(*device, x, kind, a);
    if (const auto* devices = std::get_if<offload>(&on))
      return for_each_tile(
          *devices, "output_gradient",
          [&](const device_tile& tile, const real_matrix& rows_of_x, matrix_view<float> rows_of_a) {
            output_gradient(tile.on, rows_of_x, kind, rows_of_a);
          },
          x, a);
  }
  const cpu host = require_cpu(on, "output_gradient");
  const index_t block = rows_per_block(cols_of(x));
  parallel_blocks(holding(host, block * row_bytes(x)), rows_of(x), block,
                  [&](index_t, index_t begin, index_t end) {
                    HWY_DYNAMIC_DISPATCH(gradient_rows)(x, kind, begin, end, a);
                  });
}

std::string why_invalid(const real_matrix& x, outputs kind, index_t row) {
  if (row < 0 || row >= rows_of(x))
    throw value_error("why_invalid: asked for row " + std::to_string(row) + " of " +
                      std::to_string(rows_of(x)) + "; pass a row of x");
  return std::visit(
      [&](auto view) -> std::string {
        float entropy = 0;
        const decltype(view) alone{view.row(row), 1, view.cols, view.stride};
        score(cpu{1}, alone, kind, acquisition::entropy, {&entropy, 1});
        return std::isnan(entropy) ? reason(view.row(row), view.cols, kind) : std::string();
      },
      x);
}

}  // namespace poolwise
#endif  // HWY_ONCE
