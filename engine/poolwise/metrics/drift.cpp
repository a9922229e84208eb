#include "poolwise/metrics/drift.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <vector>

#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/detail/state_bytes.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/learn/softmax_regression.hpp"
#include "poolwise/metrics/comparison.hpp"
#include "poolwise/metrics/detail/checks.hpp"

namespace poolwise {
namespace {

constexpr stream half_stream{32};
constexpr state_kind bytes_of_bins{{'p', 'w', 's', 't', 'b', 'i', 'n', 1}, "stability_bins"};

/// Quantile k / 10 of values in order, between neighbours in proportion.
double decile(const std::vector<double>& x, int k) {
  const double place = double(x.size() - 1) * k / 10;
  const auto below = std::size_t(place);
  const double beyond = place - double(below);
  return below + 1 == x.size() ? x[below] : x[below] + beyond * (x[below + 1] - x[below]);
}

void require_sample(const char* call, std::span<const double> x) {
  if (x.empty()) throw shape_error(std::string(call) + ": a sample is empty; pass at least one value of each");
  require_finite(call, x);
}

/// The rows of a sample, in an order that the seed draws.
std::vector<index_t> drawn_order(index_t rows, std::uint64_t seed, std::uint32_t sample) {
  std::vector<index_t> order(static_cast<std::size_t>(rows));
  std::iota(order.begin(), order.end(), index_t(0));
  const auto key = [&](index_t row) { return random_bits(seed, half_stream, std::uint64_t(row), sample); };
  std::stable_sort(order.begin(), order.end(), [&](index_t a, index_t b) { return key(a) < key(b); });
  return order;
}

/// Rows of both samples, those that a classifier learns from or those that it is tested on.
struct rows_of_both {
  std::vector<float> values;
  std::vector<std::int32_t> labels;  // 1: of now
  index_t cols;

  matrix_view<const float> view() const { return {values.data(), index_t(labels.size()), cols}; }

