// The state of a row of model outputs after one read, and the formula of every score, once. F is a float on
// a device. On the CPU it is a vector, one row a lane. The folds gather a state, each in its own way.
//
// Compiled once a target, as core/simd-inl.hpp is. A new score that reads these states has its formula here, a
// case in `score_of`, and a line in the enumeration and the table of score.hpp.
#if defined(POOLWISE_SCORE_ROW_STATE_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef POOLWISE_SCORE_ROW_STATE_INL_HPP
#undef POOLWISE_SCORE_ROW_STATE_INL_HPP
#else
#define POOLWISE_SCORE_ROW_STATE_INL_HPP
#endif

#include <limits>

#include "poolwise/score/score.hpp"

#ifdef __CUDACC__
#include "poolwise/score/detail/math_cuda.cuh"
#define POOLWISE_FORMULA __device__ __forceinline__
namespace poolwise::device {
#else
#include "poolwise/core/simd-inl.hpp"
#define POOLWISE_FORMULA HWY_INLINE
HWY_BEFORE_NAMESPACE();
namespace poolwise::HWY_NAMESPACE {
#endif

// ---- The words of the formulas. Where targets compute differently they differ here.

inline constexpr float largest_finite = std::numeric_limits<float>::max();
inline constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

#ifdef __CUDACC__

POOLWISE_FORMULA float all(float x) { return x; }
POOLWISE_FORMULA float absolute(float x) { return fabsf(x); }
POOLWISE_FORMULA float negated(float x) { return -x; }
POOLWISE_FORMULA float reciprocal(float x) { return __frcp_rn(x); }
POOLWISE_FORMULA float larger(float a, float b) { return fmaxf(a, b); }
/// a * b + c and c - a * b, rounded once.
POOLWISE_FORMULA float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
POOLWISE_FORMULA float fnma(float a, float b, float c) { return __fmaf_rn(-a, b, c); }

/// False where either is NaN.
POOLWISE_FORMULA bool at_most(float a, float b) { return a <= b; }
POOLWISE_FORMULA bool both_hold(bool a, bool b) { return a && b; }
POOLWISE_FORMULA float only_where(bool valid, float x) { return valid ? x : not_a_number; }
/// a <= b ? x : y
POOLWISE_FORMULA float where_at_most(float a, float b, float x, float y) { return a <= b ? x : y; }

POOLWISE_FORMULA float log1p_positive(float s, float, float) { return log1pf(s); }
POOLWISE_FORMULA float log_near_one(float x) { return logf(x); }
POOLWISE_FORMULA bool is_one(float x) { return x == 1; }

/// The folds sum the exponents d of logits in units of ln 2.
POOLWISE_FORMULA float in_nats(float x) { return ln2 * x; }
/// Their sums of -p log2 p leave the largest probability out: log2_fast has few bits near 1.
POOLWISE_FORMULA float sum_in_nats(float bits, float largest) {
  return fma(ln2, bits, -largest * logf(largest));
}

#else

using float_mask = hn::Mask<floats_tag>;

inline constexpr float infinity = std::numeric_limits<float>::infinity();

POOLWISE_FORMULA floats absolute(floats x) { return hn::Abs(x); }
POOLWISE_FORMULA floats negated(floats x) { return hn::Neg(x); }
POOLWISE_FORMULA floats reciprocal(floats x) { return all(1) / x; }
POOLWISE_FORMULA floats larger(floats a, floats b) { return hn::Max(a, b); }

/// False where either is NaN.
POOLWISE_FORMULA float_mask at_most(floats a, floats b) { return hn::Le(a, b); }
POOLWISE_FORMULA float_mask both_hold(float_mask a, float_mask b) { return hn::And(a, b); }
POOLWISE_FORMULA floats only_where(float_mask valid, floats x) {
  return hn::IfThenElse(valid, x, all(not_a_number));
}

/// a <= b ? x : y
POOLWISE_FORMULA floats where_at_most(floats a, floats b, floats x, floats y) {
  return hn::IfThenElse(hn::Le(a, b), x, y);
}

/// e^(x - largest) for x up to `largest`, which is finite.
POOLWISE_FORMULA floats exp_below(floats x, floats largest) { return exp_clamped(clamp_exponent(x - largest)); }

POOLWISE_FORMULA floats log_near_one(floats x) { return all(ln2) * log2_normal(x); }
/// In every lane.
POOLWISE_FORMULA bool is_one(floats x) { return hn::AllTrue(floats_tag(), hn::Eq(x, all(1))); }

/// The folds sum the exponents d of logits in nats.
POOLWISE_FORMULA floats in_nats(floats x) { return x; }
/// Their sums of -p log2 p leave nothing out.
POOLWISE_FORMULA floats sum_in_nats(floats bits, floats) { return all(ln2) * bits; }

#endif

// ---- States

/// A row of logits z: with d = z - max z, `rest` S' is the sum of e^d without one largest element and
/// `weighted` T the sum of d e^d. A NaN anywhere makes S' NaN.
template <class F>
struct logit_state {
  F largest, second, rest, weighted;
  F whole, inverse;  ///< 1 + S' and its reciprocal

