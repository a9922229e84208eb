#include "poolwise/query/detail/linear_model.hpp"

#include <cmath>
#include <string>

#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/distance/finite_rows.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

constexpr stream evaluation_stream{15};

constexpr index_t panel = 2 * product_line<double>;  // rows of a moment that are summed together
constexpr index_t row_block = 256;                   // rows: a panel of them stays in the nearest cache

constexpr index_t factor_block = 32;  // rows and columns of a factor that are worked at together

/// m = L L' of a positive definite m, in place: L in the lower triangle, less L below the blocks on the
/// diagonal. False where some pivot is not positive.
bool factorise(cpu on, symmetric& m) {
  std::vector<double> transposed(std::size_t(factor_block * m.stride));
  for (index_t begin = 0; begin < m.size; begin += factor_block) {
    const index_t end = std::min(m.size, begin + factor_block);
    const auto solve = [&](index_t i) {  // row i of L, of the columns from `begin` on
      for (index_t j = begin; j < std::min(end, i + 1); ++j) {
        double rest = m.at(i, j);
        for (index_t k = begin; k < j; ++k) rest -= m.at(i, k) * m.at(j, k);
        m.at(i, j) = i == j ? std::sqrt(rest) : rest / m.at(j, j);
      }
    };
    for (index_t i = begin; i < end; ++i) {
      solve(i);
      if (!(m.at(i, i) > 0 && std::isfinite(m.at(i, i)))) return false;
    }
    parallel_blocks(on, m.size - end, 64, [&](index_t, index_t from, index_t to) {
      for (index_t i = end + from; i < end + to; ++i) {
        solve(i);
        for (index_t j = begin; j < end; ++j) transposed[std::size_t((j - begin) * m.stride + i)] = m.at(i, j);
        for (index_t j = begin; j < end; ++j) m.at(i, j) = -m.at(i, j);
      }
    });
    const index_t first = end / product_line<double> * product_line<double>;
    parallel_blocks(on, m.size - end, 64, [&](index_t, index_t from, index_t to) {
      add_products({&m.at(end + from, begin), m.stride, 1},
                   {transposed.data() + first, end - begin, m.stride - first, m.stride},
                   {&m.at(end + from, first), to - from, m.stride - first, m.stride});
    });
  }
  return true;
}

/// The inverse of the L of `factorise`, with 0 above the diagonal.
symmetric inverse_of_factor(cpu on, const symmetric& factor) {
  symmetric inverse(factor.size);
  parallel_blocks(on, factor.stride, 64, [&](index_t, index_t left, index_t right) {
    for (index_t begin = 0; begin < factor.size; begin += factor_block) {
      const index_t end = std::min(factor.size, begin + factor_block);
      for (index_t i = begin; i < end; ++i)
        if (i >= left && i < right) inverse.at(i, i) = 1;
      add_products(
          {factor.view().row(begin), factor.stride, 1},
          {inverse.values.data() + left, begin, right - left, inverse.stride},
          {inverse.values.data() + begin * inverse.stride + left, end - begin, right - left, inverse.stride});
      for (index_t i = begin; i < end; ++i)
        for (index_t c = left; c < right; ++c) {
          double rest = inverse.at(i, c);
          for (index_t k = begin; k < i; ++k) rest -= factor.at(i, k) * inverse.at(k, c);
          inverse.at(i, c) = rest / factor.at(i, i);
        }
    }
  });
  return inverse;
}

}  // namespace

void design::read(index_t i, double* to) const {
  const float* const row = rows.row(i);
  for (index_t f = 0; f < rows.cols; ++f) to[f] = double(row[f]) * scale;
  if (bias) to[rows.cols] = 1;
}

symmetric::symmetric(index_t of)
    : size(of), stride(whole_lines<double>(of)), values(std::size_t(of * whole_lines<double>(of)), 0.0) {}

symmetric second_moment(cpu on, const design& h, const std::vector<double>& weight) {
  const index_t width = h.width(), stride = blocks_of(width, panel) * panel;
  std::vector<double> sums(std::size_t(stride * stride), 0.0);
  std::vector<double> block(std::size_t(row_block * stride), 0.0), weighted(block.size(), 0.0);
  std::vector<index_t> rows;
  const auto add = [&] {
    parallel_blocks(on, index_t(rows.size()), 16, [&](index_t, index_t begin, index_t end) {
      for (index_t k = begin; k < end; ++k) {
        double* const to = block.data() + k * stride;
        h.read(rows[std::size_t(k)], to);
        for (index_t j = 0; j < width; ++j)
          weighted[std::size_t(k * stride + j)] = weight[std::size_t(rows[std::size_t(k)])] * to[j];
      }
    });
    parallel_blocks(on, stride, panel, [&](index_t, index_t begin, index_t) {
      const index_t cols = stride - begin;
      add_products({weighted.data() + begin, 1, stride},
                   {block.data() + begin, index_t(rows.size()), cols, stride},
                   {sums.data() + begin * stride + begin, panel, cols, stride});
    });
    rows.clear();
  };
  for (index_t i = 0; i < h.rows.rows; ++i) {
    if (weight[std::size_t(i)] != 0) rows.push_back(i);
    if (index_t(rows.size()) == row_block) add();
  }
  if (!rows.empty()) add();
  symmetric moment(width);
  for (index_t i = 0; i < width; ++i)
    for (index_t j = 0; j < width; ++j)
      moment.at(i, j) = sums[std::size_t(std::min(i, j) * stride + std::max(i, j))];
  return moment;
}

