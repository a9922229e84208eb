#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/query/detail/mean_cosine.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/detail/rows_beside.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

/// The metric B of x' B y, the covariance of two rows given others, whose own covariance is x' y + noise where
/// they are one row. Each row that is given takes its share of B.
class covariance {
 public:
  covariance(index_t cols, double noise) : cols_(cols), noise_(noise), values_(std::size_t(cols * cols), 0.0) {
    for (index_t c = 0; c < cols; ++c) values_[std::size_t(c * cols + c)] = 1;
  }

  /// c such that x' B x falls by (x' c)^2 where row `u` is given.
  std::vector<double> give(const double* u) {
    std::vector<double> c(std::size_t(cols_), 0.0);
    double variance = noise_;
    for (index_t r = 0; r < cols_; ++r) {
      for (index_t k = 0; k < cols_; ++k) c[std::size_t(r)] += values_[std::size_t(r * cols_ + k)] * u[k];
      variance += u[r] * c[std::size_t(r)];
    }
    const double scale = variance > 0 ? 1 / std::sqrt(variance) : 0;
    for (double& value : c) value *= scale;
    for (index_t r = 0; r < cols_; ++r)
      for (index_t k = 0; k < cols_; ++k)
        values_[std::size_t(r * cols_ + k)] -= c[std::size_t(r)] * c[std::size_t(k)];
    return c;
  }

  /// B = (1 - share) I + share B.
  void lessen(double share) {
    for (index_t r = 0; r < cols_; ++r)
      for (index_t k = 0; k < cols_; ++k) {
        double& value = values_[std::size_t(r * cols_ + k)];
        value = share * value + (r == k ? 1 - share : 0);
      }
  }

  double variance(const float* x, double scale) const {
    double sum = 0;
    for (index_t r = 0; r < cols_; ++r) sum += double(x[r]) * row_dot(x, values_.data() + r * cols_, cols_);
    return sum * scale * scale;
  }

 private:
  index_t cols_;
  double noise_;
  std::vector<double> values_;
};

/// The variance of each row given some others, with noise.
class variances {
 public:
  /// given  rows of directions, or of values, cols of them each
  /// share  of what they tell that counts
  variances(const stage_input& x, double noise, const std::vector<double>& given, double share)
      : on_(host_of(x.on)),
        rows_(*x.pool.embeddings),
        noise_(noise),
        given_(rows_.cols, noise),
        variance_(std::size_t(rows_.rows)) {
    for (std::size_t g = 0; g < given.size(); g += std::size_t(rows_.cols)) given_.give(given.data() + g);
    given_.lessen(share);
  }

  /// Before any pick; scales [rows] are what rows are multiplied by.
  void begin(const std::vector<double>& scales, bool none_given) {
    for_rows([&](index_t i) {
      const double scale = scales[std::size_t(i)];
      const double own = none_given ? scale * scale * row_dot(rows_.row(i), rows_.row(i), rows_.cols)
                                    : given_.variance(rows_.row(i), scale);
      variance_[std::size_t(i)] = noise_ + std::max(0.0, own);
    });
  }

  void take(const std::vector<double>& scales, const std::vector<double>& u) {
    const std::vector<double> c = given_.give(u.data());
    for_rows([&](index_t i) {
      const double part = scales[std::size_t(i)] * row_dot(rows_.row(i), c.data(), rows_.cols);
      double& now = variance_[std::size_t(i)];
      now = std::max(noise_, now - part * part);
    });
  }

  double operator[](index_t i) const { return variance_[std::size_t(i)]; }

 private:
  template <class Body>
  void for_rows(Body body) const {
    parallel_blocks(on_, rows_.rows, 256, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) body(i);
    });
  }

  cpu on_;
  matrix_view<const float> rows_;
  double noise_;
  covariance given_;
  std::vector<double> variance_;
};

/// The values of rows that are one by one given, too.
class determinant {
 public:
  determinant(const stage_input& x, bool by_direction, double noise)
      : x_(x), rows_(*x.pool.embeddings), noise_(noise), scales_(std::size_t(rows_.rows), 1.0) {
    if (!by_direction) return;
    for (index_t i = 0; i < rows_.rows; ++i) scales_[std::size_t(i)] = inverse_length(rows_.row(i), rows_.cols);
  }

  void given(const std::vector<double>& rows, double share = 1) {
    parts_.emplace_back(x_, noise_, rows, share);
    parts_.back().begin(scales_, rows.empty());
  }

  void take(index_t row) {
    std::vector<double> u;
    for (index_t c = 0; c < rows_.cols; ++c) u.push_back(scales_[std::size_t(row)] * double(rows_(row, c)));
    for (variances& part : parts_) part.take(scales_, u);
  }

  /// The variance of each row, or its logarithm, less that of the second part.
  vector_view<const float> values(bool logarithm) {
    values_.resize(scales_.size());
    parallel_blocks(host_of(x_.on), rows_.rows, 1024, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) {
        const double first = parts_[0][i];
        double value = logarithm ? fixed_log(first) : first;
        if (parts_.size() > 1) value -= fixed_log(parts_[1][i]);
        values_[std::size_t(i)] = float(value);
      }
    });
    return {values_.data(), rows_.rows};
  }

 private:
  const stage_input& x_;
  matrix_view<const float> rows_;
  double noise_;
  std::vector<double> scales_;  // [rows]
  std::vector<variances> parts_;
  std::vector<float> values_;
};

