#include "poolwise/query/select.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "poolwise/budget/spend.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/stopwatch.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/pool/judge.hpp"
#include "poolwise/pool/unit_rows.hpp"
#include "poolwise/query/checkpoint.hpp"
#include "poolwise/query/detail/ranked_rows.hpp"
#include "poolwise/query/detail/renumbered_run.hpp"
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
  if (!s.entry->draws) return "the " + count + "of highest " + s.text;
  return count + "drawn " + (s.inner ? "by " + s.text : "at random");
}

std::string reason_of_rank(const stage& s, bool by_cost = false) {
  if (s.entry->draws) return s.inner ? "drawn by " + s.text : "random draw";
  return "highest " + s.text + (by_cost ? " for its cost" : "");
}

/// A query on its way through the stages of its strategy.
class selection {
 public:
  /// spare: bytes left for copies that only the values of the pool show to be needed
  selection(const where& on, const query& asked, batch_run* run, std::uint64_t spare)
      : on_(on),
        asked_(asked),
        run_(run),
        spare_(spare),
        pool_(asked.pool()),
        barred_(asked.limit().barred.begin(), asked.limit().barred.end()),
        left_(asked.available()),
        limit_(asked.limit()) {
    limit_.barred = {barred_.data(), pool().rows};
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
    if (ranks_first()) rank();
    limit_.picks = std::min(limit_.picks, left_);
    result_.rank_seconds = watch.lap();
    place_labelled();
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
  bool places_labelled() const { return asked_.spec().apart || asked_.what().counts_labelled(); }

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

  /// Where the labelled rows lie, if the strategy is to know.
  void place_labelled() {
    if (!places_labelled()) return;
    const matrix_view<const float> embeddings = *pool().embeddings;
    places_ = gather(host_of(on_), embeddings, pool().labelled);
    if (!places_.empty()) labelled_ = {places_.data(), index_t(pool().labelled.size()), embeddings.cols};
    for (index_t i = 0; i < labelled_.rows; ++i)
      if (!is_finite(labelled_.row(i), labelled_.cols))
        throw value_error(asked_.opening() + "labelled row " + std::to_string(pool().labelled[std::size_t(i)]) +
                          " has an embedding that is not finite, so no distance to it exists; mend it, or "
                          "exclude it instead (" +
                          asked_.words().excluded + ")");
    if (asked_.spec().apart) limit_.apart = spacing{embeddings, radius(), labelled_};
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
    auto [best, invalid] = best_ranked(s, of_stage(s, {.on = on_, .pool = pool()}), limit_, count());
    leave_out(invalid, false);
    best.resize(std::min(best.size(), std::size_t(std::max<index_t>(0, count()))));
    if (decides)
      add(best, reason_of_rank(s));
    else
      keep(0, best);
  }

  /// Where a budget, quotas or distances choose among all rows, each has its score.
  void score_all(const stage& s) {
    scores_of_all_.resize(std::size_t(pool().rows));
    const vector_view<float> scores{scores_of_all_.data(), pool().rows};
    score_rows(s, of_stage(s, {.on = on_, .pool = pool()}), scores);
    leave_out(find_nan(host_of(on_), scores, limit_.barred), false);
    const remaining left(limit_);
    for (index_t i = 0; i < scores.size; ++i)
      if (left.ruled_out(i)) scores[i] = std::numeric_limits<float>::quiet_NaN();
  }

  /// Picks by the scores of rows. Drawn ones say nothing about what a row is worth: they are an order.
  void buy(const stage& s, vector_view<const float> scores, const allowance& limit) {
    if (s.entry->draws) return add(take_in_order(host_of(on_), scores, limit), reason_of_rank(s));
    const purchase bought = best_affordable(host_of(on_), scores, limit);
    if (bought.budget_binds) result_.of_optimum = bought.share();
    add(bought.batch, reason_of_rank(s, bought.budget_binds));
  }

  // ---- The other stages

  void take(std::size_t s) {
    const stage& now = stages()[s];
    if (!candidates_ && !all_valid_) keep_valid(s);
    if (candidates_ && candidates_->rows().empty()) return;
    stage_input x = candidates_ ? among_candidates(now) : of_stage(now, {.on = on_, .pool = pool()});
    if (!candidates_) x.limit = limit_;
    if (now.entry->counts_labelled) x.labelled = labelled_;
    if (now.entry->scores())
      rank_candidates(s, x);
    else if (is_last(s))
      diversify(now, x);
    else
      thin_out(s, x);
  }

  stage_input of_stage(const stage& s, const stage_input& rows) {
    stage_input x = rows.for_stage(s);
    x.seed = asked_.spec().seed;
    x.round = asked_.spec().round;
    x.neighbours = asked_.spec().neighbours;
    x.lists = &result_.neighbours;
    x.unit = unit_;
    x.remarks = &result_.remarks;
    return x;
  }

  stage_input among_candidates(const stage& s) {
    stage_input x = of_stage(s, {.on = on_, .pool = candidates_->view(), .pool_rows = candidates_->rows()});
    if (scored_) x.scores = {columns_.back().data(), index_t(columns_.back().size())};
    x.limit = limit_;
    x.limit.cost = x.pool.cost;
    x.limit.group = x.pool.group;
    x.limit.barred = {};  // barred rows were never kept
    if (x.limit.apart) x.limit.apart->points = *x.pool.embeddings;
    return x;
  }

  void rank_candidates(std::size_t s, const stage_input& x) {
    const stage& now = stages()[s];
    if (!is_last(s)) return keep(s, best_ranked(now, x, x.limit, now.keep.count(limit_.picks, x.rows())).best);
    std::vector<float> scores(std::size_t(x.rows()));
    score_rows(now, x, {scores.data(), x.rows()});
    buy(now, {scores.data(), x.rows()}, x.limit);
  }

  void diversify(const stage& now, stage_input& x) {
    renumbered_run run(run_, x.pool_rows);
    x.run = run.view();
    std::vector<reasoned_pick> picks = now.entry->pick(x);
    const char* by = "";
    if (x.limit.priced() && now.entry->worth != nullptr) {
      // Rows that cost more than they bring can use a budget up, as can cheap ones that bring little.
      stage_input by_cost = x;
      by_cost.limit.per_cost = true;
      by_cost.run = nullptr;
      std::vector<reasoned_pick> others = now.entry->pick(by_cost);
      if (now.entry->worth(x, others) > now.entry->worth(x, picks)) {
        picks = std::move(others);
        by = " for its cost";
      }
    }
    for (const auto& [c, reason] : picks) add({c}, std::string(reason) + by);
  }

  /// A stage of diversity that is not the last picks what the next may choose from, whatever it costs.
  void thin_out(std::size_t s, stage_input& x) {
    std::vector<std::uint8_t> barred(std::size_t(x.rows()));
    const remaining left(x.limit);
    index_t available = 0;
    for (index_t i = 0; i < x.rows(); ++i) {
      barred[std::size_t(i)] = left.ruled_out(i);
      available += barred[std::size_t(i)] == 0;
    }
    x.limit = {.picks = stages()[s].keep.count(limit_.picks, available), .barred = {barred.data(), x.rows()}};
    std::vector<candidate> picks;
    for (const reasoned_pick& p : stages()[s].entry->pick(x)) picks.push_back(p.picked);
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
    if (by.scores()) scored_ = !by.draws;
    if (by.scores() && scored_) {
      columns_.emplace_back();
      for (const candidate& c : rows) columns_.back().push_back(c.score);
      result_.kept_by.push_back(stages()[s].text);
    }
    std::vector<index_t> numbers;
    for (const candidate& c : rows)
      numbers.push_back(candidates_ ? candidates_->rows()[std::size_t(c.row)] : c.row);
    candidates_.emplace(host_of(on_), pool(), std::move(numbers), needs_from(s + 1));
  }

  /// A strategy of diversity sees valid rows only.
  void keep_valid(std::size_t s) {
    std::vector<index_t> rows;
    for (index_t i = 0; i < pool().rows; ++i)
      if (barred_[std::size_t(i)] == 0) rows.push_back(i);
    spend(rows.size() * row_bytes(pool(), needs_from(s)),
          "some rows cannot be judged, and a copy of the others");
    candidates_.emplace(host_of(on_), pool(), std::move(rows), needs_from(s));
  }

  void add(const std::vector<candidate>& picks, const std::string& reason) {
    for (const candidate& c : picks) {
      const index_t row = candidates_ ? candidates_->rows()[std::size_t(c.row)] : c.row;
      result_.picks.push_back(
          {row, pool().id(row), c.score, pool().cost.empty() ? 0 : pool().cost[row], reason + among_, {}});
      for (const std::vector<float>& column : columns_)
        result_.picks.back().kept_by.push_back(column[std::size_t(c.row)]);
    }
  }

  const where& on_;
  const query& asked_;
  batch_run* run_;
  std::uint64_t spare_;
  pool_inputs pool_;
  std::vector<float> scaled_;         // the embeddings, where they are not as they were given
  double unit_ = 1;                   // a distance of 1 as it was given
  std::vector<std::uint8_t> barred_;  // [rows] labelled, excluded, invalid
  index_t left_;                      // rows that are not
  bool all_valid_ = true;
  allowance limit_;
  std::vector<float> places_;
  matrix_view<const float> labelled_;
  std::vector<float> scores_of_all_;
  std::optional<gathered_pool> candidates_;  // none: the pool where it lies
  std::vector<std::vector<float>> columns_;  // of the candidates, for each of result_.kept_by
  bool scored_ = false;                      // whether the last stage that ranks did so by the last of these
  std::string among_;                        // the candidates, for people
  batch result_;
};

bool is_short(const query& asked, const batch& chosen) {
  return index_t(chosen.picks.size()) < asked.limit().picks;
}

/// Candidates that are left over are allowed no more, as limits only shrink; other rows may be.
void go_on(const where& on, const query& asked, const selection& first, std::uint64_t spare, batch& chosen) {
  std::vector<index_t> left_over = first.left_over(chosen);
  pool_inputs pool = asked.pool();
  std::vector<index_t> labelled(pool.labelled.begin(), pool.labelled.end()), excluded;
  std::vector<std::uint8_t> gone(std::size_t(pool.rows));
  const auto exclude = [&](std::span<const index_t> rows) {
    for (const index_t row : rows)
      if (std::exchange(gone[std::size_t(row)], std::uint8_t(1)) == 0) excluded.push_back(row);
  };
  exclude(pool.excluded);
  for (std::size_t seen = 0; is_short(asked, chosen) && !left_over.empty();) {
    for (; seen < chosen.picks.size(); ++seen) {
      labelled.push_back(chosen.picks[seen].row);
      gone[std::size_t(labelled.back())] = 1;
    }
    exclude(left_over);
    pool.labelled = labelled;
    pool.excluded = excluded;
    query_spec spec = asked.spec();
    spec.batch = asked.limit().picks - index_t(chosen.picks.size());
    if (spec.budget) *spec.budget -= chosen.cost();
    for (const pick& p : chosen.picks)
      if (!spec.quota.empty()) --spec.quota[std::size_t(pool.group[p.row])];
    try {
      const query others = prepare(spec, pool, asked.words());
      selection rest(on, others, nullptr, spare);
      rest.measure_as(first);
      const batch more = rest.pick();
      chosen.picks.insert(chosen.picks.end(), more.picks.begin(), more.picks.end());
      left_over = rest.left_over(more);
    } catch (const budget_error&) {
      return;  // none is
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
  if (picks >= wanted) return;
  const bool all = picks + chosen.skipped_rows >= asked.available();
  chosen.remarks.push_back(std::to_string(picks) + " of " + std::to_string(wanted) + " picks: " +
                           (all ? "no more rows are available" : "no more rows are within " + asked.limits()));
}

}  // namespace

std::int64_t batch::cost() const {
  return std::accumulate(picks.begin(), picks.end(), std::int64_t{0},
                         [](std::int64_t sum, const pick& p) { return sum + p.cost; });
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

/// The same query of rows scaled to length 1. throws value_error for a row that has no direction.
batch run_by_cosine(const where& on, const query& asked, query_run how) {
  const auto embeddings = asked.pool().embeddings.value();
  const std::vector<float> scaled = unit_rows(host_of(on), embeddings);
  for (index_t i = 0; i < embeddings.rows; ++i) {
    if (is_finite(&scaled[std::size_t(i * embeddings.cols)], embeddings.cols)) continue;
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
  query_spec spec = asked.spec();
  spec.distance = metric::euclidean;
  how.held += std::uint64_t(scaled.size()) * sizeof(float);
  return run(on, prepare(spec, pool, asked.words()), how);
}

}  // namespace

batch run(const where& on, const query& asked, const query_run& how) {
  require_host_arrays(on);
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
  selection first(on, asked, &state, spare);
  batch chosen = first.pick();
  go_on(on, asked, first, spare, chosen);
  if (chosen.picks.empty() && asked.limit().picks > 0) {
    if (chosen.skipped_rows < asked.available()) asked.refuse_empty();
    throw budget_error(asked.opening() + "none of the " + std::to_string(asked.available()) +
                       " available rows can be judged; nothing is left to pick");
  }
  remark(asked, chosen);
  chosen.strategy = spelled_out(asked.what());
  return chosen;
}

batch select(const where& on, const pool_inputs& pool, const query_spec& spec) {
  return run(on, prepare(spec, pool));
}

}  // namespace poolwise
