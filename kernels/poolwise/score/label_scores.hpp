// Acquisition functions of a model whose labels are independent of each other, of which a row has any number:
// one number per pool row, larger = more worth labelling.
#pragma once

#include <span>
#include <string>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/score/score.hpp"

namespace poolwise {

/// With p_l the probability of label l (the sigmoid of its logit) and H(p) = -p ln p - (1 - p) ln(1 - p):
enum class label_acquisition {
  binary_entropy,       ///< sum_l H(p_l)               Shannon 1948; Tsoumakas et al. 2010 (binary relevance)
  binary_entropy_mean,  ///< mean_l H(p_l)
  binary_entropy_max,   ///< max_l H(p_l)
  binary_confidence,    ///< sum_l min(p_l, 1 - p_l)    Lewis & Gale 1994, of each label
  binary_confidence_mean,
  binary_confidence_max,
  binmin,  ///< 1 - min_l |2 p_l - 1|     Brinker 2006
};

/// A score of labels as lists, help and tests show it.
struct label_acquisition_entry {
  label_acquisition id;
  const char* name;
  const char* formula;
  const char* source;
};

/// Every one, in the order of the enumeration. The margin of a label, 1 - |2 p - 1|, is twice its
/// min(p, 1 - p): as a sum, a mean and a maximum it orders rows as `binary_confidence` does.
inline constexpr label_acquisition_entry label_acquisition_table[] = {
    {label_acquisition::binary_entropy, "binary_entropy", "sum_l H(p_l)", "Shannon 1948"},
    {label_acquisition::binary_entropy_mean, "binary_entropy_mean", "mean_l H(p_l)", "Shannon 1948"},
    {label_acquisition::binary_entropy_max, "binary_entropy_max", "max_l H(p_l)", "Shannon 1948"},
    {label_acquisition::binary_confidence, "binary_confidence", "sum_l min(p_l, 1 - p_l)", "Lewis & Gale 1994"},
    {label_acquisition::binary_confidence_mean, "binary_confidence_mean", "mean_l min(p_l, 1 - p_l)",
     "Lewis & Gale 1994"},
    {label_acquisition::binary_confidence_max, "binary_confidence_max", "max_l min(p_l, 1 - p_l)",
     "Lewis & Gale 1994"},
    {label_acquisition::binmin, "binmin", "1 - min_l |2 p_l - 1|", "Brinker 2006"},
};
constexpr std::span<const label_acquisition_entry> label_acquisitions() { return label_acquisition_table; }

/// Scores every row by all that are asked for, in one read of `x`.
///
/// x       [rows, labels]        fp32, fp16 or bf16; labels >= 1. Logits, or probabilities from 0 to 1; beyond
///                               these by less than `sum_rounding` they count as 0 or 1.
/// which   [acquisitions]        one column of `scores` each, in this order.
/// scores  [rows, acquisitions]  written. A row with a NaN, a logit of +Inf or another number that is no
///                               probability scores NaN in every column; a logit of -Inf is a label ruled out.
/// throws  shape_error if the shapes disagree or there is no label.
/// The same bits for any thread count and any CPU target. Within 4e-6 (1 + the sum of sizes) of the exact
/// value, and for labels that are sure (logits to 40) within 3e-6 of it relatively. Reads rows*labels once,
/// writes rows*acquisitions, allocates nothing.
void score_labels(cpu on, const real_matrix& x, outputs kind, std::span<const label_acquisition> which,
                  matrix_view<float> scores);

/// One into one vector; as above, with scores.size = x.rows.
void score_labels(cpu on, const real_matrix& x, outputs kind, label_acquisition which,
                  vector_view<float> scores);

/// Why row `row` of `x` scores NaN, as the end of an error message; empty if it does not.
/// throws value_error if there is no such row.
std::string why_no_labels(const real_matrix& x, outputs kind, index_t row);

}  // namespace poolwise
