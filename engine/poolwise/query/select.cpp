#include "poolwise/query/select.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <utility>

#include "poolwise/budget/spend.hpp"
#include "poolwise/core/device_memory.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/stopwatch.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/pool/judge.hpp"
#include "poolwise/pool/unit_rows.hpp"
#include "poolwise/query/checkpoint.hpp"
#include "poolwise/query/detail/floors_on_the_way.hpp"
#include "poolwise/query/detail/ranked_rows.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {
namespace {

void require_host_arrays(const where& on) {
  require_build_for(on, "select");
  if (std::holds_alternative<cuda>(on))
    throw value_error(
        "select: reads arrays in host memory, and cuda{} means arrays on a device; pass offload{}");
}

/// "the 50 rows of highest margin": what the next stage picks among.
std::string kept_by(const stage& s, std::size_t rows) {
  const std::string count = std::to_string(rows) + " rows ";
  if (!s.entry->scores()) return count + "picked by " + s.text;
  if (!s.entry->does.has(trait::draws)) return "the " + count + "of highest " + s.text;
  return count + "drawn " + (s.inner ? "by " + s.text : "at random");
}

std::string reason_of_rank(const stage& s, bool by_cost = false) {
  if (s.entry->does.has(trait::draws)) return s.inner ? "drawn by " + s.text : "random draw";
  return "highest " + s.text + (by_cost ? " for its cost" : "");
}

/// A query on its way through the stages of its strategy.
class selection {
 public:
  /// `run` of the pool's rows: what picks of a last stage go on from, and who is told of more.
  /// spare: bytes left for copies that only the values of the pool show to be needed
  /// how: what is known of rows
  selection(const where& on, const query& asked, const batch_run& run, std::uint64_t spare,
            const query_run& how)
      : on_(on),
        asked_(asked),
        run_(run),
        spare_(spare),
        first_scores_(how.first_scores),
        numbers_(how.numbers),
        pool_(asked.pool()),
        barred_(asked.limit().barred.begin(), asked.limit().barred.end()),
        left_(asked.available()),
        limit_(asked.limit()) {
    limit_.barred = {barred_.data(), pool().rows};
    for (const cost_column& one : pool().also_cost) result_.also_cost.push_back(one.name);
  }

  /// Measures as an earlier selection of the same pool did, which is kept.
  void measure_as(const selection& before) {
    unit_ = before.unit_;
    if (unit_ != 1) pool_.embeddings = before.pool_.embeddings;
  }

  /// Empty where the limits allow no row.
  batch pick() {
    stopwatch watch;
    judge();
    if (ranks_first() && stages().front().entry->does.has(trait::counts_labelled)) place_labelled();
    if (ranks_first())
      rank();
    else
      settle_floors();
    limit_.picks = std::min(limit_.picks, left_);
    result_.rank_seconds = watch.lap();
    place_labelled();
    keep_apart();
    if (!scores_of_all_.empty()) buy(stages().front(), {scores_of_all_.data(), pool().rows}, limit_);
    for (std::size_t s = ranks_first() ? 1 : 0; s < stages().size(); ++s) take(s);
    result_.diversify_seconds = watch.lap();
    return std::move(result_);
  }

  /// Of the rows that a stage kept for the last one, those that this has not picked.
  std::vector<index_t> left_over(const batch& picked) const {
    std::vector<index_t> rows;
    if (stages().size() == 1 || !candidates_) return rows;
    std::vector<bool> taken(std::size_t(pool().rows));
    for (const struct pick& p : picked.picks) taken[std::size_t(p.row)] = true;
    for (const index_t row : candidates_->rows())
      if (!taken[std::size_t(row)]) rows.push_back(row);
    return rows;
  }

 private:
  const pool_inputs& pool() const { return pool_; }
  const std::vector<stage>& stages() const { return asked_.what().stages; }
  bool is_last(std::size_t s) const { return s + 1 == stages().size(); }
  bool ranks_first() const { return stages().front().entry->scores(); }

  /// What the stages from `s` on look at, and what keeps picks apart.
  parts needs_from(std::size_t s) const {
    parts needed;
    if (asked_.spec().apart) needed = needed | part::embeddings;
    for (; s < stages().size(); ++s) needed = needed | stages()[s].needs();
    return needed;
  }

