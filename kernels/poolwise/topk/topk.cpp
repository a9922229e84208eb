#include "poolwise/topk/topk.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "poolwise/core/detail/simd_targets.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/parallel.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "poolwise/topk/topk.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using floats_tag = hn::CappedTag<float, 16>;
using ints_tag = hn::RebindToSigned<floats_tag>;
using floats = hn::Vec<floats_tag>;

template <bool Ties>
HWY_INLINE hn::Mask<floats_tag> pass(floats score, floats threshold) {
  return Ties ? hn::Ge(score, threshold) : hn::Gt(score, threshold);
}

/// Writes the places of the scores above the threshold, or level with it if Ties; returns how many.
/// `places` has room for a whole vector beyond them.
template <bool Ties>
HWY_INLINE index_t passing_places(const float* scores, index_t size, float threshold, std::int32_t* places) {
  const floats_tag d;
  const ints_tag i32;
  constexpr int unroll = 4;  // scores rarely pass: one branch for four vectors
  const index_t lanes = index_t(hn::Lanes(d));
  const floats t = hn::Set(d, threshold);
  index_t count = 0, i = 0;
  for (; i + unroll * lanes <= size; i += unroll * lanes) {
    const auto m0 = pass<Ties>(hn::LoadU(d, scores + i), t);
    const auto m1 = pass<Ties>(hn::LoadU(d, scores + i + lanes), t);
    const auto m2 = pass<Ties>(hn::LoadU(d, scores + i + 2 * lanes), t);
    const auto m3 = pass<Ties>(hn::LoadU(d, scores + i + 3 * lanes), t);
    if (hn::AllFalse(d, hn::Or(hn::Or(m0, m1), hn::Or(m2, m3)))) continue;
    index_t place = i;
    for (const auto m : {m0, m1, m2, m3}) {
      const auto here = hn::Iota(i32, std::int32_t(place));
      count += index_t(hn::CompressStore(here, hn::RebindMask(i32, m), i32, places + count));
      place += lanes;
    }
  }
  for (; i < size; ++i)
    if (Ties ? scores[i] >= threshold : scores[i] > threshold) places[count++] = std::int32_t(i);
  return count;
}

index_t places_above(const float* scores, index_t size, float threshold, std::int32_t* places) {
  return passing_places<false>(scores, size, threshold, places);
}

index_t places_from(const float* scores, index_t size, float threshold, std::int32_t* places) {
  return passing_places<true>(scores, size, threshold, places);
}

