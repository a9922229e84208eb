#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/query/detail/linear_model.hpp"
#include "poolwise/query/detail/mean_cosine.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/detail/ranked_rows.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

/// ln(1 + e^z)
double softplus(double z) { return std::max(z, 0.0) + fixed_log(1 + fixed_exp(-std::abs(z))); }

double sigmoid(double z) {
  const double e = fixed_exp(-std::abs(z));
  return (z < 0 ? e : 1) / (1 + e);
}

/// A logistic regression that tells unlabelled rows (1) from labelled ones (0), with a penalty on the squares
/// of all its weights: by Newton's method from the last weights on, so that a few more labels take few steps.
class domain_head {
 public:
  /// balanced: labelled and unlabelled rows count as much, each kind as a whole.
  domain_head(const char* call, const stage_input& x, bool balanced)
      : call_(call),
        on_(host_of(x.on)),
        pool_{*x.pool.embeddings, 1 / x.unit},
        known_{x.labelled, 1 / x.unit},
        lambda_(x.what->given["lambda"]),
        unlabelled_(std::size_t(x.rows()), 0.0),
        labelled_(std::size_t(x.rows()), 0.0),
        fixed_(std::size_t(x.labelled.rows), 1.0),
        weights_(std::size_t(pool_.width()), 0.0) {
    const std::vector<std::uint8_t> counts = rows_that_count(x);
    double open = 0;
    for (const std::uint8_t one : counts) open += one;
    const double known = double(x.labelled.rows), half = (open + known) / 2;
    for (std::size_t i = 0; i < counts.size(); ++i)
      unlabelled_[i] = counts[i] == 0 ? 0 : balanced ? half / open : 1;
    if (balanced && known > 0) std::fill(fixed_.begin(), fixed_.end(), half / known);
  }

  void relabel(index_t row) { std::swap(unlabelled_[std::size_t(row)], labelled_[std::size_t(row)]); }

  /// ln p(unlabelled) / p(labelled) of each row; NaN where it is not finite.
  void fit_and_score(std::vector<double>& z) {
    constexpr int most_steps = 50;
    double now = loss(weights_, &z);
    for (int n = 0; n < most_steps; ++n) {
      const std::vector<double> step = newton_step();
      double share = 1, after = 0, moved = 0, size = 1;
      std::vector<double> next = weights_;
      for (int halved = 0; halved < 30; ++halved, share /= 2) {
        for (std::size_t f = 0; f < next.size(); ++f) next[f] = weights_[f] - share * step[f];
        after = loss(next, &z);
        if (after <= now) break;
      }
      if (!(after <= now)) break;  // rounding hides any further descent
      for (std::size_t f = 0; f < next.size(); ++f) {
        moved = std::max(moved, std::abs(next[f] - weights_[f]));
        size = std::max(size, std::abs(next[f]));
      }
      weights_ = next, now = after;
      if (moved <= 1e-10 * size) break;
    }
    loss(weights_, &z);
  }

 private:
  double output(const design& h, index_t i, const std::vector<double>& w) const {
    return h.scale * row_dot(h.rows.row(i), w.data(), h.rows.cols) + w.back();
  }

  /// body(i) of rows, summed by blocks that the shape alone decides.
  template <class Body>
  double sum_of(index_t rows, Body body) const {
    const index_t block = 4096;
    std::vector<double> sums(std::size_t(blocks_of(rows, block)), 0.0);
    parallel_blocks(on_, rows, block, [&](index_t b, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) sums[std::size_t(b)] += body(i);
    });
    double sum = 0;
    for (const double one : sums) sum += one;
    return sum;
  }

  double loss(const std::vector<double>& w, std::vector<double>* z) {
    double sum = sum_of(pool_.rows.rows, [&](index_t i) {
      const double own = output(pool_, i, w), up = unlabelled_[std::size_t(i)],
                   down = labelled_[std::size_t(i)];
      (*z)[std::size_t(i)] = own;
      return up + down == 0 ? 0 : up * softplus(-own) + down * softplus(own);
    });
    sum += sum_of(known_.rows.rows,
                  [&](index_t l) { return fixed_[std::size_t(l)] * softplus(output(known_, l, w)); });
    for (const double one : w) sum += lambda_ / 2 * one * one;
    return sum;
  }

  /// The inverse of the second derivatives times the first.
  std::vector<double> newton_step() {
    const index_t width = pool_.width();
    std::vector<double> slope = weights_, curve(unlabelled_.size()), first(curve.size());
    for (double& one : slope) one *= lambda_;
    const auto derivatives = [&](const design& h, auto weight_up, auto weight_down) {
      curve.assign(std::size_t(h.rows.rows), 0.0);
      first.assign(curve.size(), 0.0);
      parallel_blocks(on_, h.rows.rows, 4096, [&](index_t, index_t begin, index_t end) {
        for (index_t i = begin; i < end; ++i) {
          const double up = weight_up(i), down = weight_down(i);
          if (up + down == 0) continue;
          const double p = sigmoid(output(h, i, weights_));
          first[std::size_t(i)] = down * p - up * (1 - p);
          curve[std::size_t(i)] = (up + down) * p * (1 - p);
        }
      });
      add_rows(h, first, slope);
      return second_moment(on_, h, curve);
    };
    symmetric curvature = derivatives(
        pool_, [&](index_t i) { return unlabelled_[std::size_t(i)]; },
        [&](index_t i) { return labelled_[std::size_t(i)]; });
    if (known_.rows.rows > 0) {
      const symmetric more = derivatives(
          known_, [](index_t) { return 0.0; }, [&](index_t l) { return fixed_[std::size_t(l)]; });
      for (std::size_t k = 0; k < curvature.values.size(); ++k) curvature.values[k] += more.values[k];
    }
    for (index_t f = 0; f < width; ++f) curvature.at(f, f) += lambda_;
    const symmetric inverse = inverse_of(on_, call_, std::move(curvature));
    std::vector<double> step(slope.size(), 0.0);
    for (index_t f = 0; f < width; ++f)
      for (index_t g = 0; g < width; ++g) step[std::size_t(f)] += inverse.at(f, g) * slope[std::size_t(g)];
    return step;
  }

  /// to += sum_i weight[i] h_i.
  void add_rows(const design& h, const std::vector<double>& weight, std::vector<double>& to) const {
    const index_t block = std::max<index_t>(4096, blocks_of(h.rows.rows, 64));
    std::vector<std::vector<double>> sums(std::size_t(blocks_of(h.rows.rows, block)));
    parallel_blocks(on_, h.rows.rows, block, [&](index_t b, index_t begin, index_t end) {
      std::vector<double>& sum = sums[std::size_t(b)];
      sum.assign(to.size(), 0.0);
      for (index_t i = begin; i < end; ++i) {
        const double own = weight[std::size_t(i)];
        if (own == 0) continue;
        for (index_t f = 0; f < h.rows.cols; ++f) sum[std::size_t(f)] += own * h.scale * double(h.rows(i, f));
        sum.back() += own;
      }
    });
    for (const std::vector<double>& sum : sums)
      for (std::size_t f = 0; f < sum.size(); ++f) to[f] += sum[f];
  }

  const char* call_;
  cpu on_;
  design pool_, known_;
  double lambda_;
  std::vector<double> unlabelled_, labelled_, fixed_;  // what rows count as either; the labelled rows
  std::vector<double> weights_;
};

