#include "poolwise/cluster/sharded_select.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "poolwise/cluster/detail/brought_rows.hpp"
#include "poolwise/cluster/detail/ordered_shard.hpp"
#include "poolwise/cluster/detail/query_over_ranks.hpp"
#include "poolwise/core/detail/message.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/pool/judge.hpp"
#include "poolwise/query/checkpoint.hpp"
#include "poolwise/query/detail/ranked_rows.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {
namespace {

/// What all ranks together have.
struct whole_pool {
  index_t rows = 0, available = 0, labelled = 0, features = 0, classes = 0;
  std::vector<index_t> available_of_group;
};

struct number_of_score {
  index_t number;
  index_t group;
  float score;
};

/// Refuses as one process does what does not depend on the rows of other ranks.
void check_shard(const pool_inputs& pool, query_spec spec, const std::string& as, const wording& words) {
  if (pool.rows == 0) return;
  spec.strategy = as;
  if (!spec.floor.empty() && spec.quota.empty()) spec.quota.assign(spec.floor.size(), *spec.batch);
  spec.floor.clear();
  try {
    prepare(spec, pool, words);
  } catch (const budget_error&) {  // nothing is left of these rows
  }
}

/// One query of one rank's rows, a stage at a time.
class sharded_query {
 public:
  /// pool: that of the shard, perhaps with more labelled and excluded rows
  sharded_query(const where& on, const ordered_shard& shard, const pool_inputs& pool, const query_spec& spec,
                communicator& all, const query_run& how, const wording& words)
      : on_(on), shard_(shard), pool_(pool), spec_(spec), all_(all), how_(how), words_(words) {}

  /// Rows of the picks are numbers. `left_over`: numbers of the rows kept for the last stage that it has not
  /// picked.
  batch answer(std::vector<index_t>& left_over) {
    count();
    what_ = parse_strategy(spec_.strategy).at(whole_.labelled);
    if (const std::string why = refused_over_ranks(spec_, what_); !why.empty())
      throw usage_error(opening() + why);
    check_shard(pool(), spec_, what_.name, words_);
    wanted_ = *spec_.batch;
    picks_ = std::min(wanted_, whole_.available);
    if (picks_ == 0 && wanted_ > 0)
      throw budget_error(opening() + "all " + std::to_string(whole_.rows) +
                         " rows are labelled or excluded; nothing is left to pick");
    if (spec_.batch == 0) return named(batch{});
    judge();
    bring_labelled();
    batch chosen = first().entry->scores() ? rank(left_over) : diversify();
    chosen.skipped_rows = invalid_.count;
    chosen.first_skipped = invalid_.first;
    return named(std::move(chosen));
  }

  /// Says where a batch, which one process has not remarked on, is short. throws budget_error for an empty one.
  void remark(batch& chosen) const {
    const auto picks = index_t(chosen.picks.size());
    if (picks == 0 && wanted_ > 0) {
      const std::string none =
          opening() + "none of the " + std::to_string(whole_.available) + " available rows ";
      throw budget_error(chosen.skipped_rows < whole_.available
                             ? none + "is within " + words_.quota + "; allow more, or stop here"
                             : none + "can be judged; nothing is left to pick");
    }
    if (picks >= wanted_ || what_.score() != nullptr) return;
    const bool all_rows = picks + chosen.skipped_rows >= whole_.available;
    chosen.remarks.push_back(
        std::to_string(picks) + " of " + std::to_string(wanted_) + " picks: " +
        (all_rows ? "no more rows are available" : std::string("no more rows are within ") + words_.quota));
  }

 private:
  std::string opening() const { return std::string(words_.call) + ": "; }
  const pool_inputs& pool() const { return pool_; }
  const stage& first() const { return what_.first(); }
  parts needs_from(std::size_t s) const {
    parts needed;
    for (; s < what_.stages.size(); ++s) needed = needed | what_.stages[s].needs();
    return needed;
  }
  std::size_t groups() const { return std::max(spec_.quota.size(), spec_.floor.size()); }
  bool limited() const { return groups() > 0; }

