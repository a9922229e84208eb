#include "poolwise/topk/best_rows.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/reachable.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/topk/detail/guess.hpp"
#include "poolwise/topk/detail/sample.hpp"
#include "poolwise/topk/detail/topk_cuda.hpp"

namespace poolwise {
namespace {

/// What a row brings into memory, of a file that is cached in large pages perhaps.
index_t brought_bytes(const real_matrix& x) {
  constexpr index_t large_page = index_t{1} << 21;
  const index_t apart = std::visit([](auto m) { return m.stride * index_t(sizeof(*m.data)); }, x);
  return std::max(row_bytes(x), std::min(apart, row_bytes(x) + large_page));
}

/// Rows scored at a time: their scores and what is read of x stay in a core's L2 cache. Of a file whose pages
/// are given back, so few that a block brings some MiB.
index_t rows_of_block(cpu on, const real_matrix& x) {
  const index_t block = std::clamp<index_t>(65536 / cols_of(x) / 64 * 64, 64, 8192);
  if (on.pages == nullptr) return block;
  return std::clamp<index_t>((index_t{1} << 21) / std::max<index_t>(1, brought_bytes(x)), 1, block);
}

/// Shows the rows of x to a state a thread, and merges them into `state`.
nan_rows keep_best_rows(cpu on, const real_matrix& x, outputs kind, acquisition which,
                        vector_view<const std::uint8_t> barred, top_k_state& state) {
  const index_t block = rows_of_block(on, x);
  struct part {
    top_k_state state;
    nan_rows invalid;
    std::vector<float> scores;
  };
  per_thread parts(on, rows_of(x), block, part{top_k_state(state.k()), {}, {}});
  parallel_blocks(
      holding(on, block * brought_bytes(x)), rows_of(x), block, [&](index_t, index_t begin, index_t end) {
        part& mine = parts.mine();
        if (mine.scores.empty()) {
          mine.scores.resize(std::size_t(block));
          if (const auto limit = state.threshold()) mine.state.keep_only_before(*limit);
        }
        const vector_view<float> scores{mine.scores.data(), end - begin};
        const auto bars = rows_between(barred, begin, end);
        score(cpu{1}, rows_between(x, begin, end), kind, {&which, 1}, {scores.data, scores.size, 1});
        nan_rows invalid = mine.state.add(cpu{1}, scores, begin, bars);
        if (invalid.count > 0) invalid.first += begin;
        mine.invalid += invalid;
      });
  nan_rows invalid;
  for (const part& p : parts.all()) {
    state.merge(p.state);
    invalid += p.invalid;
  }
  return invalid;
}

}  // namespace

best_of_rows best_rows(const where& on, const real_matrix& x, outputs kind, acquisition which, index_t k,
                       vector_view<const std::uint8_t> barred) {
  require_build_for(on, "best_rows");
  const index_t rows = rows_of(x);
  if (!barred.empty() && barred.size != rows)
    throw shape_error("best_rows: barred has " + std::to_string(barred.size) + " entries but x has " +
                      std::to_string(rows) + " rows; pass one entry per row, or none");
  require_reachable(on, "best_rows", {{"x", x}, {"barred", barred}});
  // A pool without rows has its shape and its acquisition checked too.
  score(cpu{1}, rows_between(x, 0, 0), kind, which, {});
  top_k_state best(k);
  if (rows == 0) return {};
  // In device memory the sample is taken where the pool is.
  const bool samples_itself = std::holds_alternative<cuda>(on);
  const top_k_guess guess = samples_itself ? top_k_guess{} : guess_top_k(rows, k);
  if (guess.step > 0) {
    const auto bars = sample_of(barred, guess.step);
    const auto sample =
        best_rows(on, sample_of(x, guess.step), kind, which, guess.rank, {bars.data(), index_t(bars.size())})
            .best;
    if (index_t(sample.size()) == guess.rank)
      best.keep_only_before({sample.back().row * guess.step, sample.back().score});
  }
  const bool guessed = best.threshold().has_value();
  const auto sweep = [&] {
    if constexpr (has_cuda) {
      if (const auto* device = std::get_if<cuda>(&on))
        return keep_best_rows_cuda(*device, "best_rows", x, kind, which, barred, best);
      if (const auto* devices = std::get_if<offload>(&on))
        return keep_best_rows_cuda(*devices, "best_rows", x, kind, which, barred, best);
    }
    return keep_best_rows(require_cpu(on, "best_rows"), x, kind, which, barred, best);
  };
  nan_rows invalid = sweep();
  std::vector<candidate> picks = best.best();
  if (guessed && index_t(picks.size()) < k) {
    best = top_k_state(k);
    invalid = sweep();
    picks = best.best();
  }
  return {std::move(picks), invalid};
}

}  // namespace poolwise
