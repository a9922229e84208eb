// Acquisition functions of a committee: how much its members disagree about each pool row.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise {

/// With E members, p^e the distribution of member e, pbar their mean, v_c the members voting for class c:
enum class disagreement {
  bald,               ///< H[pbar] - mean_e H[p^e]; equals mean_e KL(p^e || pbar) and the generalised
                      ///< Jensen-Shannon divergence.     Houlsby et al. 2011; McCallum & Nigam 1998
  consensus_entropy,  ///< H[pbar]                        Settles 2009
  vote_entropy,       ///< H[v / E]                       Dagan & Engelson 1995
  variation_ratio,    ///< 1 - max_c v_c / E              Freeman 1965
  max_kl,             ///< max_e KL(p^e || pbar); needs all members at once
  mean_std,           ///< mean_c sqrt(E[p_c^2] - E[p_c]^2), the population form   Kampffmeyer et al. 2016
};

/// A disagreement as lists, help and tests show it.
struct disagreement_entry {
  disagreement id;
  const char* name;
  const char* formula;
  const char* source;
  const char* needs;  ///< "committee": the outputs of its members
  bool streams;       ///< members may arrive one after the other
};

/// Every disagreement, in the order of the enumeration.
inline constexpr disagreement_entry disagreement_table[] = {
    {disagreement::bald, "bald", "H[mean p] - mean H[p]", "Houlsby et al. 2011", "committee", true},
    {disagreement::consensus_entropy, "consensus_entropy", "H[mean p]", "Settles 2009", "committee", true},
    {disagreement::vote_entropy, "vote_entropy", "H[votes / members]", "Dagan & Engelson 1995", "committee",
     true},
    {disagreement::variation_ratio, "variation_ratio", "1 - max votes / members", "Freeman 1965", "committee",
     true},
    {disagreement::max_kl, "max_kl", "max KL(p, mean p)", "McCallum & Nigam 1998", "committee", false},
    {disagreement::mean_std, "mean_std", "mean over classes of the sd of p", "Kampffmeyer et al. 2016",
     "committee", true},
};
constexpr std::span<const disagreement_entry> disagreements() { return disagreement_table; }

/// Scores every row by every disagreement asked for, from all members at once.
///
/// x       [members, rows, cols]   members >= 1, cols >= 1.
/// scores  [rows, disagreements]   written. NaN where any member has no distribution (see `score`).
/// throws  shape_error if the shapes disagree, there is no member, or cols is 0 or above 2^31 - 1;
///         no_cuda_error.
/// A vote goes to the lowest of the classes that share the largest output. BALD and the entropy
/// of the mean are never below 0.
/// The same bits as `committee_accumulator` fed member by member, for any thread count and CPU target.
/// On the CPU members are added up in blocks of 64 in fp32, and blocks in fp64.
/// Reads the cube once (again from the cache above 256 columns; twice for max_kl). Allocates 64 * cols bytes a
/// thread for the means, for mean_std and for votes, each where it is asked for, and 192 * members for max_kl;
/// 192 * cols above 64 members.
/// On a device a row of up to 8192 columns stays in its threads' registers while the members pass by, which are
/// read once (twice for max_kl, where it can from the cache): it writes and allocates nothing but the scores.
/// Longer rows are taken in tiles of 24 MiB of outputs, folded and read again from the device's cache: per row
/// of a tile it allocates 20 bytes a member, and 4 a column for max_kl. Nothing waits. The scores are the CPU's
/// but for rounding.
void score_committee(const where& on, const real_cube& x, outputs kind, std::span<const disagreement> which,
                     matrix_view<float> scores);

/// The same scores from members that arrive one after the other, so that no cube has to exist.
class committee_accumulator {
 public:
  /// Room for `which` over [rows, cols]: per row a float, and cols floats for the means, for mean_std and for
  /// votes, each where it is asked for, on the CPU three times that above 64 members; rows are rounded up to a
  /// multiple of 16 (on a device up to 128, and columns to one of the threads that share a row: 64 for 1000
  /// columns). All of it lies, and all members are added, where `on` computes: on the CPU, or on one device and
  /// stream. throws value_error for max_kl; shape_error if cols is 0 or above 2^31 - 1; memory_error.
  committee_accumulator(index_t rows, index_t cols, std::span<const disagreement> which,
                        const where& on = cpu{});
  ~committee_accumulator();
  committee_accumulator(committee_accumulator&&) noexcept;
  committee_accumulator& operator=(committee_accumulator&&) noexcept;

  /// Adds the next member's outputs, [rows, cols]. throws value_error if `on` is another place.
  void add(const where& on, const real_matrix& member, outputs kind);

  /// Writes [rows, disagreements] for the members so far; more may follow. throws value_error if none came.
  void finish(const where& on, matrix_view<float> scores) const;

  index_t members() const;

  /// The sums so far, from which another process goes on: members that live on several machines are added in
  /// their order, each machine handing the bytes to the next. No sums of fp32 are ever added to each other,
  /// which would hang on who had which members. Version 1: the shape, the disagreements, the sums of each row;
  /// some 4 cols + 4 bytes a row for BALD. Equal states give equal bytes on any CPU target.
  /// throws value_error where the sums lie on a device.
  std::vector<std::byte> to_bytes() const;
  /// A committee on the CPU. throws format_error for bytes that `to_bytes` did not write.
  static committee_accumulator from_bytes(std::span<const std::byte> bytes);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

/// Disagreement of regressors: the population variance over members, averaged over outputs.
///
/// predictions  [members, rows, outputs] fp32; variance  [rows], written, NaN where a prediction is not finite.
/// throws  shape_error, no_cuda_error.
/// Welford's update in double, members in order. Allocates 16 bytes an output or 64 KiB a thread, whichever is
/// more; nothing on a device. Cohn et al. 1996; RayChaudhuri & Hamey 1995.
void predictive_variance(const where& on, cube_view<const float> predictions, vector_view<float> variance);

}  // namespace poolwise
