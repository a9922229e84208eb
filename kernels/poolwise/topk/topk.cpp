#include "poolwise/topk/topk.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <variant>

#include "poolwise/core/detail/has_cuda.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/reachable.hpp"
#include "poolwise/core/detail/simd_targets.hpp"
#include "poolwise/core/detail/state_bytes.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/topk/detail/guess.hpp"
#include "poolwise/topk/detail/topk_cuda.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "poolwise/topk/topk.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "poolwise/core/simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {
namespace {

template <bool Ties>
HWY_INLINE hn::Mask<floats_tag> fails(floats score, floats threshold) {
  return Ties ? hn::Lt(score, threshold) : hn::Le(score, threshold);
}

/// Writes the places of the scores above the threshold, or level with it if Ties, and of NaN; returns how many.
/// `places` has room for a whole vector beyond them.
template <bool Ties>
HWY_INLINE index_t passing_places(const float* scores, index_t size, float threshold, std::int32_t* places) {
  const floats_tag d;
  const ints_tag i32;
  constexpr int unroll = 4;  // scores rarely pass: one branch for four vectors
  const floats t = all(threshold);
  index_t count = 0, i = 0;
  for (; i + unroll * lanes <= size; i += unroll * lanes) {
    const auto m0 = fails<Ties>(hn::LoadU(d, scores + i), t);
    const auto m1 = fails<Ties>(hn::LoadU(d, scores + i + lanes), t);
    const auto m2 = fails<Ties>(hn::LoadU(d, scores + i + 2 * lanes), t);
    const auto m3 = fails<Ties>(hn::LoadU(d, scores + i + 3 * lanes), t);
    if (hn::AllTrue(d, hn::And(hn::And(m0, m1), hn::And(m2, m3)))) continue;
    index_t place = i;
    for (const auto m : {m0, m1, m2, m3}) {
      const auto here = hn::Iota(i32, std::int32_t(place));
      count += index_t(hn::CompressStore(here, hn::RebindMask(i32, hn::Not(m)), i32, places + count));
      place += lanes;
    }
  }
  for (; i < size; ++i)
    if (Ties ? !(scores[i] < threshold) : !(scores[i] <= threshold)) places[count++] = std::int32_t(i);
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

nan_rows nan_among(vector_view<const float> scores, index_t first_row, const std::uint8_t* barred) {
  nan_rows found;
  if (HWY_DYNAMIC_DISPATCH(count_nan)(scores.data, scores.size) == 0) return found;
  for (index_t i = 0; i < scores.size; ++i)
    if (std::isnan(scores[i]) && !(barred != nullptr && barred[i] != 0)) found += {first_row + i, 1};
  return found;
}

nan_rows sum(const per_thread<nan_rows>& parts) {
  nan_rows all;
  for (const nan_rows& part : parts.all()) all += part;
  return all;
}

const std::uint8_t* from(vector_view<const std::uint8_t> barred, index_t row) {
  return barred.empty() ? nullptr : barred.data + row;
}

void require_entries(const char* call, vector_view<const std::uint8_t> barred, index_t rows) {
  if (barred.empty() || barred.size == rows) return;
  throw shape_error(std::string(call) + ": barred has " + std::to_string(barred.size) +
                    " entries but there are " + std::to_string(rows) +
                    " rows; pass one entry per row, or none");
}

/// The best k of `scores` come before it; nothing if a sample does not tell.
std::optional<candidate> sampled_threshold(vector_view<const float> scores, index_t k) {
  const top_k_guess guess = guess_top_k(scores.size, k);
  if (guess.step == 0) return {};
  top_k_state sample(guess.rank);
  for (index_t row = 0; row < scores.size; row += guess.step) sample.add({row, scores[row]});
  const std::vector<candidate> best = sample.best();
  if (index_t(best.size()) < guess.rank) return {};
  return best.back();
}

/// The order as a number: scores that come before have the smaller one, ties have the same.
std::uint32_t rank_of(float score) {
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0f);  // -0 ties with 0
  return bits >> 31 != 0 ? bits : ~bits & 0x7fffffffu;
}

/// Sorts by the order: a stable radix sort of the scores, then those that tie by row.
void sort_by_order(std::vector<candidate>& c) {
  constexpr std::size_t worth_it = 2048;
  if (c.size() < worth_it) return std::sort(c.begin(), c.end(), by_order);
  constexpr int digit_bits = 11, digits = 3;
  constexpr std::uint32_t digit_mask = (1u << digit_bits) - 1;
  const auto digit = [](const candidate& x, int d) { return rank_of(x.score) >> d * digit_bits & digit_mask; };
  std::vector<std::array<std::size_t, digits>> places(std::size_t{1} << digit_bits);
  for (const candidate& x : c)
    for (int d = 0; d < digits; ++d) ++places[digit(x, d)][std::size_t(d)];
  std::array<std::size_t, digits> next{};
  for (auto& place : places)
    for (std::size_t d = 0; d < digits; ++d) next[d] += std::exchange(place[d], next[d]);
  std::vector<candidate> other(c.size());
  for (int d = 0; d < digits; ++d) {
    for (const candidate& x : c) other[places[digit(x, d)][std::size_t(d)]++] = x;
    c.swap(other);
  }
  for (auto first = c.begin(); first != c.end();) {
    const auto last = std::find_if(first, c.end(), [&](const candidate& x) { return x.score != first->score; });
    if (last - first > 1) std::sort(first, last, by_order);
    first = last;
  }
}

void refuse_nan(const nan_rows& nan) {
  if (nan.count > 0)
    throw value_error("top_k: the score of row " + std::to_string(nan.first) + " is NaN (" +
                      std::to_string(nan.count) + " such rows); leave these rows out");
}

constexpr state_kind kind_of_bytes{{'p', 'w', 't', 'o', 'p', 'k', 0, 1}, "top_k_state"};
constexpr std::size_t bytes_of_candidate = 12;

}  // namespace

