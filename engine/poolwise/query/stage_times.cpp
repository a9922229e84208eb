#include "poolwise/query/detail/stage_times.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "poolwise/core/error.hpp"
#include "poolwise/core/stopwatch.hpp"
#include "poolwise/pool/detail/gather.hpp"
#include "poolwise/pool/judge.hpp"
#include "poolwise/query/select.hpp"

namespace poolwise {
namespace {

struct sizes {
  index_t rows, picks, labelled;
};

index_t between(index_t small, index_t whole, double way) {
  if (way >= 1 || small >= whole) return whole;
  return std::clamp(index_t(std::llround(double(small) * std::pow(double(whole) / double(small), way))), small,
                    whole);
}

/// A stage of a query, to be run on some of the pool's rows.
class probed_stage {
 public:
  probed_stage(const where& on, const query& asked, std::size_t number, const std::vector<index_t>& rows)
      : on_(on), asked_(asked), stage_(asked.what().stages[number]), last_(number + 1 == rows.size()) {
    parts all;
    for (const stage& s : asked.what().stages) all = all | s.needs();
    if (number == 0) judged_ = all.without(stage_.needs());
    const index_t picks = asked.limit().picks;
    whole_ = {rows[number], last_ ? picks : stage_.keep.count(picks, rows[number]),
              stage_.entry->does.has(trait::counts_labelled) ? index_t(asked.pool().labelled.size()) : 0};
    constexpr index_t few_rows = 2048, few = 8;
    small_ = {std::min(whole_.rows, few_rows), std::min(whole_.picks, few), std::min(whole_.labelled, few)};
  }

  /// Of how many the longest run is the product of the sizes, against that of the shortest.
  double whole_to_small() const {
    const auto ratio = [](index_t a, index_t b) {
      return double(std::max<index_t>(1, a)) / double(std::max<index_t>(1, b));
    };
    return ratio(whole_.rows, small_.rows) * ratio(whole_.picks, small_.picks) *
           ratio(whole_.labelled, small_.labelled);
  }

  /// Seconds of a run so far along the way; nothing where none of its rows can be picked.
  std::optional<double> run(double way) {
    const sizes now{between(small_.rows, whole_.rows, way), between(small_.picks, whole_.picks, way),
                    between(small_.labelled, whole_.labelled, way)};
    // Every run reads other rows while there are any: pages that were read are not what a first read takes.
    const index_t pool_rows = asked_.pool().rows;
    for (index_t tried = 0; tried < pool_rows; tried += now.rows) {
      begin_ = std::min(begin_, pool_rows - now.rows);
      const auto seconds = run(now, begin_);
      begin_ += now.rows;
      if (begin_ >= pool_rows) begin_ = 0;
      if (seconds) return seconds;
    }
    return std::nullopt;
  }