  /// Which rows there are.
  void count() {
    barred_.assign(std::size_t(pool().rows), 0);
    for (const index_t row : pool().excluded) barred_[std::size_t(row)] |= 2;
    for (const index_t row : pool().labelled) barred_[std::size_t(row)] |= 1;
    std::vector<index_t> of_group(groups());
    index_t available = 0;
    for (index_t i = 0; i < pool().rows; ++i) {
      if (barred_[std::size_t(i)] != 0) continue;
      ++available;
      if (limited()) ++of_group[std::size_t(pool().group[i])];
    }
    message_writer mine;
    mine.add(pool().rows).add(available).add(index_t(pool().labelled.size()));
    mine.add(pool().embeddings ? pool().embeddings->cols : index_t{0});
    mine.add(pool().model ? cols_of(*pool().model) : index_t{0}).add_all(of_group);
    whole_.available_of_group.assign(groups(), 0);
    for (const auto& bytes : all_.allgather(mine.bytes())) {
      message_reader other(bytes);
      whole_.rows += other.value<index_t>();
      whole_.available += other.value<index_t>();
      whole_.labelled += other.value<index_t>();
      whole_.features = std::max(whole_.features, other.value<index_t>());
      whole_.classes = std::max(whole_.classes, other.value<index_t>());
      const auto more = other.all<index_t>();
      for (std::size_t g = 0; g < groups(); ++g) whole_.available_of_group[g] += more[g];
    }
  }

  // ---- Rows that cannot be judged

  void judge() {
    parts unjudged = needs_from(0);
    if (first().entry->scores()) {
      unjudged = unjudged.without(first().needs());
      if (needs_from(1).has(part::embeddings)) unjudged = unjudged | part::embeddings;
    }
    const bool places = what_.does(trait::counts_labelled);
    const auto aside = [&](index_t i) {
      const std::uint8_t why = barred_[std::size_t(i)];
      return why != 0 && !((why & 1) != 0 && places);
    };
    std::vector<std::uint8_t> marks;
    float largest = 0;
    nan_rows found;
    if (unjudged != parts() && pool().rows > 0) {
      largest = mark_invalid(on_, pool(), unjudged, marks, aside);
      for (index_t i = 0; i < pool().rows; ++i)
        if (marks[std::size_t(i)] != 0 && std::exchange(barred_[std::size_t(i)], std::uint8_t(1)) == 0)
          found += {i, 1};
    }
    if (!unjudged.has(part::embeddings) && first().entry->scores()) {  // the same for all ranks
      mine_invalid_ = found;
      return;
    }
    message_writer mine;
    mine.add(largest);
    for (const auto& bytes : all_.allgather(mine.bytes()))
      largest = std::max(largest, message_reader(bytes).value<float>());
    const index_t cols = pool().embeddings ? pool().embeddings->cols : 1;
    if (unjudged.has(part::embeddings) && distance_scale(largest, cols) != 1)
      throw value_error(opening() + why_scaled("embeddings", largest) +
                        ", and to scale them is not made over ranks yet; scale them by a power of two");
    mine_invalid_ = found;
    if (!first().entry->scores()) settle_invalid({});
  }

  /// Adds what all ranks have found, and refuses it or goes on without.
  void settle_invalid(const nan_rows& more) {
    nan_rows mine = mine_invalid_;
    if (more.count > 0) mine += more;
    message_writer out;
    out.add(mine.count).add(mine.count > 0 ? shard_.number(mine.first) : index_t(-1));
    out.add(mine.count > 0 ? why_invalid(pool(), needs_from(0), mine.first) : std::string());
    std::string why;
    invalid_ = {};
    for (const auto& bytes : all_.allgather(out.bytes())) {
      message_reader in(bytes);
      const auto invalid = in.value<index_t>(), number = in.value<index_t>();
      std::string text = in.text();
      if (invalid == 0) continue;
      if (invalid_.count == 0 || number < invalid_.first) {
        invalid_.first = number;
        why = std::move(text);
      }
      invalid_.count += invalid;
    }
    if (invalid_.count == 0 || spec_.invalid == on_invalid::skip) return;
    throw value_error(opening() + "row " + std::to_string(invalid_.first) + " " + why + "; " +
                      std::to_string(invalid_.count) + " of " + std::to_string(whole_.rows) +
                      " rows are like that; mend them, or leave them out (" + words_.skip + ")");
  }

