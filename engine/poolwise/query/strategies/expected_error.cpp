#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/query/detail/linear_classifier.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

double entropy_term(double p) { return p > 0 ? p * fixed_log(p) : 0; }

/// The expected loss of one row whose outputs, which sum to 1, are cut off at 0 and divided by their sum: what
/// they are with a label more, for each class that it may have.
class later_loss {
 public:
  later_loss(index_t classes, bool logarithmic)
      : classes_(classes), log_(logarithmic), q_(std::size_t(classes)) {}

  /// before [classes] of this row, of_candidate [classes] of the candidate, `share` that the candidate's error
  /// changes this row by, chance [classes] of the candidate's labels.
  double operator()(const double* before, const double* of_candidate, double share, const double* chance) {
    double whole = 0, terms = 0, first = 0, second = 0;
    index_t largest = 0;
    for (index_t c = 0; c < classes_; ++c) {
      q_[std::size_t(c)] = before[c] - share * of_candidate[c];
      const double q = std::max(0.0, q_[std::size_t(c)]);
      whole += q;
      if (log_) terms += entropy_term(q);
      if (q > first)
        second = first, first = q, largest = c;
      else
        second = std::max(second, q);
    }
    double expected = 0;
    for (index_t y = 0; y < classes_; ++y) {
      if (chance[y] == 0) continue;
      const double old = std::max(0.0, q_[std::size_t(y)]), now = std::max(0.0, q_[std::size_t(y)] + share);
      const double sum = whole - old + now;
      const double loss = log_ ? fixed_log(sum) - (terms - entropy_term(old) + entropy_term(now)) / sum
                               : 1 - std::max(now, y == largest ? second : first) / sum;
      expected += chance[y] * loss;
    }
    return expected;
  }

 private:
  index_t classes_;
  bool log_;
  std::vector<double> q_;
};

/// The outputs of some rows, and their products with the inverse.
struct evaluated_rows {
  evaluated_rows(const stage_input& x, const std::vector<index_t>& rows, const linear_classifier& by)
      : count(index_t(rows.size())), stride(whole_lines<double>(count)) {
    const cpu host = host_of(x.on);
    const std::vector<float> values = gather(host, *x.pool.embeddings, rows);
    const design h{{values.data(), count, x.pool.embeddings->cols}, 1 / x.unit};
    outputs.resize(std::size_t(count * by.classes()));
    across.resize(std::size_t(h.width() * stride));
    for_each_product(host, h, by.weights(), [&](index_t i, const double*, const double* f) {
      for (index_t c = 0; c < by.classes(); ++c)
        outputs[std::size_t(i * by.classes() + c)] = f[c] + 1 / double(by.classes());
    });
    for_each_product(host, h, by.inverse().view(), [&](index_t i, const double*, const double* g) {
      for (index_t f = 0; f < h.width(); ++f) across[std::size_t(f * stride + i)] = g[f];
    });
  }

  index_t count, stride;
  std::vector<double> outputs;  // [count, classes]
  std::vector<double> across;   // [features + 1, stride]
};

/// How much less the loss of the drawn rows is expected to be with the row's label, by which the classifier is
/// changed without fitting it anew: its outputs change by k(x, u) / (1 + k(x, x)) of the row's error, where
/// k(x, u) = h_x' A^-1 h_u.
void score_eer(const stage_input& x, vector_view<float> scores) {
  const linear_classifier by("eer", x, classes_of("eer", x));
  const bool logarithmic = x.what->given["log"] != 0;
  const std::vector<std::uint8_t> counts = rows_that_count(x);
  const evaluated_rows others(x, drawn_rows(x, counts, x.what->given.count("sample")), by);
  const index_t classes = by.classes();
  const std::vector<double> nothing(std::size_t(classes), 0.0),
      evenly(std::size_t(classes), 1.0 / double(classes));
  later_loss of_now(classes, logarithmic);
  double now = 0;
  for (index_t u = 0; u < others.count; ++u)
    now += of_now(others.outputs.data() + u * classes, nothing.data(), 0, evenly.data());
  const design h{*x.pool.embeddings, 1 / x.unit};
  const symmetric& inverse = by.inverse();
  parallel_blocks(host_of(x.on), x.rows(), 32, [&](index_t, index_t begin, index_t end) {
    const index_t width = h.width();
    later_loss later(classes, logarithmic);
    std::vector<double> row(std::size_t(width), 0.0), output(std::size_t(by.stride()), 0.0),
        chance(std::size_t(classes), 0.0), self(std::size_t(inverse.stride), 0.0),
        with(std::size_t(others.stride), 0.0);
    for (index_t i = begin; i < end; ++i) {
      scores[i] = std::numeric_limits<float>::quiet_NaN();
      if (!all_finite(h.rows.row(i), h.rows.cols)) continue;
      h.read(i, row.data());
      for (auto* cleared : {&output, &self, &with}) std::fill(cleared->begin(), cleared->end(), 0.0);
      const left_factor<double> left{row.data(), width, 1};
      add_products(left, by.weights(), {output.data(), 1, by.stride()});
      add_products(left, inverse.view(), {self.data(), 1, inverse.stride});
      add_products(left, {others.across.data(), width, others.stride}, {with.data(), 1, others.stride});
      double length = 0, whole = 0, total = 0;
      for (index_t f = 0; f < width; ++f) length += row[std::size_t(f)] * self[std::size_t(f)];
      for (index_t c = 0; c < classes; ++c) {
        output[std::size_t(c)] += 1 / double(classes);
        whole += chance[std::size_t(c)] = std::max(0.0, output[std::size_t(c)]);
      }
      for (double& one : chance) one /= whole;
      for (index_t u = 0; u < others.count; ++u)
        total += later(others.outputs.data() + u * classes, output.data(), with[std::size_t(u)] / (1 + length),
                       chance.data());
      scores[i] = float((now - total) / double(std::max<index_t>(1, others.count)));
    }
  });
}

std::uint64_t bytes(const strategy_size& size) {
  const std::uint64_t width = size.features + 1, drawn = std::uint64_t(size.given->count("sample"));
  const std::uint64_t classes = size.labelled + 8;  // no more than labelled rows, of a usual numbering
  return linear_model_bytes(width, 1) + size.rows * (1 + 16) + size.labelled * 16 +
         (drawn + 8) * (width + classes) * sizeof(double) + drawn * size.features * sizeof(float) +
         2 * width * classes * sizeof(double);
}

}  // namespace

std::vector<strategy_entry> strategies_of_expected_error() {
  return {{.name = "eer",
           .kind = "acquisition",
           .formula = "sum_u loss(u) now, less that with the row's label, expected; of a linear model of the "
                      "labelled rows",
           .source = "Roy & McCallum 2001",
           .on_devices = "none",
           .needs = part::embeddings | part::labels,
           .does = trait::counts_labelled | trait::compares_rows,
           .parameters = {{"lambda", 1, above(0), "the penalty on the model's squared weights"},
                          {"log", 0, {0, 1, false, true}, "1: the loss is the entropy; 0: 1 - the largest p"},
                          {"sample", 1000, whole_from(1), "unlabelled rows u, drawn, whose loss is to fall"}},
           .aliases = {"expectederrorreduction"},
           .score = score_eer,
           .bytes = bytes}};
}

}  // namespace poolwise
