#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/error.hpp"
#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/query/detail/labelled_rows.hpp"
#include "poolwise/query/detail/linear_model.hpp"
#include "poolwise/query/detail/mean_cosine.hpp"
#include "poolwise/query/detail/one_by_one.hpp"
#include "poolwise/query/strategy.hpp"

namespace poolwise {
namespace {

constexpr index_t most_weights = 8192;

enum class model_kind { softmax, binary, regression };

/// A small square matrix, row by row.
using block_matrix = std::vector<double>;

/// (I + sign m)^-1; empty where it is not positive definite.
block_matrix inverse_beside_one(const block_matrix& m, index_t size, double sign) {
  block_matrix left = m, inverse(m.size(), 0.0);
  for (double& value : left) value *= sign;
  for (index_t k = 0; k < size; ++k)
    left[std::size_t(k * size + k)] += 1, inverse[std::size_t(k * size + k)] = 1;
  for (index_t k = 0; k < size; ++k) {
    const double pivot = left[std::size_t(k * size + k)];
    if (!(pivot > 0) || !std::isfinite(pivot)) return {};
    for (index_t i = 0; i < size; ++i) {
      if (i == k) continue;
      const double factor = left[std::size_t(i * size + k)] / pivot;
      for (index_t j = 0; j < size; ++j) {
        left[std::size_t(i * size + j)] -= factor * left[std::size_t(k * size + j)];
        inverse[std::size_t(i * size + j)] -= factor * inverse[std::size_t(k * size + j)];
      }
    }
  }
  for (index_t k = 0; k < size; ++k)
    for (index_t j = 0; j < size; ++j) inverse[std::size_t(k * size + j)] /= left[std::size_t(k * size + k)];
  return inverse;
}

double trace_of_product(const block_matrix& a, const block_matrix& b) {  // both symmetric
  double sum = 0;
  for (std::size_t k = 0; k < a.size(); ++k) sum += a[k] * b[k];
  return sum;
}

/// Rows, and what each tells of a linear model's weights: its Fisher information B'B (x) h h', where B'B is
/// diag(p) - p p', q (1 - q) of the largest p, or 1.
struct informing_rows {
  model_kind kind;
  design h;
  index_t classes;       // 0 of regression
  std::vector<float> p;  // [rows, classes]

  index_t blocks() const { return kind == model_kind::softmax ? classes : 1; }
  const float* chances(index_t i) const { return p.data() + i * classes; }

  double doubt(index_t i) const {
    const float* const own = chances(i);
    const float* const most = std::max_element(own, own + classes);
    double rest = 0;
    for (const float* one = own; one != own + classes; ++one)
      if (one != most) rest += double(*one);
    return rest * (1 - rest);
  }

  double information(index_t i, index_t c, index_t d) const {
    if (kind == model_kind::regression) return 1;
    if (kind == model_kind::binary) return doubt(i);
    const float* const own = chances(i);
    return double(own[c]) * ((c == d) - double(own[d]));
  }

  /// [blocks, blocks] B.
  block_matrix factor(index_t i) const {
    if (kind != model_kind::softmax) return {std::sqrt(information(i, 0, 0))};
    block_matrix b(std::size_t(classes * classes), 0.0);
    for (index_t c = 0; c < classes; ++c)
      for (index_t d = 0; d < classes; ++d)
        b[std::size_t(c * classes + d)] = std::sqrt(double(chances(i)[c])) * ((c == d) - double(chances(i)[d]));
    return b;
  }