  // ---- Labelled rows

  bool places_labelled() const { return what_.does(trait::counts_labelled); }

  void bring_labelled() {
    if (!places_labelled() || whole_.labelled == 0) return;
    std::vector<index_t> rows(pool().labelled.begin(), pool().labelled.end());
    std::sort(rows.begin(), rows.end());
    const parts needed = needs_from(0);
    for (const index_t row : rows)
      if (needed.has(part::embeddings) && !all_finite(pool().embeddings->row(row), pool().embeddings->cols))
        throw value_error(opening() + "labelled row " + std::to_string(shard_.number(row)) +
                          " has an embedding that is not finite, so no distance to it exists; mend it, or "
                          "exclude it instead (" +
                          words_.excluded + ")");
    labelled_.emplace(all_, pool(), shard_.numbers(), rows, std::vector<float>(rows.size()), needed, needed);
    labelled_->show_labelled();
  }

  stage_input local_rows() const {
    stage_input x{.on = on_, .asked = &spec_, .what = &first(), .pool = pool(), .pool_rows = shard_.numbers()};
    x.whole = labelled_ ? &labelled_->view() : &nothing_;
    if (labelled_ && first().does(trait::counts_labelled)) {
      x.labels = labelled_->view().labels;
      if (labelled_->view().embeddings) x.labelled = *labelled_->view().embeddings;
    }
    x.limit = {.picks = picks_,
               .group = pool().group,
               .quota = {spec_.quota.data(), index_t(spec_.quota.size())},
               .barred = {barred_.data(), pool().rows}};
    return x;
  }

  // ---- A first stage that scores rows

  index_t kept(index_t left) const {
    const index_t picks = std::min(picks_, left);
    return what_.stages.size() == 1 ? picks : first().keep.count(picks, left);
  }

  batch rank(std::vector<index_t>& left_over) {
    const bool by_group = what_.stages.size() == 1 && limited();
    const index_t most_kept = kept(whole_.available);
    std::vector<number_of_score> best = by_group ? best_of_groups(most_kept + 1) : best_of_rank(most_kept);
    best = best_of_all(best, most_kept + by_group, by_group);
    const index_t left = whole_.available - invalid_.count;
    if (!by_group) best.resize(std::min(best.size(), std::size_t(std::max<index_t>(0, kept(left)))));
    if (best.empty()) return {};
    std::map<index_t, float> score_of;  // by number
    for (const number_of_score& one : best) score_of[one.number] = one.score;
    const bool places = places_labelled() || needs_from(1).has(part::labels);
    if (places)
      for (const index_t row : pool().labelled) score_of[shard_.number(row)] = 0;
    std::vector<index_t> rows;
    std::vector<float> scores;
    for (const auto& [number, score] : score_of)
      if (const auto row = shard_.row_of(number)) {
        rows.push_back(*row);
        scores.push_back(score);
      }
    brought_rows among(all_, pool(), shard_.numbers(), rows, scores, needs_from(1), needs_from(0));
    if (places) among.show_labelled();
    return run_among(among, left, left_over);
  }

  batch run_among(const brought_rows& among, index_t left, std::vector<index_t>& left_over) {
    query_spec spec = spec_;
    std::vector<std::string> remarks;
    spec.strategy = rewritten(left, remarks);
    query_run how;
    how.ceiling = how_.ceiling;
    how.held = how_.held;
    how.first_scores = among.scores();
    how.numbers = among.numbers();
    std::vector<index_t> left_in_part;
    if (what_.stages.size() > 1) how.left_over = &left_in_part;
    batch chosen = run(on_, prepare(spec, among.view(), words_), how);
    for (pick& p : chosen.picks) p.row = among.numbers()[std::size_t(p.row)];
    for (const index_t row : left_in_part) left_over.push_back(among.numbers()[std::size_t(row)]);
    chosen.remarks.insert(chosen.remarks.begin(), remarks.begin(), remarks.end());
    return chosen;
  }

