#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "poolwise/query/detail/mean_cosine.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/detail/rows_beside.hpp"

namespace poolwise {
namespace {

/// In turn of each query the row most like it. What a pass finds for a query lasts for its next turns.
class turns {
 public:
  explicit turns(const stage_input& x) : x_(x), left_(x.limit), taken_(std::size_t(x.rows())) {
    check_queries("round_robin", x);
    const std::vector<double> all = directions(*x.pool.queries);
    const auto cols = std::size_t(x.pool.queries->cols);
    const vector_view<const float> weights = x.pool.query_weights;
    for (index_t q = 0; q < x.pool.queries->rows; ++q) {
      const auto first = all.begin() + std::ptrdiff_t(q) * std::ptrdiff_t(cols);
      if (weights.empty() || weights[q] > 0)
        queries_.push_back({{first, first + std::ptrdiff_t(cols)}, {}, 0, true});
    }
  }

  index_t picks_left() const { return left_.picks(); }

  void take(index_t row) {
    left_.take(row);
    taken_[std::size_t(row)] = 1;
    turn_ = (turn_ + 1) % queries_.size();
  }

  candidate next() {
    query& of = queries_[turn_];
    for (;;) {
      while (of.tried < of.best.size()) {
        const candidate c = of.best[of.tried++];
        if (taken_[std::size_t(c.row)] == 0 && left_.eligible(c.row)) return c;
      }
      if (!of.more) return {};
      list(of);
    }
  }

 private:
  struct query {
    std::vector<double> direction;
    std::vector<candidate> best;  // of those that were not taken when the list was made
    std::size_t tried = 0;
    bool more = true;  // whether there were others
  };

  void list(query& of) {
    const matrix_view<const float> rows = *x_.pool.embeddings;
    const std::size_t most =
        std::size_t(std::max<index_t>(64, 2 * left_.picks() / index_t(queries_.size()) + 2));
    std::vector<candidate> found(std::size_t(x_.rows()));
    parallel_blocks(host_of(x_.on), x_.rows(), 256, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i)
        if (taken_[std::size_t(i)] == 0 && !left_.ruled_out(i))
          found[std::size_t(i)] = {i, float(inverse_length(rows.row(i), rows.cols) *
                                            row_dot(rows.row(i), of.direction.data(), rows.cols))};
    });
    std::erase_if(found, [](const candidate& c) { return c.row < 0; });
    of.more = found.size() > most;
    if (of.more) {
      std::nth_element(found.begin(), found.begin() + std::ptrdiff_t(most), found.end(), before);
      found.resize(most);
    }
    std::sort(found.begin(), found.end(), before);
    of.best.assign(found.begin(), found.end());
    of.tried = 0;
  }

  const stage_input& x_;
  remaining left_;
  std::vector<std::uint8_t> taken_;
  std::vector<query> queries_;
  std::size_t turn_ = 0;
};

std::vector<candidate> pick(const stage_input& x, batch_run& run) {
  return pick_one_by_one<turns>("round_robin", x, run);
}

}  // namespace

std::vector<strategy_entry> strategies_of_round_robin() {
  return {{.name = "round_robin",
           .kind = "diversity",
           .formula = "max cos(x, q) of the rows not picked, in turn of each query q that has a weight",
           .source = "Ivison et al. 2025",
           .on_devices = "none",
           .needs = part::embeddings | part::queries,
           .aliases = {"rds", "rds+"},
           .pick = pick,
           .reason = "most like the query whose turn it is",
           .bytes = [](const strategy_size& size) {
             return size.rows * (sizeof(candidate) + 1) + (2 * size.picks + 64) * sizeof(candidate) * 2;
           }}};
}

}  // namespace poolwise
