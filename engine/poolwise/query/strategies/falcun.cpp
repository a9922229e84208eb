#include <algorithm>
#include <cmath>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/query/detail/labelled_rows.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

constexpr stream relevance_stream{61};

/// Rows drawn by how uncertain they are and how far their outputs lie from those of the picks.
class relevant_rows {
 public:
  explicit relevant_rows(const stage_input& x)
      : x_(x),
        left_(x.limit),
        classes_(cols_of(*x.pool.model)),
        gamma_(x.what->given["gamma"]),
        p_(stage_probabilities(x)),
        unsure_(std::size_t(x.rows()), 0.0),
        away_(unsure_.size(), 0.0),
        taken_(unsure_.size()) {
    for_rows([&](index_t i) {
      const float* const own = p_.data() + i * classes_;
      double first = 0, second = 0;
      for (index_t c = 0; c < classes_; ++c) {
        const double value = own[c];
        second = std::max(second, std::min(first, value));
        first = std::max(first, value);
      }
      away_[std::size_t(i)] = unsure_[std::size_t(i)] = 1 - (first - second);
    });
  }

  index_t picks_left() const { return left_.picks(); }

  void take(index_t row) {
    left_.take(row);
    taken_[std::size_t(row)] = 1;
    ++picks_;
    for_rows([&](index_t i) {
      double d = 0;
      for (index_t c = 0; c < classes_; ++c)
        d += std::abs(double(p_[std::size_t(i * classes_ + c)]) - double(p_[std::size_t(row * classes_ + c)]));
      away_[std::size_t(i)] = std::min(away_[std::size_t(i)], d);
    });
    double least = std::numeric_limits<double>::infinity(), most = -least;
    for (index_t i = 0; i < x_.rows(); ++i)
      if (!is_barred(x_, i)) {
        least = std::min(least, away_[std::size_t(i)]);
        most = std::max(most, away_[std::size_t(i)]);
      }
    for (double& one : away_) one = most > least ? (one - least) / (most - least) : one - least;
  }

  /// Its score is its relevance.
  candidate next() {
    std::vector<index_t> rows;
    double most = 0;
    for (index_t i = 0; i < x_.rows(); ++i)
      if (taken_[std::size_t(i)] == 0 && left_.eligible(i))
        rows.push_back(i), most = std::max(most, relevance(i));
    if (rows.empty()) return {};
    // Powers of shares of the largest: a large gamma leaves it alone, and overflows nothing.
    std::vector<double> upto;
    double sum = 0;
    for (const index_t i : rows) {
      const double share = most > 0 ? relevance(i) / most : 1;
      sum += share > 0 ? fixed_exp(gamma_ * fixed_log(share)) : 0;
      upto.push_back(sum);
    }
    const double place =
        double(random_bits(query_seed(*x_.asked), relevance_stream, std::uint64_t(picks_)) >> 11) * 0x1p-53 *
        sum;
    auto at = std::upper_bound(upto.begin(), upto.end(), place);
    if (at == upto.end()) --at;
    const index_t row = rows[std::size_t(at - upto.begin())];
    return {row, float(relevance(row))};
  }

 private:
  double relevance(index_t i) const { return unsure_[std::size_t(i)] + away_[std::size_t(i)]; }

  template <class Body>
  void for_rows(Body body) const {
    parallel_blocks(host_of(x_.on), x_.rows(), 1024, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i)
        if (!is_barred(x_, i)) body(i);
    });
  }

  const stage_input& x_;
  remaining left_;
  index_t classes_, picks_ = 0;
  double gamma_;
  std::vector<float> p_;
  std::vector<double> unsure_, away_;  // 1 - (p1 - p2); the least distance to a pick, in [0, 1]
  std::vector<std::uint8_t> taken_;
};

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  return pick_one_by_one<relevant_rows>("falcun", x, run);
}

std::uint64_t bytes(const strategy_size& size) {
  return size.rows *
         (size.classes * sizeof(float) + 3 * sizeof(double) + 2 * sizeof(index_t) + sizeof(double) + 1);
}

}  // namespace

std::vector<strategy_entry> strategies_of_falcun() {
  return {{.name = "falcun",
           .kind = "diversity",
           .formula =
               "drawn by (u + d)^gamma, u = 1 - (p1 - p2), d = min over picks |p - p_s|_1, from 0 to 1 over "
               "the pool",
           .source = "Gilhuber et al. 2024",
           .on_devices = "none",
           .needs = part::outputs,
           .parameters = {{"gamma", 10, at_least(0), "0 draws from all rows alike, a large one the best"}},
           .pick = pick,
           .reason = "drawn, as uncertain and unlike the picks' outputs",
           .bytes = bytes}};
}

}  // namespace poolwise