  /// weight B m B' of a symmetric m [blocks, blocks].
  block_matrix through(index_t i, const double* m, double weight) const {
    if (kind != model_kind::softmax) return {weight * information(i, 0, 0) * m[0]};
    const float* const own = chances(i);
    block_matrix mean(std::size_t(classes), 0.0), a(std::size_t(classes * classes), 0.0);
    double whole = 0;
    for (index_t c = 0; c < classes; ++c) {
      mean[std::size_t(c)] = row_dot(own, m + c * classes, classes);
      whole += double(own[c]) * mean[std::size_t(c)];
    }
    for (index_t c = 0; c < classes; ++c)
      for (index_t d = 0; d < classes; ++d)
        a[std::size_t(c * classes + d)] =
            weight * std::sqrt(double(own[c]) * double(own[d])) *
            (m[c * classes + d] - mean[std::size_t(c)] - mean[std::size_t(d)] + whole);
    return a;
  }
};

/// The sum of what rows of weight 1 tell, [blocks x features] squared.
symmetric information_of(cpu on, const informing_rows& rows, const std::vector<double>& weight) {
  const index_t blocks = rows.blocks(), width = rows.h.width();
  symmetric sum(blocks * width);
  std::vector<double> own(weight.size());
  for (index_t c = 0; c < blocks; ++c)
    for (index_t d = c; d < blocks; ++d) {
      for (std::size_t i = 0; i < own.size(); ++i)
        own[i] = weight[i] == 0 ? 0 : weight[i] * rows.information(index_t(i), c, d);
      const symmetric moment = second_moment(on, rows.h, own);
      for (index_t f = 0; f < width; ++f)
        for (index_t g = 0; g < width; ++g)
          sum.at(c * width + f, d * width + g) = sum.at(d * width + g, c * width + f) = moment.at(f, g);
    }
  return sum;
}

/// A pick, taken or given back, as other rows see it: C falls by U inner U'.
struct step {
  std::vector<double> both;  // [features, columns] U and C F U, a column for each block and row of B
  index_t columns;
  block_matrix inner, told;  // told = U' F U
};

/// The inverse C of what is known, and the mean information F of all rows, whose trace of C F is to be least.
struct unknown_weights {
  symmetric c, f;

  /// `sign` 1: the row is given; -1: it is taken away again. Empty where rounding leaves no inverse.
  step change(cpu on, const informing_rows& rows, index_t row, double weight, const block_matrix& known,
              const block_matrix& told, double sign) {
    const index_t blocks = rows.blocks(), width = rows.h.width(), stride = whole_lines<double>(blocks);
    step made{{}, whole_lines<double>(2 * blocks * blocks), inverse_beside_one(known, blocks, sign), told};
    if (made.inner.empty()) return made;
    for (double& value : made.inner) value *= sign;
    const block_matrix b = rows.factor(row);
    std::vector<double> h(std::size_t(width), 0.0), v(std::size_t(c.size * stride), 0.0);
    rows.h.read(row, h.data());
    for (index_t d = 0; d < blocks; ++d)
      for (index_t k = 0; k < blocks; ++k)
        for (index_t f_ = 0; f_ < width; ++f_)
          v[std::size_t((d * width + f_) * stride + k)] =
              std::sqrt(weight) * b[std::size_t(k * blocks + d)] * h[std::size_t(f_)];
    const std::vector<double> u = times(on, c, v, stride), w = times(on, c, times(on, f, u, stride), stride);
    made.both.assign(std::size_t(width * made.columns), 0.0);
    for (index_t d = 0; d < blocks; ++d)
      for (index_t f_ = 0; f_ < width; ++f_)
        for (index_t k = 0; k < blocks; ++k) {
          double* const to = made.both.data() + f_ * made.columns + d * blocks + k;
          to[0] = u[std::size_t((d * width + f_) * stride + k)];
          to[blocks * blocks] = w[std::size_t((d * width + f_) * stride + k)];
        }
    lessen(on, u, stride, made.inner, blocks);
    return made;
  }

 private:
  static std::vector<double> times(cpu on, const symmetric& m, const std::vector<double>& v, index_t stride) {
    std::vector<double> product(v.size(), 0.0);
    parallel_blocks(on, m.size, 16, [&](index_t, index_t begin, index_t end) {
      add_products({m.view().row(begin), m.stride, 1}, {v.data(), m.size, stride},
                   {product.data() + begin * stride, end - begin, stride});
    });
    return product;
  }