double noise_of(const stage_input& x, double unit = 1) {
  const double noise = x.what->given["noise"] * unit;
  return noise * noise;
}

/// D-optimal rows.
class max_determinant : public determinant {
 public:
  explicit max_determinant(const stage_input& x) : determinant(x, false, noise_of(x, x.unit)) {
    std::vector<double> rows;
    for (index_t i = 0; i < x.labelled.rows; ++i)
      for (index_t c = 0; c < x.labelled.cols; ++c) rows.push_back(double(x.labelled(i, c)));
    given(rows);
  }
  vector_view<const float> values() { return determinant::values(false); }
};

class query_determinant : public determinant {
 public:
  explicit query_determinant(const stage_input& x) : determinant(x, true, noise_of(x)) {
    check_queries("logdetmi", x);
    const double eta = x.what->given["eta"];
    given({});
    given(directions(*x.pool.queries), eta * eta);
  }
  vector_view<const float> values() { return determinant::values(true); }
};

class private_determinant : public determinant {
 public:
  explicit private_determinant(const stage_input& x) : determinant(x, true, noise_of(x)) {
    check_private("logdetcg", x);
    const double nu = x.what->given["nu"];
    given(directions(*x.pool.private_rows), nu * nu);
  }
  vector_view<const float> values() { return determinant::values(true); }
};

class query_and_private_determinant : public determinant {
 public:
  explicit query_and_private_determinant(const stage_input& x) : determinant(x, true, noise_of(x)) {
    check_queries("logdetcmi", x);
    check_private("logdetcmi", x);
    std::vector<double> rows = directions(*x.pool.private_rows);
    given(rows);
    const std::vector<double> queries = directions(*x.pool.queries);
    rows.insert(rows.end(), queries.begin(), queries.end());
    given(rows);
  }
  vector_view<const float> values() { return determinant::values(true); }
};

std::uint64_t bytes_of(const strategy_size& size, std::uint64_t parts) {
  const std::uint64_t beside = size.labelled * size.features * sizeof(double);
  return size.rows * ((1 + parts) * sizeof(double) + sizeof(float) + 1) +
         (parts + 1) * size.features * (size.features + 2) * sizeof(double) + 2 * beside;
}
std::uint64_t bytes(const strategy_size& size) { return bytes_of(size, 2); }

constexpr parameter noise(double standard) {
  return {"noise", standard, above(0), "standard deviation of what is added to each row's own covariance"};
}

}  // namespace

/// Rows that the others explain least: the determinant of a linear kernel with noise on its diagonal, of the
/// picks; less what queries and private rows explain of it, by directions.
std::vector<strategy_entry> strategies_of_log_determinants() {
  return {
      {.name = "maxdet",
       .kind = "diversity",
       .formula = "max det(X X' + noise^2 I) of labelled and picked rows",
       .source = "Fedorov 1972; Holzmueller et al. 2023",
       .on_devices = "none",
       .needs = part::embeddings,
       .does = trait::counts_labelled,
       .parameters = {noise(1)},
       .aliases = {"doptimal", "doptimality"},
       .pick = [](const stage_input& x,
                  batch_run& run) { return pick_one_by_one<largest_value<max_determinant>>("maxdet", x, run); },
       .reason = "largest variance left by labelled and picked rows",
       .bytes = bytes},
      {.name = "logdetmi",
       .kind = "diversity",
       .formula = "max ln det S_A - ln det(S_A - eta^2 S_AQ S_Q^-1 S_QA); S: cosines + noise^2 I",
       .source = "Kothawade et al. 2021",
       .on_devices = "none",
       .needs = part::embeddings | part::queries,
       .parameters = {{"eta", 1, between(0, 1), "how much of what the queries tell counts"}, noise(0.1)},
       .pick =
           [](const stage_input& x, batch_run& run) {
             return pick_one_by_one<largest_value<query_determinant>>("logdetmi", x, run);
           },
       .reason = "tells most of the queries beside the picks",
       .bytes = bytes},
      {.name = "logdetcg",
       .kind = "diversity",
       .formula = "max ln det(S_A - nu^2 S_AP S_P^-1 S_PA); S as for logdetmi, P the private rows",
       .source = "Kothawade et al. 2021",
       .on_devices = "none",
       .needs = part::embeddings | part::private_rows,
       .parameters = {{"nu", 1, between(0, 1), "how much of what the private rows tell counts"}, noise(0.1)},
       .pick =
           [](const stage_input& x, batch_run& run) {
             return pick_one_by_one<largest_value<private_determinant>>("logdetcg", x, run);
           },
       .reason = "least explained by private and picked rows",
       .bytes = bytes},
      {.name = "logdetcmi",
       .kind = "diversity",
       .formula = "max ln det S_A|P - ln det S_A|P,Q, of what is left given P, and P and Q; S as for logdetmi",
       .source = "Kothawade et al. 2021",
       .on_devices = "none",
       .needs = part::embeddings | part::queries | part::private_rows,
       .parameters = {noise(0.1)},
       .pick =
           [](const stage_input& x, batch_run& run) {
             return pick_one_by_one<largest_value<query_and_private_determinant>>("logdetcmi", x, run);
           },
       .reason = "tells most of the queries beside the private rows and the picks",
       .bytes = bytes}};
}

}  // namespace poolwise