symmetric inverse_of(cpu on, const char* call, symmetric m) {
  const bool definite = factorise(on, m);
  const symmetric factor = definite ? inverse_of_factor(on, m) : symmetric(0);
  symmetric inverse(m.size);
  parallel_blocks(on, factor.size, panel, [&](index_t, index_t begin, index_t end) {
    add_products({factor.values.data() + begin, 1, factor.stride}, factor.view(),
                 {inverse.values.data() + begin * inverse.stride, end - begin, inverse.stride, inverse.stride});
  });
  const bool finite =
      std::all_of(inverse.values.begin(), inverse.values.end(), [](double v) { return std::isfinite(v); });
  if (!definite || !finite)
    throw value_error(
        std::string(call) +
        ": the embeddings are so large that their covariance has no inverse in double; scale them "
        "towards 1, or raise lambda");
  return inverse;
}

symmetric sandwich(cpu on, const symmetric& a, const symmetric& b) {
  const auto times = [&](const symmetric& left, const symmetric& right) {
    symmetric product(left.size);
    parallel_blocks(on, left.size, panel, [&](index_t, index_t begin, index_t end) {
      add_products({left.values.data() + begin * left.stride, left.stride, 1}, right.view(),
                   {product.values.data() + begin * left.stride, end - begin, left.stride});
    });
    return product;
  };
  return times(times(a, b), a);
}

std::vector<std::uint8_t> rows_that_count(const stage_input& x) {
  const matrix_view<const float> rows = *x.pool.embeddings;
  std::vector<std::uint8_t> counts(std::size_t(rows.rows));
  parallel_blocks(holding(host_of(x.on), 256 * rows.cols * index_t(sizeof(float))), rows.rows, 256,
                  [&](index_t, index_t begin, index_t end) {
                    for (index_t i = begin; i < end; ++i)
                      counts[std::size_t(i)] = (x.limit.barred.empty() || x.limit.barred[i] == 0) &&
                                               all_finite(rows.row(i), rows.cols);
                  });
  return counts;
}

std::vector<index_t> drawn_rows(const stage_input& x, const std::vector<std::uint8_t>& counts, index_t most) {
  std::vector<std::pair<std::uint64_t, index_t>> drawn;
  for (index_t i = 0; i < index_t(counts.size()); ++i)
    if (counts[std::size_t(i)] != 0)
      drawn.emplace_back(random_bits(query_seed(*x.asked), evaluation_stream, std::uint64_t(x.pool_row(i))), i);
  if (index_t(drawn.size()) > most) {
    std::nth_element(drawn.begin(), drawn.begin() + most, drawn.end());
    drawn.resize(std::size_t(most));
  }
  std::vector<index_t> rows;
  for (const auto& [bits, row] : drawn) rows.push_back(row);
  std::sort(rows.begin(), rows.end());
  return rows;
}

labelled_classes classes_of(const char* call, const stage_input& x) {
  constexpr float most = 1 << 16;
  labelled_classes classes;
  for (index_t i = 0; i < x.labels.size; ++i) {
    const float label = x.labels[i];
    if (label != label) {
      classes.of.push_back(-1);
      continue;
    }
    if (!(label >= 0 && label < most) || label != std::floor(label))
      throw value_error(std::string(call) + ": the label of labelled row number " + std::to_string(i) + " is " +
                        std::to_string(label) + "; give classes as whole numbers from 0, fewer than 65536");
    classes.of.push_back(index_t(label));
    classes.count = std::max(classes.count, index_t(label) + 1);
  }
  return classes;
}

std::uint64_t linear_model_bytes(std::uint64_t width, std::uint64_t matrices) {
  const std::uint64_t stride = width + std::uint64_t(panel);
  // Beside them the sums, the blocks of rows, and a factor and its inverse.
  return ((matrices + 4) * stride * stride + 2 * std::uint64_t(row_block) * stride) * sizeof(double) +
         std::uint64_t(threads_of(cpu{})) * 32 * 2 * stride * sizeof(double);
}

}  // namespace poolwise
