#include "poolwise/metrics/learning_curve_fit.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <unsupported/Eigen/NonLinearOptimization>
#include <unsupported/Eigen/NumericalDiff>
#include <utility>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

constexpr stream curve_stream{20}, fall_stream{21};
constexpr index_t fall_draws = 499;

using numbers = Eigen::ArrayXd;

double power(double x, double exponent) { return fixed_exp(exponent * fixed_log(x)); }

/// What is left of the gap at n = x scale.
double left(curve_law law, double x, double exponent) {
  switch (law) {
    case curve_law::pow3:
      return power(x, -exponent);
    case curve_law::exp3:
      return fixed_exp(-x);
    case curve_law::pow4:
      return power(1 + x, -exponent);
    case curve_law::mmf4:
      return 1 / (1 + power(x, exponent));
    case curve_law::wbl4:
      break;
  }
  return fixed_exp(-power(x, exponent));
}

/// The x at which `share` of the gap is left: the inverse of left().
double place_of(curve_law law, double share, double exponent) {
  switch (law) {
    case curve_law::pow3:
      return power(share, -1 / exponent);
    case curve_law::exp3:
      return -fixed_log(share);
    case curve_law::pow4:
      return power(share, -1 / exponent) - 1;
    case curve_law::mmf4:
      return power((1 - share) / share, 1 / exponent);
    case curve_law::wbl4:
      break;
  }
  return power(-fixed_log(share), 1 / exponent);
}

bool has_exponent(curve_law law) { return law != curve_law::exp3; }
bool has_scale(curve_law law) { return law != curve_law::pow3; }

struct range_of_logs {
  double least, most;
  double clamp(double x) const { return std::clamp(x, least, most); }
};

/// Fits one law to accuracies at the same labels and variances.
class law_fitter {
 public:
  law_fitter(curve_law law, numbers labels, const numbers& variance)
      : law_(law), labels_(std::move(labels)), weights_(variance.inverse()) {
    const double first = labels_[0], last = labels_[labels_.size() - 1];
    scales_ = {fixed_log(first * (law == curve_law::exp3 ? 0.05 : 0.001)), fixed_log(last * 20)};
    const bool power_law = law == curve_law::pow3 || law == curve_law::pow4;
    exponents_ = {fixed_log(power_law ? 0.05 : 0.2), fixed_log(5.0)};
    if (!has_scale(law)) scales_ = {fixed_log(first), fixed_log(first)};
    if (!has_exponent(law)) exponents_ = {0, 0};
    fill_grid();
  }

  /// From the best `starts` places of the grid, and from `near` where that is given.
  fitted_law fit(const numbers& accuracy, std::size_t starts, const fitted_law* near = nullptr) const {
    std::vector<std::pair<double, std::size_t>> order;
    for (std::size_t i = 0; i < grid_.size(); ++i)
      order.emplace_back(solved(grid_[i].left, accuracy).deviance, i);
    starts = std::min(starts, order.size());
    std::partial_sort(order.begin(), order.begin() + std::ptrdiff_t(starts), order.end());
    std::optional<fitted_law> best;
    const auto take = [&](double scale, double exponent) {
      fitted_law found = descended(scale, exponent, accuracy);
      if (!best || found.deviance < best->deviance) best = found;
    };
    if (near != nullptr) take(fixed_log(near->scale), fixed_log(near->exponent));
    for (std::size_t i = 0; i < starts; ++i)
      take(grid_[order[i].second].scale, grid_[order[i].second].exponent);
    return *best;
  }

 private:
  struct place {
    double scale, exponent;  // their logarithms
    numbers left;
  };

  /// The residuals as a function of scale and exponent, for Levenberg-Marquardt.
  struct residuals {
    using Scalar = double;
    enum { InputsAtCompileTime = Eigen::Dynamic, ValuesAtCompileTime = Eigen::Dynamic };
    using InputType = Eigen::VectorXd;
    using ValueType = Eigen::VectorXd;
    using JacobianType = Eigen::MatrixXd;

    const law_fitter* of;
    const numbers* accuracy;

