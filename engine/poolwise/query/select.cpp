#include "poolwise/query/select.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "poolwise/budget/spend.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/query/detail/gather.hpp"
#include "poolwise/query/diversity.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {
namespace {

constexpr index_t row_block = 4096;
constexpr stream random_stream{1}, round_stream{5};

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

bool is_priced(const selection_request& request) {
  return request.limit.budget != std::numeric_limits<std::int64_t>::max();
}

std::string opening(const selection_request& request) { return std::string(request.names.call) + ": "; }

// The rows that may be picked: all but the labelled and excluded ones, and those that are barred later.
class availability {
 public:
  availability(index_t rows, const selection_request& request)
      : request_(request), barred_(std::size_t(rows), 0), left_(rows) {
    bar(request.labelled, "labelled");
    bar(request.excluded, "excluded");
    require_enough();
  }

  // A budget buys what there is; a number of picks is to be had in full.
  void require_enough() const {
    const index_t picks = request_.limit.picks;
    if (!is_priced(request_) && picks > left_)
      throw value_error(opening(request_) + "a batch of " + std::to_string(picks) + " was asked of " +
                        std::to_string(left_) + " available rows; ask for at most as many");
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
  void bar(std::span<const index_t> rows, const char* what) {
    for (const index_t row : rows) {
      if (row < 0 || row >= size())
        throw value_error(opening(request_) + what + " row " + std::to_string(row) +
                          " is not in the pool, which has rows 0 to " + std::to_string(size() - 1));
      if (!bar(row))
        throw value_error(opening(request_) + "row " + std::to_string(row) +
                          " is given twice among the labelled and excluded rows; give each row once");
    }
  }

  const selection_request& request_;
  std::vector<std::uint8_t> barred_;
  index_t left_;
};

std::vector<float> random_scores(const where& on, index_t rows, const selection_request& request) {
  std::vector<float> scores(static_cast<std::size_t>(rows));
  parallel_blocks(host_of(on), rows, row_block, [&](index_t, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i)
      scores[std::size_t(i)] = float(random_unit(request.seed, random_stream, std::uint64_t(i), request.round));
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

bool needs_embeddings(const selection_request& request) {
  return request.what.needs_embeddings() || request.apart;
}

// Marks the rows that the request cannot judge: no distribution among its outputs, or no place among the
// embeddings. What ranked the rows has `scores`; what only the diversity needs is scored for that alone.
std::vector<std::uint8_t> invalid_rows(const where& on, const pool_inputs& pool,
                                       const selection_request& request, const std::vector<float>& scores) {
  const strategy& what = request.what;
  std::vector<std::uint8_t> invalid(static_cast<std::size_t>(pool.rows), 0);
  const auto mark = [&](index_t block, auto&& is_invalid) {
    parallel_blocks(host_of(on), pool.rows, block, [&](index_t, index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) invalid[std::size_t(i)] |= std::uint8_t(is_invalid(i));
    });
  };
  const auto mark_unscored = [&](const std::vector<float>& of) {
    mark(row_block, [&](index_t i) { return std::isnan(of[std::size_t(i)]); });
  };
  if (!scores.empty()) mark_unscored(scores);
  std::vector<float> fresh;
  if (what.needs_outputs() && !std::holds_alternative<acquisition>(what.rank_by)) {
    fresh.resize(std::size_t(pool.rows));
    score(on, *pool.model, pool.model_kind, acquisition::least_confidence,
          vector_view<float>{fresh.data(), pool.rows});
    mark_unscored(fresh);
  }
  if (what.needs_committee() && !std::holds_alternative<disagreement>(what.rank_by)) {
    fresh.resize(std::size_t(pool.rows));
    const disagreement bald[] = {disagreement::bald};
    score_committee(on, *pool.committee, pool.committee_kind, bald, {fresh.data(), pool.rows, 1});
    mark_unscored(fresh);
  }
  if (needs_embeddings(request)) {
    const index_t cols = pool.embeddings->cols;
    mark(std::clamp<index_t>((index_t{1} << 17) / std::max<index_t>(cols, 1), 16, row_block),
         [&](index_t i) { return !finite(pool.embeddings->row(i), cols); });
  }
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
  throw value_error(opening(request) + "row " + std::to_string(result.first_skipped) + " " +
                    why(pool, request.what, result.first_skipped) + "; " + std::to_string(result.skipped_rows) +
                    " of " + std::to_string(pool.rows) + " rows are like that; mend them, or leave them out (" +
                    request.names.skip + ")");
}

// Where the labelled rows lie, if the request is to know.
std::vector<float> labelled_places(const where& on, const pool_inputs& pool, const selection_request& request) {
  const bool counted = request.what.diversify != nullptr && request.what.diversify->begins_with_labelled;
  if (!counted && !request.apart) return {};
  for (const index_t row : request.labelled)
    if (!finite(pool.embeddings->row(row), pool.embeddings->cols))
      throw value_error(opening(request) + "labelled row " + std::to_string(row) +
                        " has an embedding that is not finite, so no distance to it exists; mend it, or "
                        "exclude it instead (" +
                        request.names.excluded + ")");
  return gather(host_of(on), *pool.embeddings, request.labelled);
}

// The candidates of a diversity strategy: the whole pool where it lies, or some of its rows in copies.
class candidate_rows {
 public:
  /// labelled: where those rows lie that have a label, if that matters.
  candidate_rows(const where& on, const pool_inputs& pool, const selection_request& request,
                 const allowance& limit, matrix_view<const float> labelled) {
    problem_.on = on;
    problem_.rows = pool.rows;
    const diversity& what = *request.what.diversify;
    if (what.needs_outputs) problem_.model = pool.model;
    if (what.needs_committee) problem_.committee = pool.committee;
    if (needs_embeddings(request)) problem_.embeddings = *pool.embeddings;
    problem_.model_kind = pool.model_kind;
    problem_.committee_kind = pool.committee_kind;
    problem_.limit = limit;
    // Every round draws afresh, whatever the seed of the campaign.
    problem_.seed = random_bits(request.seed, round_stream, request.round);
    if (what.begins_with_labelled) problem_.labelled = labelled;
    problem_.run = request.run;
    problem_.neighbours = request.neighbours;
  }

  /// Where it is said how neighbours were found.
  void report_to(std::optional<knn_report>& made) { problem_.lists = &made; }

  /// Of all rows these, in ascending order; `scores` [rows of the pool] are what they were kept by, or empty.
  void keep(std::vector<index_t> rows, vector_view<const float> scores) {
    rows_ = std::move(rows);
    problem_.rows = index_t(rows_.size());
    allowance& limit = problem_.limit;
    limit.cost = kept(limit.cost, cost_);
    limit.group = kept(limit.group, group_);
    limit.barred = {};  // barred rows were never kept
    problem_.scores = kept(scores, scores_);
    if (problem_.embeddings.rows > 0) problem_.embeddings = kept(problem_.embeddings, embeddings_);
    if (limit.apart) limit.apart->points = problem_.embeddings;
    if (problem_.model) problem_.model = model_.rows_of(host_of(problem_.on), *problem_.model, rows_);
    if (problem_.committee)
      problem_.committee = committee_.rows_of(host_of(problem_.on), *problem_.committee, rows_);
  }

  const diversity_problem& problem() const { return problem_; }

  index_t pool_row(index_t candidate_row) const {
    return rows_.empty() ? candidate_row : rows_[std::size_t(candidate_row)];
  }

 private:
  template <class T>
  vector_view<const T> kept(vector_view<const T> values, std::vector<T>& into) {
    into = gather(values, rows_);
    return {into.data(), index_t(into.size())};
  }
  template <class T>
  matrix_view<const T> kept(matrix_view<const T> x, std::vector<T>& into) {
    into = gather(host_of(problem_.on), x, rows_);
    return {into.data(), problem_.rows, x.cols};
  }
  diversity_problem problem_;
  std::vector<index_t> rows_;
  std::vector<std::int64_t> cost_;
  std::vector<index_t> group_;
  std::vector<float> scores_, embeddings_;
  gathered_outputs model_, committee_;
};

// NaN where a row cannot be picked at all: no candidate, and none that others are kept out for.
std::vector<float> masked(std::vector<float> scores, const allowance& limit) {
  const remaining left(limit);
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (left.ruled_out(index_t(i))) scores[i] = std::numeric_limits<float>::quiet_NaN();
  return scores;
}

std::vector<index_t> best_ranked(const where& on, vector_view<const float> scores, index_t k) {
  top_k_state state(k);
  state.add(on, scores);
  std::vector<index_t> rows;
  for (const candidate& c : state.best()) rows.push_back(c.row);
  // Ascending, so that ties in the diversity go to the lower row of the pool.
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

std::string reason_of_rank(const selection_request& request) {
  const std::string word = first_word(request.what.name);
  return word == "random" ? "random draw" : "highest " + word + (is_priced(request) ? " for its cost" : "");
}

// Of a pick among the `kept` best-ranked rows; 0: among all.
std::string reason_of_spread(const selection_request& request, const std::string& reason, index_t kept) {
  if (kept == 0) return reason;
  const std::string word = first_word(request.what.name);
  return reason + " among " + (word == "random" ? "" : "the ") + std::to_string(kept) +
         (word == "random" ? " rows drawn at random" : " rows of highest " + word);
}

void check_needs(const pool_inputs& pool, const selection_request& request) {
  const strategy& what = request.what;
  const request_names& names = request.names;
  const auto refuse = [&](const std::string& which, const std::string& part, const std::string& name) {
    throw usage_error(opening(request) + which + " " + part + "; give them (" + name + ")");
  };
  const std::string strategy = "strategy \"" + what.name + "\" needs";
  if (what.needs_outputs() && !pool.model) refuse(strategy, "model outputs", names.outputs);
  if (what.needs_committee() && !pool.committee) refuse(strategy, "committee outputs", names.committee);
  if (what.needs_embeddings() && !pool.embeddings) refuse(strategy, "embeddings", names.embeddings);
  const bool listed = what.diversify != nullptr && what.diversify->lists_neighbours;
  if (!listed && (request.neighbours == knn_method::ivf || request.neighbours == knn_method::hnsw))
    throw usage_error(opening(request) + "strategy \"" + what.name +
                      "\" makes no lists of neighbours, and was asked to make them by " +
                      name_of(request.neighbours) + "; leave that out (" + names.neighbours + ")");
  if (request.apart && !pool.embeddings)
    refuse("picks that are to lie apart", "do so by their embeddings", names.embeddings);
  if (const auto* by = std::get_if<acquisition>(&what.rank_by)) {  // of no rows: is it a score of such outputs?
    real_matrix none = *pool.model;
    std::visit([](auto& x) { x.rows = 0; }, none);
    score(cpu{}, none, pool.model_kind, *by, vector_view<float>{});
  }
}

// All of the request that can be judged before the values of the arrays are read.
availability rows_to_pick(const pool_inputs& pool, const selection_request& request) {
  pool.check(request.names.call);
  check_needs(pool, request);
  allowance limit = request.limit;
  if (request.apart) limit.apart = spacing{*pool.embeddings, *request.apart};
  check_allowance(request.names.call, limit, pool.rows);
  return {pool.rows, request};
}

}  // namespace

void pool_inputs::check(const char* call) const {
  if (rows == 0) throw value_error(std::string(call) + ": the pool is empty; give at least one row");
  const auto same = [&](const char* part, index_t got) {
    if (got != rows)
      throw shape_error(std::string(call) + ": " + part + " have " + std::to_string(got) +
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

void check_request(const pool_inputs& pool, const selection_request& request) { rows_to_pick(pool, request); }

batch select(const where& on, const pool_inputs& pool, const selection_request& request) {
  require_host_arrays(on);
  batch result;

  const auto start = std::chrono::steady_clock::now();
  availability rows = rows_to_pick(pool, request);
  auto scores = rank(on, pool, request);
  const auto invalid = invalid_rows(on, pool, request, scores);
  settle_invalid(pool, request, invalid, rows, result);
  result.rank_seconds = seconds_since(start);
  rows.require_enough();

  const auto chosen = std::chrono::steady_clock::now();
  allowance limit = request.limit;
  limit.barred = rows.view();
  if (is_priced(request)) limit.picks = std::min(limit.picks, rows.left());
  const auto places = labelled_places(on, pool, request);
  matrix_view<const float> labelled;
  if (!places.empty()) labelled = {places.data(), index_t(request.labelled.size()), pool.embeddings->cols};
  if (request.apart) limit.apart = spacing{*pool.embeddings, *request.apart, labelled};
  const auto add = [&](index_t row, float score, const std::string& reason) {
    result.picks.push_back({row, score, request.limit.cost.empty() ? 0 : request.limit.cost[row], reason});
  };
  if (request.what.diversify == nullptr) {
    const auto ranked = masked(std::move(scores), limit);
    const std::string reason = reason_of_rank(request);
    for (const candidate& c : best_affordable(host_of(on), {ranked.data(), pool.rows}, limit))
      add(c.row, c.score, reason);
  } else {
    index_t kept = 0;
    candidate_rows candidates(on, pool, request, limit, labelled);
    candidates.report_to(result.neighbours);
    if (!scores.empty()) {
      const auto ranked = masked(std::move(scores), limit);
      const bool drawn = std::holds_alternative<random_score>(request.what.rank_by);  // no score of a row
      auto best = best_ranked(host_of(on), {ranked.data(), pool.rows},
                              request.what.keep.count(limit.picks, rows.left()));
      kept = index_t(best.size());
      candidates.keep(std::move(best), {ranked.data(), drawn ? 0 : pool.rows});
    } else if (std::find(invalid.begin(), invalid.end(), 1) != invalid.end()) {
      candidates.keep(available_rows(rows), {});  // a diversity strategy sees valid rows only
    }
    if (candidates.problem().rows > 0)
      for (const auto& [c, reason] : request.what.diversify->pick(candidates.problem()))
        add(candidates.pool_row(c.row), c.score, reason_of_spread(request, reason, kept));
  }
  result.diversify_seconds = seconds_since(chosen);

  if (result.picks.empty() && request.limit.picks > 0)
    throw budget_error(opening(request) + "the budget and quotas buy none of the " +
                       std::to_string(rows.left()) + " available rows; raise them, or stop here");
  return result;
}

}  // namespace poolwise