  void lessen(cpu on, const std::vector<double>& u, index_t stride, const block_matrix& inner, index_t blocks) {
    parallel_blocks(on, c.size, 16, [&](index_t, index_t begin, index_t end) {
      std::vector<double> own(std::size_t(blocks), 0.0);
      for (index_t i = begin; i < end; ++i) {
        for (index_t k = 0; k < blocks; ++k) {
          own[std::size_t(k)] = 0;
          for (index_t l = 0; l < blocks; ++l)
            own[std::size_t(k)] += u[std::size_t(i * stride + l)] * inner[std::size_t(l * blocks + k)];
        }
        for (index_t j = 0; j < c.size; ++j) {
          double less = 0;
          for (index_t k = 0; k < blocks; ++k) less += own[std::size_t(k)] * u[std::size_t(j * stride + k)];
          c.at(i, j) -= less;
        }
      }
    });
  }
};

/// Rows with the blocks H C H' and H C F C H' of each, H = I (x) h': kept up to date by products with what a
/// pick changes, never with C as a whole.
class followed_rows {
 public:
  followed_rows(cpu on, const informing_rows& rows, const unknown_weights& by, double weight)
      : on_(on), rows_(rows), weight_(weight), blocks_(rows.blocks()) {
    follow(by.c, known_);
    follow(sandwich(on, by.c, by.f), told_);
  }

  block_matrix known(index_t i) const { return rows_.through(i, at(known_, i), weight_); }
  block_matrix told(index_t i) const { return rows_.through(i, at(told_, i), weight_); }

  /// What the row makes the trace fall by; or rise by, where it is taken away: infinite where rounding hides
  /// it.
  double change(index_t i, double sign) const {
    const block_matrix inverse = inverse_beside_one(known(i), blocks_, sign);
    return inverse.empty() ? std::numeric_limits<double>::infinity() : trace_of_product(told(i), inverse);
  }

  /// Calls body(row) once each row is up to date.
  template <class Body>
  void apply(const step& made, Body body) {
    if (blocks_ > 1) {
      for_each_product(on_, rows_.h, {made.both.data(), rows_.h.width(), made.columns},
                       [&](index_t i, const double*, const double* product) {
                         update(i, product, made);
                         body(i);
                       });
      return;
    }
    std::vector<double> u, w;
    for (index_t f = 0; f < rows_.h.width(); ++f) {
      u.push_back(rows_.h.scale * made.both[std::size_t(f * made.columns)]);
      w.push_back(rows_.h.scale * made.both[std::size_t(f * made.columns + 1)]);
    }
    const index_t cols = rows_.h.rows.cols;
    parallel_blocks(holding(on_, 256 * cols * index_t(sizeof(float))), rows_.h.rows.rows, 256,
                    [&](index_t, index_t begin, index_t end) {
                      for (index_t i = begin; i < end; ++i) {
                        const float* const h = rows_.h.rows.row(i);
                        const double products[] = {row_dot(h, u.data(), cols), row_dot(h, w.data(), cols)};
                        update(i, products, made);
                        body(i);
                      }
                    });
  }

 private:
  const double* at(const std::vector<double>& of, index_t i) const { return of.data() + i * blocks_ * blocks_; }

  void follow(const symmetric& m, std::vector<double>& to) {
    const index_t width = rows_.h.width();
    to.resize(std::size_t(rows_.h.rows.rows * blocks_ * blocks_));
    for (index_t c = 0; c < blocks_; ++c)
      for_each_product(on_, rows_.h, {m.view().row(c * width), width, m.stride},
                       [&](index_t i, const double* h, const double* product) {
                         for (index_t d = 0; d < blocks_; ++d) {
                           double sum = 0;
                           for (index_t f = 0; f < width; ++f) sum += product[d * width + f] * h[f];
                           to[std::size_t((i * blocks_ + c) * blocks_ + d)] = sum;
                         }
                       });
  }