  /// The strategy with numbers of rows where it keeps some for each pick, or a share of the whole pool.
  std::string rewritten(index_t left, std::vector<std::string>& remarks) const {
    std::string text;
    const index_t picks = std::min(picks_, left);
    for (std::size_t s = 0; s < what_.stages.size(); ++s) {
      const stage& one = what_.stages[s];
      text += one.text;
      if (s + 1 == what_.stages.size()) break;
      keep_rule keep = one.keep;
      if (s == 0) keep = {.rows = std::max<index_t>(1, keep.count(picks, left))};
      if (keep.per_pick > 0) keep = {.rows = keep.per_pick * picks};
      if (one.keep.rows > 0 && one.keep.rows < picks) {
        remarks.push_back(one.text + "/" + std::to_string(one.keep.rows) + " keeps fewer rows than the " +
                          std::to_string(picks) + " picks; as many as these were kept");
        keep.rows = picks;
      }
      text += "/" + (keep.rows > 0 ? std::to_string(keep.rows) : share_text(keep)) + "/";
    }
    return text;
  }

  static std::string share_text(const keep_rule& keep) {
    char text[32];
    return std::string(text, std::to_chars(text, text + sizeof text, keep.percent).ptr) + "%";
  }

  /// By the numbers of this rank's rows; those that cannot be judged are found.
  std::vector<number_of_score> best_of_rank(index_t count) {
    best_of_rows found;
    if (pool().rows > 0) found = best_ranked(local_rows(), count);
    settle_invalid(found.invalid);
    std::vector<number_of_score> best;
    for (const candidate& c : found.best) best.push_back({shard_.number(c.row), 0, c.score});
    return best;
  }

  /// So many of each group: one more than can be picked shows that there are more.
  std::vector<number_of_score> best_of_groups(index_t count) {
    std::vector<float> scores(std::size_t(pool().rows));
    const vector_view<float> all{scores.data(), pool().rows};
    if (pool().rows > 0) score_rows(local_rows(), all);
    settle_invalid(find_nan(host_of(on_), all, {barred_.data(), pool().rows}));
    std::vector<top_k_state> tops(groups(), top_k_state(count));
    for (index_t i = 0; i < pool().rows; ++i)
      if (barred_[std::size_t(i)] == 0 && scores[std::size_t(i)] == scores[std::size_t(i)])
        tops[std::size_t(pool().group[i])].add({i, scores[std::size_t(i)]});
    std::vector<number_of_score> best;
    for (std::size_t g = 0; g < groups(); ++g)
      for (const candidate& c : tops[g].best()) best.push_back({shard_.number(c.row), index_t(g), c.score});
    return best;
  }

  /// Of all ranks the best by the total order, so many, or so many of each group; best first.
  std::vector<number_of_score> best_of_all(const std::vector<number_of_score>& mine, index_t count,
                                           bool by_group) {
    message_writer out;
    for (const number_of_score& one : mine) {
      out.add(one.number).add(one.score);
      if (by_group) out.add(one.group);
    }
    std::vector<number_of_score> of_all;
    for (const auto& bytes : all_.allgather(out.bytes()))
      for (message_reader in(bytes); !in.done();) {
        number_of_score one{};
        one.number = in.value<index_t>();
        one.score = in.value<float>();
        if (by_group) one.group = in.value<index_t>();
        of_all.push_back(one);
      }
    std::sort(of_all.begin(), of_all.end(), [](const number_of_score& a, const number_of_score& b) {
      return before(candidate{a.number, a.score}, candidate{b.number, b.score});
    });
    std::vector<index_t> room(std::max<std::size_t>(1, groups()), count);
    std::erase_if(of_all, [&](const number_of_score& one) { return room[std::size_t(one.group)]-- <= 0; });
    return of_all;
  }

  // ---- A strategy of diversity among all rows