  /// Whether labelled rows are looked at.
  bool places_labelled() const { return asked_.spec().apart || asked_.what().does(trait::counts_labelled); }

  // ---- Which rows there are

  /// Bars the rows of which a part says nothing. A first stage that ranks judges what it reads, but not whether
  /// distances between embeddings are within the range of fp32.
  void judge() {
    parts unjudged = needs_from(0);
    if (ranks_first()) {
      unjudged = unjudged.without(stages().front().needs());
      if (needs_from(1).has(part::embeddings)) unjudged = unjudged | part::embeddings;
    }
    if (unjudged == parts()) return;
    const auto aside = [&](index_t i) {
      const std::uint8_t why = barred_[std::size_t(i)];
      return why != 0 && !((why & 1) != 0 && places_labelled());
    };
    std::vector<std::uint8_t> marks;
    const float largest = mark_invalid(on_, pool(), unjudged, marks, aside);
    if (unjudged.has(part::embeddings)) bring_into_range(largest, aside);
    nan_rows found;
    for (index_t i = 0; i < pool().rows; ++i) {
      if (marks[std::size_t(i)] == 0) continue;
      all_valid_ = false;
      if (std::exchange(barred_[std::size_t(i)], std::uint8_t(1)) == 0) found += {i, 1};
    }
    leave_out(found, ranks_first());
  }

  /// Makes a copy of embeddings whose squared distances fp32 does not hold. Their power of two is exact: rows
  /// are picked as if there were no such range.
  template <class Aside>
  void bring_into_range(float largest, const Aside& aside) {
    const matrix_view<const float> as_given = *pool().embeddings;
    const double scale = distance_scale(largest, as_given.cols);
    if (scale == 1 || unit_ != 1) return;
    const std::string by = "2^" + std::to_string(std::ilogb(scale));
    spend(std::uint64_t(as_given.rows * as_given.cols) * sizeof(float),
          why_scaled("embeddings", largest) + ", and a copy of them times " + by);
    unit_ = scale;
    scaled_ = scaled_rows(host_of(on_), as_given, scale);
    for (index_t i = 0; i < as_given.rows; ++i)
      if (aside(i)) std::fill_n(scaled_.data() + i * as_given.cols, as_given.cols, 0.0f);
    pool_.embeddings = matrix_view<const float>{scaled_.data(), as_given.rows, as_given.cols};
    result_.remarks.push_back(why_scaled("embeddings", largest) +
                              ": distances, and scores made of them, are of embeddings times " + by +
                              ", which is exact");
  }

  /// For a copy that was not foreseen.
  void spend(std::uint64_t bytes, const std::string& why) {
    if (bytes > spare_)
      throw value_error(asked_.opening() + why + " takes " + human_bytes(double(bytes)) + ", of which " +
                        asked_.words().memory + " leaves " + human_bytes(double(spare_)) +
                        "; raise it, or mend the rows");
    spare_ -= bytes;
  }

  /// Refuses invalid rows, unless more may be found, or goes on without them.
  void leave_out(const nan_rows& invalid, bool more_may_be) {
    if (invalid.count > 0) {
      result_.first_skipped =
          result_.skipped_rows == 0 ? invalid.first : std::min(result_.first_skipped, invalid.first);
      result_.skipped_rows += invalid.count;
      left_ -= invalid.count;
    }
    if (more_may_be || result_.skipped_rows == 0 || asked_.spec().invalid == on_invalid::skip) return;
    throw value_error(asked_.opening() +
                      describe_invalid(pool(), needs_from(0), {result_.first_skipped, result_.skipped_rows},
                                       "are like that; mend them, or leave them out (") +
                      asked_.words().skip + ")");
  }

  /// Where fewer rows of a group can be judged than its floor asks for, as many as there are have to do.
  void settle_floors(vector_view<const float> scores = {}) {
    if (limit_.floor.empty()) return;
    floor_.assign(std::size_t(limit_.floor.size), 0);
    for (index_t i = 0; i < pool().rows; ++i) {
      if (!scores.empty() && !(scores[i] == scores[i])) barred_[std::size_t(i)] = 1;
      if (barred_[std::size_t(i)] == 0) ++floor_[std::size_t(pool().group[i])];
    }
    for (std::size_t g = 0; g < floor_.size(); ++g) floor_[g] = std::min(floor_[g], limit_.floor[index_t(g)]);
    limit_.floor = {floor_.data(), index_t(floor_.size())};
    refuse_infeasible(asked_.words().call, limit_, asked_.words_of_demands());
  }

