// Acquisition functions of one model: one number per pool row, larger = more worth labelling.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// The numbers of a row of model outputs.
enum class outputs {
  logits,         ///< any real numbers; -Inf is a class ruled out
  probabilities,  ///< p >= 0 of sum 1, but for rounding: divided by their sum, see `probability_tolerance`
};

/// Rows of probabilities arrive rounded, to bfloat16 or to two or three decimals. The sum of |p| may lie this
/// far from 1, and the row is divided by it; other rows hold no probabilities. A p below 0 is noise about 0:
/// its size counts.
inline constexpr float probability_tolerance = 0.05f;
/// A sum within this of 1 is 1, but for the rounding of fp32: the row is taken as it is.
inline constexpr float sum_rounding = 0x1p-18f;

/// With p the row's probabilities (softmax of logits), p1 >= p2 its two largest, z its logits:
enum class acquisition {
  least_confidence,  ///< 1 - p1                      Lewis & Gale 1994
  margin,            ///< 1 - (p1 - p2)               Scheffer et al. 2001
  ratio,             ///< p2 / p1                     Settles 2009
  entropy,           ///< -sum_c p_c ln p_c, in nats  Shannon 1948; Dagan & Engelson 1995
  energy,            ///< -ln sum_c exp z_c           Liu et al. 2020; logits only
};

/// An acquisition as lists, help and tests show it.
struct acquisition_entry {
  acquisition id;
  const char* name;
  const char* formula;
  const char* source;
  const char* needs;  ///< "outputs", which are logits or probabilities; or "logits"
};

/// Every acquisition, in the order of the enumeration.
inline constexpr acquisition_entry acquisition_table[] = {
    {acquisition::least_confidence, "least_confidence", "1 - p1", "Lewis & Gale 1994", "outputs"},
    {acquisition::margin, "margin", "1 - (p1 - p2)", "Scheffer et al. 2001", "outputs"},
    {acquisition::ratio, "ratio", "p2 / p1", "Settles 2009", "outputs"},
    {acquisition::entropy, "entropy", "-sum p ln p", "Shannon 1948; Dagan & Engelson 1995", "outputs"},
    {acquisition::energy, "energy", "-ln sum exp z", "Liu et al. 2020", "logits"},
};
constexpr std::span<const acquisition_entry> acquisitions() { return acquisition_table; }

/// Whether rows of `kind` have this score.
/// Library-only: the engine refuses by asking for the score of no rows.
constexpr bool applies_to(outputs kind, const acquisition_entry& a) {
  return kind == outputs::logits || std::string_view(a.needs) != "logits";
}

/// Scores every row by every acquisition asked for, in one read of `x`.
///
/// x       [rows, cols]          fp32, fp16 or bf16; cols >= 1.
/// which   [acquisitions]        one column of `scores` each, in this order.
/// scores  [rows, acquisitions]  written. A row that has no distribution scores NaN in every column: NaN or
///                               +Inf anywhere, logits -Inf everywhere, probabilities of another sum.
/// throws  shape_error if the shapes disagree or cols = 0; value_error if a score of logits is asked of
/// probabilities;
///         no_cuda_error, cuda_error, memory_error.
/// The same bits for any thread count and any CPU target (AVX-512, AVX2, scalar). Entropy is within
/// 4e-6 (1 + H) of the exact value, and for confident rows (logit gap to 40) within 3e-6 of it relatively:
/// it is formed as log1p(S') - T/(1+S') with S' the sum of exp(z - max) without the largest term.
/// Reads rows*cols once, writes rows*acquisitions, allocates nothing; on a device 20 bytes for every 64 KiB of
/// rows longer than that. A device waits for nothing, and gives a row the same bits wherever it lies: in any
/// matrix or tile, aligned or not, on any device. They are the CPU's but for rounding: within 2e-6 of the exact
/// value relatively, and 5e-6 where classes are few and a logit gap comes up to 40.
void score(const where& on, const real_matrix& x, outputs kind, std::span<const acquisition> which,
           matrix_view<float> scores);

/// One acquisition into one vector; as `score`, with scores.size = x.rows.
void score(const where& on, const real_matrix& x, outputs kind, acquisition which, vector_view<float> scores);

/// The gradient of the cross-entropy at the predicted label with respect to the logits,
/// a = p - onehot(argmax p), whose outer product with the features is BADGE's embedding. The predicted
/// class's entry is -S'/(1+S'), free of cancellation. Ties for the largest go to the lowest class.
///
/// x  [rows, cols], a  [rows, cols], written; they may not overlap. A row without a distribution becomes NaN.
/// throws  shape_error if the shapes differ or cols is 0 or above 2^31 - 1; no_cuda_error.
/// On a device rows are taken in tiles of 24 MiB, folded and read again from its cache; 20 bytes a row of a
/// tile are allocated, and nothing waits. Ash et al., "Deep batch active learning by diverse, uncertain
/// gradient lower bounds", ICLR 2020.
void output_gradient(const where& on, const real_matrix& x, outputs kind, matrix_view<float> a);

/// The class probabilities of every row: the softmax of logits, or probabilities divided by their sum.
///
/// x  [rows, cols], p  [rows, cols], written; they may not overlap. A row without a distribution becomes NaN.
/// throws  shape_error as output_gradient, of which it is made: 1 is added to the entry of the largest output.
void class_probabilities(cpu on, const real_matrix& x, outputs kind, matrix_view<float> p);

/// Why row `row` of `x` scores NaN, as the end of an error message ("holds NaN in column 3"); empty if it
/// has a distribution, and only then. throws value_error if there is no such row.
std::string why_invalid(const real_matrix& x, outputs kind, index_t row);

}  // namespace poolwise