  /// With z = H U and y = H C F U of the row: known -= z inner z', told -= z inner y' + y inner z' - z inner
  /// told inner z'.
  void update(index_t i, const double* products, const step& made) {
    const index_t n = blocks_;
    const double *const z = products, *const y = products + n * n;
    double* const g = known_.data() + i * n * n;
    double* const t = told_.data() + i * n * n;
    if (n == 1) {
      const double share = z[0] * made.inner[0];
      g[0] -= share * z[0];
      t[0] += share * (share * made.told[0] - 2 * y[0]);
      return;
    }
    block_matrix zi(std::size_t(n * n), 0.0), back(std::size_t(n * n), 0.0);
    for (index_t c = 0; c < n; ++c)
      for (index_t l = 0; l < n; ++l)
        for (index_t k = 0; k < n; ++k)
          zi[std::size_t(c * n + k)] += z[c * n + l] * made.inner[std::size_t(l * n + k)];
    for (index_t c = 0; c < n; ++c)
      for (index_t l = 0; l < n; ++l)
        for (index_t k = 0; k < n; ++k)
          back[std::size_t(c * n + k)] += zi[std::size_t(c * n + l)] * made.told[std::size_t(l * n + k)];
    for (index_t c = 0; c < n; ++c)
      for (index_t d = 0; d < n; ++d)
        for (index_t k = 0; k < n; ++k) {
          const auto ck = std::size_t(c * n + k), dk = std::size_t(d * n + k);
          g[c * n + d] -= zi[ck] * z[dk];
          t[c * n + d] += back[ck] * zi[dk] - zi[ck] * y[dk] - y[ck] * zi[dk];
        }
  }

  cpu on_;
  const informing_rows& rows_;
  double weight_;
  index_t blocks_;
  std::vector<double> known_, told_;  // [rows, blocks, blocks]
};

class bait_choice {
 public:
  bait_choice(const char* call, const stage_input& x, model_kind kind)
      : x_(x),
        on_(host_of(x.on)),
        rows_{kind, {*x.pool.embeddings, 1 / x.unit, /*bias=*/false}, 0, {}},
        counts_(rows_that_count(x)) {
    if (kind != model_kind::regression) rows_.classes = cols_of(*x.pool.model);
    const index_t weights = rows_.blocks() * rows_.h.width();
    if (weights > most_weights)
      throw value_error(std::string(call) + ": " + std::to_string(rows_.h.width()) + " features" +
                        (rows_.blocks() > 1 ? " x " + std::to_string(rows_.blocks()) + " classes" : "") +
                        " are more than the " + std::to_string(most_weights) + " weights that it takes; " +
                        (rows_.blocks() > 1 ? "take bait_binary, or fewer features" : "take fewer features"));
    if (kind != model_kind::regression) rows_.p = stage_probabilities(x);
    const auto count = index_t(std::count(counts_.begin(), counts_.end(), std::uint8_t(1)));
    picks_ = std::min(most_picks(x.limit, x.rows()), count);
    const double forward = std::round(x.what->given["forward"] * double(picks_));
    forward_ = forward < double(count) ? index_t(forward) : count;
    const double share =
        kind == model_kind::regression ? 1 : 1 / double(x.labelled.rows + std::max<index_t>(1, picks_));
    weight_ = kind == model_kind::regression ? 1 : share * double(picks_);
    begin(call, kind, count, share);
  }

  std::vector<candidate> pick() {
    if (picks_ == 0) return {};
    remaining left(x_.limit);
    std::vector<candidate> picks;
    for (const candidate& c : forward_backward())
      if (left.picks() > 0 && left.eligible(c.row)) left.take(c.row), picks.push_back(c);
    if (left.picks() > 0 && x_.limit.chooses()) fill_up(left, picks);
    return picks;
  }

 private:
  /// C before any pick, and F.
  void begin(const char* call, model_kind kind, index_t count, double share) {
    std::vector<double> all(counts_.begin(), counts_.end());
    first_.f = information_of(on_, rows_, all);
    informing_rows known{kind, {x_.labelled, 1 / x_.unit, false}, rows_.classes, {}};
    first_.c = symmetric(first_.f.size);
    if (x_.labelled.rows > 0) {
      if (kind != model_kind::regression) known.p = labelled_probabilities(call, x_);
      first_.c = information_of(on_, known, std::vector<double>(std::size_t(x_.labelled.rows), 1.0));
    }
    const double rows = double(std::max<index_t>(1, count + x_.labelled.rows));
    for (std::size_t k = 0; k < first_.f.values.size(); ++k) {
      first_.f.values[k] = (first_.f.values[k] + first_.c.values[k]) / rows;
      first_.c.values[k] *= share;
    }
    const double penalty = x_.what->given[kind == model_kind::regression ? "noise" : "lambda"];
    for (index_t f = 0; f < first_.c.size; ++f)
      first_.c.at(f, f) += kind == model_kind::regression ? penalty * penalty : penalty;
    first_.c = inverse_of(on_, call, std::move(first_.c));
  }