  /// Where the labelled rows lie, if the strategy is to know.
  void place_labelled() {
    if (!places_labelled() || placed_) return;
    placed_ = true;
    labels_ = gather(pool().labels, pool().labelled);
    if (!asked_.needs(part::embeddings)) return;
    const matrix_view<const float> embeddings = *pool().embeddings;
    places_ = gather(host_of(on_), embeddings, pool().labelled);
    if (!places_.empty()) labelled_ = {places_.data(), index_t(pool().labelled.size()), embeddings.cols};
    for (index_t i = 0; i < labelled_.rows; ++i)
      if (!all_finite(labelled_.row(i), labelled_.cols))
        throw value_error(asked_.opening() + "labelled row " + std::to_string(pool().labelled[std::size_t(i)]) +
                          " has an embedding that is not finite, so no distance to it exists; mend it, or "
                          "exclude it instead (" +
                          asked_.words().excluded + ")");
  }

  void keep_apart() {
    if (asked_.spec().apart) limit_.apart = spacing{*pool().embeddings, radius(), labelled_};
  }

  /// At which picks lie apart, in the unit of the embeddings.
  float radius() const {
    return float(std::min(double(*asked_.spec().apart) * unit_, double(std::numeric_limits<float>::max())));
  }

  // ---- A first stage that ranks the pool where it lies

  void rank() {
    const stage& s = stages().front();
    const bool decides = is_last(0);
    if (decides && (limit_.chooses() || asked_.spec().apart)) return score_all(s);
    // Invalid rows are met on the way: then there are fewer to keep from than it seemed.
    const auto count = [&] {
      const index_t picks = std::min(limit_.picks, left_);
      return decides ? picks : s.keep.count(picks, left_);
    };
    if (!limit_.floor.empty()) {
      const std::vector<float> scores = valid_scores(s);
      const vector_view<const float> all{scores.data(), pool().rows};
      settle_floors(all);
      return keep(0, best_with_floors(host_of(on_), all, limit_, count()));
    }
    auto [best, invalid] = best_ranked(rows_at_hand(s), count());
    leave_out(invalid, false);
    best.resize(std::min(best.size(), std::size_t(std::max<index_t>(0, count()))));
    if (decides)
      add(best, reason_of_rank(s));
    else
      keep(0, best);
  }

  /// One for each row of the pool.
  std::vector<float> valid_scores(const stage& s) {
    std::vector<float> scores(std::size_t(pool().rows));
    const vector_view<float> all{scores.data(), pool().rows};
    score_rows(rows_at_hand(s), all);
    leave_out(find_nan(host_of(on_), all, limit_.barred), false);
    return scores;
  }

  /// Where a budget, quotas or distances choose among all rows, each has its score.
  void score_all(const stage& s) {
    scores_of_all_ = valid_scores(s);
    const vector_view<float> scores{scores_of_all_.data(), pool().rows};
    settle_floors(scores);
    const remaining left(limit_, std::nullopt);
    for (index_t i = 0; i < scores.size; ++i)
      if (left.ruled_out(i)) scores[i] = std::numeric_limits<float>::quiet_NaN();
  }

  /// Picks by the scores of rows. Drawn ones say nothing about what a row is worth: they are an order.
  void buy(const stage& s, vector_view<const float> scores, const allowance& limit) {
    if (s.entry->does.has(trait::draws))
      return add(take_in_order(host_of(on_), scores, limit), reason_of_rank(s));
    const purchase bought = best_affordable(host_of(on_), scores, limit);
    if (bought.budget_binds) result_.of_optimum = bought.share();
    add(bought.batch, reason_of_rank(s, bought.budget_binds));
  }

  // ---- The other stages

  void take(std::size_t s) {
    const stage& now = stages()[s];
    if (!candidates_ && !all_valid_) keep_valid(s);
    if (candidates_ && candidates_->rows().empty()) return;
    const stage_input x = rows_at_hand(now);
    if (now.entry->scores())
      rank_candidates(s, x);
    else if (is_last(s))
      diversify(x);
    else
      thin_out(s, x);
  }