/// What looks least like the labelled rows; after each part of the batch its rows count as labelled.
class unlike_labelled {
 public:
  explicit unlike_labelled(const stage_input& x)
      : head_("discriminative", x, false), z_(std::size_t(x.rows()), 0.0), values_(z_.size(), 0.0f) {
    const index_t picks = std::max<index_t>(1, most_picks(x.limit, x.rows()));
    per_part_ = blocks_of(picks, x.what->given.count("parts"));
  }

  void take(index_t row) {
    head_.relabel(row);
    if (++taken_ % per_part_ == 0) fitted_ = false;
  }

  vector_view<const float> values() {
    if (!fitted_) {
      head_.fit_and_score(z_);
      for (std::size_t i = 0; i < z_.size(); ++i) values_[i] = std::isfinite(z_[i]) ? float(sigmoid(z_[i])) : 0;
      fitted_ = true;
    }
    return {values_.data(), index_t(values_.size())};
  }

 private:
  domain_head head_;
  std::vector<double> z_;
  std::vector<float> values_;
  index_t per_part_ = 1, taken_ = 0;
  bool fitted_ = false;
};

void score_aada(const stage_input& x, vector_view<float> scores) {
  score_inner(x, scores);
  std::vector<double> z(std::size_t(x.rows()), 0.0);
  if (x.labelled.rows > 0) domain_head("aada", x, true).fit_and_score(z);
  for (index_t i = 0; i < x.rows(); ++i) {
    if (scores[i] < 0)
      throw value_error("aada: row " + std::to_string(x.pool_row(i)) + " scores " + std::to_string(scores[i]) +
                        " by " + x.what->inner->text +
                        "; take a score that is never negative, such as entropy");
    const double weighted = fixed_exp(std::min(z[std::size_t(i)], 80.0)) * double(scores[i]);
    scores[i] = float(std::min(weighted, double(std::numeric_limits<float>::max())));
  }
}

std::uint64_t bytes(const strategy_size& size) {
  return linear_model_bytes(size.features + 1, 4) + size.rows * (6 * sizeof(double) + sizeof(float) + 2) +
         size.labelled * 3 * sizeof(double) + 70 * (size.features + 3) * sizeof(double);
}

const parameter penalty{"lambda", 1, above(0), "the penalty on the head's squared weights"};

}  // namespace

/// By a linear head that tells unlabelled from labelled rows.
std::vector<strategy_entry> strategies_of_domains() {
  return {
      {.name = "aada",
       .kind = "acquisition",
       .formula = "score * p(unlabelled | h) / p(labelled | h), by a logistic regression for which both kinds "
                  "count as much",
       .source = "Su et al. 2020",
       .on_devices = "score",
       .needs = part::embeddings,
       .does = trait::takes_score | trait::counts_labelled | trait::compares_rows,
       .parameters = {penalty},
       .aliases = {"importance"},
       .score = score_aada,
       .bytes = bytes},
      {.name = "discriminative",
       .kind = "diversity",
       .formula = "max p(unlabelled | h) of a logistic regression, fitted anew for each part of the batch",
       .source = "Gissin & Shalev-Shwartz 2019",
       .on_devices = "none",
       .needs = part::embeddings,
       .does = trait::counts_labelled,
       .parameters = {penalty,
                      {"parts", 10, whole_from(1), "of the batch; the picks of each count as labelled"}},
       .aliases = {"dal"},
       .pick =
           [](const stage_input& x, batch_run& run) {
             return pick_one_by_one<largest_value<unlike_labelled>>("discriminative", x, run);
           },
       .reason = "least like the labelled rows",
       .bytes = bytes}};
}

}  // namespace poolwise