    int inputs() const { return parameters_of(of->law_) - 2; }
    int values() const { return int(accuracy->size()); }
    int operator()(const InputType& shape, ValueType& out) const {
      const place p = of->place_at(shape);
      const fitted_law law = of->solved(p.left, *accuracy);
      out = ((law.ceiling - law.gap * p.left - *accuracy) * of->weights_.sqrt()).matrix();
      return 0;
    }
  };

  void fill_grid() {
    const auto steps = [](const range_of_logs& range, int count) {
      std::vector<double> places;
      if (range.least == range.most) return std::vector<double>{range.least};
      for (int i = 0; i < count; ++i)
        places.push_back(range.least + (range.most - range.least) * (i + 0.5) / count);
      return places;
    };
    for (const double scale : steps(scales_, 12))
      for (const double exponent : steps(exponents_, 8)) grid_.push_back(at(scale, exponent));
  }

  place at(double scale, double exponent) const {
    place p{scales_.clamp(scale), exponents_.clamp(exponent), numbers(labels_.size())};
    const double unit = fixed_exp(p.scale), e = fixed_exp(p.exponent);
    for (Eigen::Index i = 0; i < labels_.size(); ++i) p.left[i] = left(law_, labels_[i] / unit, e);
    return p;
  }

  place place_at(const Eigen::VectorXd& shape) const {
    return at(has_scale(law_) ? shape[0] : scales_.least,
              has_exponent(law_) ? shape[shape.size() - 1] : exponents_.least);
  }

  /// Ceiling and gap by linear least squares within their bounds: the problem is convex, so that a bound which
  /// the free solution breaks holds.
  fitted_law solved(const numbers& share, const numbers& accuracy) const {
    const double total = weights_.sum();
    const double mean_share = (weights_ * share).sum() / total, mean = (weights_ * accuracy).sum() / total;
    const double spread = (weights_ * (share - mean_share).square()).sum();
    fitted_law law;
    law.law = law_;
    law.gap = spread > 0 ? -(weights_ * (share - mean_share) * (accuracy - mean)).sum() / spread : 0;
    law.ceiling = mean + law.gap * mean_share;
    if (law.ceiling > 1) {
      law.ceiling = 1;
      law.gap = (weights_ * share * (1 - accuracy)).sum() / (weights_ * share.square()).sum();
    }
    if (!(law.gap >= 0)) {
      law.gap = 0;
      law.ceiling = mean;
    }
    law.deviance = (weights_ * (law.ceiling - law.gap * share - accuracy).square()).sum();
    return law;
  }

  fitted_law descended(double scale, double exponent, const numbers& accuracy) const {
    Eigen::NumericalDiff<residuals> function(residuals{this, &accuracy});
    Eigen::LevenbergMarquardt<Eigen::NumericalDiff<residuals>> descent(function);
    descent.parameters.maxfev = 200;
    Eigen::VectorXd shape(function.inputs());
    shape[0] = has_scale(law_) ? scale : exponent;
    if (shape.size() > 1) shape[1] = exponent;
    descent.minimize(shape);
    const place p = place_at(shape);
    fitted_law law = solved(p.left, accuracy);
    law.scale = fixed_exp(p.scale);
    law.exponent = fixed_exp(p.exponent);
    return law;
  }

  curve_law law_;
  numbers labels_, weights_;
  range_of_logs scales_{}, exponents_{};
  std::vector<place> grid_;
};

void check(const char* call, std::span<const curve_point> points) {
  const auto refuse = [&](std::size_t i, const std::string& what) {
    throw value_error(std::string(call) + ": point " + std::to_string(i) + " " + what);
  };
  for (std::size_t i = 0; i < points.size(); ++i) {
    const curve_point& p = points[i];
    if (p.labels < 1 || (i > 0 && p.labels <= points[i - 1].labels))
      refuse(i, "has " + std::to_string(p.labels) + " labels; pass numbers of labels that rise from 1 or more");
    if (!(p.accuracy >= 0 && p.accuracy <= 1))
      refuse(i, "has accuracy " + std::to_string(p.accuracy) + "; pass shares from 0 to 1");
    if (p.tested < 0)
      refuse(i, "was tested on " + std::to_string(p.tested) + " items; pass 0 where that is not known");
  }
}

