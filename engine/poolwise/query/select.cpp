#include "poolwise/query/select.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "poolwise/core/error.hpp"
#include "poolwise/core/parallel.hpp"
#include "poolwise/core/philox.hpp"
#include "poolwise/distance/distance.hpp"
#include "poolwise/diverse/diverse.hpp"
#include "poolwise/schedule/spend.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {
namespace {

constexpr index_t row_block = 4096;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// What lies in host memory and is read once is not worth the way to a device.
cpu host_of(const where& on) {
  const auto* host = std::get_if<cpu>(&on);
  return host ? *host : cpu{};
}

void require_host_arrays(const where& on) {
  require_build_for(on, "select");
  if (std::holds_alternative<cuda>(on))
    throw value_error(
        "select: reads arrays in host memory, and cuda{} means arrays on a device; pass offload{}");
}

// The rows that may be picked, and why the others may not.
class availability {
 public:
  explicit availability(index_t rows) : barred_(std::size_t(rows), 0), left_(rows) {}

  void bar(std::span<const index_t> rows, const char* what) {
    for (const index_t row : rows) {
      if (row < 0 || row >= size())
        throw value_error("select: " + std::string(what) + " row " + std::to_string(row) +
                          " is not in the pool, which has rows 0 to " + std::to_string(size() - 1));
      if (!bar(row))
        throw value_error("select: row " + std::to_string(row) +
                          " is given twice among the labelled and "
                          "excluded rows; give each row once");
    }
  }
  bool bar(index_t row) {
    if (barred_[std::size_t(row)]) return false;
    barred_[std::size_t(row)] = 1;
    --left_;
    return true;
  }

  bool available(index_t row) const { return barred_[std::size_t(row)] == 0; }
  index_t left() const { return left_; }
  index_t size() const { return index_t(barred_.size()); }
  vector_view<const std::uint8_t> view() const { return {barred_.data(), size()}; }

 private:
  std::vector<std::uint8_t> barred_;
  index_t left_;
};

std::vector<float> random_scores(const where& on, index_t rows, const selection_request& request) {
  std::vector<float> scores(static_cast<std::size_t>(rows));
  parallel_blocks(host_of(on), rows, row_block, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      scores[std::size_t(i)] =
          float(random_unit(request.seed, stream::random_strategy, std::uint64_t(i), request.round));
  });
  return scores;
}

// [rows], or nothing where the strategy does not rank.
std::vector<float> rank(const where& on, const pool_inputs& pool, const selection_request& request) {
  const ranking& by = request.what.rank_by;
  if (std::holds_alternative<std::monostate>(by)) return {};
  if (std::holds_alternative<random_score>(by)) return random_scores(on, pool.rows, request);
  std::vector<float> scores(static_cast<std::size_t>(pool.rows));
  if (const auto* one = std::get_if<acquisition>(&by))
    score(on, *pool.model, pool.model_kind, *one, vector_view<float>{scores.data(), pool.rows});
  else
    score_committee(on, *pool.committee, pool.committee_kind, {&std::get<disagreement>(by), 1},
                    {scores.data(), pool.rows, 1});
  return scores;
}

bool finite(const float* x, index_t cols) {
  // x - x is 0 for a finite x and NaN otherwise; a sum keeps the NaN and vectorises.
  float sum = 0;
  for (index_t c = 0; c < cols; ++c) sum += x[c] - x[c];
  return sum == 0;
}

// Marks the rows that the strategy cannot judge: no score, or no place among the embeddings.
std::vector<std::uint8_t> invalid_rows(const where& on, const pool_inputs& pool, const strategy& what,
                                       const std::vector<float>& scores) {
  std::vector<std::uint8_t> invalid(static_cast<std::size_t>(pool.rows), 0);
  parallel_blocks(host_of(on), pool.rows, row_block, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      const bool unscored = !scores.empty() && std::isnan(scores[std::size_t(i)]);
      const bool nowhere = what.needs_embeddings() && !finite(pool.embeddings->row(i), pool.embeddings->cols);
      invalid[std::size_t(i)] = unscored || nowhere;
    }
  });
  return invalid;
}

