#include "poolwise/committee/epig.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/simd_targets.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "poolwise/committee/epig.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "poolwise/core/simd-inl.hpp"

#ifndef POOLWISE_COMMITTEE_EPIG_COLUMNS
#define POOLWISE_COMMITTEE_EPIG_COLUMNS
namespace poolwise {
namespace {

// Sums over targets are kept as so many partial sums, on every CPU target.
constexpr index_t sum_lanes = 16;

/// Of targets and their classes, columns that lie together: mean[j] and each[e][j].
struct target_columns {
  const float* each;     // [members, stride]
  const float* inverse;  // [columns] 1 / mean of each; 0 where that is no normal number
  index_t columns, stride, members;
};

}  // namespace
}  // namespace poolwise
#endif

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {
namespace {

/// sum_j P log2(P / (mean P_j)) over the columns j, with P = sum_e p[e] each[e][j]. p is over `members`
/// already.
double information(const float* p, float inverse_mean, const target_columns& of) {
  const floats_tag d;
  constexpr int parts = int(sum_lanes) / lanes;
  floats sum[parts];
  for (int part = 0; part < parts; ++part) sum[part] = hn::Zero(d);
  for (index_t first = 0; first < of.columns; first += sum_lanes)
    for (int part = 0; part < parts; ++part) {
      const float* const column = of.each + first + part * lanes;
      floats joint = hn::Mul(all(p[0]), hn::LoadU(d, column));
      for (index_t e = 1; e < of.members; ++e)
        joint = fma(all(p[e]), hn::LoadU(d, column + e * of.stride), joint);
      const floats inverse = hn::LoadU(d, of.inverse + first + part * lanes);
      const floats ratio = hn::Mul(hn::Mul(joint, all(inverse_mean)), inverse);
      sum[part] = fma(joint, log2_normal(ratio), sum[part]);
    }
  HWY_ALIGN float total[sum_lanes];
  for (int part = 0; part < parts; ++part) hn::Store(sum[part], d, total + part * lanes);
  for (index_t half = sum_lanes / 2; half > 0; half /= 2)
    for (index_t j = 0; j < half; ++j) total[j] += total[j + half];
  return double(total[0]);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace poolwise {
namespace {

HWY_EXPORT(information);

constexpr index_t row_block = 32;      // that share a read of the targets
constexpr index_t most_columns = 256;  // of targets, whose sums are in fp32

float inverse_of(float mean) { return mean >= std::numeric_limits<float>::min() ? 1 / mean : 0; }

/// The distributions of the members for the targets: column t * cols + c is that of class c of target t.
class target_table {
 public:
  target_table(cpu on, std::span<const real_matrix> targets, outputs kind)
      : members_(index_t(targets.size())), columns_(rows_of(targets[0]) * cols_of(targets[0])) {
    stride_ = (columns_ + sum_lanes - 1) / sum_lanes * sum_lanes;
    each_.resize(std::size_t(members_ * stride_));
    inverse_.resize(std::size_t(stride_));
    const index_t cols = cols_of(targets[0]);
    for (index_t e = 0; e < members_; ++e)
      class_probabilities(on, targets[std::size_t(e)], kind,
                          {each_.data() + e * stride_, rows_of(targets[0]), cols});
    for (index_t j = 0; j < columns_; ++j) {
      float sum = 0;
      for (index_t e = 0; e < members_; ++e) sum += each_[std::size_t(e * stride_ + j)];
      if (!(sum >= 0))
        throw value_error("epig: target " + std::to_string(j / cols) +
                          " has no distribution by some member; "
                          "mend it, or leave it out");
      inverse_[std::size_t(j)] = inverse_of(sum / float(members_));
    }
  }

  index_t blocks() const { return blocks_of(stride_, most_columns); }
  target_columns block(index_t b) const {
    const index_t first = b * most_columns;
    return {each_.data() + first, inverse_.data() + first, std::min(most_columns, stride_ - first), stride_,
            members_};
  }

 private:
  index_t members_, columns_, stride_ = 0;
  std::vector<float> each_, inverse_;
};

void check(std::span<const real_matrix> committee, std::span<const real_matrix> targets, index_t scores) {
  if (committee.empty() || targets.size() != committee.size())
    throw shape_error("epig: there are " + std::to_string(committee.size()) + " members and " +
                      std::to_string(targets.size()) +
                      " of them for the targets; pass at least one, and the same for both");
  const index_t rows = rows_of(committee[0]), cols = cols_of(committee[0]), count = rows_of(targets[0]);
  for (const auto& members : {committee, targets})
    for (const real_matrix& one : members)
      if (cols_of(one) != cols || rows_of(one) != (members.data() == committee.data() ? rows : count))
        throw shape_error("epig: members differ in rows or classes; pass outputs of one shape");
  if (count == 0 || cols == 0) throw shape_error("epig: there is no target or no class; pass at least one");
  if (scores != rows)
    throw shape_error("epig: scores has " + std::to_string(scores) + " places but the committee has " +
                      std::to_string(rows) + " rows; pass one place per row");
}

/// Some rows against all targets.
void score_block(std::span<const real_matrix> committee, const target_table& targets, outputs kind,
                 index_t begin, vector_view<float> scores) {
  const auto members = index_t(committee.size());
  const index_t cols = cols_of(committee[0]), rows = scores.size;
  std::vector<float> one(std::size_t(rows * cols)), p(std::size_t(rows * cols * members));
  for (index_t e = 0; e < members; ++e) {
    class_probabilities(cpu{1}, rows_between(committee[std::size_t(e)], begin, begin + rows), kind,
                        {one.data(), rows, cols});
    for (index_t j = 0; j < rows * cols; ++j)
      p[std::size_t(j * members + e)] = one[std::size_t(j)] / float(members);
  }
  std::vector<float> inverse;
  for (index_t j = 0; j < rows * cols; ++j) {
    float mean = 0;
    for (index_t e = 0; e < members; ++e) mean += p[std::size_t(j * members + e)];
    inverse.push_back(mean == mean ? inverse_of(mean) : mean);
  }
  std::vector<double> total(std::size_t(rows), 0.0);
  for (index_t b = 0; b < targets.blocks(); ++b) {
    const target_columns columns = targets.block(b);
    for (index_t i = 0; i < rows; ++i)
      for (index_t j = i * cols; j < (i + 1) * cols; ++j)
        total[std::size_t(i)] +=
            HWY_DYNAMIC_DISPATCH(information)(p.data() + j * members, inverse[std::size_t(j)], columns);
  }
  constexpr double nats = 0x1.62e42fefa39efp-1;
  for (index_t i = 0; i < rows; ++i)
    scores[i] = inverse[std::size_t(i * cols)] == inverse[std::size_t(i * cols)]
                    ? float(std::max(0.0, total[std::size_t(i)] * nats))
                    : std::numeric_limits<float>::quiet_NaN();
}

}  // namespace

void epig(cpu on, std::span<const real_matrix> committee, std::span<const real_matrix> targets, outputs kind,
          vector_view<float> scores) {
  check(committee, targets, scores.size);
  const target_table table(on, targets, kind);
  const double count = double(rows_of(targets[0]));
  index_t bytes = 0;
  for (const real_matrix& one : committee) bytes += row_block * row_bytes(one);
  parallel_blocks(holding(on, bytes), scores.size, row_block, [&](index_t, index_t begin, index_t end) {
    const vector_view<float> some{scores.data + begin, end - begin};
    score_block(committee, table, kind, begin, some);
    for (float& score : some) score = float(double(score) / count);
  });
}

std::uint64_t epig_bytes(cpu on, std::uint64_t members, std::uint64_t targets, std::uint64_t cols) {
  const std::uint64_t of_rows = row_block * (cols * (members + 2) * sizeof(float) + sizeof(double));
  return (members + 1) * (targets * cols + sum_lanes) * sizeof(float) + std::uint64_t(threads_of(on)) * of_rows;
}

}  // namespace poolwise
#endif  // HWY_ONCE