bool all_tested(std::span<const curve_point> points) {
  return std::all_of(points.begin(), points.end(), [](const curve_point& p) { return p.tested > 0; });
}

/// Two more right and two more wrong (Agresti & Coull 1998) keep a test without errors from having no noise.
double binomial_variance(const curve_point& p) {
  const double n = double(p.tested) + 4, share = (p.accuracy * double(p.tested) + 2) / n;
  return share * (1 - share) / n;
}

/// Standard normal.
double drawn(std::uint64_t seed, stream purpose, index_t replicate, std::size_t place) {
  const double u = random_unit(seed, purpose, place, std::uint32_t(replicate)) + 0x1p-54;
  return boost::math::quantile(boost::math::normal(), u);
}

/// The closest curve that never falls: pools of neighbours that contradict are made their mean.
std::vector<double> isotonic(std::span<const double> y, std::span<const double> variance) {
  struct pool {
    double mean, weight;
    std::size_t size;
  };
  std::vector<pool> pools;
  for (std::size_t i = 0; i < y.size(); ++i) {
    pools.push_back({y[i], 1 / variance[i], 1});
    while (pools.size() > 1 && pools[pools.size() - 2].mean >= pools.back().mean) {
      const pool last = pools.back();
      pools.pop_back();
      pool& into = pools.back();
      into.mean = (into.mean * into.weight + last.mean * last.weight) / (into.weight + last.weight);
      into.weight += last.weight;
      into.size += last.size;
    }
  }
  std::vector<double> fitted;
  for (const pool& p : pools) fitted.insert(fitted.end(), p.size, p.mean);
  return fitted;
}

double squared_residuals(std::span<const double> y, std::span<const double> fitted,
                         std::span<const double> variance) {
  double sum = 0;
  for (std::size_t i = 0; i < y.size(); ++i) sum += (y[i] - fitted[i]) * (y[i] - fitted[i]) / variance[i];
  return sum;
}

void weigh(std::vector<fitted_law>& laws, double dispersion, double points, bool known_variance) {
  double least = std::numeric_limits<double>::infinity(), total = 0;
  for (fitted_law& law : laws) {
    const double k = parameters_of(law.law), spare = points - k - 1;
    const double few_points = spare > 0 ? 2 * k * (k + 1) / spare : std::numeric_limits<double>::infinity();
    law.aic = law.deviance / dispersion + 2 * k + (known_variance ? 0 : few_points);
    least = std::min(least, law.aic);
  }
  for (fitted_law& law : laws) total += law.weight = fixed_exp(-(law.aic - least) / 2);
  for (fitted_law& law : laws) law.weight /= total;
}

/// Around each law as many curves as it has weight, each refitted by that law.
std::vector<fitted_law> redrawn(const std::vector<law_fitter>& fitters, const curve_fit& fit,
                                const numbers& labels, const numbers& variance,
                                const curve_fit_options& options) {
  std::vector<fitted_law> replicates;
  std::size_t law = 0;
  double below = fit.laws[0].weight;
  for (index_t r = 0; r < options.replicates; ++r) {
    while (law + 1 < fit.laws.size() && (double(r) + 0.5) / double(options.replicates) > below)
      below += fit.laws[++law].weight;
    const fitted_law& centre = fit.laws[law];
    numbers y(labels.size());
    for (Eigen::Index i = 0; i < y.size(); ++i)
      y[i] = centre.at(labels[i]) +
             std::sqrt(fit.dispersion * variance[i]) * drawn(options.seed, curve_stream, r, std::size_t(i));
    replicates.push_back(fitters[std::size_t(centre.law)].fit(y.max(0.0).min(1.0), 1, &centre));
  }
  return replicates;
}

}  // namespace

const char* name_of(curve_law law) {
  constexpr const char* names[] = {"pow3", "exp3", "pow4", "mmf4", "wbl4"};
  return names[std::size_t(law)];
}