  /// Sets the last two from the others.
  POOLWISE_FORMULA void finish() {
    whole = all(1) + rest;
    inverse = reciprocal(whole);
  }
};

/// A row of probabilities p, or their sizes: `bits` is the sum of -p log2 p, see `sum_in_nats`.
template <class F>
struct probability_state {
  F total, bits, largest, second;
};

/// Gives the class probabilities of a row: e^(x - largest) scale of logits, |x| scale of probabilities.
/// `scale` is NaN for a row without a distribution.
template <outputs Kind, class F>
struct normaliser {
  F largest, scale;

  POOLWISE_FORMULA F operator()(F x) const {
    if constexpr (Kind == outputs::logits)
      x = exp_below(x, largest);
    else
      x = absolute(x);
    return x * scale;
  }
};

// ---- Logits

/// Whether the row has a distribution: no NaN, a finite largest element.
template <class F>
POOLWISE_FORMULA auto valid(const logit_state<F>& s) {
  return both_hold(at_most(s.rest, s.rest), at_most(absolute(s.largest), all(largest_finite)));
}
template <class F>
POOLWISE_FORMULA normaliser<outputs::logits, F> normaliser_of(const logit_state<F>& s) {
  return {s.largest, only_where(valid(s), s.inverse)};
}

/// ln(1 + S')
template <class F>
POOLWISE_FORMULA F log_of_whole(const logit_state<F>& s) {
  return log1p_positive(s.rest, s.whole, s.inverse);
}

template <class F>
POOLWISE_FORMULA F least_confidence(const logit_state<F>& s) {
  return s.rest * s.inverse;
}
template <class F>
POOLWISE_FORMULA F ratio(const logit_state<F>& s) {
  return exp_below(s.second, s.largest);
}
template <class F>
POOLWISE_FORMULA F margin(const logit_state<F>& s) {
  return (s.rest + ratio(s)) * s.inverse;
}
/// ln(1 + S') - T / (1 + S'): confident rows keep their digits.
template <class F>
POOLWISE_FORMULA F entropy(const logit_state<F>& s) {
  return fnma(in_nats(s.inverse), s.weighted, log_of_whole(s));
}
template <class F>
POOLWISE_FORMULA F energy(const logit_state<F>& s) {
  return negated(s.largest + log_of_whole(s));
}

// ---- Probabilities

/// Whether the row has a distribution. A NaN or an infinity is in the total.
template <class F>
POOLWISE_FORMULA auto valid(const probability_state<F>& s) {
  return at_most(absolute(s.total - all(1)), all(probability_tolerance));
}

/// The sum by which the row is divided: 1, exactly, where it is 1 but for the rounding of fp32.
template <class F>
POOLWISE_FORMULA F whole_of(const probability_state<F>& s) {
  return where_at_most(absolute(s.total - all(1)), all(sum_rounding), all(1), s.total);
}
template <class F>
POOLWISE_FORMULA normaliser<outputs::probabilities, F> normaliser_of(const probability_state<F>& s) {
  return {s.largest, only_where(valid(s), reciprocal(whole_of(s)))};
}

/// The probability of every class but the largest, undivided.
template <class F>
POOLWISE_FORMULA F others_of(const probability_state<F>& s, F whole) {
  return larger(whole - s.largest, all(0));
}

template <class F>
POOLWISE_FORMULA F least_confidence(const probability_state<F>& s) {
  const F whole = whole_of(s), others = others_of(s, whole);
  return is_one(whole) ? others : others / whole;
}
template <class F>
POOLWISE_FORMULA F ratio(const probability_state<F>& s) {
  return s.second / s.largest;
}
template <class F>
POOLWISE_FORMULA F margin(const probability_state<F>& s) {
  const F whole = whole_of(s), others = others_of(s, whole) + s.second;
  return is_one(whole) ? others : others / whole;
}
/// -sum (p / S) ln (p / S) = ln S - (sum p ln p) / S
template <class F>
POOLWISE_FORMULA F entropy(const probability_state<F>& s) {
  const F whole = whole_of(s), sum = sum_in_nats(s.bits, s.largest);
  return larger(is_one(whole) ? sum : sum / whole + log_near_one(whole), all(0));
}
/// Refused by the callers.
template <class F>
POOLWISE_FORMULA F energy(const probability_state<F>&) {
  return all(not_a_number);
}

// ---- Every score

template <class State, class F>
POOLWISE_FORMULA F only_valid(const State& s, F x) {
  return only_where(valid(s), x);
}

/// NaN for a row without a distribution.
template <class State>
POOLWISE_FORMULA auto score_of(const State& s, acquisition which) {
  switch (which) {
    case acquisition::least_confidence:
      return only_valid(s, least_confidence(s));
    case acquisition::margin:
      return only_valid(s, margin(s));
    case acquisition::ratio:
      return only_valid(s, ratio(s));
    case acquisition::entropy:
      return only_valid(s, entropy(s));
    case acquisition::energy:
      break;
  }
  return only_valid(s, energy(s));
}

/// Whether a score reads `second`, or `largest` of probabilities. Folds may leave these out, and `bits`.
constexpr bool reads_largest(outputs kind, acquisition which) {
  if (kind == outputs::probabilities) return which != acquisition::entropy;
  return which == acquisition::margin || which == acquisition::ratio;
}
constexpr bool reads_bits(acquisition which) { return which == acquisition::entropy; }

#ifdef __CUDACC__
}  // namespace poolwise::device
#else
}  // namespace poolwise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#endif  // POOLWISE_SCORE_ROW_STATE_INL_HPP
