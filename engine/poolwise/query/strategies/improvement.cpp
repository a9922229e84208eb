#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/query/detail/member_moments.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

constexpr stream member_stream{16};

/// The mean of max(0, z + n), n of a standard normal distribution: phi(z) + z Phi(z). Its digits are those of
/// double but for z^2 times their rounding.
double mean_excess(double z) {
  const double density = 0.3989422804014327 * fixed_exp(-z * z / 2), size = std::abs(z);
  double tail;     // 1 - Phi(|z|)
  if (size < 2) {  // Phi(z) - 1/2 = phi(z) sum_n z^(2n+1) / (2n+1)!!
    double term = size, sum = size;
    for (int n = 3; n < 60; n += 2) sum += term *= size * size / n;
    tail = 0.5 - density * sum;
  } else {  // phi(z) / (z + 1 / (z + 2 / (z + ...)))
    double below = size;
    for (int n = 120; n > 0; --n) below = size + n / below;
    tail = density / below;
  }
  const double excess = std::max(0.0, density - size * tail);
  return z > 0 ? excess + z : excess;
}

void require_one_output(const char* call, cube_view<const float> predictions) {
  if (predictions.members < 1 || predictions.cols != 1)
    throw shape_error(std::string(call) + ": predictions is [" + std::to_string(predictions.members) + ", " +
                      std::to_string(predictions.rows) + ", " + std::to_string(predictions.cols) +
                      "]; pass at least one member, and one output, which is to be large");
}

/// What the row is expected to exceed the best label by.
void score_improvement(const stage_input& x, vector_view<float> scores) {
  const cube_view<const float> predictions = *x.pool.predictions;
  require_one_output("expected_improvement", predictions);
  double best = -std::numeric_limits<double>::infinity();
  for (const float label : x.labels) best = std::max(best, double(label));  // of a NaN it stays
  const std::vector<moments> of = member_moments(host_of(x.on), predictions);
  if (!std::isfinite(best))
    for (index_t i = 0; i < x.rows(); ++i)
      if (std::isfinite(of[std::size_t(i)].mean) && (x.limit.barred.empty() || x.limit.barred[i] == 0))
        best = std::max(best, of[std::size_t(i)].mean);
  for (index_t i = 0; i < x.rows(); ++i) {
    const double above = of[std::size_t(i)].mean - best, deviation = of[std::size_t(i)].deviation;
    const double score = deviation > 0 ? deviation * mean_excess(above / deviation) : std::max(0.0, above);
    scores[i] = std::isfinite(above + deviation) ? float(score) : std::numeric_limits<float>::quiet_NaN();
  }
}

/// The change that a label makes to a linear model: that of each member as the label, against their mean.
void score_model_change(const stage_input& x, vector_view<float> scores) {
  const cube_view<const float> predictions = *x.pool.predictions;
  const matrix_view<const float> embeddings = *x.pool.embeddings;
  if (predictions.members < 1 || predictions.cols < 1)
    throw shape_error("emcm: there is no member or no output among the predictions; pass at least one of each");
  parallel_blocks(host_of(x.on), x.rows(), 64, [&](index_t, index_t begin, index_t end) {
    std::vector<double> mean(std::size_t(predictions.cols), 0.0);
    for (index_t i = begin; i < end; ++i) {
      std::fill(mean.begin(), mean.end(), 0.0);
      for (index_t m = 0; m < predictions.members; ++m)
        for (index_t c = 0; c < predictions.cols; ++c)
          mean[std::size_t(c)] += double(predictions.member(m)(i, c)) / double(predictions.members);
      double length = 0, squares = 0;
      for (index_t m = 0; m < predictions.members; ++m) {
        double off = 0;
        for (index_t c = 0; c < predictions.cols; ++c) {
          const double by = double(predictions.member(m)(i, c)) - mean[std::size_t(c)];
          off += by * by;
        }
        length += std::sqrt(off) / double(predictions.members);
      }
      for (index_t f = 0; f < embeddings.cols; ++f)
        squares += double(embeddings(i, f)) * double(embeddings(i, f));
      const double score = length * std::sqrt(1 + squares / (x.unit * x.unit));
      scores[i] = std::isfinite(score) ? float(score) : std::numeric_limits<float>::quiet_NaN();
    }
  });
}

/// For each pick a member is drawn, and the row that it holds largest taken.
class thompson_sampling {
 public:
  explicit thompson_sampling(const stage_input& x)
      : x_(x), left_(x.limit), taken_(std::size_t(x.rows())), predictions_(*x.pool.predictions) {
    require_one_output("thompson", predictions_);
  }
  index_t picks_left() const { return left_.picks(); }

  void take(index_t row) {
    left_.take(row);
    taken_[std::size_t(row)] = 1;
    ++picks_;
  }

  candidate next() const {
    const std::uint64_t bits = random_bits(query_seed(*x_.asked), member_stream, picks_);
    const matrix_view<const float> member =
        predictions_.member(index_t(bits % std::uint64_t(predictions_.members)));
    candidate found;
    for (index_t i = 0; i < x_.rows(); ++i) {
      const candidate c{i, member(i, 0)};
      if (taken_[std::size_t(i)] == 0 && (found.row < 0 || before(c, found)) && left_.eligible(i)) found = c;
    }
    return found;
  }

 private:
  const stage_input& x_;
  remaining left_;
  std::vector<std::uint8_t> taken_;
  cube_view<const float> predictions_;
  std::uint64_t picks_ = 0;
};

std::vector<candidate> pick_by_thompson(const stage_input& x, batch_run& run) {
  return pick_one_by_one<thompson_sampling>("thompson", x, run);
}

}  // namespace

/// Of the predictions of several regressors.
std::vector<strategy_entry> strategies_of_improvement() {
  return {{.name = "expected_improvement",
           .kind = "disagreement",
           .formula = "E max(0, f - best label), f normal with the members' mean and standard deviation",
           .source = "Mockus et al. 1978; Jones et al. 1998",
           .on_devices = "none",
           .needs = part::predictions | part::labels,
           .does = trait::counts_labelled,
           .aliases = {"ei"},
           .score = score_improvement,
           .bytes = [](const strategy_size& size) { return size.rows * sizeof(moments); }},
          {.name = "emcm",
           .kind = "disagreement",
           .formula = "mean over members of |f - mean f| |[h; 1]|, h the embedding",
           .source = "Cai et al. 2013",
           .on_devices = "none",
           .needs = part::predictions | part::embeddings,
           .aliases = {"expectedmodelchangemaximization", "expectedmodelchange"},
           .score = score_model_change},
          {.name = "thompson",
           .kind = "diversity",
           .formula = "largest prediction of a member that is drawn anew for each pick",
           .source = "Thompson 1933; Kandasamy et al. 2018",
           .on_devices = "none",
           .needs = part::predictions,
           .aliases = {"thompsonsampling"},
           .pick = pick_by_thompson,
           .reason = "largest prediction of a drawn member",
           .bytes = [](const strategy_size& size) { return size.rows; }}};
}

}  // namespace poolwise
