// The formula of every disagreement, once, in the words of row_state-inl.hpp: F is a float on a device, a
// vector of rows on the CPU. A new one that reads the same sums has a case in `score_of`, and a line in the
// enumeration and the table of committee.hpp.
#if defined(POOLWISE_COMMITTEE_DISAGREEMENTS_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef POOLWISE_COMMITTEE_DISAGREEMENTS_INL_HPP
#undef POOLWISE_COMMITTEE_DISAGREEMENTS_INL_HPP
#else
#define POOLWISE_COMMITTEE_DISAGREEMENTS_INL_HPP
#endif

#include "poolwise/committee/committee.hpp"
#include "poolwise/score/row_state-inl.hpp"

#ifdef __CUDACC__
namespace poolwise::device {
/// Many numbers are divided by the same one: on a device by its reciprocal.
POOLWISE_FORMULA float divisor_of(float x) { return reciprocal(x); }
POOLWISE_FORMULA float divided(float x, float divisor) { return x * divisor; }
#else
HWY_BEFORE_NAMESPACE();
namespace poolwise::HWY_NAMESPACE {
POOLWISE_FORMULA floats divisor_of(floats x) { return x; }
POOLWISE_FORMULA floats divided(floats x, floats divisor) { return x / divisor; }
#endif

/// Welford's update of squared deviations by a member that comes after others. No difference of large sums is
/// in it: members that agree have a deviation of rounding size.
template <class F>
struct deviation_update {
  F before, share;  ///< divides by the members before this one; the weight of a deviation from their mean

  deviation_update() = default;
  POOLWISE_FORMULA explicit deviation_update(index_t members)
      : before(divisor_of(all(float(members > 1 ? members : 1)))),
        share(all(float(members) / float(members + 1))) {}

  /// `squares` with the deviation of p from the mean of the members before it, which add up to `sum`.
  POOLWISE_FORMULA F update(F squares, F p, F sum) const {
    const F off = p - divided(sum, before);
    return fma(off * off, share, squares);
  }
};

/// `Sums` knows of a row: how many members() and classes() there are, the mean_entropy() of the members and the
/// consensus_entropy(), vote_entropy() and most_votes(), the sum of the deviations() over classes, the
/// max_kl().
template <class Sums>
POOLWISE_FORMULA auto score_of(const Sums& s, disagreement which) {
  switch (which) {
    case disagreement::bald:
      return larger(s.consensus_entropy() - s.mean_entropy(), all(0));
    case disagreement::consensus_entropy:
      // A mean above 1, which the tolerance of the sums allows, would be below 0.
      return larger(s.consensus_entropy(), all(0));
    case disagreement::vote_entropy:
      return s.vote_entropy();
    case disagreement::variation_ratio:
      return (s.members() - s.most_votes()) / s.members();
    case disagreement::max_kl:
      return s.max_kl();
    case disagreement::mean_std:
      break;
  }
  return s.deviations() / s.classes();
}

#ifdef __CUDACC__
}  // namespace poolwise::device
#else
}  // namespace poolwise::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#endif  // POOLWISE_COMMITTEE_DISAGREEMENTS_INL_HPP