index_t count_nan(const float* scores, index_t size) {
  const floats_tag d;
  const index_t lanes = index_t(hn::Lanes(d));
  index_t count = 0, i = 0;
  for (; i + lanes <= size; i += lanes) count += index_t(hn::CountTrue(d, hn::IsNaN(hn::LoadU(d, scores + i))));
  for (; i < size; ++i) count += std::isnan(scores[i]);
  return count;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace poolwise {

HWY_EXPORT(places_above);
HWY_EXPORT(places_from);
HWY_EXPORT(count_nan);

namespace {

constexpr index_t block = 1 << 15;  // scores a thread takes at a time; they stay in its L2 cache
constexpr index_t chunk = 4096;     // scores filtered against one threshold
constexpr index_t most_lanes = 16;

// A type of its own, so that the standard algorithms inline it.
constexpr auto by_order = [](const candidate& a, const candidate& b) { return before(a, b); };

/// Adds the NaN among scores, the first of which is row `first_row`. Blocks may come in any order.
void add_nan(vector_view<const float> scores, index_t first_row, nan_rows& found) {
  const index_t count = HWY_DYNAMIC_DISPATCH(count_nan)(scores.data, scores.size);
  if (count == 0) return;
  const float* const nan = std::find_if(scores.begin(), scores.end(), [](float s) { return std::isnan(s); });
  const index_t row = first_row + (nan - scores.begin());
  found.first = found.count == 0 ? row : std::min(found.first, row);
  found.count += count;
}

nan_rows sum(const std::vector<nan_rows>& parts) {
  nan_rows all;
  for (const nan_rows& part : parts) {
    if (part.count == 0) continue;
    all.first = all.count == 0 ? part.first : std::min(all.first, part.first);
    all.count += part.count;
  }
  return all;
}

vector_view<const float> between(vector_view<const float> scores, index_t begin, index_t end) {
  return {scores.data + begin, end - begin};
}

/// The threads that parallel_blocks would use at most.
std::size_t team(cpu on, index_t items) {
  return std::size_t(std::clamp<index_t>(blocks_of(items, block), 1, threads_of(on)));
}

}  // namespace

nan_rows find_nan(const where& on, vector_view<const float> scores) {
  const cpu host = require_cpu(on, "find_nan");
  std::vector<nan_rows> parts(team(host, scores.size));
  parallel_blocks(host, scores.size, block, [&](index_t, index_t begin, index_t end) {
    add_nan(between(scores, begin, end), begin, parts[std::size_t(omp_get_thread_num())]);
  });
  return sum(parts);
}

top_k_state::top_k_state(index_t k) : k_(k) {
  if (k < 0) throw value_error("top_k: k is " + std::to_string(k) + "; ask for 0 rows or more");
}

void top_k_state::add(const where& on, vector_view<const float> scores, index_t first_row) {
  const cpu host = require_cpu(on, "top_k_state::add");
  const std::size_t threads = team(host, scores.size);
  if (threads == 1) return add_rows(scores, first_row);
  top_k_state empty(k_);  // what this state has already ruled out, its parts need not keep either
  empty.worst_ = worst_;
  empty.full_ = full_;
  std::vector<top_k_state> parts(threads, empty);
  parallel_blocks(host, scores.size, block, [&](index_t, index_t begin, index_t end) {
    parts[std::size_t(omp_get_thread_num())].add_rows(between(scores, begin, end), first_row + begin);
  });
  for (const top_k_state& part : parts) merge(part);
}

void top_k_state::add_rows(vector_view<const float> scores, index_t first_row) {
  if (k_ == 0) return;
  std::int32_t places[chunk + most_lanes];
  for (index_t begin = 0; begin < scores.size; begin += chunk) {
    const index_t size = std::min(chunk, scores.size - begin);
    const index_t row = first_row + begin;
    const float* const here = scores.data + begin;
    // A tie with the worst is kept by a lower row alone.
    const bool ties = !full_ || row < worst_.row;
    const float threshold = full_ ? worst_.score : -std::numeric_limits<float>::infinity();
    const index_t count = ties ? HWY_DYNAMIC_DISPATCH(places_from)(here, size, threshold, places)
                               : HWY_DYNAMIC_DISPATCH(places_above)(here, size, threshold, places);
    for (index_t p = 0; p < count; ++p) add({row + places[p], here[places[p]]});
  }
}

void top_k_state::add(candidate c) {
  if (k_ == 0 || std::isnan(c.score) || (full_ && !before(c, worst_))) return;
  kept_.push_back(c);
  if (index_t(kept_.size()) / 4 >= k_) compact();
}

void top_k_state::compact() {
  std::nth_element(kept_.begin(), kept_.begin() + (k_ - 1), kept_.end(), by_order);
  kept_.resize(std::size_t(k_));
  worst_ = kept_.back();
  full_ = true;
}

void top_k_state::merge(const top_k_state& other) {
  if (other.k_ != k_)
    throw value_error("top_k_state::merge: got the best " + std::to_string(other.k_) +
                      " for a state that keeps " + std::to_string(k_) + "; give every part the same k");
  for (const candidate& c : other.kept_) add(c);
}

std::vector<candidate> top_k_state::best() const {
  std::vector<candidate> best = kept_;
  const auto end = best.begin() + std::min(k_, index_t(best.size()));
  if (end != best.end()) std::nth_element(best.begin(), end, best.end(), by_order);
  std::sort(best.begin(), end, by_order);
  best.erase(end, best.end());
  return best;
}

std::vector<candidate> top_k(const where& on, vector_view<const float> scores, index_t k) {
  const cpu host = require_cpu(on, "top_k");
  std::vector<top_k_state> states(team(host, scores.size), top_k_state(k));
  std::vector<nan_rows> nans(states.size());
  parallel_blocks(host, scores.size, block, [&](index_t, index_t begin, index_t end) {
    const auto thread = std::size_t(omp_get_thread_num());
    add_nan(between(scores, begin, end), begin, nans[thread]);
    states[thread].add(cpu{1}, between(scores, begin, end), begin);
  });
  if (const nan_rows nan = sum(nans); nan.count > 0)
    throw value_error("top_k: the score of row " + std::to_string(nan.first) + " is NaN (" +
                      std::to_string(nan.count) + " such rows); leave these rows out");
  for (std::size_t t = 1; t < states.size(); ++t) states[0].merge(states[t]);
  return states[0].best();
}

}  // namespace poolwise
#endif