nan_rows& nan_rows::operator+=(const nan_rows& other) {
  if (other.count > 0) first = count == 0 ? other.first : std::min(first, other.first);
  count += other.count;
  return *this;
}

nan_rows find_nan(const where& on, vector_view<const float> scores, vector_view<const std::uint8_t> barred) {
  require_build_for(on, "find_nan");
  require_entries("find_nan", barred, scores.size);
  require_reachable(on, "find_nan", {{"scores", scores}, {"barred", barred}});
  if constexpr (has_cuda) {
    if (const auto* device = std::get_if<cuda>(&on)) return find_nan_cuda(*device, scores, barred);
    if (const auto* devices = std::get_if<offload>(&on)) return find_nan_cuda(*devices, scores, barred);
  }
  const cpu host = require_cpu(on, "find_nan");
  per_thread<nan_rows> parts(host, scores.size, block);
  parallel_blocks(host, scores.size, block, [&](index_t, index_t begin, index_t end) {
    parts.mine() += nan_among(rows_between(scores, begin, end), begin, from(barred, begin));
  });
  return sum(parts);
}

top_k_state::top_k_state(index_t k) : k_(k) {
  if (k < 0) throw value_error("top_k: k is " + std::to_string(k) + "; ask for 0 rows or more");
}

nan_rows top_k_state::add(const where& on, vector_view<const float> scores, index_t first_row,
                          vector_view<const std::uint8_t> barred) {
  require_build_for(on, "top_k_state::add");
  require_entries("top_k_state::add", barred, scores.size);
  require_reachable(on, "top_k_state::add", {{"scores", scores}, {"barred", barred}});
  if constexpr (has_cuda) {
    if (const auto* device = std::get_if<cuda>(&on))
      return keep_best_cuda(*device, "top_k_state::add", scores, first_row, barred, *this);
    if (const auto* devices = std::get_if<offload>(&on))
      return keep_best_cuda(*devices, "top_k_state::add", scores, first_row, barred, *this);
  }
  const cpu host = require_cpu(on, "top_k_state::add");
  top_k_state empty(k_);  // what this state has already ruled out, its parts need not keep either
  if (full_) empty.keep_only_before(worst_);
  per_thread parts(host, scores.size, block, empty);
  if (parts.all().size() == 1) return add_rows(scores, first_row, from(barred, 0));
  per_thread<nan_rows> nans(host, scores.size, block);
  parallel_blocks(host, scores.size, block, [&](index_t, index_t begin, index_t end) {
    nan_rows nan =
        parts.mine().add_rows(rows_between(scores, begin, end), first_row + begin, from(barred, begin));
    if (nan.count > 0) nan.first += begin;
    nans.mine() += nan;
  });
  for (const top_k_state& part : parts.all()) show(part);
  return sum(nans);
}

nan_rows top_k_state::add_rows(vector_view<const float> scores, index_t first_row, const std::uint8_t* barred) {
  if (k_ == 0) return nan_among(scores, 0, barred);
  nan_rows nan;
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
    for (index_t p = 0; p < count; ++p) {
      if (barred != nullptr && barred[begin + places[p]] != 0) continue;
      const candidate c{row + places[p], here[places[p]]};
      if (std::isnan(c.score))
        nan += {begin + places[p], 1};
      else
        add(c);
    }
  }
  return nan;
}

