#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/query/detail/labelled_kernel.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

/// Calls body(row, counts) with the labels about each row, by class: how many there are by the kernel. NaN
/// where the row is not finite.
template <class Body>
void for_each_counts(const labelled_kernel& kernel, Body body) {
  kernel.for_each_block([&](index_t begin, index_t rows, const double* k) {
    std::vector<double> counts(std::size_t(kernel.classes().count));
    for (index_t i = 0; i < rows; ++i) {
      std::fill(counts.begin(), counts.end(), 0.0);
      for (index_t l = 0; l < kernel.count(); ++l)
        counts[std::size_t(kernel.classes().of[std::size_t(l)])] += k[i * kernel.stride() + l];
      body(begin + i, counts);
    }
  });
}

/// What up to `labels` more labels of a row are expected to lower the error by, a label. The classes' shares
/// have a Dirichlet distribution, of the counts and a prior of each.
class label_gain {
 public:
  label_gain(const std::vector<double>& counts, double prior) : k_(counts), prior_(prior) {
    for (const double one : k_) total_ += one + prior;
    first_ = index_t(std::max_element(k_.begin(), k_.end()) - k_.begin());
  }

  double best(index_t labels) {
    const double now = error(k_[std::size_t(first_)], 0);
    double most = -std::numeric_limits<double>::infinity();
    for (index_t m = 1; m <= labels; ++m) {
      expected_ = 0;
      double draws = 1;
      for (index_t n = 0; n < m; ++n) draws *= double(n + 1) / (total_ + double(n));
      add(0, m, m, draws, first_, k_[std::size_t(first_)]);
      most = std::max(most, (now - expected_) / double(m));
    }
    return most;
  }

 private:
  double error(double count, index_t labels) const { return 1 - (count + prior_) / (total_ + double(labels)); }

  /// All ways in which `left` labels fall on the classes from `c` on; `chance` so far, and the class that
  /// leads.
  void add(index_t c, index_t left, index_t labels, double chance, index_t leader, double leads) {
    if (left == 0) {
      expected_ += chance * error(leads, labels);
      return;
    }
    for (; c < index_t(k_.size()); ++c) {
      double own = chance;
      for (index_t n = 1; n <= left; ++n) {
        own *= (k_[std::size_t(c)] + prior_ + double(n - 1)) / double(n);
        const double count = k_[std::size_t(c)] + double(n);
        const bool overtakes = count > leads || (count == leads && c < leader) || c == leader;
        add(c + 1, left - n, labels, own, overtakes ? c : leader, overtakes ? count : leads);
      }
    }
  }

  const std::vector<double>& k_;
  double prior_, total_ = 0, expected_ = 0;
  index_t first_ = 0;
};

void score_gain(const stage_input& x, vector_view<float> scores) {
  const labelled_kernel kernel("mc_pal", x);
  const double prior = x.what->given["prior"];
  const index_t labels = x.what->given.count("labels");
  double ways = 1;
  for (index_t n = 0; n < labels; ++n) ways *= double(kernel.classes().count + n) / double(n + 1);
  if (ways > 1e5)
    throw value_error("mc_pal: " + std::to_string(labels) + " labels of " +
                      std::to_string(kernel.classes().count) +
                      " classes fall in more than 100000 ways on each row; take mc_pal(labels=1)");
  for_each_counts(kernel, [&](index_t i, const std::vector<double>& counts) {
    scores[i] = std::isfinite(counts[0]) ? float(label_gain(counts, prior).best(labels))
                                         : std::numeric_limits<float>::quiet_NaN();
  });
}

/// How far labels `with` and `against` a class leave it plausible: the largest over q of the less of the
/// relative likelihood of q and of 2 q - 1. The first falls from its peak on, the other rises.
double plausibility(double with, double against) {
  const double all = with + against;
  if (!(all > 0)) return 1;
  const double peak = with / all;
  const auto likelihood = [&](double q) {
    double log = 0;
    if (with > 0) log += with * (fixed_log(q) - fixed_log(peak));
    if (against > 0) log += against * (fixed_log(1 - q) - fixed_log(1 - peak));
    return fixed_exp(log);
  };
  if (!(against > 0)) return 1;
  double low = std::max(peak, 0.5), high = 1;
  for (int step = 0; step < 60; ++step) {
    const double q = (low + high) / 2;
    (q < 1 && likelihood(q) > 2 * q - 1 ? low : high) = q;
  }
  return std::max(0.0, 2 * low - 1);
}

void score_epistemic(const stage_input& x, vector_view<float> scores) {
  const labelled_kernel kernel("epistemic", x);
  for_each_counts(kernel, [&](index_t i, const std::vector<double>& counts) {
    double all = 0, most = 0;
    for (const double one : counts) all += one;
    for (const double one : counts)
      most = std::max(most, std::min(plausibility(one, all - one), plausibility(all - one, one)));
    scores[i] = std::isfinite(all) ? float(most) : std::numeric_limits<float>::quiet_NaN();
  });
}