std::string why(const pool_inputs& pool, const strategy& what, index_t row) {
  if (what.needs_outputs()) {
    const std::string reason = why_invalid(*pool.model, pool.model_kind, row);
    if (!reason.empty()) return reason;
  }
  if (what.needs_committee()) {
    for (index_t member = 0; member < std::visit([](auto c) { return c.members; }, *pool.committee); ++member) {
      const auto outputs_of =
          std::visit([&](auto c) { return real_matrix(c.member(member)); }, *pool.committee);
      const std::string reason = why_invalid(outputs_of, pool.committee_kind, row);
      if (!reason.empty()) return reason + " for member " + std::to_string(member);
    }
  }
  return "has an embedding that is not finite";
}

// Bars invalid rows, or refuses them.
void settle_invalid(const pool_inputs& pool, const selection_request& request,
                    const std::vector<std::uint8_t>& invalid, availability& rows, batch& result) {
  for (index_t i = 0; i < pool.rows; ++i) {
    if (!invalid[std::size_t(i)] || !rows.available(i)) continue;
    if (result.skipped_rows++ == 0) result.first_skipped = i;
    rows.bar(i);
  }
  if (result.skipped_rows == 0 || request.invalid == on_invalid::skip) return;
  throw value_error("select: row " + std::to_string(result.first_skipped) + " " +
                    why(pool, request.what, result.first_skipped) + "; " + std::to_string(result.skipped_rows) +
                    " of " + std::to_string(pool.rows) +
                    " rows are like that; mend them, or leave them out (--on-nan skip)");
}

template <class T>
std::vector<T> gather(vector_view<const T> values, std::span<const index_t> rows) {
  std::vector<T> out;
  if (values.empty()) return out;
  out.reserve(rows.size());
  for (const index_t row : rows) out.push_back(values[row]);
  return out;
}

template <class T>
std::vector<T> gather(matrix_view<const T> x, std::span<const index_t> rows) {
  std::vector<T> out(rows.size() * std::size_t(x.cols));
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::copy_n(x.row(rows[i]), x.cols, out.data() + i * std::size_t(x.cols));
  return out;
}

// The candidates of a diversifier: the whole pool where it lies, or the best-ranked rows in copies.
class candidate_rows {
 public:
  candidate_rows(const pool_inputs& pool, const allowance& limit) : pool_(pool), limit_(limit) {}

  void keep(std::vector<index_t> rows) {
    rows_ = std::move(rows);
    cost_ = gather(limit_.cost, rows_);
    group_ = gather(limit_.group, rows_);
    embeddings_ = gather(*pool_.embeddings, rows_);
    limit_.cost = {cost_.data(), index_t(cost_.size())};
    limit_.group = {group_.data(), index_t(group_.size())};
    limit_.barred = {};  // barred rows were never kept
    kept_ = true;
  }

  const allowance& limit() const { return limit_; }

  matrix_view<const float> embeddings() const {
    if (!kept_) return *pool_.embeddings;
    return {embeddings_.data(), index_t(rows_.size()), pool_.embeddings->cols};
  }

  std::vector<float> gradient(const where& on) const {
    const index_t rows = kept_ ? index_t(rows_.size()) : pool_.rows;
    std::vector<float> a(std::size_t(rows * cols_of(*pool_.model)));
    const matrix_view<float> out{a.data(), rows, cols_of(*pool_.model)};
    if (!kept_) {
      output_gradient(on, *pool_.model, pool_.model_kind, out);
    } else {
      std::visit(
          [&](auto x) {
            const auto copy = gather(x, rows_);
            output_gradient(on, decltype(x){copy.data(), rows, x.cols}, pool_.model_kind, out);
          },
          *pool_.model);
    }
    return a;
  }