  /// What a stage sees: the rows that were kept, or the pool where it lies.
  stage_input rows_at_hand(const stage& s) {
    stage_input x{.on = on_,
                  .asked = &asked_.spec(),
                  .what = &s,
                  .pool = pool(),
                  .unit = unit_,
                  .whole = &pool(),
                  .limit = limit_,
                  .lists = &result_.neighbours,
                  .remarks = &result_.remarks};
    if (s.entry->does.has(trait::counts_labelled)) {
      x.labelled = labelled_;
      x.labels = {labels_.data(), index_t(labels_.size())};
    }
    if (&s == &stages().front()) x.known = first_scores_;
    x.pool_rows = numbers_;
    if (!candidates_) return x;
    x.pool = candidates_->view();
    x.pool_rows = numbers_.empty() ? candidates_->rows() : candidate_numbers_;
    if (scored_) x.scores = {columns_.back().data(), index_t(columns_.back().size())};
    x.limit.cost = x.pool.cost;
    for (budget_line& one : x.limit.also)
      for (const cost_column& column : x.pool.also_cost)
        if (column.name == one.name) one.cost = column.cost;
    x.limit.group = x.pool.group;
    x.limit.barred = {};  // barred rows were never kept
    if (x.limit.apart) x.limit.apart->points = *x.pool.embeddings;
    return x;
  }

  void rank_candidates(std::size_t s, const stage_input& x) {
    const stage& now = stages()[s];
    const index_t kept = now.keep.count(limit_.picks, x.rows());
    if (!is_last(s) && limit_.floor.empty()) return keep(s, best_ranked(x, kept).best);
    std::vector<float> scores(std::size_t(x.rows()));
    score_rows(x, {scores.data(), x.rows()});
    if (!is_last(s)) return keep(s, best_with_floors(host_of(on_), {scores.data(), x.rows()}, x.limit, kept));
    buy(now, {scores.data(), x.rows()}, x.limit);
  }

  void diversify(stage_input x) {
    const strategy_entry& by = *x.what->entry;
    std::shared_ptr<const void> made;
    if (x.limit.priced() && by.worth != nullptr) x.made = &made;
    batch_run run = run_among(x.pool_rows);
    std::vector<float> gains, gains_of_other;
    const bool certifies = by.does.has(trait::leaves_gains) && (x.limit.priced() || !x.limit.floor.empty());
    if (certifies) run.gains_left = &gains;
    std::vector<candidate> picks = by.pick(x, run);
    const char* for_cost = "";
    if (x.limit.priced() && by.worth != nullptr) {
      // Rows that cost more than they bring can use a budget up, as can cheap ones that bring little.
      stage_input by_cost = x;
      by_cost.limit.per_cost = true;
      batch_run other;
      if (certifies) other.gains_left = &gains_of_other;
      std::vector<candidate> others = by.pick(by_cost, other);
      if (by.worth(x, others) > by.worth(x, picks)) {
        picks = std::move(others);
        gains = std::move(gains_of_other);
        run.exact = other.exact;
        for_cost = " for its cost";
      }
    }
    result_.of_optimum = run.of_optimum;
    if (certifies && !gains.empty()) {
      // Gains are rounded to fp32.
      const double worth = by.worth(x, picks);
      const double most = worth + most_worth(host_of(on_), {gains.data(), x.rows()}, x.limit);
      if (most > 0) result_.of_optimum = worth / (most * (1 + 1e-6));
    }
    for (std::size_t p = 0; p < picks.size(); ++p) {
      const bool estimated = by.estimated != nullptr && index_t(p) >= run.exact;
      add({picks[p]}, std::string(by.reason) + (estimated ? by.estimated : "") + for_cost);
    }
  }