 private:
  std::optional<double> run(const sizes& now, index_t begin) const {
    const index_t end = begin + now.rows;
    std::vector<index_t> numbers(std::size_t(now.rows));
    std::iota(numbers.begin(), numbers.end(), begin);
    // Arrays that cannot be cut are copied; what can be stays where it lies.
    const parts needed =
        stage_.needs() | judged_ | (last_ && asked_.spec().apart ? parts(part::embeddings) : parts());
    parts cut, copied;
    for (const part one : {part::outputs, part::embeddings, part::label_outputs})
      if (needed.has(one)) cut = cut | one;
    for (const part one : {part::committee, part::predictions})
      if (needed.has(one)) copied = copied | one;
    const gathered_pool copies(host_of(on_), asked_.pool(), std::move(numbers), copied);
    pool_inputs some = rows_between(asked_.pool(), begin, end, cut);
    some.committee = copies.view().committee;
    some.predictions = copies.view().predictions;

    // Rows that stand for labelled ones have the labels of those.
    const pool_inputs& all = asked_.pool();
    const std::vector<float> known = gather(all.labels, all.labelled);
    std::vector<float> labels(known.empty() ? 0 : std::size_t(now.rows));
    some.labels = {labels.data(), index_t(labels.size())};
    std::vector<float> sets;
    std::vector<index_t> labelled, excluded;
    for (index_t i = 0; i < now.rows; ++i) {
      const bool barred = asked_.limit().barred[begin + i] != 0;
      const bool may_stand = index_t(labelled.size()) < std::min(now.labelled, now.rows / 2) &&
                             (!some.embeddings || all_finite(some.embeddings->row(i), some.embeddings->cols));
      if (may_stand && !labels.empty())
        labels[std::size_t(i)] = known[std::size_t(labelled.size()) % known.size()];
      if (may_stand && all.label_sets) {
        const float* const set = all.label_sets->row(all.labelled[labelled.size() % all.labelled.size()]);
        sets.resize(std::size_t(i * all.label_sets->cols));
        sets.insert(sets.end(), set, set + all.label_sets->cols);
      }
      if (may_stand)
        labelled.push_back(i);
      else if (barred)
        excluded.push_back(i);
    }
    if (all.label_sets) {
      sets.resize(std::size_t(now.rows * all.label_sets->cols));
      some.label_sets = matrix_view<const float>{sets.data(), now.rows, all.label_sets->cols};
    }
    some.labelled = labelled;
    some.excluded = excluded;
    query_spec spec = asked_.spec();
    spec.strategy = stage_.text;
    spec.invalid = on_invalid::skip;
    spec.batch = now.picks;
    if (!last_) {
      spec.budget.reset();
      spec.budgets.clear();
      spec.quota.clear();
      spec.apart.reset();
    }
    const auto share_of = [&](std::int64_t budget) {
      return std::int64_t(double(budget) * double(now.picks) / double(std::max<index_t>(1, whole_.picks)));
    };
    if (spec.budget) *spec.budget = share_of(*spec.budget);
    for (named_budget& one : spec.budgets) one.limit = share_of(one.limit);
    if (last_) spec.quota.assign(std::max(spec.quota.size(), spec.floor.size()), now.rows);
    spec.floor.clear();  // few rows may not meet them
    if (!spec.budget) some.cost = {};
    if (spec.quota.empty()) some.group = {};
    return timed(spec, some);
  }

  std::optional<double> timed(const query_spec& spec, const pool_inputs& some) const {
    try {
      const query part_of_it = prepare(spec, some, asked_.words());
      stopwatch watch;
      poolwise::run(on_, part_of_it);
      std::vector<std::uint8_t> marks;
      if (judged_ != parts()) mark_invalid(on_, some, judged_, marks);
      return std::max(1e-7, watch.lap());
    } catch (const budget_error&) {
      return std::nullopt;
    }
  }

  const where& on_;
  const query& asked_;
  const stage& stage_;
  bool last_;
  parts judged_;
  sizes whole_{}, small_{};
  index_t begin_ = 0;
};

std::optional<time_estimate> time_of(probed_stage stage) {
  constexpr double patience = 0.7, calm = 1.25, fourfold = 1.3863;
  struct point {
    double way, seconds;
  };
  std::vector<point> seen;
  const auto slope = [&](std::size_t back) {
    const point &to = seen[seen.size() - 1 - back], &from = seen[seen.size() - 2 - back];
    return std::log(to.seconds / from.seconds) / (to.way - from.way);
  };
  const double all = std::max(1.0, std::log(stage.whole_to_small()));
  if (!stage.run(0)) return std::nullopt;  // the threads are there, and the caches are what they will be
  double spent = 0;
  for (double way = 0;;) {
    const auto seconds = stage.run(way);
    if (!seconds) return std::nullopt;
    seen.push_back({way, *seconds});
    spent += *seconds;
    if (way >= 1) return time_estimate{*seconds, *seconds / calm, *seconds * calm};
    // Less than a millisecond is mostly not the work.
    const double rise = seen.size() > 1 && *seconds > 1e-3 ? std::clamp(slope(0), all / 4, 2 * all) : all;
    const double next = std::min(1.0, way + fourfold / rise);
    if (seen.size() > 2 && spent + *seconds * std::exp(rise * (next - way)) > patience) break;
    way = next;
  }
  const point& last = seen.back();
  const double latest = slope(0), before = slope(1), left = 1 - last.way;
  const auto drawn_on = [&](double rise) { return last.seconds * std::exp(std::max(0.0, rise) * left); };
  return time_estimate{drawn_on(latest), drawn_on(std::min(latest, before)) / calm,
                       drawn_on(std::max(latest, before)) * calm};
}

}  // namespace

std::vector<time_estimate> stage_times(const where& on, const query& asked, const std::vector<index_t>& rows) {
  std::vector<time_estimate> times;
  for (std::size_t s = 0; s < rows.size(); ++s) {
    const auto time = time_of(probed_stage(on, asked, s, rows));
    if (!time) return {};
    times.push_back(*time);
  }
  return times;
}

}  // namespace poolwise