void top_k_state::add(candidate c) {
  if (k_ == 0 || std::isnan(c.score) || (full_ && !before(c, worst_))) return;
  kept_.push_back(c);
  if (index_t(kept_.size()) / 4 >= k_) compact();
}

void top_k_state::compact() {
  if (may_repeat_) {
    kept_ = best();
    if (index_t(kept_.size()) == k_) keep_only_before(kept_.back());
    return;
  }
  std::nth_element(kept_.begin(), kept_.begin() + (k_ - 1), kept_.end(), by_order);
  kept_.resize(std::size_t(k_));
  keep_only_before(kept_.back());
}

void top_k_state::merge(const top_k_state& other) {
  if (other.k_ != k_)
    throw value_error("top_k_state::merge: got the best " + std::to_string(other.k_) +
                      " for a state that keeps " + std::to_string(k_) + "; give every part the same k");
  if (this == &other) return;
  may_repeat_ = true;
  show(other);
}

void top_k_state::show(const top_k_state& other) {
  for (const candidate& c : other.kept_) add(c);
}

void top_k_state::keep_only_before(candidate c) {
  if (full_ && !before(c, worst_)) return;
  worst_ = c;
  full_ = true;
}

std::optional<candidate> top_k_state::threshold() const { return full_ ? std::optional(worst_) : std::nullopt; }

std::vector<candidate> top_k_state::best() const {
  std::vector<candidate> best = kept_;
  if (!std::is_sorted(best.begin(), best.end(), by_order)) sort_by_order(best);
  const auto same = [](const candidate& a, const candidate& b) { return a.row == b.row && a.score == b.score; };
  if (may_repeat_) best.erase(std::unique(best.begin(), best.end(), same), best.end());
  if (index_t(best.size()) > k_) best.resize(std::size_t(k_));
  for (candidate& c : best) c.score += 0.0f;
  return best;
}

std::vector<std::byte> top_k_state::to_bytes() const {
  const std::vector<candidate> candidates = best();
  state_writer out(kind_of_bytes);
  out.number(std::uint64_t(k_));
  out.number(candidates.size());
  for (const candidate& c : candidates) {
    out.number(std::uint64_t(c.row));
    out.number(std::bit_cast<std::uint32_t>(c.score), 4);
  }
  return out.finish();
}

top_k_state top_k_state::from_bytes(std::span<const std::byte> bytes) {
  state_reader in(kind_of_bytes, bytes);
  const auto k = index_t(in.number());
  const std::uint64_t count = in.number();
  if (k < 0 || count > std::uint64_t(k) || count != in.left() / bytes_of_candidate ||
      in.left() % bytes_of_candidate != 0)
    in.refuse("it counts " + std::to_string(count) + " candidates of " + std::to_string(k) + " in " +
              std::to_string(bytes.size()) + " bytes");
  top_k_state state(k);
  state.kept_.resize(std::size_t(count));
  for (candidate& c : state.kept_) {
    c.row = index_t(in.number());
    c.score = std::bit_cast<float>(std::uint32_t(in.number(4)));
  }
  const auto& kept = state.kept_;
  if (std::any_of(kept.begin(), kept.end(), [](const candidate& c) { return std::isnan(c.score); }) ||
      std::adjacent_find(kept.begin(), kept.end(),
                         [](const auto& a, const auto& b) { return !before(a, b); }) != kept.end())
    in.refuse("its candidates are not best first");
  if (count == std::uint64_t(k) && k > 0) state.keep_only_before(kept.back());
  return state;
}

std::vector<candidate> top_k(const where& on, vector_view<const float> scores, index_t k) {
  require_build_for(on, "top_k");
  require_reachable(on, "top_k", {{"scores", scores}});
  const auto sweep = [&](const std::optional<candidate>& limit) {
    top_k_state best(k);
    if (limit) best.keep_only_before(*limit);
    refuse_nan(best.add(on, scores));
    return best.best();
  };
  // In device memory the sample is taken where the scores are.
  const auto limit = std::holds_alternative<cuda>(on) ? std::nullopt : sampled_threshold(scores, k);
  std::vector<candidate> best = sweep(limit);
  if (limit && index_t(best.size()) < k) best = sweep({});
  return best;
}

}  // namespace poolwise
#endif
