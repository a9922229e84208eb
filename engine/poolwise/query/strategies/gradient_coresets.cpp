#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "poolwise/diverse/coverage.hpp"
#include "poolwise/query/detail/gradients.hpp"
#include "poolwise/query/detail/graph_rows.hpp"
#include "poolwise/query/detail/mean_cosine.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

/// Facility location of gradients at the outputs.
std::vector<candidate> pick_craig(const stage_input& x, batch_run& run) {
  std::vector<float> a = output_gradients(x);
  const index_t classes = cols_of(*x.pool.model);
  for (index_t i = 0; i < x.rows(); ++i)
    if (is_barred(x, i)) std::fill_n(a.begin() + i * classes, classes, 0.0f);
  stage_input of = x;
  of.pool.embeddings = matrix_view<const float>{a.data(), x.rows(), classes};
  of.labelled = {};
  const graph_rows rows(of);
  const auto graph = neighbour_graph(of, rows);
  return facility_location(host_of(x.on), *graph, x.limit, {}, rows.weights(), &run, rows.vertex());
}

std::uint64_t craig_bytes(const strategy_size& size) {
  strategy_size of = size;
  of.features = size.classes;
  return neighbour_graph_bytes(of) + size.rows * size.classes * sizeof(float);
}

/// Weights w >= 0 of the picks by which their gradients together come nearest to the sum of all, as
/// |sum_s w_s g_s - sum_i g_i|^2 + lambda |w|^2; the next pick is that of the largest product with what is left
/// (orthogonal matching pursuit). g = a (x) [h; 1], never formed.
class matching {
 public:
  explicit matching(const stage_input& x)
      : x_(x),
        on_(host_of(x.on)),
        a_values_(output_gradients(x)),
        a_{a_values_.data(), x.rows(), cols_of(*x.pool.model)},
        h_(*x.pool.embeddings),
        bias_(x.unit),
        lambda_(x.what->given["lambda"] * x.unit * x.unit),
        values_(std::size_t(x.rows())),
        target_(std::size_t(a_.cols * width()), 0.0) {
    add_all();
    left_ = target_;
  }