  /// The run in the numbers of some rows, which ascend; in those of the pool where none are given.
  batch_run run_among(std::span<const index_t> rows) const {
    batch_run among = run_;
    if (rows.empty()) return among;
    for (candidate& c : among.begin.picks) {
      const auto place = std::lower_bound(rows.begin(), rows.end(), c.row);
      if (place == rows.end() || *place != c.row)
        throw value_error("select: cannot go on from row " + std::to_string(c.row) +
                          ", which is no candidate there; pass a state of the same selection, or begin anew");
      c.row = place - rows.begin();
    }
    among.advanced = [this, rows](const batch_state& state) {
      batch_state in_pool = state;
      for (candidate& c : in_pool.picks) c.row = rows[std::size_t(c.row)];
      if (run_.advanced) run_.advanced(in_pool);
    };
    return among;
  }

  /// A stage of diversity that is not the last picks what the next may choose from, whatever it costs.
  void thin_out(std::size_t s, stage_input x) {
    std::vector<std::uint8_t> barred(std::size_t(x.rows()));
    const remaining left(x.limit, std::nullopt);
    index_t available = 0;
    for (index_t i = 0; i < x.rows(); ++i) {
      barred[std::size_t(i)] = left.ruled_out(i);
      available += barred[std::size_t(i)] == 0;
    }
    const allowance of_batch = x.limit;
    const index_t kept = stages()[s].keep.count(limit_.picks, available);
    std::optional<floors_on_the_way> way;
    if (!of_batch.floor.empty()) way.emplace(of_batch, barred, kept);
    x.limit = way ? way->limit() : allowance{.picks = kept, .barred = {barred.data(), x.rows()}};
    batch_run alone;
    std::vector<candidate> picks = x.what->entry->pick(x, alone);
    if (way) way->add_reserve(picks);
    keep(s, picks);
  }

  /// Of the rows at hand these go to the next stage, with the scores that they have, and that of this stage if
  /// it is one: a draw, or a gain, says nothing of a row alone.
  void keep(std::size_t s, std::vector<candidate> rows) {
    // Ascending, so that ties in what follows go to the lower row of the pool.
    std::sort(rows.begin(), rows.end(), [](const candidate& a, const candidate& b) { return a.row < b.row; });
    const strategy_entry& by = *stages()[s].entry;
    among_ = " among " + kept_by(stages()[s], rows.size()) + among_;
    for (std::vector<float>& column : columns_) {
      std::vector<float> kept;
      for (const candidate& c : rows) kept.push_back(column[std::size_t(c.row)]);
      column = std::move(kept);
    }
    if (by.scores()) scored_ = !by.does.has(trait::draws);
    if (by.scores() && scored_) {
      columns_.emplace_back();
      for (const candidate& c : rows) columns_.back().push_back(c.score);
      result_.kept_by.push_back(stages()[s].text);
    }
    std::vector<index_t> numbers;
    for (const candidate& c : rows)
      numbers.push_back(candidates_ ? candidates_->rows()[std::size_t(c.row)] : c.row);
    choose(std::move(numbers), needs_from(s + 1));
  }

  /// A strategy of diversity sees valid rows only.
  void keep_valid(std::size_t s) {
    std::vector<index_t> rows;
    for (index_t i = 0; i < pool().rows; ++i)
      if (barred_[std::size_t(i)] == 0) rows.push_back(i);
    spend(rows.size() * row_bytes(pool(), needs_from(s)),
          "some rows cannot be judged, and a copy of the others");
    choose(std::move(rows), needs_from(s));
  }

  void choose(std::vector<index_t> rows, parts needed) {
    candidate_numbers_.clear();
    for (const index_t row : rows)
      if (!numbers_.empty()) candidate_numbers_.push_back(numbers_[std::size_t(row)]);
    candidates_.emplace(host_of(on_), pool(), std::move(rows), needed);
  }

  void add(const std::vector<candidate>& picks, const std::string& reason) {
    for (const candidate& c : picks) {
      const index_t row = candidates_ ? candidates_->rows()[std::size_t(c.row)] : c.row;
      result_.picks.push_back(
          {row, pool().id(row), c.score, pool().cost.empty() ? 0 : pool().cost[row], reason + among_, {}});
      for (const std::vector<float>& column : columns_)
        result_.picks.back().kept_by.push_back(column[std::size_t(c.row)]);
      for (const cost_column& one : pool().also_cost) result_.picks.back().also_cost.push_back(one.cost[row]);
    }
  }