  void add(matrix_view<const float> from, std::span<const index_t> rows, std::int32_t label) {
    for (const index_t row : rows) values.insert(values.end(), from.row(row), from.row(row) + cols);
    labels.insert(labels.end(), rows.size(), label);
  }
};

/// Shifts and scales the columns of both by the mean and deviation that `learnt` has.
void scale_columns(rows_of_both& learnt, rows_of_both& tested) {
  const auto rows = index_t(learnt.labels.size());
  for (index_t c = 0; c < learnt.cols; ++c) {
    std::vector<double> column;
    for (index_t i = 0; i < rows; ++i) column.push_back(double(learnt.view()(i, c)));
    const double centre = mean(column), deviation = standard_deviation(column);
    for (rows_of_both* part : {&learnt, &tested})
      for (std::size_t at = std::size_t(c); at < part->values.size(); at += std::size_t(part->cols))
        part->values[at] = deviation > 0 ? float((double(part->values[at]) - centre) / deviation) : 0;
  }
}

void require_rows(matrix_view<const float> reference, matrix_view<const float> now) {
  if (reference.rows < 4 || now.rows < 4 || reference.cols != now.cols || now.cols < 1)
    throw shape_error("classifier_drift: the samples are [" + std::to_string(reference.rows) + ", " +
                      std::to_string(reference.cols) + "] and [" + std::to_string(now.rows) + ", " +
                      std::to_string(now.cols) + "]; pass at least 4 rows each, of the same columns");
  for (const auto& sample : {reference, now})
    for (index_t i = 0; i < sample.rows; ++i) {
      const std::vector<double> row(sample.row(i), sample.row(i) + sample.cols);
      require_finite("classifier_drift", row);
    }
}

}  // namespace

stability_bins::stability_bins(std::span<const double> reference) {
  require_sample("population_stability", reference);
  std::vector<double> x(reference.begin(), reference.end());
  std::sort(x.begin(), x.end());
  for (int k = 1; k < 10; ++k) {
    const double at = decile(x, k);
    if (ends_.empty() || ends_.back().at != at)
      ends_.push_back({at, true});
    else if (ends_.size() < 2 || ends_[ends_.size() - 2].at != at)
      ends_.insert(ends_.end() - 1, {at, false});
  }
}

histogram stability_bins::count(std::span<const double> values) const {
  require_finite("population_stability", values);
  histogram counts({index_t(ends_.size()) + 1});
  for (const double value : values) {
    const auto lies_beyond = [&](const end& e) { return e.closed ? value > e.at : value >= e.at; };
    counts.add(std::count_if(ends_.begin(), ends_.end(), lies_beyond));
  }
  return counts;
}

std::vector<std::byte> stability_bins::to_bytes() const {
  state_writer out(bytes_of_bins);
  for (const end& e : ends_) {
    out.number(std::bit_cast<std::uint64_t>(e.at));
    out.number(e.closed, 1);
  }
  return out.finish();
}

stability_bins stability_bins::from_bytes(std::span<const std::byte> bytes) {
  state_reader in(bytes_of_bins, bytes);
  stability_bins read;
  while (in.left() > 0) {
    const auto at = std::bit_cast<double>(in.number());
    const std::uint64_t closed = in.number(1);
    const bool ascends = read.ends_.empty() || read.ends_.back().at < at ||
                         (read.ends_.back().at == at && !read.ends_.back().closed && closed == 1);
    if (!std::isfinite(at) || closed > 1 || !ascends) in.refuse("its bins do not ascend");
    read.ends_.push_back({at, closed == 1});
  }
  return read;
}

double population_stability(std::span<const double> reference, std::span<const double> now) {
  const stability_bins bins(reference);
  require_sample("population_stability", now);
  return population_stability(bins.count(reference).counts(), bins.count(now).counts());
}

double population_stability(std::span<const index_t> reference, std::span<const index_t> now) {
  require_pairs("population_stability", "counts of the reference", reference.size(), "of now", now.size());
  const auto total = [](std::span<const index_t> counts) {
    if (*std::min_element(counts.begin(), counts.end()) < 0)
      throw value_error("population_stability: a count is negative; pass counts of items, from 0 up");
    const index_t all = std::accumulate(counts.begin(), counts.end(), index_t(0));
    if (all == 0) throw value_error("population_stability: a sample counts no items; pass at least one");
    return double(all);
  };
  const double before = total(reference), after = total(now);
  double index = 0;
  for (std::size_t b = 0; b < now.size(); ++b) {
    if (reference[b] == 0 && now[b] == 0) continue;
    const double p = std::max(0.5, double(reference[b])) / before, q = std::max(0.5, double(now[b])) / after;
    index += (q - p) * std::log(q / p);
  }
  return index;
}

auc_test classifier_drift(matrix_view<const float> reference, matrix_view<const float> now,
                          std::uint64_t seed) {
  require_rows(reference, now);
  rows_of_both learnt{{}, {}, now.cols}, tested{{}, {}, now.cols};
  for (const std::int32_t label : {0, 1}) {
    const auto& sample = label == 0 ? reference : now;
    const auto order = drawn_order(sample.rows, seed, std::uint32_t(label));
    const std::span<const index_t> rows(order);
    learnt.add(sample, rows.first(rows.size() / 2), label);
    tested.add(sample, rows.subspan(rows.size() / 2), label);
  }
  scale_columns(learnt, tested);
  softmax_regression model(2, {.l2 = 1e-2});
  model.fit(learnt.view(), {learnt.labels.data(), index_t(learnt.labels.size())});
  const auto rows = index_t(tested.labels.size());
  std::vector<float> logits(std::size_t(rows * 2));
  model.predict(tested.view(), {logits.data(), 1, rows, 2});
  std::vector<double> scores[2];
  for (std::size_t i = 0; i < tested.labels.size(); ++i)
    scores[tested.labels[i]].push_back(double(logits[2 * i + 1]) - double(logits[2 * i]));
  return area_under_roc(scores[1], scores[0]);
}

bool drift_report::drifted() const {
  return std::any_of(lines.begin(), lines.end(), [](const drift_line& line) { return line.drifted; });
}

drift_report report_drift(std::span<const drift_numbers> numbers, std::span<const drift_counts> counts,
                          std::span<const drift_line> others, const drift_options& options) {
  const double alpha = options.alpha;
  if (!(alpha > 0 && alpha < 1))
    throw value_error("report_drift: alpha is " + std::to_string(alpha) +
                      "; pass a share between 0 and 1, such as 0.05");
  drift_report report{alpha, {}};
  for (const auto& column : numbers) {
    const ks_test test = kolmogorov_smirnov(column.reference, column.now);
    report.lines.push_back(
        {column.name, "ks", test.distance, test.p, population_stability(column.reference, column.now)});
  }
  for (const auto& column : counts) {
    const composition_test test = compare_composition(column.now, column.reference, options.counts);
    report.lines.push_back({column.name, "chi_squared", test.chi_squared, test.p,
                            population_stability(column.reference, column.now)});
  }
  report.lines.insert(report.lines.end(), others.begin(), others.end());
  std::vector<double> p;
  for (const auto& line : report.lines) p.push_back(line.p);
  const auto adjusted = holm(p);
  for (std::size_t i = 0; i < p.size(); ++i) {
    report.lines[i].adjusted = adjusted[i];
    report.lines[i].drifted = adjusted[i] <= alpha;
  }
  return report;
}

}  // namespace poolwise
