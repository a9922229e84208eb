#include "poolwise/diverse/dpp.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <iterator>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/distance/detail/canonical.hpp"
#include "poolwise/distance/detail/dot_table.hpp"
#include "poolwise/diverse/detail/exponentials.hpp"
#include "poolwise/diverse/detail/gain_shard.hpp"
#include "poolwise/diverse/detail/lazy_chain.hpp"
#include "poolwise/diverse/detail/models.hpp"
#include "poolwise/diverse/detail/row_values.hpp"

namespace poolwise {
namespace {

// Below this share of a row's own variance, the rest is rounding.
constexpr double rounding_share = 0x1p-16;

// Columns of the factor that lie, and are made, together: those of the canonical tree, so that a product over
// whole blocks has no column of zeros.
constexpr index_t block_columns = canonical_lanes;

constexpr index_t row_block = 256;
constexpr index_t tile_height = 96;
static_assert(tile_height % left_group == 0);

index_t whole_blocks(std::size_t columns) { return index_t(columns) / block_columns; }

/// K: the similarity of rows.
class kernel_of_rows {
 public:
  kernel_of_rows(matrix_view<const float> points, dpp_kernel kernel) : points_(points), kind_(kernel.kind) {
    // Within fp32 and not 0: no product with a distance, 0 or infinity, is NaN.
    using limits = std::numeric_limits<float>;
    if (kind_ == dpp_similarity::rbf)
      scale_ = -float(
          std::clamp(0.5 / kernel.bandwidth / kernel.bandwidth, double(limits::min()), double(limits::max())));
  }

  /// k[i - begin] = K(x_i, other)
  void column(index_t begin, index_t end, const float* other, float* k) const {
    const auto rows = rows_between(points_, begin, end);
    if (kind_ == dpp_similarity::linear) return canonical_dots(rows, other, k);
    canonical_squared_distances(rows, other, k);
    exponentials(scale_, k, end - begin);
  }

  /// k[j] = K(x, others[j])
  void row(const float* x, vector_view<const float* const> others, float* k) const {
    if (kind_ == dpp_similarity::linear) return canonical_dots(x, others, points_.cols, k);
    canonical_squared_distances(x, others, points_.cols, k);
    exponentials(scale_, k, others.size);
  }

  /// self[i - begin] = K(x_i, x_i)
  void diagonal(index_t begin, index_t end, float* self) const {
    if (kind_ == dpp_similarity::linear)
      canonical_squared_norms(rows_between(points_, begin, end), self);
    else
      std::fill_n(self, end - begin, 1.0f);
  }

  index_t rows() const { return points_.rows; }
  index_t cols() const { return points_.cols; }
  const float* point(index_t i) const { return points_.row(i); }
  double self_of(const float* x) const {
    float self = 1;
    if (kind_ == dpp_similarity::linear) canonical_squared_norms({x, 1, points_.cols}, &self);
    return double(self);
  }

 private:
  matrix_view<const float> points_;
  dpp_similarity kind_;
  float scale_ = 0;
};

/// The gain of a row is its squared quality times its variance given the picks.
///
/// With K the kernel and p_t the picks, row i of the factor is
///     c_it = (K(x_i, p_t) - sum_{s<t} c_is c_(p_t)s) / sqrt(variance of p_t before it),
/// and c_it^2 is what pick t explains of the variance of row i. The sum is, always, the canonical dot over the
/// whole blocks of columns before t and then, in double, column after column: whether a chain makes an element,
/// one row and some columns at a time, or a sweep, one tile of rows and all new columns, it has the same bits.
class pivoted_cholesky : public gain_shard {
 public:
  pivoted_cholesky(cpu on, matrix_view<const float> points, vector_view<const float> quality, dpp_kernel kernel)
      : on_(on),
        as_given_(kernel),
        kernel_(points, kernel),
        quality_(quality),
        self_(std::size_t(points.rows)),
        variance_(self_.size()),
        gain_(self_.size()) {
    kernel_.diagonal(0, points.rows, self_.data());
    std::copy(self_.begin(), self_.end(), variance_.begin());
    for (index_t i = 0; i < points.rows; ++i)
      if (!std::isfinite(self_[std::size_t(i)]) || !std::isfinite(gain(i, variance_[std::size_t(i)])))
        throw value_error("dpp: the gain of row " + std::to_string(i) +
                          " leaves the range of fp32; scale the rows or their quality down");
  }