  const where& on_;
  const query& asked_;
  const batch_run& run_;
  std::uint64_t spare_;
  vector_view<const float> first_scores_;
  std::span<const index_t> numbers_;
  pool_inputs pool_;
  std::vector<float> scaled_;         // the embeddings, where they are not as they were given
  double unit_ = 1;                   // a distance of 1 as it was given
  std::vector<std::uint8_t> barred_;  // [rows] labelled, excluded, invalid
  index_t left_;                      // rows that are not
  bool all_valid_ = true;
  allowance limit_;
  std::vector<index_t> floor_;  // of limit_, no more than there are rows
  bool placed_ = false;         // whether the labelled rows are known:
  std::vector<float> places_, labels_;
  matrix_view<const float> labelled_;
  std::vector<float> scores_of_all_;
  std::optional<gathered_pool> candidates_;  // none: the pool where it lies
  std::vector<index_t> candidate_numbers_;   // as numbers_ calls them
  std::vector<std::vector<float>> columns_;  // of the candidates, for each of result_.kept_by
  bool scored_ = false;                      // whether the last stage that ranks did so by the last of these
  std::string among_;                        // the candidates, for people
  batch result_;
};

bool is_short(const query& asked, const batch& chosen) {
  return index_t(chosen.picks.size()) < asked.limit().picks;
}

/// The picks of each group.
std::vector<index_t> picks_of_groups(const query& asked, const batch& chosen) {
  std::vector<index_t> count(asked.spec().floor.size(), 0);
  for (const pick& p : chosen.picks)
    if (!count.empty()) ++count[std::size_t(asked.pool().group[p.row])];
  return count;
}

/// What the floors still ask for, of the rows that are not gone.
std::vector<index_t> owed_floors(const query& asked, const batch& chosen,
                                 const std::vector<std::uint8_t>& gone) {
  std::vector<index_t> owed = asked.spec().floor, there(owed.size(), 0);
  const std::vector<index_t> picked = picks_of_groups(asked, chosen);
  for (std::size_t i = 0; i < gone.size() && !owed.empty(); ++i)
    if (gone[i] == 0) ++there[std::size_t(asked.pool().group[index_t(i)])];
  for (std::size_t g = 0; g < owed.size(); ++g)
    owed[g] = std::max<index_t>(0, std::min(owed[g] - picked[g], there[g]));
  return owed;
}

/// What is left of a query's limits after some picks.
query_spec rest_of(const query& asked, const batch& chosen) {
  const pool_inputs& pool = asked.pool();
  query_spec spec = asked.spec();
  spec.batch = asked.limit().picks - index_t(chosen.picks.size());
  if (spec.budget) *spec.budget -= chosen.cost();
  for (const pick& p : chosen.picks) {
    if (!spec.quota.empty()) --spec.quota[std::size_t(pool.group[p.row])];
    for (named_budget& one : spec.budgets)
      for (const cost_column& column : pool.also_cost)
        if (column.name == one.name) one.limit -= column.cost[p.row];
  }
  return spec;
}

/// Candidates that are left over are allowed no more, as limits only shrink; other rows may be. Places and
/// money that a floor keeps are for others where its rows all lie too near.
void go_on(const where& on, const query& asked, const selection& first, std::uint64_t spare,
           const query_run& how, batch& chosen) {
  std::vector<index_t> left_over = first.left_over(chosen);
  pool_inputs pool = asked.pool();
  std::vector<index_t> labelled(pool.labelled.begin(), pool.labelled.end()), excluded;
  std::vector<std::uint8_t> gone(std::size_t(pool.rows));
  const auto exclude = [&](std::span<const index_t> rows) {
    for (const index_t row : rows)
      if (std::exchange(gone[std::size_t(row)], std::uint8_t(1)) == 0) excluded.push_back(row);
  };
  for (const index_t row : labelled) gone[std::size_t(row)] = 1;
  exclude(pool.excluded);
  // Nobody has said yet what the picks so far are.
  std::vector<float> labels(pool.labels.begin(), pool.labels.end());
  pool.labels = {labels.data(), index_t(labels.size())};
  bool floors_stand = !asked.spec().floor.empty();
  for (std::size_t seen = 0; is_short(asked, chosen) && (!left_over.empty() || floors_stand);) {
    for (; seen < chosen.picks.size(); ++seen) {
      labelled.push_back(chosen.picks[seen].row);
      if (!labels.empty()) labels[std::size_t(labelled.back())] = std::numeric_limits<float>::quiet_NaN();
      gone[std::size_t(labelled.back())] = 1;
    }
    floors_stand = floors_stand && !left_over.empty();
    exclude(left_over);
    pool.labelled = labelled;
    pool.excluded = excluded;
    query_spec spec = rest_of(asked, chosen);
    spec.floor = floors_stand ? owed_floors(asked, chosen, gone) : std::vector<index_t>(spec.floor.size());
    left_over.clear();
    try {
      const query others = prepare(spec, pool, asked.words());
      const batch_run anew;
      selection rest(on, others, anew, spare, how);
      rest.measure_as(first);
      const batch more = rest.pick();
      chosen.picks.insert(chosen.picks.end(), more.picks.begin(), more.picks.end());
      left_over = rest.left_over(more);
    } catch (const budget_error&) {
      if (!floors_stand) return;  // none is
    }
  }
}

/// Says what was not quite as asked.
void remark(const query& asked, batch& chosen) {
  const auto picks = index_t(chosen.picks.size()), wanted = asked.spec().batch.value_or(0);
  for (const stage& s : asked.what().stages)
    if (s.keep.rows > 0 && s.keep.rows < asked.limit().picks)
      chosen.remarks.push_back(s.text + "/" + std::to_string(s.keep.rows) + " keeps fewer rows than the " +
                               std::to_string(asked.limit().picks) + " picks; as many as these were kept");
  if (asked.needs(part::committee))
    if (std::string doubt = doubt_axes(*asked.pool().committee); !doubt.empty())
      chosen.remarks.push_back(std::move(doubt));
  const bool all = picks + chosen.skipped_rows >= asked.available();
  if (picks < wanted)
    chosen.remarks.push_back(
        std::to_string(picks) + " of " + std::to_string(wanted) +
        " picks: " + (all ? "no more rows are available" : "no more rows are within " + asked.limits()));
  const std::vector<index_t>& floor = asked.spec().floor;
  const std::vector<index_t> picked = picks_of_groups(asked, chosen);
  for (std::size_t g = 0; g < floor.size(); ++g)
    if (picked[g] < floor[g])
      chosen.remarks.push_back(std::to_string(picked[g]) + " of the " + std::to_string(floor[g]) +
                               " picks that " + asked.words().floor + " asks of " +
                               asked.pool().group_name(index_t(g)) + ": no more of its rows can be picked");
}

}  // namespace