/// Unseen rows of any label are real numbers here, which are chosen best; so they drop out, and what is left is
/// a Gaussian process of the labelled rows: its mean and variance of the row.
void score_quire(const stage_input& x, vector_view<float> scores) {
  const labelled_kernel kernel("quire", x);
  const double lambda = x.what->given["lambda"];
  const index_t count = kernel.count(), stride = kernel.stride();
  const index_t sides =
      kernel.classes().count == 2 ? 1 : kernel.classes().count;  // of two the other is its negative
  symmetric own(count);
  for (index_t l = 0; l < count; ++l)
    for (index_t m = 0; m < count; ++m) own.at(l, m) = kernel.between(l, m) + (l == m ? lambda : 0);
  const symmetric inverse = count > 0 ? inverse_of(host_of(x.on), "quire", std::move(own)) : symmetric(0);
  std::vector<double> weight(std::size_t(sides * count), 0.0), known(std::size_t(sides), 0.0);
  const auto side = [&](index_t c, index_t l) { return kernel.classes().of[std::size_t(l)] == c ? 1.0 : -1.0; };
  for (index_t c = 0; c < sides; ++c)
    for (index_t l = 0; l < count; ++l) {
      double& sum = weight[std::size_t(c * count + l)];
      for (index_t m = 0; m < count; ++m) sum += inverse.at(l, m) * side(c, m);
      known[std::size_t(c)] += side(c, l) * sum;
    }
  kernel.for_each_block([&](index_t begin, index_t rows, const double* k) {
    std::vector<double> product(std::size_t(rows * stride), 0.0);
    if (count > 0) add_products({k, stride, 1}, inverse.view(), {product.data(), rows, stride});
    for (index_t i = 0; i < rows; ++i) {
      double variance = 1 + lambda, most = -std::numeric_limits<double>::infinity();
      for (index_t l = 0; l < count; ++l) variance -= k[i * stride + l] * product[std::size_t(i * stride + l)];
      variance = std::max(variance, lambda);
      bool sound = all_finite(x.pool.embeddings->row(begin + i), x.pool.embeddings->cols);
      for (index_t c = 0; c < sides; ++c) {
        double mean = 0;
        for (index_t l = 0; l < count; ++l) mean += k[i * stride + l] * weight[std::size_t(c * count + l)];
        const double off = 1 + std::abs(mean);
        most = std::max(most, known[std::size_t(c)] + off * off / variance);
      }
      scores[begin + i] = sound ? float(-most) : std::numeric_limits<float>::quiet_NaN();
    }
  });
}

std::uint64_t counts_bytes(const strategy_size& size) {
  return labelled_kernel_bytes(size) + std::uint64_t(threads_of(cpu{})) * (size.labelled + 2) * sizeof(double);
}

std::uint64_t quire_bytes(const strategy_size& size) {
  return labelled_kernel_bytes(size) + linear_model_bytes(size.labelled, 2) +
         (std::uint64_t(threads_of(cpu{})) * 32 * (size.labelled + 8) + size.labelled * (size.labelled + 2)) *
             sizeof(double);
}

const parameter bandwidth{"bandwidth", 0, at_least(0),
                          "s of exp(-d^2 / 2 s^2); 0: the root of the mean d^2 between rows"};

}  // namespace

/// By the labels that are near a row, in a Gaussian's measure.
std::vector<strategy_entry> strategies_of_parzen() {
  const traits does = trait::counts_labelled | trait::compares_rows;
  return {
      {.name = "mc_pal",
       .kind = "acquisition",
       .formula = "max_m (error now - expected error with m labels more) / m, by Dirichlet(k + prior), k_c = "
                  "sum exp(-d^2 / 2 s^2) of the rows of class c; weighted: density(mc_pal)",
       .source = "Kottke et al. 2016",
       .on_devices = "none",
       .needs = part::embeddings | part::labels,
       .does = does,
       .parameters = {bandwidth,
                      {"labels", 1, {1, 3, false, true}, "m goes up to it"},
                      {"prior", 1, above(0), "labels of each class that count as seen"}},
       .aliases = {"mcpal", "probabilistical"},
       .score = score_gain,
       .bytes = counts_bytes},
      {.name = "epistemic",
       .kind = "acquisition",
       .formula =
           "max_c min over c and the rest of sup_q min(L(q) / max L, 2 q - 1), L of the labels near a row, as "
           "mc_pal counts them",
       .source = "Senge et al. 2014; Nguyen et al. 2019",
       .on_devices = "none",
       .needs = part::embeddings | part::labels,
       .does = does,
       .parameters = {bandwidth},
       .aliases = {"epistemicuncertainty"},
       .score = score_epistemic,
       .bytes = counts_bytes},
      {.name = "quire",
       .kind = "acquisition",
       .formula = "-max_y of [y_l; y]' (K + lambda I)^-1 [y_l; y] = -(1 + |f|)^2 / v, f and v a Gaussian "
                  "process's mean and variance; of classes the worst against the rest",
       .source = "Huang et al. 2010",
       .on_devices = "none",
       .needs = part::embeddings | part::labels,
       .does = does,
       .parameters = {bandwidth, {"lambda", 1, above(0), "added to K's diagonal"}},
       .score = score_quire,
       .bytes = quire_bytes}};
}

}  // namespace poolwise
