// Laws of learning curves, fitted to accuracies that were measured, and what they leave open.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// The accuracy on `tested` held-out items of the model that was fitted on `labels`.
struct curve_point {
  index_t labels = 0;
  double accuracy = 0;
  index_t tested = 0;  ///< 0: not known
};

/// accuracy(n) = ceiling - gap g(n), where g falls from 1 to 0: the forms that Viering & Loog 2022
/// and Mohr et al. 2022 (LCDB) write with a, b, c, d.
///
///   pow3  g = (n / scale)^-exponent                  scale is that of the first point, and free of choice
///   exp3  g = e^(-n / scale)
///   pow4  g = (1 + n / scale)^-exponent              a - b (n + d)^-c with d = scale >= 0
///   mmf4  g = 1 / (1 + (n / scale)^exponent)         Morgan-Mercer-Flodin: (a b + c n^d) / (b + n^d)
///   wbl4  g = e^(-(n / scale)^exponent)              Weibull: c - b e^(-a n^d)
enum class curve_law { pow3, exp3, pow4, mmf4, wbl4 };
inline constexpr std::array every_curve_law{curve_law::pow3, curve_law::exp3, curve_law::pow4, curve_law::mmf4,
                                            curve_law::wbl4};
const char* name_of(curve_law law);
int parameters_of(curve_law law);  ///< 3 or 4

struct fitted_law {
  curve_law law = curve_law::pow3;
  double ceiling = 0, gap = 0, scale = 1, exponent = 1;  ///< ceiling <= 1 and gap >= 0: it never falls
  double deviance = 0;                                   ///< sum of squared residuals, each over its variance
  double aic = 0;     ///< deviance over dispersion + 2 parameters, or more for few points
  double weight = 0;  ///< Akaike's, among the laws of the fit: they sum to 1

  double at(double labels) const;
  /// The labels at which it comes to `accuracy`, 0 where it begins above; none where that is not below its
  /// ceiling.
  std::optional<double> labels_for(double accuracy) const;
};

/// Whether a curve falls: no law here does.
struct curve_fall {
  bool judged = false;  ///< not without the number of items tested
  double p = 1;         ///< that noise alone makes a curve which never falls look so bad
  index_t from = 0, to = 0;
  double drop = 0;  ///< of the pair of points that contradicts most

  bool beyond_noise() const { return judged && p < 0.01; }
};

/// Tests that a curve never falls: the squared residuals, over their variances, of the best curve that does not
/// (isotonic regression; Barlow et al. 1972) against those of curves drawn around it with binomial noise. The
/// points are in order of labels. throws as fit_learning_curve, but for their number.
curve_fall find_fall(std::span<const curve_point> points, std::uint64_t seed = 0);

struct curve_fit_options {
  index_t replicates = 200;  ///< of the bootstrap
  std::uint64_t seed = 0;
};

struct curve_fit {
  std::vector<curve_point> points;
  std::vector<fitted_law> laws;        ///< each of them, that of the greatest weight first
  std::vector<fitted_law> replicates;  ///< laws refitted to redrawn curves, as many of each as it has weight
  double dispersion = 1;  ///< how much wider than binomial the residuals are, or than 1 / labels if untested
  curve_fall fall;

  /// The mean of the laws by weight.
  double at(double labels) const;
};

constexpr index_t least_curve_points = 5;

/// Fits every law by weighted least squares: Levenberg-Marquardt (Eigen's, after MINPACK) over scale and
/// exponent from the best three places of a fixed grid, where ceiling and gap are the linear least squares of
/// each place (variable projection; Golub & Pereyra 1973). The variance of a point is the binomial one of its
/// test, or 1 / labels where a test's size is not known (Figueroa et al. 2012).
///
/// Laws are weighed by Akaike's criterion over the dispersion of the best law, with the correction for few
/// points where variances are not known (AICc; Burnham & Anderson 2002): it judges by all points,
/// where held-out last points would be two or three noisy ones, and the newest. One law alone would hide that
/// others fit as well and go on differently, so forecasts take all by weight (Buckland et al. 1997).
///
/// points      at least 5, in order of labels.
/// replicates  each draws a curve around a law with the dispersed noise, and refits that law to it.
/// Equal seed and points give equal bits. throws shape_error for too few points; value_error unless labels rise
/// from at least 1, accuracies are in [0, 1], tested >= 0 and replicates >= 1. Some 5 ms for 12 points and 200
/// replicates.
curve_fit fit_learning_curve(std::span<const curve_point> points, const curve_fit_options& options = {});

}  // namespace poolwise