  batch diversify() {
    stage_input x = local_rows();
    // A strategy of diversity sees valid rows only.
    std::optional<gathered_pool> valid;
    std::vector<index_t> rows, numbers;
    if (invalid_.count > 0) {
      for (index_t i = 0; i < pool().rows; ++i)
        if (barred_[std::size_t(i)] == 0) {
          rows.push_back(i);
          numbers.push_back(shard_.number(i));
        }
      valid.emplace(host_of(on_), pool(), rows, pool().rows > 0 ? needs_from(0) : parts());
      x.pool = valid->view();
      x.pool_rows = numbers;
      x.limit.barred = {};
      x.limit.group = x.pool.group;
    }
    if (x.rows() == 0) {
      x.pool.embeddings = matrix_view<const float>{nullptr, 0, whole_.features};
      x.pool.model = matrix_view<const float>{nullptr, 0, whole_.classes};
    }
    batch chosen;
    x.lists = &chosen.neighbours;
    x.remarks = &chosen.remarks;
    x.limit.picks = std::min(picks_, whole_.available - invalid_.count);
    const rank_group ranks{[this](std::span<const std::byte> mine) { return all_.allgather(mine); },
                           invalid_.count > 0 ? -1 : whole_.rows};
    batch_run go = run_from_checkpoint();
    const strategy_entry& by = *first().entry;
    for (const candidate& c : by.pick_over_ranks(x, ranks, go)) {
      pick one;
      one.row = c.row;
      one.score = c.score;
      one.reason = by.reason;
      chosen.picks.push_back(one);
    }
    return chosen;
  }

  /// From where an earlier run stood, perhaps of other ranks. The first rank reads and writes for all.
  batch_run run_from_checkpoint() {
    batch_run go;
    if (!how_.checkpoint.empty()) {
      const std::uint64_t of_this = fingerprint_of_ranks(on_, shard_, pool(), spec_, needs_from(0), all_);
      message_writer out;
      if (all_.rank() == 0) {
        saved_.emplace(how_.checkpoint, of_this);
        saved_->lock();
        if (const auto begin = saved_->read()) out.add(begin->proposals).add_all(begin->picks);
      }
      const auto bytes = all_.broadcast(out.bytes(), 0);
      if (message_reader in(bytes); !in.done()) {
        go.begin.proposals = in.value<index_t>();
        go.begin.picks = in.all<candidate>();
        if (how_.resumed) how_.resumed(go.begin);
      }
    }
    go.advanced = [this](const batch_state& now) {
      if (saved_) saved_->write(now);
      if (how_.advanced) how_.advanced(now);
    };
    return go;
  }

  /// With what only the rank that has a row knows of it.
  batch named(batch chosen) {
    message_writer out;
    for (std::size_t p = 0; p < chosen.picks.size(); ++p) {
      const auto found = shard_.row_of(chosen.picks[p].row);
      if (!found) continue;
      const index_t row = *found;
      out.add(std::uint64_t(p)).add(shard_.id(row));
      out.add(pool().cost.empty() ? std::int64_t{0} : pool().cost[row]);
      out.add(std::uint64_t(pool().also_cost.size()));
      for (const cost_column& one : pool().also_cost) out.add(one.name).add(one.cost[row]);
    }
    for (const auto& bytes : all_.allgather(out.bytes()))
      for (message_reader in(bytes); !in.done();) {
        pick& one = chosen.picks[std::size_t(in.value<std::uint64_t>())];
        one.id = in.text();
        one.cost = in.value<std::int64_t>();
        one.also_cost.clear();
        chosen.also_cost.clear();
        for (auto left = in.value<std::uint64_t>(); left > 0; --left) {
          chosen.also_cost.push_back(in.text());
          one.also_cost.push_back(in.value<std::int64_t>());
        }
      }
    chosen.strategy = spelled_out(what_);
    return chosen;
  }

  where on_;
  const ordered_shard& shard_;
  const pool_inputs& pool_;
  const query_spec& spec_;
  communicator& all_;
  const query_run& how_;
  const wording& words_;
  strategy what_;
  whole_pool whole_;
  index_t picks_ = 0, wanted_ = 0;    // as many as can be; as were asked for
  std::vector<std::uint8_t> barred_;  // [rows] labelled, excluded, invalid
  nan_rows mine_invalid_, invalid_;   // by row; of all ranks, by number
  std::optional<brought_rows> labelled_;
  std::optional<checkpoint> saved_;
  pool_inputs nothing_;
};

parts all_needs(const strategy& what) {
  parts needed;
  for (const stage& s : what.stages) needed = needed | s.needs();
  for (const strategy& phase : what.phases) needed = needed | all_needs(phase);
  return needed;
}

/// What is left of a query after some picks: these count as labelled, and what was left over is excluded.
class query_in_rounds {
 public:
  query_in_rounds(const pool_inputs& pool, const ordered_shard& shard)
      : shard_(shard),
        pool_(pool),
        labelled_(pool.labelled.begin(), pool.labelled.end()),
        excluded_(pool.excluded.begin(), pool.excluded.end()),
        labels_(pool.labels.begin(), pool.labels.end()) {}

