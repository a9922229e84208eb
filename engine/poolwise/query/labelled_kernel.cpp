#include "poolwise/query/detail/labelled_kernel.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "poolwise/core/error.hpp"
#include "poolwise/query/detail/mean_cosine.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {

double mean_squared_distance(cpu on, const design& h, const std::vector<std::uint8_t>& counts) {
  const std::vector<double> mean = mean_row(on, h.rows, [&](index_t i) { return counts[std::size_t(i)] != 0; });
  const index_t block = std::max<index_t>(4096, blocks_of(h.rows.rows, 64));
  std::vector<double> sums(std::size_t(blocks_of(h.rows.rows, block)), 0.0), rows(sums.size(), 0.0);
  parallel_blocks(on, h.rows.rows, block, [&](index_t b, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      if (counts[std::size_t(i)] == 0) continue;
      ++rows[std::size_t(b)];
      for (index_t f = 0; f < h.rows.cols; ++f) {
        const double off = (double(h.rows(i, f)) - mean[std::size_t(f)]) * h.scale;
        sums[std::size_t(b)] += off * off;
      }
    }
  });
  double sum = 0, count = 0;
  for (std::size_t b = 0; b < sums.size(); ++b) sum += sums[b], count += rows[b];
  return count > 0 ? 2 * sum / count : 0;
}

labelled_kernel::labelled_kernel(const char* call, const stage_input& x)
    : on_(host_of(x.on)), h_{*x.pool.embeddings, 1 / x.unit, /*bias=*/false} {
  constexpr std::size_t most = 8192;
  const labelled_classes all = classes_of(call, x);
  classes_.count = all.count;
  std::vector<index_t> rows;
  for (std::size_t l = 0; l < all.of.size(); ++l)
    if (all.of[l] >= 0) rows.push_back(index_t(l)), classes_.of.push_back(all.of[l]);
  if (rows.size() > most)
    throw value_error(std::string(call) + ": every row is held against all of the " +
                      std::to_string(rows.size()) + " labelled rows, and it takes up to " +
                      std::to_string(most) + "; leave some of their labels out as NaN");
  const double bandwidth = x.what->given["bandwidth"];
  const double squared =
      bandwidth > 0 ? bandwidth * bandwidth : mean_squared_distance(on_, h_, rows_that_count(x));
  scale_ = 1 / std::max(2 * squared, std::numeric_limits<double>::min());
  const design known{x.labelled, h_.scale, /*bias=*/false};
  known_.assign(std::size_t(h_.width() * stride()), 0.0);
  std::vector<double> row(std::size_t(h_.width()), 0.0);
  for (std::size_t n = 0; n < rows.size(); ++n) {
    known.read(rows[n], row.data());
    double sum = 0;
    for (index_t f = 0; f < h_.width(); ++f) {
      known_[std::size_t(f * stride()) + n] = row[std::size_t(f)];
      sum += row[std::size_t(f)] * row[std::size_t(f)];
    }
    squares_.push_back(sum);
  }
}

double labelled_kernel::between(index_t l, index_t m) const {
  double d2 = 0;
  for (index_t f = 0; f < h_.width(); ++f) {
    const double off = known_[std::size_t(f * stride() + l)] - known_[std::size_t(f * stride() + m)];
    d2 += off * off;
  }
  return fixed_exp(-d2 * scale_);
}

std::uint64_t labelled_kernel_bytes(const strategy_size& size) {
  const std::uint64_t labelled = size.labelled + 16;
  return (size.features * labelled + 4 * labelled) * sizeof(double) + size.rows +
         mean_direction_bytes(size.features) +
         std::uint64_t(threads_of(cpu{})) * 32 * (size.features + labelled) * sizeof(double) +
         2 * (64 + size.rows / 4096) * sizeof(double);
}

}  // namespace poolwise