  void sweep(const std::vector<candidate>& latest, const remaining& left) override {
    for (std::size_t j = chained_; j < latest.size(); ++j) take(latest[j]);
    chained_ = 0;
    add_columns();
    for (const candidate& pick : latest) gain_[std::size_t(pick.row)] = retired;
    parallel_blocks(on_, kernel_.rows(), row_block, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        float& now = gain_[std::size_t(i)];
        if (now == retired) continue;
        now = leaves_out(latest, left, i) ? retired : gain(i, variance_[std::size_t(i)]);
      }
    });
  }

  std::vector<candidate> best(index_t count) override {
    return best_by_gain(on_, {gain_.data(), kernel_.rows()}, count);
  }

  std::vector<candidate> chain(const std::vector<candidate>& shortlist, candidate rival,
                               remaining& left) override {
    struct entry {
      candidate row;
      std::size_t place;  // in the shortlist
    };
    std::vector<entry> entries;
    for (const candidate& c : shortlist) entries.push_back({c, entries.size()});
    candidate_heap<entry> waiting(std::move(entries));
    std::vector<factor_row> rows(shortlist.size());
    const auto lags = [&](entry& first, const std::vector<candidate>&) {
      const index_t i = first.row.row;
      factor_row& row = rows[first.place];
      if (row.values.empty()) row = load(i);
      if (row.columns == columns_.size()) return false;
      extend(kernel_.point(i), row);
      first.row.score = gain(i, row.variance);
      return true;
    };
    return lazy_chain(waiting, rival, left, lags, [&](const entry& first) {
      add_column(first.row.score, kernel_.point(first.row.row), std::move(rows[first.place]));
      ++chained_;
    });
  }

  void lower_by(std::span<const pick_values> picks) override {
    for (const pick_values& pick : picks) {
      const float* const point =
          brought_.emplace_back(pick.point, pick.point + kernel_.cols()).data();  // a column keeps it
      factor_row row{{}, 0, kernel_.self_of(point)};
      extend(point, row);
      add_column(pick.gain, point, std::move(row));
    }
    add_columns();
  }

  void retire(index_t row) override { gain_[std::size_t(row)] = retired; }

  std::unique_ptr<gain_model> of_shortlist(matrix_view<const float> points,
                                           const std::vector<float>&) const override {
    auto some = std::make_unique<pivoted_cholesky>(on_, points, vector_view<const float>{}, as_given_);
    std::vector<pick_values> picks;
    for (const column& pick : columns_) picks.push_back({pick.point, 1});
    some->lower_by(picks);
    return some;
  }

 private:
  /// A pick that lowers gains: p_t of column t, and the factor's row of it up to there.
  struct column {
    const float* point;
    double inverse;  // of its standard deviation
    std::vector<float> factor;
  };

  /// A row of the factor, with room for a whole number of blocks.
  struct factor_row {
    std::vector<float> values;
    std::size_t columns = 0;
    double variance = 0;
  };

  /// Columns 16 k, ..., 16 k + 15 of the factor for all rows, row after row.
  using block = std::vector<float, line_allocator<float>>;

  float gain(index_t row, double variance) const {
    if (variance <= rounding_share * double(self_[std::size_t(row)])) return 0;
    const double quality = quality_.empty() ? 1.0 : double(quality_[row]);
    return float(quality * quality * variance);
  }

  /// The next element of a row of the factor: `known` is K less the product over whole blocks; of the block at
  /// hand the first `within` columns are there, of the row and of the pick.
  static float element(double known, const float* of_row, const float* of_pick, index_t within,
                       double inverse) {
    for (index_t s = 0; s < within; ++s) known -= double(of_row[s]) * double(of_pick[s]);
    return float(known * inverse);
  }

  static double less_explained(double variance, float element) {
    return std::max(0.0, variance - double(element) * double(element));
  }

  factor_row load(index_t i) const {
    factor_row row{std::vector<float>(std::size_t(block_columns) * (columns_.size() / block_columns + 1)),
                   swept_, variance_[std::size_t(i)]};
    for (std::size_t k = 0; k < factor_.size(); ++k)
      std::copy_n(factor_[k].data() + i * block_columns, block_columns, row.values.begin() + k * block_columns);
    return row;
  }

  /// Takes a pick whose row of the factor is complete.
  void add_column(float gain, const float* point, factor_row&& row) {
    if (gain > 0) columns_.push_back({point, 1 / std::sqrt(row.variance), std::move(row.values)});
  }

