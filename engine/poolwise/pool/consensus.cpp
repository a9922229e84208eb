#include "poolwise/pool/consensus.hpp"

#include <algorithm>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/rows.hpp"

namespace poolwise {
namespace {

/// The lowest class of the largest value, to which output_gradient is the probabilities less 1.
index_t predicted(const real_matrix& x, index_t row) {
  return std::visit(
      [row](auto m) {
        index_t best = 0;
        for (index_t c = 1; c < m.cols; ++c)
          if (to_float(m(row, c)) > to_float(m(row, best))) best = c;
        return best;
      },
      x);
}

}  // namespace

std::vector<float> mean_probabilities(cpu on, const committee_outputs& x, outputs kind) {
  const index_t classes = x.cols();
  std::vector<float> mean(std::size_t(x.rows() * classes));
  parallel_blocks(on, x.rows(), 1024, [&](index_t, index_t begin, index_t end) {
    const index_t rows = end - begin;
    std::vector<float> gradient(std::size_t(rows * classes));
    std::vector<double> sum(gradient.size());
    for (const real_matrix& member : x.each()) {
      const real_matrix some = rows_between(member, begin, end);
      output_gradient(cpu{1}, some, kind, {gradient.data(), rows, classes});
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += double(gradient[i]);
      for (index_t i = 0; i < rows; ++i) sum[std::size_t(i * classes + predicted(some, i))] += 1;
    }
    std::transform(sum.begin(), sum.end(), mean.begin() + begin * classes,
                   [&](double of_all) { return float(std::max(of_all, 0.0) / double(x.members())); });
  });
  return mean;
}

std::uint64_t consensus_bytes(const pool_inputs& pool) {
  if (pool.model || !pool.committee) return 0;
  return std::uint64_t(pool.committee->rows() * pool.committee->cols()) * sizeof(float);
}

void speak_for_model(cpu on, pool_inputs& pool, std::vector<float>& keep) {
  if (consensus_bytes(pool) == 0) return;
  keep = mean_probabilities(on, *pool.committee, pool.committee_kind);
  pool.model = matrix_view<const float>{keep.data(), pool.committee->rows(), pool.committee->cols()};
  pool.model_kind = outputs::probabilities;
}

}  // namespace poolwise
