#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/half.hpp"
#include "poolwise/query/spec.hpp"
#include "poolwise/query/strategy_entry.hpp"
#include "poolwise/score/label_scores.hpp"

namespace poolwise {
namespace {

/// Sets of labels, one bit a label.
class label_bits {
 public:
  explicit label_bits(index_t labels) : words_((labels + 63) / 64) {}

  index_t words() const { return words_; }
  index_t size() const { return index_t(bits_.size()) / std::max<index_t>(1, words_); }
  const std::uint64_t* operator[](index_t i) const { return bits_.data() + i * words_; }

  /// Appends the set of labels c for which has(c).
  template <class Has>
  void add(index_t labels, Has has) {
    bits_.resize(bits_.size() + std::size_t(words_));
    std::uint64_t* const set = bits_.data() + bits_.size() - words_;
    for (index_t c = 0; c < labels; ++c)
      if (has(c)) set[c / 64] |= std::uint64_t{1} << c % 64;
  }

 private:
  index_t words_;
  std::vector<std::uint64_t> bits_;
};

/// Whether the model gives a label: its logit is above 0, its probability above a half.
bool gives(float output, outputs kind) { return output > (kind == outputs::logits ? 0.0f : 0.5f); }

/// The sets of the labelled rows, without those of which some label is not known.
label_bits labelled_sets(const stage_input& x, index_t labels) {
  label_bits sets(labels);
  if (x.whole == nullptr || !x.whole->label_sets) return sets;
  const matrix_view<const float> all = *x.whole->label_sets;
  for (const index_t row : x.whole->labelled) {
    const float* const set = all.row(row);
    if (std::none_of(set, set + labels, [](float has) { return std::isnan(has); }))
      sets.add(labels, [&](index_t c) { return set[c] == 1; });
  }
  return sets;
}

index_t count_of(const std::uint64_t* set, index_t words) {
  index_t count = 0;
  for (index_t w = 0; w < words; ++w) count += std::popcount(set[w]);
  return count;
}

/// Calls body(row, outputs of its labels) for each row that has some; the others score NaN.
template <class Body>
void for_each_valid(const stage_input& x, vector_view<float> scores, Body body) {
  score_labels(host_of(x.on), *x.pool.label_outputs, x.pool.label_kind, label_acquisition::binmin, scores);
  std::visit(
      [&](auto m) {
        parallel_blocks(host_of(x.on), x.rows(), 256, [&](index_t, index_t begin, index_t end) {
          for (index_t i = begin; i < end; ++i)
            if (!std::isnan(scores[i])) body(i, m.row(i));
        });
      },
      *x.pool.label_outputs);
}

/// How far the number of labels that the model gives lies from their mean number among the labelled rows.
void score_cardinality(const stage_input& x, vector_view<float> scores) {
  const index_t labels = cols_of(*x.pool.label_outputs);
  const label_bits known = labelled_sets(x, labels);
  double mean = 0;
  for (index_t i = 0; i < known.size(); ++i) mean += double(count_of(known[i], known.words()));
  if (known.size() > 0) mean /= double(known.size());
  for_each_valid(x, scores, [&](index_t i, auto* row) {
    const auto given = std::count_if(row, row + labels,
                                     [&](auto output) { return gives(to_float(output), x.pool.label_kind); });
    scores[i] = float(std::abs(double(given) - mean));
  });
}

/// n log2 n, from which the entropies of counts are made.
std::vector<double> count_logs(index_t most) {
  std::vector<double> logs(std::size_t(most) + 1, 0.0);
  for (index_t n = 2; n <= most; ++n) logs[std::size_t(n)] = double(n) * fixed_log(double(n));
  return logs;
}

/// How unlike two sets are of the labels: 1 where they agree on none; else what is not shared of the entropy of
/// the table of labels that both, one or neither has.
double unlike(const std::uint64_t* a, const std::uint64_t* b, index_t words, index_t labels,
              const std::vector<double>& logs) {
  index_t both = 0, of_a = 0, of_b = 0;
  for (index_t w = 0; w < words; ++w) {
    both += std::popcount(a[w] & b[w]);
    of_a += std::popcount(a[w]);
    of_b += std::popcount(b[w]);
  }
  const index_t only_a = of_a - both, only_b = of_b - both, neither = labels - both - only_a - only_b;
  if (both + neither == 0) return 1;
  const auto log_of = [&](index_t n) { return logs[std::size_t(n)]; };
  const double whole = log_of(labels);
  const double joint = whole - log_of(both) - log_of(only_a) - log_of(only_b) - log_of(neither);
  const double alone = 2 * whole - log_of(of_a) - log_of(labels - of_a) - log_of(of_b) - log_of(labels - of_b);
  // Equal sets share all, but for the rounding of the logarithms.
  constexpr double rounding = 1e-9;
  return 2 * joint - alone > rounding * (1 + whole) ? (2 * joint - alone) / joint : 0;
}

/// Adds to `votes` of each row how many rows are surer of the label, the lower row first among equals.
void add_votes(const real_matrix& outputs_of, index_t label, outputs kind, std::vector<index_t>& order,
               std::vector<double>& votes) {
  std::vector<float> sure(votes.size());
  std::visit(
      [&](auto m) {
        for (const index_t i : order) {
          const float output = to_float(m(i, label));
          sure[std::size_t(i)] = std::abs(kind == outputs::logits ? output : 2 * output - 1);
        }
      },
      outputs_of);
  std::sort(order.begin(), order.end(), [&](index_t a, index_t b) {
    const float of_a = sure[std::size_t(a)], of_b = sure[std::size_t(b)];
    return of_a != of_b ? of_a < of_b : a < b;
  });
  for (std::size_t place = 0; place < order.size(); ++place)
    votes[std::size_t(order[place])] += double(order.size() - 1 - place);
}

/// Borda's count over labels, of rows by how little the model is sure of each, times how unlike the labels that
/// it gives are those of the labelled rows.
void score_cvirs(const stage_input& x, vector_view<float> scores) {
  const real_matrix& model = *x.pool.label_outputs;
  const index_t labels = cols_of(model);
  const label_bits known = labelled_sets(x, labels);
  const std::vector<double> logs = count_logs(labels);
  std::vector<double> votes(std::size_t(x.rows()), 0.0);
  std::vector<double> unlikeness(std::size_t(x.rows()), 1.0);
  for_each_valid(x, scores, [&](index_t i, auto* row) {
    if (known.size() == 0) return;
    label_bits own(labels);
    own.add(labels, [&](index_t c) { return gives(to_float(row[c]), x.pool.label_kind); });
    double sum = 0;
    for (index_t k = 0; k < known.size(); ++k) sum += unlike(own[0], known[k], known.words(), labels, logs);
    unlikeness[std::size_t(i)] = sum / double(known.size());
  });
  std::vector<index_t> order;
  for (index_t i = 0; i < x.rows(); ++i)
    if (!std::isnan(scores[i]) && (x.limit.barred.empty() || x.limit.barred[i] == 0)) order.push_back(i);
  for (index_t c = 0; c < labels; ++c) add_votes(model, c, x.pool.label_kind, order, votes);
  const double most = double(labels) * std::max(1.0, double(order.size()) - 1);
  for (index_t i = 0; i < x.rows(); ++i)
    if (!std::isnan(scores[i])) scores[i] = float(votes[std::size_t(i)] / most * unlikeness[std::size_t(i)]);
}

std::uint64_t set_bytes(const strategy_size& size) { return size.labelled * (size.classes / 64 + 1) * 16; }

std::uint64_t cvirs_bytes(const strategy_size& size) {
  return set_bytes(size) + size.rows * (2 * sizeof(double) + 2 * sizeof(index_t) + sizeof(float)) +
         (size.classes + 1) * sizeof(double);
}

std::vector<const char*> also_known_as(label_acquisition which) {
  if (which == label_acquisition::binary_confidence) return {"binaryleastconfidence"};
  if (which == label_acquisition::binmin) return {"binarymarginmax"};
  return {};
}

}  // namespace

/// Scores of rows that have any number of labels, by a model that says a probability of each.
std::vector<strategy_entry> strategies_of_independent_labels() {
  std::vector<strategy_entry> all;
  for (const label_acquisition_entry& a : label_acquisitions())
    all.push_back({.name = a.name,
                   .kind = "acquisition",
                   .formula = a.formula,
                   .source = a.source,
                   .on_devices = "none",
                   .needs = part::label_outputs,
                   .aliases = also_known_as(a.id),
                   .score = [which = a.id](const stage_input& x, vector_view<float> scores) {
                     score_labels(host_of(x.on), *x.pool.label_outputs, x.pool.label_kind, which, scores);
                   }});
  all.push_back({.name = "lci",
                 .kind = "acquisition",
                 .formula = "|labels given - mean number of labels of the labelled rows|",
                 .source = "Li & Guo 2013; Huang & Zhou 2013",
                 .on_devices = "none",
                 .needs = part::label_outputs | part::label_sets,
                 .does = trait::counts_labelled,
                 .aliases = {"labelcardinalityinconsistency", "audi"},
                 .score = score_cardinality,
                 .bytes = set_bytes});
  all.push_back({.name = "cvirs",
                 .kind = "acquisition",
                 .formula = "Borda count of margins over labels x mean distance of label sets",
                 .source = "Reyes, Morell & Ventura 2018",
                 .on_devices = "none",
                 .needs = part::label_outputs | part::label_sets,
                 .does = trait::counts_labelled | trait::compares_rows,
                 .aliases = {"categoryvectorinconsistency"},
                 .score = score_cvirs,
                 .bytes = cvirs_bytes});
  return all;
}

}  // namespace poolwise