  /// Takes a pick that no chain has made.
  void take(const candidate& pick) {
    factor_row row = load(pick.row);
    extend(kernel_.point(pick.row), row);
    add_column(pick.score, kernel_.point(pick.row), std::move(row));
  }

  /// Adds the columns that the row lacks.
  void extend(const float* x, factor_row& row) {
    row.values.resize(std::size_t(block_columns) * (columns_.size() / block_columns + 1));
    const float *points[block_columns], *factors[block_columns];
    float similar[block_columns], explained[block_columns];
    while (row.columns < columns_.size()) {
      const index_t begin = whole_blocks(row.columns) * block_columns, from = index_t(row.columns);
      const index_t to = std::min<index_t>(index_t(columns_.size()), begin + block_columns);
      for (index_t t = from; t < to; ++t) {
        points[t - from] = columns_[std::size_t(t)].point;
        factors[t - from] = columns_[std::size_t(t)].factor.data();
      }
      kernel_.row(x, {points, to - from}, similar);
      canonical_dots(row.values.data(), {factors, to - from}, begin, explained);
      for (index_t t = from; t < to; ++t) {
        float* const within = row.values.data() + begin;
        within[t - begin] = element(double(similar[t - from]) - double(explained[t - from]), within,
                                    factors[t - from] + begin, t - begin, columns_[std::size_t(t)].inverse);
        row.variance = less_explained(row.variance, within[t - begin]);
      }
      row.columns = std::size_t(to);
    }
  }

  /// A thread's room for one tile.
  struct scratch {
    packed_rows rows;
    std::vector<float> explained;
  };

  /// Adds the columns of the picks since the last sweep to every row.
  void add_columns() {
    if (swept_ == columns_.size()) return;
    const index_t first = whole_blocks(swept_), end = whole_blocks(columns_.size() - 1) + 1;
    std::vector<packed_rows> picks;  // those of each new block, up to the block
    for (index_t k = first; k < end; ++k) {
      const auto [from, to] = new_columns(k);
      picks.emplace_back(k * block_columns, to - from, right_group);
      for (index_t t = from; t < to; ++t) picks.back().add(columns_[std::size_t(t)].factor.data());
    }
    while (index_t(factor_.size()) < end) factor_.emplace_back(std::size_t(kernel_.rows() * block_columns));
    per_thread rooms(on_, kernel_.rows(), tile_height,
                     scratch{{(end - 1) * block_columns, tile_height, left_group},
                             std::vector<float>(std::size_t(tile_height * block_columns))});
    parallel_blocks(on_, kernel_.rows(), tile_height, [&](index_t, index_t begin, index_t last) {
      scratch& room = rooms.mine();
      room.rows.resize(last - begin);
      for (index_t k = 0; k < first; ++k) pack(k, begin, last, room.rows);
      for (index_t k = first; k < end; ++k) {
        if (k > 0)
          dot_table(room.rows, picks[std::size_t(k - first)], room.explained.data(), block_columns);
        else
          std::fill(room.explained.begin(), room.explained.end(), 0.0f);
        add_block(k, begin, last, room.explained.data());
        if (k + 1 < end) pack(k, begin, last, room.rows);
      }
    });
    swept_ = columns_.size();
  }

  struct column_range {
    index_t from, to;
  };
  column_range new_columns(index_t k) const {
    return {std::max(index_t(swept_), k * block_columns),
            std::min(index_t(columns_.size()), (k + 1) * block_columns)};
  }

  /// Hands block k of the tile's rows to the products.
  void pack(index_t k, index_t begin, index_t end, packed_rows& rows) const {
    for (index_t g = 0; g < rows.groups(); ++g) {
      const index_t i = begin + g * left_group;
      std::copy_n(factor_[std::size_t(k)].data() + i * block_columns,
                  std::min(left_group, end - i) * block_columns, rows.step(g, k));
    }
  }

  /// The new columns of block k for a tile of rows; explained [rows, 16] is the product over the blocks before.
  void add_block(index_t k, index_t begin, index_t end, const float* explained) {
    const auto [from, to] = new_columns(k);
    for (index_t t = from; t < to; ++t) {
      const column& pick = columns_[std::size_t(t)];
      const index_t within = t - k * block_columns;
      float similar[tile_height];
      kernel_.column(begin, end, pick.point, similar);
      for (index_t i = begin; i < end; ++i) {
        float* const row = factor_[std::size_t(k)].data() + i * block_columns;
        const float explained_here = explained[(i - begin) * block_columns + t - from];
        row[within] = element(double(similar[i - begin]) - double(explained_here), row,
                              pick.factor.data() + k * block_columns, within, pick.inverse);
        double& variance = variance_[std::size_t(i)];
        variance = less_explained(variance, row[within]);
      }
    }
  }