  index_t pool_row(index_t candidate_row) const {
    return kept_ ? rows_[std::size_t(candidate_row)] : candidate_row;
  }

 private:
  const pool_inputs& pool_;
  allowance limit_;
  bool kept_ = false;
  std::vector<index_t> rows_;
  std::vector<std::int64_t> cost_;
  std::vector<index_t> group_;
  std::vector<float> embeddings_;
};

std::vector<float> distance_to_labelled(const where& on, const pool_inputs& pool,
                                        const candidate_rows& candidates, std::span<const index_t> labelled) {
  if (labelled.empty()) return {};
  for (const index_t row : labelled)
    if (!finite(pool.embeddings->row(row), pool.embeddings->cols))
      throw value_error(
          "select: labelled row " + std::to_string(row) +
          " has an embedding that is not finite, so no distance to it exists; mend it, or exclude it "
          "instead (--exclude)");
  const auto centres = gather(*pool.embeddings, labelled);
  const auto points = candidates.embeddings();
  std::vector<float> d2(static_cast<std::size_t>(points.rows));
  nearest(on, points, {centres.data(), index_t(labelled.size()), points.cols}, {d2.data(), points.rows});
  return d2;
}

std::vector<candidate> diversify(const where& on, const pool_inputs& pool, const selection_request& request,
                                 const candidate_rows& candidates) {
  std::vector<candidate> picks;
  if (request.what.diversify == diversifier::kcenter) {
    const auto covered = distance_to_labelled(on, pool, candidates, request.labelled);
    picks = kcenter(on, candidates.embeddings(), candidates.limit(), {covered.data(), index_t(covered.size())});
  } else {
    const auto a = candidates.gradient(on);
    const auto h = candidates.embeddings();
    const factored_rows g{{a.data(), h.rows, cols_of(*pool.model)}, h, /*bias=*/true};
    // Every round draws afresh, whatever the seed of the campaign.
    picks = kmeans_pp(on, g, candidates.limit(), random_bits(request.seed, stream::query_round, request.round));
  }
  for (candidate& c : picks) c.row = candidates.pool_row(c.row);
  return picks;
}

std::vector<float> masked(std::vector<float> scores, const availability& rows) {
  for (index_t i = 0; i < rows.size(); ++i)
    if (!rows.available(i)) scores[std::size_t(i)] = std::numeric_limits<float>::quiet_NaN();
  return scores;
}

std::vector<index_t> best_ranked(const where& on, vector_view<const float> scores, index_t k) {
  top_k_state state(k);
  state.add(on, scores);
  std::vector<index_t> rows;
  for (const candidate& c : state.best()) rows.push_back(c.row);
  // Ascending, so that ties in the diversifier go to the lower row of the pool.
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::vector<index_t> available_rows(const availability& rows) {
  std::vector<index_t> list;
  for (index_t i = 0; i < rows.size(); ++i)
    if (rows.available(i)) list.push_back(i);
  return list;
}

std::string first_word(const std::string& strategy_name) {
  return strategy_name.substr(0, strategy_name.find('/'));
}

std::string reason_of(const selection_request& request, index_t kept) {
  const std::string word = first_word(request.what.name);
  const bool priced = request.limit.budget != std::numeric_limits<std::int64_t>::max();
  std::string reason;
  switch (request.what.diversify) {
    case diversifier::none:
      if (word == "random") return "random draw";
      return "highest " + word + (priced ? " for its cost" : "");
    case diversifier::kcenter:
      reason = "farthest from labelled and picked rows";
      break;
    case diversifier::badge:
      reason = "drawn by squared gradient distance";
      break;
  }
  if (kept > 0) reason += " among the " + std::to_string(kept) + " rows of highest " + word;
  return reason;
}

void check_needs(const pool_inputs& pool, const strategy& what) {
  const auto refuse = [&](const char* part, const char* flag) {
    throw value_error("select: strategy \"" + what.name + "\" needs " + part + "; give them (" + flag + ")");
  };
  if (what.needs_outputs() && !pool.model) refuse("model outputs", "--logits or --probs");
  if (what.needs_committee() && !pool.committee)
    refuse("committee outputs", "--committee or --committee-probs");
  if (what.needs_embeddings() && !pool.embeddings) refuse("embeddings", "--embeddings");
}

}  // namespace

