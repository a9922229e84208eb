#include <algorithm>
#include <vector>

#include "poolwise/query/detail/mean_cosine.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/detail/rows_beside.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

/// How alike rows are to the queries: the cosine, below 0 none, times the weight of the query.
class query_likeness {
 public:
  query_likeness(const char* call, const stage_input& x) : rows_(*x.pool.embeddings) {
    check_queries(call, x);
    queries_ = directions(*x.pool.queries);
    const vector_view<const float> weights = x.pool.query_weights;
    for (index_t q = 0; q < x.pool.queries->rows; ++q)
      weights_.push_back(weights.empty() ? 1 : double(weights[q]));
  }

  index_t queries() const { return index_t(weights_.size()); }

  /// Calls body(q, likeness) for each query.
  template <class Body>
  void of(index_t row, Body body) const {
    const float* const values = rows_.row(row);
    const double scale = inverse_length(values, rows_.cols);
    for (index_t q = 0; q < queries(); ++q) {
      const double cosine = scale * row_dot(values, queries_.data() + q * rows_.cols, rows_.cols);
      body(std::size_t(q), weights_[std::size_t(q)] * std::max(0.0, cosine));
    }
  }

 private:
  matrix_view<const float> rows_;
  std::vector<double> queries_, weights_;
};

/// f(A) = sum_q max_{a in A} s_qa + eta sum_{a in A} max_q s_qa.
class query_coverage {
 public:
  explicit query_coverage(const stage_input& x)
      : like_("flqmi", x), covered_(std::size_t(like_.queries()), 0.0), eta_(x.what->given["eta"]) {}

  /// No term ever rises.
  double gain(index_t row) const {
    double sum = 0, most = 0;
    like_.of(row, [&](std::size_t q, double likeness) {
      sum += std::max(0.0, likeness - covered_[q]);
      most = std::max(most, likeness);
    });
    return sum + eta_ * most;
  }

  void take(index_t row) {
    like_.of(row, [&](std::size_t q, double likeness) { covered_[q] = std::max(covered_[q], likeness); });
  }

 private:
  query_likeness like_;
  std::vector<double> covered_;
  double eta_;
};

std::vector<candidate> pick_flqmi(const stage_input& x, batch_run& run) {
  return pick_one_by_one<largest_gain<query_coverage>>("flqmi", x, run);
}

void score_gcmi(const stage_input& x, vector_view<float> scores) {
  const query_likeness like("gcmi", x);
  parallel_blocks(host_of(x.on), x.rows(), 256, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      const float* const row = x.pool.embeddings->row(i);
      double sum = all_finite(row, x.pool.embeddings->cols) ? 0 : std::numeric_limits<double>::quiet_NaN();
      like.of(i, [&](std::size_t, double likeness) { sum += likeness; });
      scores[i] = float(2 * sum);
    }
  });
}

}  // namespace

/// What a batch and the queries say of each other, by cosines; a cosine below 0 counts as 0.
std::vector<strategy_entry> strategies_of_query_information() {
  return {
      {.name = "flqmi",
       .kind = "diversity",
       .formula = "max sum_q max_{picked a} s_qa + eta sum_{picked a} max_q s_qa; s = w_q max(0, cos)",
       .source = "Kothawade et al. 2021",
       .on_devices = "none",
       .needs = part::embeddings | part::queries,
       .parameters = {{"eta", 1, at_least(0), "likeness to one query against queries that are like no pick"}},
       .pick = pick_flqmi,
       .reason = "most like queries that nothing picked is like",
       .worth = total_gain,
       .bytes = [](const strategy_size& size) { return largest_gain_bytes(size.rows); }},
      {.name = "gcmi",
       .kind = "acquisition",
       .formula = "2 sum_q s_xq; s = w_q max(0, cos)",
       .source = "Kothawade et al. 2021",
       .on_devices = "none",
       .needs = part::embeddings | part::queries,
       .score = score_gcmi}};
}

}  // namespace poolwise