std::int64_t batch::cost() const {
  return std::accumulate(picks.begin(), picks.end(), std::int64_t{0},
                         [](std::int64_t sum, const pick& p) { return sum + p.cost; });
}

std::int64_t batch::cost(std::size_t which) const {
  return std::accumulate(picks.begin(), picks.end(), std::int64_t{0},
                         [which](std::int64_t sum, const pick& p) { return sum + p.also_cost[which]; });
}

query_plan plan_within(const where& on, const query& asked, const query_run& how) {
  query_plan needed = plan_memory(on, asked);
  const std::uint64_t bytes = needed.bytes - process_bytes + how.held;
  if (how.ceiling > 0 && bytes > how.ceiling)
    throw value_error(asked.opening() + "needs " + human_bytes(double(bytes)) +
                      " beside the mapped inputs but " + asked.words().memory + " allows " +
                      human_bytes(double(how.ceiling)) +
                      "; raise it, or keep fewer candidates (margin/10x/kcenter)");
  return needed;
}

namespace {

/// Rows beside the pool, scaled to length 1 into `kept`. One of zeros stays so.
std::optional<matrix_view<const float>> unit_rows_beside(cpu on,
                                                         const std::optional<matrix_view<const float>>& rows,
                                                         std::vector<float>& kept) {
  if (!rows) return rows;
  kept = unit_rows(on, *rows);
  for (index_t i = 0; i < rows->rows; ++i)
    if (std::all_of(rows->row(i), rows->row(i) + rows->cols, [](float v) { return v == 0; }))
      std::fill_n(kept.begin() + i * rows->cols, rows->cols, 0.0f);
  return matrix_view<const float>{kept.data(), rows->rows, rows->cols};
}

/// The same query of rows scaled to length 1. throws value_error for a row that has no direction.
/// A query ends with the devices' memory given back: what comes next, such as training, may need all of it.
struct device_memory_loan {
  explicit device_memory_loan(const where& on) : of_devices(!std::holds_alternative<cpu>(on)) {}
  ~device_memory_loan() {
    if (of_devices) release_device_memory();
  }
  device_memory_loan(const device_memory_loan&) = delete;
  device_memory_loan& operator=(const device_memory_loan&) = delete;

