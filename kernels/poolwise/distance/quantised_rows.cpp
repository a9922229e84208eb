#include "poolwise/distance/detail/quantised_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "poolwise/core/detail/simd_targets.hpp"
#include "poolwise/distance/detail/error_bound.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "poolwise/distance/quantised_rows.cpp"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "poolwise/core/simd-inl.hpp"

// Shared by the targets, though each includes this file again.
#ifndef POOLWISE_DISTANCE_QUANTISED_ROWS_CPP
#define POOLWISE_DISTANCE_QUANTISED_ROWS_CPP

namespace poolwise {
namespace {

struct row_sums {
  float largest, norm2;  // the largest is that of the magnitudes
};

/// Of one quantised row: the squared norm of what the integers miss, and their sum.
struct rest_sums {
  float norm2;
  std::int32_t sum;
};

struct product_job {
  const std::int32_t* rows;   // [count, units], the count a multiple of product_step
  const std::int32_t* start;  // [count]
  index_t count, units;
  const std::int32_t* panel;  // [units, places]
  index_t places;
  float* table;
};

struct open_query {
  quantised_factor a, h;
  float bias;
  const float* base;
  const float* limit;
};

}  // namespace
}  // namespace poolwise

#endif

HWY_BEFORE_NAMESPACE();
namespace poolwise {
namespace HWY_NAMESPACE {
namespace {

// ---- rows to integers

HWY_INLINE floats difference_at(const float* x, const float* origin, index_t c) {
  const floats_tag d;
  const floats y = hn::LoadU(d, x + c);
  return origin == nullptr ? y : hn::Sub(y, hn::LoadU(d, origin + c));
}

/// shifted = x - origin, filled up with zeros to whole vectors.
row_sums shift_row(const float* x, const float* origin, index_t cols, float* shifted) {
  const floats_tag d;
  constexpr int unroll = 2;
  floats largest[unroll] = {hn::Zero(d), hn::Zero(d)}, norm2[unroll] = {hn::Zero(d), hn::Zero(d)};
  const auto take = [&](floats y, index_t c, int u) HWY_ATTR {
    hn::Store(y, d, shifted + c);
    largest[u] = hn::Max(largest[u], hn::Abs(y));
    norm2[u] = hn::MulAdd(y, y, norm2[u]);
  };
  index_t c = 0;
  for (; c + unroll * lanes <= cols; c += unroll * lanes)
    for (int u = 0; u < unroll; ++u) take(difference_at(x, origin, c + u * lanes), c + u * lanes, u);
  for (; c + lanes <= cols; c += lanes) take(difference_at(x, origin, c), c, 0);
  if (c < cols) {
    HWY_ALIGN float last[lanes] = {};
    for (index_t i = c; i < cols; ++i) last[i - c] = origin == nullptr ? x[i] : x[i] - origin[i];
    take(hn::Load(d, last), c, 0);
  }
  return {hn::GetLane(hn::MaxOfLanes(d, hn::Max(largest[0], largest[1]))),
          hn::GetLane(hn::SumOfLanes(d, hn::Add(norm2[0], norm2[1])))};
}

/// q = shifted / scale, rounded, for `padded` values.
template <class Integer>
rest_sums quantise_row(const float* shifted, index_t padded, float scale, float reciprocal, Integer* q) {
  const floats_tag d;
  const ints_tag i32;
  const hn::Rebind<Integer, floats_tag> integer;
  const floats by = all(reciprocal), back = all(scale);
  floats norm2 = hn::Zero(d);
  ints sum = hn::Zero(i32);
  for (index_t c = 0; c < padded; c += lanes) {
    const floats y = hn::Load(d, shifted + c);
    const ints whole = hn::NearestInt(hn::Mul(y, by));
    const floats rest = hn::NegMulAdd(hn::ConvertTo(d, whole), back, y);
    norm2 = hn::MulAdd(rest, rest, norm2);
    sum = hn::Add(sum, whole);
    hn::StoreU(hn::DemoteTo(integer, whole), integer, q + c);
  }
  return {hn::GetLane(hn::SumOfLanes(d, norm2)), hn::GetLane(hn::SumOfLanes(i32, sum))};
}

rest_sums quantise_to_bytes(const float* shifted, index_t padded, float scale, float reciprocal,
                            std::int8_t* q) {
  return quantise_row(shifted, padded, scale, reciprocal, q);
}
rest_sums quantise_to_words(const float* shifted, index_t padded, float scale, float reciprocal,
                            std::int16_t* q) {
  return quantise_row(shifted, padded, scale, reciprocal, q);
}

// ---- products

/// As it is defined. X and Y are what a unit holds of a row and of the panel.
template <class X, class Y>
void plain_products(const product_job& job) {
  constexpr int count = sizeof(std::int32_t) / sizeof(X);
  for (index_t i = 0; i < job.count; ++i)
    for (index_t j = 0; j < job.places; ++j) {
      auto sum = std::uint32_t(job.start[i]);  // modulo 2^32, as the instructions count
      for (index_t u = 0; u < job.units; ++u) {
        X x[count];
        Y y[count];
        std::memcpy(x, job.rows + i * job.units + u, sizeof x);
        std::memcpy(y, job.panel + u * job.places + j, sizeof y);
        for (int k = 0; k < count; ++k) sum += std::uint32_t(x[k] * y[k]);
      }
      job.table[i * job.places + j] = float(std::int32_t(sum));
    }
}

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128

void word_products(const product_job& job) { plain_products<std::int16_t, std::int16_t>(job); }

#else

/// Rows whose sums are in registers together with those of some places: a load serves several of them.
inline constexpr int rows_at_once = lanes == 16 ? 8 : 4;
inline constexpr int places_at_once = lanes == 16 ? 48 : 2 * lanes;
static_assert(product_step % rows_at_once == 0 && quantised_panel::width % places_at_once == 0);

struct words_step {
  ints low, high;
  HWY_INLINE void add(ints x, ints y) {
    const ints_tag i32;
    const hn::Repartition<std::int16_t, ints_tag> i16;
    low = hn::ReorderWidenMulAccumulate(i32, hn::BitCast(i16, x), hn::BitCast(i16, y), low, high);
  }
  HWY_INLINE ints sum() const { return hn::RearrangeToOddPlusEven(low, high); }
};

template <class Step, int Vectors>
HWY_INLINE void products_at(const product_job& job, index_t row, index_t place) {
  const floats_tag d;
  const ints_tag i32;
  Step sum[rows_at_once][Vectors];
  for (int r = 0; r < rows_at_once; ++r)
    for (int v = 0; v < Vectors; ++v) sum[r][v] = {hn::Set(i32, job.start[row + r]), hn::Zero(i32)};
  const std::int32_t* x = job.rows + row * job.units;
  const std::int32_t* y = job.panel + place;
  for (index_t u = 0; u < job.units; ++u, y += job.places) {
    ints of_y[Vectors];
    for (int v = 0; v < Vectors; ++v) of_y[v] = hn::Load(i32, y + v * lanes);
    for (int r = 0; r < rows_at_once; ++r) {
      const ints of_x = hn::Set(i32, x[r * job.units + u]);
      for (int v = 0; v < Vectors; ++v) sum[r][v].add(of_x, of_y[v]);
    }
  }
  for (int r = 0; r < rows_at_once; ++r)
    for (int v = 0; v < Vectors; ++v)
      hn::Store(hn::ConvertTo(d, sum[r][v].sum()), d, job.table + (row + r) * job.places + place + v * lanes);
}

template <class Step>
HWY_INLINE void all_products(const product_job& job) {
  constexpr int vectors = places_at_once / lanes;
  for (index_t row = 0; row < job.count; row += rows_at_once) {
    index_t place = 0;
    for (; place + places_at_once <= job.places; place += places_at_once)
      products_at<Step, vectors>(job, row, place);
    for (; place < job.places; place += quantised_panel::group)
      products_at<Step, quantised_panel::group / lanes>(job, row, place);
  }
}

void word_products(const product_job& job) { all_products<words_step>(job); }

#endif

#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3  // or better

/// Four products of bytes a lane, those of the panel without sign. No target of Highway has the instruction by
/// itself, and an intrinsic would need one that does.
struct bytes_step {
  ints sums, unused;
  HWY_INLINE void add(ints x, ints y) { asm("vpdpbusd %2, %1, %0" : "+v"(sums.raw) : "v"(y.raw), "v"(x.raw)); }
  HWY_INLINE ints sum() const { return sums; }
};

void byte_products(const product_job& job) { all_products<bytes_step>(job); }

#else

void byte_products(const product_job& job) { plain_products<std::int8_t, std::uint8_t>(job); }

#endif

// ---- what the products leave open

/// The rounded product of two rows and a vector of places, and how far it can lie off.
struct bounded {
  floats product, error;
};

HWY_INLINE bounded bounded_product(const quantised_factor& f, index_t i, index_t j) {
  const floats_tag d;
  const quantised_facts &x = f.rows->facts(), &y = f.panel->facts();
  const auto at = std::size_t(i);
  const floats whole = hn::LoadU(d, f.table + i * f.panel->places() + j);
  const floats of_y = hn::Mul(hn::LoadU(d, y.scale.data() + j), whole);
  const floats error = hn::Mul(all(x.loss[at]), hn::LoadU(d, y.reach.data() + j));
  return {hn::Mul(all(x.scale[at]), of_y),
          hn::MulAdd(all(x.reach[at]), hn::LoadU(d, y.loss.data() + j), error)};
}

HWY_INLINE index_t note(hn::Mask<floats_tag> open, index_t i, index_t j, open_pair* pairs) {
  const floats_tag d;
  if (hn::AllFalse(d, open)) return 0;
  std::uint8_t bits[8] = {};
  hn::StoreMaskBits(d, open, bits);
  index_t found = 0;
  for (int lane = 0; lane < lanes; ++lane)
    if ((bits[lane / 8] >> (lane % 8)) & 1) pairs[found++] = {std::uint16_t(i), std::uint16_t(j + lane)};
  return found;
}

template <bool TwoFactors>
HWY_INLINE index_t open_pairs(const open_query& query, open_pair* pairs) {
  const floats_tag d;
  index_t found = 0;
  const index_t rows = query.h.rows->rows(), places = query.h.panel->places();
  for (index_t i = 0; i < rows; ++i) {
    const floats limit = all(query.limit[i]);
    for (index_t j = 0; j < places; j += lanes) {
      const bounded h = bounded_product(query.h, i, j);
      floats most;
      if constexpr (TwoFactors) {
        const bounded a = bounded_product(query.a, i, j);
        const floats of_h = hn::Add(h.product, all(query.bias));
        const floats slack =
            hn::MulAdd(hn::Abs(a.product), h.error, hn::Mul(a.error, hn::Add(hn::Abs(of_h), h.error)));
        most = hn::MulAdd(a.product, of_h, slack);
      } else {
        most = hn::Add(h.product, h.error);
      }
      const floats least = hn::NegMulAdd(all(2.0f), most, hn::LoadU(d, query.base + j));
      found += note(hn::Not(hn::Ge(least, limit)), i, j, pairs + found);
    }
  }
  return found;
}

index_t open_pairs_of_one(const open_query& query, open_pair* pairs) { return open_pairs<false>(query, pairs); }
index_t open_pairs_of_two(const open_query& query, open_pair* pairs) { return open_pairs<true>(query, pairs); }

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace poolwise
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace poolwise {

HWY_EXPORT(shift_row);
HWY_EXPORT(quantise_to_bytes);
HWY_EXPORT(quantise_to_words);
HWY_EXPORT(word_products);
HWY_EXPORT(byte_products);
HWY_EXPORT(open_pairs_of_one);
HWY_EXPORT(open_pairs_of_two);

namespace {

// Squares of larger numbers come too near the end of the range of fp32. Where `reach` is no smaller than the
// second, its products with `loss` do not underflow; numbers that are smaller yet become zeros.
constexpr double largest_reach = 0x1p60, least_reach = 0x1p-50;

// A pair that is looked at takes about as long as 8 that bytes exclude and 4 that words do; a pair that is met
// directly, where nothing is excluded, about half of that.
constexpr double idle_of_bytes = 1.0 / 8, idle_of_words = 1.0 / 2;

index_t in_unit(grain fine) { return fine == grain::bytes ? 4 : 2; }

/// The largest integer of rows whose products then fit into 32 bits.
float largest_integer(grain fine, index_t cols) {
  const double fits = std::floor(std::sqrt(0x7fffffff / double(std::max<index_t>(1, cols))));
  return float(std::min<double>(fits, fine == grain::bytes ? 127 : 32767));
}

float rounded_up(double x) { return std::nextafter(float(x), std::numeric_limits<float>::infinity()); }

void resize(quantised_facts& facts, index_t rows) {
  for (auto* of : {&facts.scale, &facts.reach, &facts.loss, &facts.norm2}) of->resize(std::size_t(rows));
}

}  // namespace

bool has_byte_products() {
#if HWY_ARCH_X86
  return (hwy::SupportedTargets() & HWY_AVX3_DL) != 0;
#else
  return false;
#endif
}

quantised_rows::quantised_rows(grain fine, index_t cols, index_t most)
    : fine_(fine),
      cols_(cols),
      units_((cols + in_unit(fine) - 1) / in_unit(fine)),
      // A row is written in whole vectors, over the beginning of the next.
      values_(std::size_t(product_height(most) * units_ + canonical_lanes), 0),
      start_(std::size_t(product_height(most)), 0),
      shifted_(std::size_t((cols + canonical_lanes - 1) / canonical_lanes * canonical_lanes)) {
  resize(facts_, most);
}

/// With u = 2^-24, n columns, g_k = gamma_of(k), y exactly and y~ = fl(x - origin):
/// - |y~ - y| <= u |y|, so that |r| <= |y~ - scale q| + u |y|. That norm and |y~| are square roots of sums of n
///   squares, in any order, each within g_(n+8) relatively but for an underflow of 2^-149 a square. A
///   difference rounded without fma is off by u |scale q| more. |scale q| <= |y| + |r|.
/// - A canonical dot product of y1 and y2 is within g_(ceil(n/16)+4) |y1||y2| of it. The left product is
///   rounded three times, by at most 4 u reach1 reach2. Half of their sum goes into `loss` of either side, and
///   with it more than 16 u of reach for all that an upper bound made of these numbers rounds, in
///   find_open_pairs.
/// - The bound itself is rounded three times: 2^-19 of `loss` is far more.
void quantised_rows::add(const float* row, const float* origin) {
  const index_t i = rows_++;
  const auto at = std::size_t(i);
  const auto padded = index_t(shifted_.size());
  const auto [largest, norm2] = HWY_DYNAMIC_DISPATCH(shift_row)(row, origin, cols_, shifted_.data());
  const bool finite = largest <= std::numeric_limits<float>::max();
  if (!finite) std::fill(shifted_.begin(), shifted_.end(), 0.0f);  // no integers stand for these
  const bool fits = finite && double(largest) >= least_reach;
  const float most = largest_integer(fine_, cols_);
  const float scale = fits ? largest / most : 0, reciprocal = fits ? most / largest : 0;
  std::int32_t* const q = values_.data() + i * units_;
  rest_sums rest;
  if (fine_ == grain::bytes) {
    rest = HWY_DYNAMIC_DISPATCH(quantise_to_bytes)(shifted_.data(), padded, scale, reciprocal,
                                                   reinterpret_cast<std::int8_t*>(q));
    start_[at] = std::int32_t(-128u * std::uint32_t(rest.sum));
  } else {
    rest = HWY_DYNAMIC_DISPATCH(quantise_to_words)(shifted_.data(), padded, scale, reciprocal,
                                                   reinterpret_cast<std::int16_t*>(q));
  }
  constexpr double u = 0x1p-24;
  const double sums = 1 + gamma_of(cols_ + 8), tiny = double(cols_) * 0x1p-74;
  const double left = std::sqrt(double(rest.norm2)) * sums + tiny;
  // In this order a NaN, from an infinite difference, stays one.
  const double reach = std::max(std::sqrt(double(norm2)) * sums + left + tiny, least_reach);
  const double roundings = gamma_of(cols_ / canonical_lanes + 5) / 2 + 32 * u;
  if (reach <= largest_reach) {
    facts_.scale[at] = scale;
    facts_.reach[at] = rounded_up(reach);
    facts_.loss[at] = rounded_up((left + roundings * reach) * (1 + 0x1p-19) + tiny);
    facts_.norm2[at] = norm2;
  } else {  // or is NaN
    facts_.scale[at] = facts_.reach[at] = facts_.loss[at] = 0;
    facts_.norm2[at] = std::numeric_limits<float>::infinity();
  }
}

quantised_panel::quantised_panel(const quantised_rows& rows)
    : rows_(rows.rows()), values_(std::size_t(rows.units() * places()), 0), facts_(rows.facts()) {
  // Bytes of a panel have no sign: 128 is added to each.
  const std::int32_t flip = rows.fine() == grain::bytes ? std::int32_t(0x80808080u) : 0;
  for (index_t j = 0; j < rows_; ++j)
    for (index_t u = 0; u < rows.units(); ++u) values_[std::size_t(u * places() + j)] = rows.row(j)[u] ^ flip;
  resize(facts_, rows_);  // without what an earlier row left behind
  resize(facts_, places());
}

void quantised_products(const quantised_rows& rows, const quantised_panel& panel, float* table) {
  const product_job job{rows.row(0),    rows.start(), product_height(rows.rows()), rows.units(), panel.values(),
                        panel.places(), table};
  rows.fine() == grain::bytes ? HWY_DYNAMIC_DISPATCH(byte_products)(job)
                              : HWY_DYNAMIC_DISPATCH(word_products)(job);
}

index_t find_open_pairs(const quantised_factor& h, const float* base, const float* limit, open_pair* pairs) {
  return HWY_DYNAMIC_DISPATCH(open_pairs_of_one)({{}, h, 0, base, limit}, pairs);
}

index_t find_open_pairs(const quantised_factor& a, const quantised_factor& h, float bias, const float* base,
                        const float* limit, open_pair* pairs) {
  return HWY_DYNAMIC_DISPATCH(open_pairs_of_two)({a, h, bias, base, limit}, pairs);
}

distance_floor::distance_floor(index_t cols) : underflow_(double(cols) * 0x1p-147) {
  const double g = gamma_of(cols + 8);
  keep_ = std::isfinite(g) ? 1 - 5 * g / (1 - g) : 0;
}

void pair_filter::count(grain fine, index_t rows, index_t partners, index_t idle) {
  met_ += double(rows) * double(partners);
  idle_ += double(idle);
  if (met_ < double(rows) * double(enough_)) return;
  if (fine == grain::bytes && idle_ > idle_of_bytes * met_)
    step_ = steps::words;
  else if (fine == grain::words && idle_ > idle_of_words * met_)
    step_ = steps::none;
  met_ = idle_ = 0;
}

}  // namespace poolwise
#endif
