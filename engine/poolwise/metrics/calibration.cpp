#include "poolwise/metrics/calibration.hpp"

#include <algorithm>
#include <boost/math/tools/roots.hpp>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "poolwise/core/error.hpp"
#include "poolwise/metrics/detail/checks.hpp"

namespace poolwise {
namespace {

void require_labels(const char* call, matrix_view<const float> rows, std::span<const std::int32_t> labels) {
  require_pairs(call, "rows", std::size_t(rows.rows), "labels", labels.size());
  if (rows.cols < 1) throw shape_error(std::string(call) + ": there are no classes; pass at least one column");
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] < 0 || labels[i] >= rows.cols)
      throw value_error(std::string(call) + ": label " + std::to_string(labels[i]) + " at row " +
                        std::to_string(i) + " is outside 0 to " + std::to_string(rows.cols - 1) +
                        "; pass one column for each class");
}

void require_distributions(const char* call, matrix_view<const float> probs,
                           std::span<const std::int32_t> labels) {
  require_labels(call, probs, labels);
  for (index_t i = 0; i < probs.rows; ++i) {
    const float* const row = probs.row(i);
    const double sum = std::accumulate(row, row + probs.cols, 0.0);
    if (!(std::abs(sum - 1) <= 1e-3) || !std::all_of(row, row + probs.cols, [](float p) { return p >= 0; }))
      throw value_error(std::string(call) + ": row " + std::to_string(i) + " has the sum " +
                        std::to_string(sum) +
                        " or a value that is no probability; pass rows that are >= 0 and sum to 1");
  }
}

struct prediction {
  double confidence;
  bool right;
};

std::vector<prediction> predictions_of(matrix_view<const float> probs, std::span<const std::int32_t> labels) {
  std::vector<prediction> out;
  for (index_t i = 0; i < probs.rows; ++i) {
    const float* const row = probs.row(i);
    const float* const best = std::max_element(row, row + probs.cols);
    out.push_back({double(*best), best - row == labels[std::size_t(i)]});
  }
  return out;
}

reliability_bin bin_of(double low, double high, std::span<const prediction> rows) {
  reliability_bin bin{low, high};
  bin.rows = index_t(rows.size());
  if (rows.empty()) return bin;
  for (const auto& one : rows) {
    bin.right += one.right;
    bin.confidence += one.confidence;
  }
  bin.confidence /= double(rows.size());
  bin.accuracy = double(bin.right) / double(rows.size());
  bin.accuracy_bounds = wilson(bin.right, bin.rows);
  return bin;
}

/// Mean log loss of softmax(beta z), and its derivative in beta.
struct loss_at {
  double loss = 0, slope = 0;

  loss_at(matrix_view<const float> logits, std::span<const std::int32_t> labels, double beta) {
    for (index_t i = 0; i < logits.rows; ++i) {
      const float* const z = logits.row(i);
      const double peak = double(*std::max_element(z, z + logits.cols)),
                   own = double(z[labels[std::size_t(i)]]);
      double sum = 0, weighted = 0;
      for (index_t c = 0; c < logits.cols; ++c) {
        const double below = double(z[c]) - peak, weight = std::exp(beta * below);
        sum += weight;
        weighted += weight * below;
      }
      loss += std::log(sum) - beta * (own - peak);
      slope += weighted / sum - (own - peak);
    }
    loss /= double(logits.rows);
    slope /= double(logits.rows);
  }
};

bool every_label_leads(matrix_view<const float> logits, std::span<const std::int32_t> labels) {
  for (index_t i = 0; i < logits.rows; ++i) {
    const float* const row = logits.row(i);
    if (row[labels[std::size_t(i)]] < *std::max_element(row, row + logits.cols)) return false;
  }
  return true;
}

}  // namespace