  const pool_inputs& pool() const { return pool_; }

  void go_on(std::span<const pick> picks, const std::vector<index_t>& left_over) {
    // Nobody has said yet what the picks so far are.
    for (const pick& p : picks)
      if (const auto row = shard_.row_of(p.row)) {
        labelled_.push_back(*row);
        if (!labels_.empty()) labels_[std::size_t(*row)] = std::numeric_limits<float>::quiet_NaN();
      }
    std::set<index_t> out(excluded_.begin(), excluded_.end());
    for (const index_t number : left_over)
      if (const auto row = shard_.row_of(number); row && out.insert(*row).second) excluded_.push_back(*row);
    pool_.labelled = labelled_;
    pool_.excluded = excluded_;
    pool_.labels = {labels_.data(), index_t(labels_.size())};
  }

  /// How many of the picks are of each group.
  std::vector<index_t> groups_of(communicator& all, std::span<const pick> picks, std::size_t groups) const {
    std::vector<index_t> mine(groups), of_all(groups);
    for (const pick& p : picks)
      if (const auto row = shard_.row_of(p.row); row && groups > 0) ++mine[std::size_t(pool_.group[*row])];
    message_writer out;
    out.add_all(mine);
    for (const auto& bytes : all.allgather(out.bytes())) {
      const auto more = message_reader(bytes).all<index_t>();
      for (std::size_t g = 0; g < groups; ++g) of_all[g] += more[g];
    }
    return of_all;
  }

 private:
  const ordered_shard& shard_;
  pool_inputs pool_;
  std::vector<index_t> labelled_, excluded_;
  std::vector<float> labels_;
};

batch run_all(const where& on, const pool_shard& shard, const query_spec& asked, communicator& all,
              const query_run& how, const wording& words) {
  if (const std::string why = refused_over_ranks(asked); !why.empty())
    throw usage_error(std::string(words.call) + ": " + why);
  check_shard(shard.pool, asked, "random", words);  // which rows and groups there are
  const std::vector<index_t> numbers = numbers_of_shard(shard, all);
  const parts needed = shard.pool.rows > 0 ? all_needs(parse_strategy(asked.strategy)) : parts();
  const ordered_shard ordered(host_of(on), {shard.pool, numbers}, needed);
  query_in_rounds rounds(ordered.pool(), ordered);
  query_spec spec = asked;
  std::vector<index_t> left_over;
  sharded_query first(on, ordered, rounds.pool(), spec, all, how, words);
  batch chosen = first.answer(left_over);
  const index_t wanted = *asked.batch;
  // Candidates that are left over are allowed no more, as limits only shrink; other rows may be.
  for (std::size_t seen = 0; index_t(chosen.picks.size()) < wanted && !left_over.empty();) {
    const std::span<const pick> latest = std::span<const pick>(chosen.picks).subspan(seen);
    const std::vector<index_t> taken = rounds.groups_of(all, latest, spec.quota.size());
    for (std::size_t g = 0; g < spec.quota.size(); ++g) spec.quota[g] -= taken[g];
    spec.batch = wanted - index_t(chosen.picks.size());
    rounds.go_on(latest, std::exchange(left_over, {}));
    seen = chosen.picks.size();
    try {
      batch more = sharded_query(on, ordered, rounds.pool(), spec, all, how, words).answer(left_over);
      std::move(more.picks.begin(), more.picks.end(), std::back_inserter(chosen.picks));
    } catch (const budget_error&) {  // none is
    }
  }
  first.remark(chosen);
  return chosen;
}

}  // namespace

batch run(const where& on, const pool_shard& shard, const query_spec& spec, communicator& all,
          const query_run& how, const wording& words) {
  return together(all, [&] {
    if (!how.first_scores.empty())
      throw usage_error(std::string(words.call) + ": to pick by scores that are known" + not_made_over_ranks());
    shake_hands(all, facts_of(on, shard, spec, how));
    return run_all(on, shard, spec, all, how, words);
  });
}

}  // namespace poolwise