  bool of_devices;
};

batch run_by_cosine(const where& on, const query& asked, query_run how) {
  const auto embeddings = asked.pool().embeddings.value();
  const std::vector<float> scaled = unit_rows(host_of(on), embeddings);
  for (index_t i = 0; i < embeddings.rows; ++i) {
    if (all_finite(&scaled[std::size_t(i * embeddings.cols)], embeddings.cols)) continue;
    const auto row = embeddings.row(i);
    const bool zero = std::all_of(row, row + embeddings.cols, [](float v) { return v == 0; });
    if (zero && asked.limit().barred[i] == 0 && asked.spec().invalid == on_invalid::refuse)
      throw value_error(
          asked.opening() + "row " + std::to_string(i) +
          " has an embedding of zeros, which has no direction; compare by distance, or leave such "
          "rows out (" +
          asked.words().skip + ")");
  }
  pool_inputs pool = asked.pool();
  pool.embeddings = matrix_view<const float>{scaled.data(), embeddings.rows, embeddings.cols};
  std::vector<float> queries, private_rows;
  pool.queries = unit_rows_beside(host_of(on), pool.queries, queries);
  pool.private_rows = unit_rows_beside(host_of(on), pool.private_rows, private_rows);
  query_spec spec = asked.spec();
  spec.distance = metric::euclidean;
  how.held += std::uint64_t(scaled.size()) * sizeof(float);
  return run(on, prepare(spec, pool, asked.words()), how);
}

}  // namespace

batch run(const where& on, const query& asked, const query_run& how) {
  require_host_arrays(on);
  const device_memory_loan loan(on);
  if (!how.first_scores.empty() &&
      (how.first_scores.size != asked.pool().rows || !asked.what().first().entry->scores()))
    throw value_error(asked.opening() + std::to_string(how.first_scores.size) +
                      " scores of the first stage are given; give one for each of the " +
                      std::to_string(asked.pool().rows) + " rows, of a stage that scores");
  std::uint64_t spare = std::numeric_limits<std::uint64_t>::max();
  if (how.ceiling > 0) {
    const std::uint64_t planned = plan_within(on, asked, how).bytes - process_bytes + how.held;
    spare = how.ceiling - planned;
    if (mapped_pages* const pages = host_of(on).pages) pages->expect(planned);
  }
  if (asked.by_cosine()) return run_by_cosine(on, asked, how);
  std::optional<checkpoint> saved;
  if (!how.checkpoint.empty()) {
    checkpoint::check_place(how.checkpoint);  // before the pool is read for its fingerprint
    saved.emplace(how.checkpoint, fingerprint(on, asked));
    saved->lock();
  }
  batch_run state;
  if (saved)
    if (auto begin = saved->read()) {
      if (how.resumed) how.resumed(*begin);
      state.begin = std::move(*begin);
    }
  state.advanced = [&](const batch_state& now) {
    if (saved) saved->write(now);
    if (how.advanced) how.advanced(now);
  };
  selection first(on, asked, state, spare, how);
  batch chosen = first.pick();
  if (how.left_over != nullptr)
    *how.left_over = first.left_over(chosen);
  else
    go_on(on, asked, first, spare, how, chosen);
  if (chosen.picks.empty() && asked.limit().picks > 0 && how.left_over == nullptr) {
    if (chosen.skipped_rows < asked.available()) asked.refuse_empty();
    throw budget_error(asked.opening() + "none of the " + std::to_string(asked.available()) +
                       " available rows can be judged; nothing is left to pick");
  }
  if (how.left_over == nullptr) remark(asked, chosen);
  chosen.strategy = spelled_out(asked.what());
  return chosen;
}

batch select(const where& on, const pool_inputs& pool, const query_spec& spec) {
  return run(on, prepare(spec, pool));
}

}  // namespace poolwise