  vector_view<const float> values() {
    constexpr auto most = double(std::numeric_limits<float>::max());
    parallel_blocks(on_, a_.rows, 256, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i)
        values_[std::size_t(i)] = is_barred(x_, i) ? 0 : float(std::clamp(along(i, left_), -most, most));
    });
    return {values_.data(), a_.rows};
  }

  void take(index_t row) {
    std::vector<double> products;
    for (const index_t other : picks_) products.push_back(product(row, other));
    picks_.push_back(row);
    products.push_back(product(row, row));
    gram_.push_back(std::move(products));
    wanted_.push_back(along(row, target_));
    weights_.push_back(0);
    refit();
    left_ = target_;
    for (std::size_t s = 0; s < picks_.size(); ++s)
      if (weights_[s] > 0) add(picks_[s], -weights_[s], left_);
  }

 private:
  index_t width() const { return h_.cols + 1; }

  void add(index_t i, double times, std::vector<double>& to) const {
    for (index_t c = 0; c < a_.cols; ++c) {
      const double factor = times * double(a_(i, c));
      double* const sum = to.data() + c * width();
      for (index_t f = 0; f < h_.cols; ++f) sum[f] += factor * double(h_(i, f));
      sum[h_.cols] += factor * bias_;
    }
  }

  void add_all() {
    const index_t block = std::max<index_t>(4096, blocks_of(a_.rows, 64));
    std::vector<std::vector<double>> sums(std::size_t(blocks_of(a_.rows, block)));
    parallel_blocks(on_, a_.rows, block, [&](index_t b, index_t begin, index_t end) {
      std::vector<double>& sum = sums[std::size_t(b)];
      sum.assign(target_.size(), 0.0);
      for (index_t i = begin; i < end; ++i)
        if (!is_barred(x_, i)) add(i, 1, sum);
    });
    for (const std::vector<double>& sum : sums)
      for (std::size_t k = 0; k < sum.size(); ++k) target_[k] += sum[k];
  }

  double along(index_t i, const std::vector<double>& of) const {
    double sum = 0;
    for (index_t c = 0; c < a_.cols; ++c) {
      const double* const part = of.data() + c * width();
      sum += double(a_(i, c)) * (row_dot(h_.row(i), part, h_.cols) + bias_ * part[h_.cols]);
    }
    return sum;
  }

  double product(index_t i, index_t j) const {
    return row_dot(a_.row(i), a_.row(j), a_.cols) * (row_dot(h_.row(i), h_.row(j), h_.cols) + bias_ * bias_);
  }

  double gram(std::size_t s, std::size_t t) const { return s >= t ? gram_[s][t] : gram_[t][s]; }

  /// By coordinates in turn, from the last weights on: the sum falls by each, and has one minimum.
  void refit() {
    constexpr int most_rounds = 200;
    for (int round = 0; round < most_rounds; ++round) {
      double moved = 0, largest = 0;
      for (std::size_t s = 0; s < picks_.size(); ++s) {
        double rest = wanted_[s];
        for (std::size_t t = 0; t < picks_.size(); ++t)
          if (t != s) rest -= gram(s, t) * weights_[t];
        const double own = gram_[s][s] + lambda_, now = own > 0 ? std::max(0.0, rest / own) : 0;
        moved = std::max(moved, std::abs(now - weights_[s]));
        largest = std::max(largest, now);
        weights_[s] = now;
      }
      if (moved <= 1e-9 * largest) return;
    }
  }

  const stage_input& x_;
  cpu on_;
  std::vector<float> a_values_;
  matrix_view<const float> a_, h_;
  double bias_, lambda_;  // in the unit of the features, which beside the bias count as they were given
  std::vector<float> values_;
  std::vector<double> target_,
      left_;  // [classes, features + 1] the sum of all gradients, and what is left of it
  std::vector<index_t> picks_;
  std::vector<std::vector<double>> gram_;  // of the picks, below the diagonal
  std::vector<double> wanted_, weights_;   // of each pick: its product with the target, and w
};

std::vector<candidate> pick_gradmatch(const stage_input& x, batch_run& run) {
  return pick_one_by_one<largest_value<matching>>("gradmatch", x, run);
}

std::uint64_t gradmatch_bytes(const strategy_size& size) {
  return size.rows * (size.classes * sizeof(float) + sizeof(float) + 1) +
         (2 + 64) * size.classes * (size.features + 1) * sizeof(double) +
         size.picks * (size.picks / 2 + 8) * sizeof(double);
}

}  // namespace

/// Rows whose gradients, at the labels that the model predicts, stand for those of all rows.
std::vector<strategy_entry> strategies_of_gradient_coresets() {
  return {{.name = "craig",
           .kind = "diversity",
           .formula = "facility_location of p - onehot(argmax p), the gradients at the outputs",
           .source = "Mirzasoleiman et al. 2020",
           .on_devices = "outputs, graph",
           .needs = part::outputs,
           .does = trait::lists_neighbours | trait::leaves_gains,
           .parameters = {{"neighbours", 32, whole_from(1), "rows that a row may be like"}},
           .pick = pick_craig,
           .reason = "its gradient stands for most rows that no pick stands for",
           .worth = total_gain,
           .bytes = craig_bytes},
          {.name = "gradmatch",
           .kind = "diversity",
           .formula = "max <g_x, sum g - sum_s w_s g_s>, best w >= 0; g = (p - onehot) (x) [h; 1]",
           .source = "Killamsetty et al. 2021",
           .on_devices = "outputs",
           .needs = part::outputs | part::embeddings,
           .parameters = {{"lambda", 0.5, at_least(0), "times |w|^2, which is added to what is made least"}},
           .pick = pick_gradmatch,
           .reason = "its gradient is most of what the picks' leave of all rows'",
           .bytes = gradmatch_bytes}};
}

}  // namespace poolwise