  step change(unknown_weights& by, const followed_rows& of, index_t i, index_t row, double sign) {
    return by.change(on_, rows_, row, weight_, of.known(i), of.told(i), sign);
  }

  /// The row that makes the trace fall most.
  template <class Allowed>
  candidate best(const std::vector<double>& falls, Allowed allowed) const {
    candidate found;
    double most = -1;
    for (index_t i = 0; i < x_.rows(); ++i) {
      const double fall = falls[std::size_t(i)];
      if (counts_[std::size_t(i)] != 0 && taken_[std::size_t(i)] == 0 && fall > most && allowed(i))
        most = fall, found = {i, float(fall)};
    }
    return found;
  }

  template <class Allowed, class Done>
  void forward(unknown_weights& by, const std::vector<candidate>& begun, Allowed allowed, Done done) {
    followed_rows rows(on_, rows_, by, weight_);
    std::vector<double> falls(std::size_t(x_.rows()), 0.0);
    const auto measure = [&](index_t i) {
      if (counts_[std::size_t(i)] != 0) falls[std::size_t(i)] = rows.change(i, 1);
    };
    taken_.assign(falls.size(), 0);
    const auto take = [&](index_t row) {
      taken_[std::size_t(row)] = 1;
      rows.apply(change(by, rows, row, row, 1), measure);
    };
    parallel_blocks(on_, x_.rows(), 256, [&](index_t, index_t from, index_t to) {
      for (index_t i = from; i < to; ++i) measure(i);
    });
    for (const candidate& c : begun) take(c.row);
    while (true) {
      const candidate next = best(falls, allowed);
      if (next.row < 0 || done(next)) return;
      take(next.row);
    }
  }

  /// More rows than there are picks, less one by one the row without which the trace rises least.
  std::vector<candidate> forward_backward() {
    unknown_weights by = first_;
    std::vector<candidate> picks;
    const auto any = [](index_t) { return true; };
    forward(by, {}, any, [&](const candidate& c) {
      if (index_t(picks.size()) == forward_) return true;
      picks.push_back(c);
      return false;
    });
    std::vector<index_t> which;
    for (const candidate& c : picks) which.push_back(c.row);
    const std::vector<float> values = gather(on_, *x_.pool.embeddings, which);
    informing_rows chosen{rows_.kind,
                          {{values.data(), index_t(which.size()), rows_.h.rows.cols}, rows_.h.scale, false},
                          rows_.classes,
                          {}};
    if (rows_.classes > 0)
      for (const index_t row : which)
        chosen.p.insert(chosen.p.end(), rows_.chances(row), rows_.chances(row) + rows_.classes);
    followed_rows rows(on_, chosen, by, weight_);
    std::vector<std::uint8_t> there(which.size(), 1);
    for (index_t left = index_t(picks.size()); left > picks_; --left) {
      std::size_t least = there.size();
      double rise = std::numeric_limits<double>::infinity();
      for (std::size_t n = 0; n < there.size(); ++n) {
        if (there[n] == 0) continue;
        const double own = rows.change(index_t(n), -1);
        if (least == there.size() || own < rise || !(rise < std::numeric_limits<double>::infinity()))
          least = n, rise = own;  // of those that rounding hides the last
      }
      there[least] = 0;
      const step made = change(by, rows, index_t(least), which[least], -1);
      if (!made.inner.empty()) rows.apply(made, [](index_t) {});
    }
    std::vector<candidate> kept;
    for (std::size_t n = 0; n < there.size(); ++n)
      if (there[n] != 0) kept.push_back(picks[n]);
    return kept;
  }

  /// Forward alone, from the picks that the limits left.
  void fill_up(remaining& left, std::vector<candidate>& picks) {
    unknown_weights by = first_;
    forward(
        by, std::vector<candidate>(picks), [&](index_t i) { return left.eligible(i); },
        [&](const candidate& c) {
          if (left.picks() == 0) return true;
          left.take(c.row);
          picks.push_back(c);
          return false;
        });
  }

