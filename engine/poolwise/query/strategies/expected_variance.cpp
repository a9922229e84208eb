#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/query/detail/linear_model.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {
namespace {

/// (lambda I + sum of h h' over labelled rows)^-1: what a linear model with noise of variance 1 does not know
/// of its weights.
symmetric unknown_weights(const char* call, const stage_input& x) {
  symmetric moment(x.pool.embeddings->cols + 1);
  if (x.labelled.rows > 0)
    moment = second_moment(host_of(x.on), {x.labelled, 1 / x.unit},
                           std::vector<double>(std::size_t(x.labelled.rows), 1.0));
  for (index_t f = 0; f < moment.size; ++f) moment.at(f, f) += x.what->given["lambda"];
  return inverse_of(host_of(x.on), call, std::move(moment));
}

double dot(const double* a, const double* b, index_t size) {
  double sum = 0;
  for (index_t f = 0; f < size; ++f) sum += a[f] * b[f];
  return sum;
}

float score_or_nan(double score) {
  return std::isfinite(score) ? float(score) : std::numeric_limits<float>::quiet_NaN();
}

/// mean_u k(x, u)^2 / (1 + k(x, x)) = h' A^-1 M A^-1 h / (1 + h' A^-1 h), where M is the mean of h h' over the
/// unlabelled rows.
void score_evr(const stage_input& x, vector_view<float> scores) {
  const cpu host = host_of(x.on);
  const design h{*x.pool.embeddings, 1 / x.unit};
  const symmetric unknown = unknown_weights("evr", x);
  const std::vector<std::uint8_t> counts = rows_that_count(x);
  const double rows = double(std::max<index_t>(1, std::count(counts.begin(), counts.end(), std::uint8_t(1))));
  std::vector<double> weight;
  for (const std::uint8_t one : counts) weight.push_back(one / rows);
  const symmetric spread = sandwich(host, unknown, second_moment(host, h, weight));
  std::vector<double> own(std::size_t(x.rows()));
  for_each_product(host, h, unknown.view(), [&](index_t i, const double* row, const double* product) {
    own[std::size_t(i)] = 1 + dot(row, product, h.width());
  });
  for_each_product(host, h, spread.view(), [&](index_t i, const double* row, const double* product) {
    scores[i] = score_or_nan(std::max(0.0, dot(row, product, h.width())) / own[std::size_t(i)]);
  });
}

/// By the correlation r of what is measured of a row and of another: the mean over u of -ln(1 - r^2) / 2. That
/// is what the row's label is expected to change the prediction of u by, as the divergence of the new from the
/// old.
void score_divergence(const stage_input& x, vector_view<float> scores) {
  const cpu host = host_of(x.on);
  const symmetric unknown = unknown_weights("kl_divergence_maximisation", x);
  const std::vector<index_t> drawn = drawn_rows(x, rows_that_count(x), x.what->given.count("sample"));
  const auto count = index_t(drawn.size());
  const std::vector<float> values = gather(host, *x.pool.embeddings, drawn);
  const design others{{values.data(), count, x.pool.embeddings->cols}, 1 / x.unit};
  // Column 0 .. width - 1 give k(x, x), those behind k(x, u).
  const index_t width = unknown.size, stride = unknown.stride + whole_lines<double>(count);
  std::vector<double> across(std::size_t(width * stride), 0.0), own(std::size_t(count), 0.0);
  for (index_t f = 0; f < width; ++f) std::copy_n(unknown.view().row(f), width, across.data() + f * stride);
  for_each_product(host, others, unknown.view(), [&](index_t u, const double* row, const double* product) {
    own[std::size_t(u)] = 1 + dot(row, product, width);
    for (index_t f = 0; f < width; ++f) across[std::size_t(f * stride + unknown.stride + u)] = product[f];
  });
  for_each_product(host, {*x.pool.embeddings, 1 / x.unit}, {across.data(), width, stride},
                   [&](index_t i, const double* row, const double* product) {
                     const double mine = 1 + dot(row, product, width);
                     const double* const with = product + unknown.stride;
                     double sum = 0;
                     for (index_t u = 0; u < count; ++u) {
                       const double share = with[u] * with[u] / (mine * own[std::size_t(u)]);
                       sum -= fixed_log(std::max(1 - share, std::numeric_limits<double>::min())) / 2;
                     }
                     scores[i] = std::isfinite(mine) ? score_or_nan(sum / double(std::max<index_t>(1, count)))
                                                     : std::numeric_limits<float>::quiet_NaN();
                   });
}

std::uint64_t variance_bytes(const strategy_size& size) {
  return linear_model_bytes(size.features + 1, 4) + size.rows * (2 * sizeof(double) + 1) +
         size.labelled * sizeof(double);
}

std::uint64_t divergence_bytes(const strategy_size& size) {
  const auto drawn = std::uint64_t(size.given->count("sample"));
  const std::uint64_t columns = size.features + drawn + 24;
  return linear_model_bytes(size.features + 1, 2) + size.rows * (1 + 16) + size.labelled * sizeof(double) +
         drawn * size.features * sizeof(float) +
         (size.features + 1 + 32 * std::uint64_t(threads_of(cpu{}))) * columns * sizeof(double);
}

const parameter penalty{"lambda", 1, above(0), "the penalty on the model's squared weights, over the noise"};

}  // namespace

std::vector<strategy_entry> strategies_of_expected_variance() {
  return {
      {.name = "evr",
       .kind = "acquisition",
       .formula = "mean_u k(x, u)^2 / (1 + k(x, x)), k(x, u) = h_x' (lambda I + sum_labelled h h')^-1 h_u",
       .source = "Cohn et al. 1996",
       .on_devices = "none",
       .needs = part::embeddings,
       .does = trait::counts_labelled | trait::compares_rows,
       .parameters = {penalty},
       .aliases = {"expectedvariancereduction", "expectedmodelvariancereduction"},
       .score = score_evr,
       .bytes = variance_bytes},
      {.name = "kl_divergence_maximisation",
       .kind = "acquisition",
       .formula = "mean_u -ln(1 - k(x, u)^2 / (1 + k(x, x)) (1 + k(u, u))) / 2, k as evr's",
       .source = "Elreedy et al. 2019",
       .on_devices = "none",
       .needs = part::embeddings,
       .does = trait::counts_labelled | trait::compares_rows,
       .parameters = {penalty, {"sample", 1000, whole_from(1), "unlabelled rows u, drawn, to be predicted"}},
       .aliases = {"kldivergencemaximization"},
       .score = score_divergence,
       .bytes = divergence_bytes}};
}

}  // namespace poolwise