  cpu on_;
  dpp_kernel as_given_;
  kernel_of_rows kernel_;
  vector_view<const float> quality_;
  std::vector<float> self_;       // K(x, x)
  std::vector<double> variance_;  // given the picks up to swept_
  std::vector<float> gain_;
  std::vector<column> columns_;             // one for each pick that lowers gains
  std::deque<std::vector<float>> brought_;  // the values of picks that are not by row
  std::vector<block> factor_;               // its first swept_ columns are there
  std::size_t swept_ = 0, chained_ = 0;     // picks that a chain has taken since the last sweep
};

// Rows whose distances stand for those of all.
constexpr index_t most_sampled = 512;

double sampled_median_distance(matrix_view<const float> points) {
  const index_t rows = std::min(points.rows, most_sampled);
  std::vector<const float*> sample;
  for (index_t i = 0; i < rows; ++i) sample.push_back(points.row(i * points.rows / rows));
  std::vector<float> apart(sample.size()), distances;
  for (index_t i = 0; i < rows; ++i) {
    canonical_squared_distances(sample[std::size_t(i)], {sample.data(), i}, points.cols, apart.data());
    std::copy_if(apart.begin(), apart.begin() + i, std::back_inserter(distances),
                 [](float d) { return d > 0; });
  }
  if (distances.empty()) return 1;
  const auto median = distances.begin() + index_t(distances.size() / 2);
  std::nth_element(distances.begin(), median, distances.end());
  return std::sqrt(double(*median));
}

void check_bandwidth(const dpp_kernel& kernel) {
  if (kernel.bandwidth >= 0 && kernel.bandwidth <= std::numeric_limits<double>::max()) return;
  throw value_error("dpp: the bandwidth is " + std::to_string(kernel.bandwidth) +
                    "; it needs a positive number, or 0 for the median distance");
}

}  // namespace

double median_distance(const where& on, point_rows points) {
  require_cpu(on, "median_distance");
  return sampled_median_distance(points.require_distances(on, "median_distance", "points"));
}

std::unique_ptr<gain_model> dpp_model(cpu on, matrix_view<const float> points, vector_view<const float> quality,
                                      dpp_kernel kernel) {
  if (kernel.kind == dpp_similarity::rbf && kernel.bandwidth == 0)
    kernel.bandwidth = sampled_median_distance(points);
  return std::make_unique<pivoted_cholesky>(on, points, quality, kernel);
}

std::vector<candidate> dpp_over_ranks(const rank_rows& mine, const allowance& limit, dpp_kernel kernel,
                                      batch_run* run) {
  check_bandwidth(kernel);
  if (kernel.kind == dpp_similarity::rbf && kernel.bandwidth == 0) {
    if (mine.ranks.pool_rows < 0)
      throw value_error(
          "dpp: over ranks the median distance is not looked for yet among the rows that are left when "
          "some cannot be judged; give a bandwidth, or mend the rows");
    std::vector<index_t> sample;
    const index_t rows = std::min(mine.ranks.pool_rows, most_sampled);
    for (index_t i = 0; i < rows; ++i) sample.push_back(i * mine.ranks.pool_rows / rows);
    const std::vector<float> values = values_of(mine, sample);
    kernel.bandwidth =
        sampled_median_distance({values.data(), rows, rows > 0 ? index_t(values.size()) / rows : 0});
  }
  pivoted_cholesky gains(mine.on, mine.points, {}, kernel);
  return batches_over_ranks(gains, mine, limit, run);
}

std::vector<candidate> dpp(const where& on, point_rows points, const allowance& limit,
                           vector_view<const float> quality, dpp_kernel kernel, batch_run* run) {
  const cpu host = require_cpu(on, "dpp");
  check_row_values(on, "dpp", "quality", quality, points.rows());
  check_bandwidth(kernel);
  check_allowance("dpp", limit, points.rows());
  refuse_per_cost("dpp", limit);
  check_begin("dpp", run, limit, points.rows());
  // The rows come last: to look through them costs a read of them all.
  const finite_rows finite = points.require_distances(on, "dpp", "points");
  return threshold_batches(*dpp_model(host, finite, quality, kernel), limit, run);
}

}  // namespace poolwise