int parameters_of(curve_law law) { return 2 + int(has_scale(law)) + int(has_exponent(law)); }

double fitted_law::at(double labels) const { return ceiling - gap * left(law, labels / scale, exponent); }

std::optional<double> fitted_law::labels_for(double accuracy) const {
  if (accuracy >= ceiling) return std::nullopt;
  const double share = (ceiling - accuracy) / gap;
  if (share >= 1 && law != curve_law::pow3) return 0;
  return scale * place_of(law, share, exponent);
}

double curve_fit::at(double labels) const {
  double mean = 0;
  for (const fitted_law& law : laws) mean += law.weight * law.at(labels);
  return mean;
}

curve_fall find_fall(std::span<const curve_point> points, std::uint64_t seed) {
  check("find_fall", points);
  curve_fall fall;
  if (points.empty() || !all_tested(points)) return fall;
  fall.judged = true;
  std::vector<double> y, variance;
  for (const curve_point& p : points) {
    y.push_back(p.accuracy);
    variance.push_back(binomial_variance(p));
  }
  double most = 0;
  for (std::size_t i = 0; i < y.size(); ++i)
    for (std::size_t j = i + 1; j < y.size(); ++j)
      if (const double z = (y[i] - y[j]) / std::sqrt(variance[i] + variance[j]); z > most) {
        most = z;
        fall.from = points[i].labels;
        fall.to = points[j].labels;
        fall.drop = y[i] - y[j];
      }
  const std::vector<double> centre = isotonic(y, variance);
  const double seen = squared_residuals(y, centre, variance);
  index_t as_bad = 0;
  for (index_t draw = 0; draw < fall_draws; ++draw) {
    for (std::size_t i = 0; i < y.size(); ++i)
      y[i] = centre[i] + std::sqrt(variance[i]) * drawn(seed, fall_stream, draw, i);
    as_bad += squared_residuals(y, isotonic(y, variance), variance) >= seen;
  }
  fall.p = double(1 + as_bad) / double(1 + fall_draws);
  return fall;
}

curve_fit fit_learning_curve(std::span<const curve_point> points, const curve_fit_options& options) {
  if (index_t(points.size()) < least_curve_points)
    throw shape_error("fit_learning_curve: got " + std::to_string(points.size()) +
                      " points; pass at least 5, or label some more rounds first");
  if (options.replicates < 1)
    throw value_error("fit_learning_curve: replicates is " + std::to_string(options.replicates) +
                      "; pass at least 1");
  check("fit_learning_curve", points);
  curve_fit fit;
  fit.points.assign(points.begin(), points.end());
  fit.fall = find_fall(points, options.seed);
  const auto count = Eigen::Index(points.size());
  const bool tested = all_tested(points);
  numbers labels(count), accuracy(count), variance(count);
  for (Eigen::Index i = 0; i < count; ++i) {
    const curve_point& p = points[std::size_t(i)];
    labels[i] = double(p.labels);
    accuracy[i] = p.accuracy;
    variance[i] = tested ? binomial_variance(p) : 1 / double(p.labels);
  }
  std::vector<law_fitter> fitters;
  double dispersion = std::numeric_limits<double>::infinity();
  for (const curve_law law : every_curve_law) {
    fit.laws.push_back(fitters.emplace_back(law, labels, variance).fit(accuracy, 3));
    const double spare = double(count) - parameters_of(law);
    dispersion = std::min(dispersion, fit.laws.back().deviance / spare);
  }
  // No test is less noisy than binomial; a perfect fit leaves rounding.
  fit.dispersion = std::max(dispersion, tested ? 1 : 1e-18);
  weigh(fit.laws, fit.dispersion, double(count), tested);
  std::stable_sort(fit.laws.begin(), fit.laws.end(),
                   [](const fitted_law& a, const fitted_law& b) { return a.weight > b.weight; });
  fit.replicates = redrawn(fitters, fit, labels, variance, options);
  return fit;
}

}  // namespace poolwise
