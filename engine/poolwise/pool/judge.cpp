#include "poolwise/pool/judge.hpp"

#include <algorithm>
#include <atomic>
#include <limits>

#include "poolwise/committee/committee.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/distance/finite_rows.hpp"
#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/score/label_scores.hpp"

namespace poolwise {
namespace {

constexpr index_t row_block = 4096;

/// Marks the rows of [0, rows) for which is_invalid(row).
template <class Judge>
void mark(cpu on, index_t rows, index_t block, std::vector<std::uint8_t>& marks, Judge is_invalid) {
  parallel_blocks(on, rows, block, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) marks[std::size_t(i)] |= std::uint8_t(is_invalid(i));
  });
}

void mark_nan(cpu on, const std::vector<float>& scores, std::vector<std::uint8_t>& marks) {
  mark(on, index_t(scores.size()), row_block, marks,
       [&](index_t i) { return scores[std::size_t(i)] != scores[std::size_t(i)]; });
}

// A committee is judged by a score of it, which is NaN where a member has no distribution.
void mark_committee(const where& on, const committee_outputs& x, outputs kind,
                    std::vector<std::uint8_t>& marks) {
  std::vector<float> scores(std::size_t(x.rows()));
  if (x.cube()) {
    const disagreement bald[] = {disagreement::bald};
    score_committee(on, *x.cube(), kind, bald, {scores.data(), x.rows(), 1});
    return mark_nan(host_of(on), scores, marks);
  }
  for (index_t m = 0; m < x.members(); ++m) {
    score(on, x.member(m), kind, acquisition::least_confidence, {scores.data(), x.rows()});
    mark_nan(host_of(on), scores, marks);
  }
}

void keep_larger(std::atomic<float>& largest, float value) {
  float before = largest.load(std::memory_order_relaxed);
  while (before < value && !largest.compare_exchange_weak(before, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

float mark_invalid(const where& on, const pool_inputs& pool, parts which, std::vector<std::uint8_t>& marks,
                   const std::function<bool(index_t)>& aside) {
  marks.resize(std::size_t(pool.rows));
  const cpu host = host_of(on);
  if (which.has(part::outputs)) {
    std::vector<float> scores(static_cast<std::size_t>(pool.rows));
    score(on, *pool.model, pool.model_kind, acquisition::least_confidence,
          vector_view<float>{scores.data(), pool.rows});
    mark_nan(host, scores, marks);
  }
  if (which.has(part::label_outputs)) {
    std::vector<float> scores(static_cast<std::size_t>(pool.rows));
    score_labels(host, *pool.label_outputs, pool.label_kind, label_acquisition::binmin,
                 vector_view<float>{scores.data(), pool.rows});
    mark_nan(host, scores, marks);
  }
  if (which.has(part::committee)) mark_committee(on, *pool.committee, pool.committee_kind, marks);
  const auto rows_at_once = [](index_t cols) {
    return std::clamp<index_t>((index_t{1} << 17) / std::max<index_t>(cols, 1), 16, row_block);
  };
  std::atomic<float> largest = 0;
  const auto reading = [&](index_t cols) {
    return holding(host, rows_at_once(cols) * cols * index_t(sizeof(float)));
  };
  if (which.has(part::embeddings))
    mark(reading(pool.embeddings->cols), pool.rows, rows_at_once(pool.embeddings->cols), marks, [&](index_t i) {
      const index_t cols = pool.embeddings->cols;
      const float size = largest_size(pool.embeddings->row(i), cols);
      if (!(size <= std::numeric_limits<float>::max())) return true;
      if (aside && aside(i)) return size > 1 && distance_scale(size, cols) != 1;
      keep_larger(largest, size);
      return false;
    });
  if (which.has(part::predictions))
    for (index_t m = 0; m < pool.predictions->members; ++m) {
      const auto member = pool.predictions->member(m);
      mark(reading(member.cols), pool.rows, rows_at_once(member.cols), marks,
           [&](index_t i) { return !all_finite(member.row(i), member.cols); });
    }
  return largest;
}

std::string why_invalid(const pool_inputs& pool, parts which, index_t row) {
  if (which.has(part::outputs)) {
    const std::string reason = why_invalid(*pool.model, pool.model_kind, row);
    if (!reason.empty()) return reason;
  }
  if (which.has(part::label_outputs)) {
    const std::string reason = why_no_labels(*pool.label_outputs, pool.label_kind, row);
    if (!reason.empty()) return reason;
  }
  if (which.has(part::committee))
    for (index_t member = 0; member < pool.committee->members(); ++member) {
      const std::string reason = why_invalid(pool.committee->member(member), pool.committee_kind, row);
      if (!reason.empty()) return reason + " for member " + std::to_string(member);
    }
  if (which.has(part::predictions))
    for (index_t member = 0; member < pool.predictions->members; ++member) {
      const auto x = pool.predictions->member(member);
      if (!all_finite(x.row(row), x.cols))
        return "has a prediction that is not finite, by member " + std::to_string(member);
    }
  return "has an embedding that is not finite";
}

std::string describe_invalid(const pool_inputs& pool, parts which, const nan_rows& invalid,
                             const char* like_that) {
  return "row " + std::to_string(invalid.first) + " " + why_invalid(pool, which, invalid.first) + "; " +
         std::to_string(invalid.count) + " of " + std::to_string(pool.rows) + " rows " + like_that;
}

}  // namespace poolwise