  const stage_input& x_;
  cpu on_;
  informing_rows rows_;
  std::vector<std::uint8_t> counts_, taken_;
  index_t picks_ = 0, forward_ = 0;
  double weight_ = 1;
  unknown_weights first_{symmetric(0), symmetric(0)};
};

std::uint64_t bytes_of(const strategy_size& size, std::uint64_t blocks) {
  const std::uint64_t weights = std::min<std::uint64_t>(blocks * size.features, most_weights);
  const std::uint64_t lines = weights * 3 * (blocks + 8) * sizeof(double);
  const std::uint64_t followed = size.rows + 2 * size.picks;
  return linear_model_bytes(weights, 8) + lines + 64 * (blocks * blocks + 8) * sizeof(double) +
         followed * (2 * blocks * blocks * sizeof(double) + size.classes * sizeof(float)) +
         size.rows * (3 * sizeof(double) + 2) +
         size.labelled * (size.classes * sizeof(float) + 2 * sizeof(double)) +
         2 * size.picks * size.features * sizeof(float) +
         std::uint64_t(threads_of(cpu{})) * 32 * (size.features + 2 * blocks * blocks + weights + 24) *
             sizeof(double);
}

template <model_kind Kind>
std::vector<candidate> pick(const stage_input& x, batch_run&) {
  constexpr const char* call = Kind == model_kind::softmax  ? "bait"
                               : Kind == model_kind::binary ? "bait_binary"
                                                            : "bait_regression";
  return bait_choice(call, x, Kind).pick();
}

const parameter forward_parameter{"forward", 2, at_least(1),
                                  "times the picks: rows that the run forward takes"};
const parameter penalty{"lambda", 1, above(0),
                        "the penalty on the model's squared weights, for a row's mean loss"};

}  // namespace

/// Rows that tell most of what all rows ask of a linear last layer: the trace of the inverse of the information
/// of labelled rows and picks, times that of all rows, by a greedy run forward and one back.
std::vector<strategy_entry> strategies_of_bait() {
  return {
      {.name = "bait",
       .kind = "diversity",
       .formula = "min tr((lambda I + (sum_labelled I + k sum_picks I) / (n + k))^-1 mean I), 2k forward, k "
                  "back; I = (diag(p) - p p') (x) h h'",
       .source = "Ash et al. 2021",
       .on_devices = "none",
       .needs = part::outputs | part::embeddings,
       .does = trait::counts_labelled,
       .parameters = {penalty, forward_parameter},
       .aliases = {"baitfull"},
       .pick = pick<model_kind::softmax>,
       .reason = "tells most of what all rows ask of the last layer",
       .bytes = [](const strategy_size& size) { return bytes_of(size, size.classes); }},
      {.name = "bait_binary",
       .kind = "diversity",
       .formula = "as bait, I = q (1 - q) h h', q the largest p",
       .source = "Huseljic et al. 2024",
       .on_devices = "none",
       .needs = part::outputs | part::embeddings,
       .does = trait::counts_labelled,
       .parameters = {penalty, forward_parameter},
       .pick = pick<model_kind::binary>,
       .reason = "tells most of what all rows ask of the last layer",
       .bytes = [](const strategy_size& size) { return bytes_of(size, 1); }},
      {.name = "bait_regression",
       .kind = "diversity",
       .formula = "min tr((noise^2 I + sum_labelled,picks h h')^-1 sum h h'), 2k forward, k back",
       .source = "Ash et al. 2021; Holzmueller et al. 2023",
       .on_devices = "none",
       .needs = part::embeddings,
       .does = trait::counts_labelled,
       .parameters = {{"noise", 1, above(0), "standard deviation of the noise on a label"}, forward_parameter},
       .aliases = {"baitf"},
       .pick = pick<model_kind::regression>,
       .reason = "lowers the variance over all rows most",
       .bytes = [](const strategy_size& size) { return bytes_of(size, 1); }}};
}

}  // namespace poolwise