void pool_inputs::check() const {
  if (rows == 0) throw value_error("select: the pool is empty; give at least one row");
  const auto same = [&](const char* part, index_t got) {
    if (got != rows)
      throw shape_error("select: " + std::string(part) + " have " + std::to_string(got) +
                        " rows but the pool has " + std::to_string(rows) + "; give one row for each pool item");
  };
  if (model) same("model outputs", rows_of(*model));
  if (committee) same("committee outputs", std::visit([](auto c) { return c.rows; }, *committee));
  if (embeddings) same("embeddings", embeddings->rows);
}

std::int64_t batch::cost() const {
  return std::accumulate(picks.begin(), picks.end(), std::int64_t{0},
                         [](std::int64_t sum, const pick& p) { return sum + p.cost; });
}

batch select(const where& on, const pool_inputs& pool, const selection_request& request) {
  require_host_arrays(on);
  pool.check();
  check_needs(pool, request.what);
  check_allowance("select", request.limit, pool.rows);
  batch result;

  const auto start = std::chrono::steady_clock::now();
  availability rows(pool.rows);
  rows.bar(request.labelled, "labelled");
  rows.bar(request.excluded, "excluded");
  auto scores = rank(on, pool, request);
  // A strategy that needs outputs without ranking by them still has to know which rows have none.
  auto validity = scores;
  if (scores.empty() && request.what.needs_outputs()) {
    validity.resize(std::size_t(pool.rows));
    score(on, *pool.model, pool.model_kind, acquisition::least_confidence,
          vector_view<float>{validity.data(), pool.rows});
  }
  const auto invalid = invalid_rows(on, pool, request.what, validity);
  settle_invalid(pool, request, invalid, rows, result);
  result.rank_seconds = seconds_since(start);

  if (request.limit.picks > rows.left())
    throw value_error("select: a batch of " + std::to_string(request.limit.picks) + " was asked of " +
                      std::to_string(rows.left()) + " available rows; ask for at most as many");

  const auto chosen = std::chrono::steady_clock::now();
  allowance limit = request.limit;
  limit.barred = rows.view();
  std::vector<candidate> picks;
  index_t kept = 0;
  if (request.what.diversify == diversifier::none) {
    const auto ranked = masked(std::move(scores), rows);
    picks = best_affordable(host_of(on), {ranked.data(), pool.rows}, limit);
  } else {
    candidate_rows candidates(pool, limit);
    if (!scores.empty()) {
      const auto ranked = masked(std::move(scores), rows);
      kept = request.what.keep.count(limit.picks, rows.left());
      candidates.keep(best_ranked(host_of(on), {ranked.data(), pool.rows}, kept));
    } else if (std::find(invalid.begin(), invalid.end(), 1) != invalid.end()) {
      candidates.keep(available_rows(rows));  // the diversifier sees finite rows only
    }
    picks = diversify(on, pool, request, candidates);
  }
  result.diversify_seconds = seconds_since(chosen);

  if (picks.empty() && request.limit.picks > 0)
    throw budget_error("select: the budget and quotas buy none of the " + std::to_string(rows.left()) +
                       " available rows; raise them, or stop here");
  const std::string reason = reason_of(request, kept);
  for (const candidate& c : picks)
    result.picks.push_back(
        {c.row, c.score, request.limit.cost.empty() ? 0 : request.limit.cost[c.row], reason});
  return result;
}

}  // namespace poolwise