std::vector<reliability_bin> reliability(matrix_view<const float> probs, std::span<const std::int32_t> labels,
                                         binning by, index_t bins) {
  require_distributions("reliability", probs, labels);
  if (bins < 1)
    throw value_error("reliability: bins is " + std::to_string(bins) + "; pass at least 1, such as 15");
  auto rows = predictions_of(probs, labels);
  std::stable_sort(rows.begin(), rows.end(),
                   [](const prediction& a, const prediction& b) { return a.confidence < b.confidence; });
  std::vector<reliability_bin> out;
  auto begin = rows.begin();
  for (index_t b = 0; b < bins; ++b) {
    const double low = double(b) / double(bins), high = double(b + 1) / double(bins);
    auto end = rows.end();
    if (by == binning::equal_width) {
      const auto beyond = [&](const prediction& one) { return one.confidence > high; };
      if (b + 1 < bins) end = std::find_if(begin, rows.end(), beyond);
      out.push_back(bin_of(low, high, {begin, end}));
    } else {
      const auto least = std::ptrdiff_t(std::llround(high * double(rows.size())));
      end = std::max(begin, rows.begin() + least);
      while (end != begin && end != rows.end() && end->confidence == (end - 1)->confidence) ++end;
      if (end != begin) out.push_back(bin_of(begin->confidence, (end - 1)->confidence, {begin, end}));
    }
    begin = end;
  }
  return out;
}

double calibration_error(std::span<const reliability_bin> bins) {
  double rows = 0, error = 0;
  for (const auto& bin : bins) {
    rows += double(bin.rows);
    error += double(bin.rows) * std::abs(bin.accuracy - bin.confidence);
  }
  if (rows == 0) throw shape_error("calibration_error: the bins hold no rows; pass those of at least one row");
  return error / rows;
}

double brier_score(matrix_view<const float> probs, std::span<const std::int32_t> labels) {
  require_distributions("brier_score", probs, labels);
  double sum = 0;
  for (index_t i = 0; i < probs.rows; ++i)
    for (index_t c = 0; c < probs.cols; ++c) {
      const double off = double(probs(i, c)) - (c == labels[std::size_t(i)] ? 1 : 0);
      sum += off * off;
    }
  return sum / double(probs.rows);
}

double log_loss(matrix_view<const float> probs, std::span<const std::int32_t> labels) {
  require_distributions("log_loss", probs, labels);
  double sum = 0;
  for (index_t i = 0; i < probs.rows; ++i)
    sum -= std::log(std::max(0x1p-23, double(probs(i, labels[std::size_t(i)]))));
  return sum / double(probs.rows);
}

temperature_fit fit_temperature(matrix_view<const float> logits, std::span<const std::int32_t> labels) {
  const char* const call = "fit_temperature";
  require_labels(call, logits, labels);
  for (index_t i = 0; i < logits.rows; ++i) {
    const std::vector<double> row(logits.row(i), logits.row(i) + logits.cols);
    if (!std::all_of(row.begin(), row.end(), [](double z) { return std::isfinite(z); }))
      throw value_error("fit_temperature: row " + std::to_string(i) +
                        " of logits has a NaN or an infinity; pass finite logits");
  }
  const auto at = [&](double beta) { return loss_at(logits, labels, beta); };
  temperature_fit fit;
  fit.loss_before = fit.loss_after = at(1).loss;
  if (at(0).slope >= 0) {
    fit.reason = "the logits say no more of these labels than a constant would, so that T has no bound";
    return fit;
  }
  if (every_label_leads(logits, labels)) {
    fit.reason = "every label has the largest logit of its row, so that T would go to 0; pass more rows";
    return fit;
  }
  double high = 1;
  while (at(high).slope < 0)
    high *= 2;  // for large beta it is the mean of largest - own logit, which is above 0
  double low = high / 2;
  while (at(low).slope >= 0) low /= 2;
  std::uintmax_t steps = 200;
  const auto [below, above] =
      boost::math::tools::toms748_solve([&](double beta) { return at(beta).slope; }, low, high,
                                        boost::math::tools::eps_tolerance<double>(50), steps);
  const double beta = below + (above - below) / 2;
  fit.temperature = 1 / beta;
  fit.loss_after = at(beta).loss;
  return fit;
}

}  // namespace poolwise
