// Calls that compute.
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <vector>

#include "batch.hpp"
#include "pool.hpp"
#include "poolwise/core/interruption.hpp"
#include "poolwise/core/stopwatch.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/core/threads.hpp"
#include "poolwise/pool/consensus.hpp"
#include "poolwise/query/checkpoint.hpp"
#include "poolwise/query/plan.hpp"
#include "poolwise/query/score_columns.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise::c {
namespace {

/// The callback, asked now and then.
class asked_callback {
 public:
  asked_callback(const char* call, const poolwise_run& run) : call_(call), ask_(run.progress), user_(run.user) {
    if (ask_ != nullptr) until_.emplace([this] { look(); });
  }

  void begin(index_t most) {
    most_ = most;
    look();
  }
  void at(index_t picks) {
    picks_ = picks;
    look();
  }

 private:
  void look() const {
    if (ask_ == nullptr) return;
    const poolwise_progress now{sizeof now, picks_, most_, watch_.seconds()};
    if (ask_(&now, user_) != 0)
      throw stopped_error(std::string(call_) + ": stopped by the progress callback after " +
                          std::to_string(picks_) + " picks");
  }

  const char* call_;
  poolwise_progress_fn ask_;
  void* user_;
  index_t picks_ = 0, most_ = 0;
  stopwatch watch_;
  std::optional<interruptible> until_;
};

/// OpenMP would end the process where it cannot have the threads that it is told to take.
cpu on_cpu(const char* call, std::int32_t threads) {
  if (threads < 0 || threads > 4096)
    refuse(call, "poolwise_run.threads is " + std::to_string(threads) + "; pass 0 to 4096");
  static std::atomic<int> had_before = 1;
  const int wanted = threads > 0 ? threads : omp_get_max_threads();
  if (wanted <= had_before) return {threads};
  const int had = threads_to_be_had(wanted);
  if (had < wanted) return {had};
  had_before = wanted;
  return {threads};
}

/// A run with every default in its place.
struct settled_run {
  settled_run(const char* call, const poolwise_run* given)
      : run(given == nullptr ? poolwise_run{} : taken(call, "poolwise_run", given)),
        on_host(on_cpu(call, run.threads)) {
    if (run.reserved != 0) refuse(call, "poolwise_run.reserved is not 0; leave it 0");
    on = parse_where(run.device == nullptr ? "cpu" : run.device, on_host, run.memory, "poolwise_run.device");
  }

  poolwise_run run;
  cpu on_host;
  where on;
};

query_spec spec_in(const char* call, const poolwise_query* given) {
  const poolwise_query q = taken(call, "poolwise_query", given);
  query_spec spec;
  spec.strategy = &not_null(call, "poolwise_query.strategy", q.strategy);
  if (q.batch < 0) refuse(call, "poolwise_query.batch is " + std::to_string(q.batch) + "; pass 0 or more");
  if (q.batch > 0) spec.batch = q.batch;
  if (q.budget != nullptr) spec.budget = *q.budget;
  checked_count(call, "poolwise_query.budget_of", q.budget_of, q.budgets);
  checked_count(call, "poolwise_query.budget_limits", q.budget_limits, q.budgets);
  for (std::int64_t i = 0; i < q.budgets; ++i)
    spec.budgets.push_back(
        {&not_null(call, "a name of poolwise_query.budget_of", q.budget_of[i]), q.budget_limits[i]});
  if (q.groups < 0) refuse(call, "poolwise_query.groups is " + std::to_string(q.groups) + "; pass 0 or more");
  if (q.quota != nullptr) spec.quota.assign(q.quota, q.quota + q.groups);
  if (q.floor != nullptr) spec.floor.assign(q.floor, q.floor + q.groups);
  if (q.apart != nullptr) spec.apart = *q.apart;
  if (q.neighbours != nullptr) spec.neighbours = parse_knn_method(q.neighbours);
  if (q.metric != nullptr) spec.distance = parse_metric(q.metric);
  spec.seed = q.seed;
  spec.round = q.round;
  spec.invalid = q.skip_invalid != 0 ? on_invalid::skip : on_invalid::refuse;
  return spec;
}

wording words_of(const char* call) {
  return {.call = call,
          .outputs = "poolwise_pool_set_outputs",
          .committee = "poolwise_pool_set_committee",
          .embeddings = "poolwise_pool_set_embeddings",
          .predictions = "poolwise_pool_set_predictions",
          .queries = "poolwise_pool_set_queries",
          .private_rows = "poolwise_pool_set_private",
          .label_outputs = "poolwise_pool_set_label_outputs",
          .label_sets = "poolwise_pool_set_label_sets",
          .excluded = "poolwise_pool_set_excluded",
          .cost = "poolwise_pool_set_costs",
          .group = "poolwise_pool_set_groups",
          .quota = "poolwise_query.quota",
          .floor = "poolwise_query.floor",
          .batch = "poolwise_query.batch",
          .budget = "poolwise_query.budget",
          .budgets = "poolwise_query.budget_of",
          .apart = "poolwise_query.apart",
          .skip = "poolwise_query.skip_invalid",
          .neighbours = "poolwise_query.neighbours",
          .memory = "poolwise_run.memory"};
}

/// A query of a pool, with what it has to hold.
template <class Answer>
poolwise_status ask(const char* call, const poolwise_pool* of, const poolwise_query* what,
                    const poolwise_run* how, Answer answer) noexcept {
  return guarded(call, [&] {
    const auto known = find_pool(call, of);
    const query_spec spec = spec_in(call, what);
    const settled_run settled(call, how);
    pool_inputs pool = known->inputs;
    std::vector<float> consensus;
    asked_callback callback(call, settled.run);
    if (parse_strategy(spec.strategy).needs(part::outputs)) speak_for_model(settled.on_host, pool, consensus);
    const query asked = prepare(spec, pool, words_of(call));
    callback.begin(asked.limit().picks);
    query_run run{.ceiling = settled.run.memory, .held = consensus.size() * sizeof(float)};
    if (settled.run.checkpoint != nullptr) run.checkpoint = settled.run.checkpoint;
    run.advanced = [&](const batch_state& state) { callback.at(index_t(state.picks.size())); };
    answer(settled.on, asked, run);
  });
}

/// A score of the pool, by its name. throws usage_error.
strategy score_in(const char* call, const char* name, const pool_inputs& pool) {
  strategy what = parse_strategy(&not_null(call, "a strategy", name));
  if (what.score() == nullptr)
    throw usage_error(std::string(call) + ": \"" + printable(what.name) +
                      "\" is no score of rows; pass an acquisition or a disagreement (poolwise_strategy_at)");
  for (const part one :
       {part::outputs, part::committee, part::embeddings, part::predictions, part::queries, part::private_rows,
        part::labels, part::targets, part::cost_matrix, part::label_outputs, part::label_sets})
    if (what.needs(one) && !pool.has(one))
      throw usage_error(std::string(call) + ": strategy \"" + printable(what.name) + "\" needs " +
                        names_of(one) + ", which the pool lacks; set them");
  check_scores(what, pool);
  return what;
}

void score_pool(const char* call, pool_inputs pool, const char* const* names, index_t count, std::uint64_t seed,
                const poolwise_run* how, matrix_view<float> scores) {
  const settled_run settled(call, how);
  asked_callback callback(call, settled.run);
  std::vector<float> consensus;
  for (index_t i = 0; i < count; ++i)
    if (parse_strategy(&not_null(call, "a strategy", names[i])).needs(part::outputs))
      speak_for_model(settled.on_host, pool, consensus);
  std::vector<strategy> which;
  for (index_t i = 0; i < count; ++i) which.push_back(score_in(call, names[i], pool));
  pool.check(call);
  callback.begin(0);
  score_columns(settled.on, pool, which, scores, seed);
}

}  // namespace
}  // namespace poolwise::c

using namespace poolwise;
using namespace poolwise::c;

extern "C" {

poolwise_status poolwise_select(const poolwise_pool* pool, const poolwise_query* asked, const poolwise_run* how,
                                poolwise_batch** chosen) {
  const char* const call = __func__;
  return ask(call, pool, asked, how, [&](const where& on, const query& q, const query_run& settled) {
    not_null(call, "batch", chosen);
    batch picked = run(on, q, settled);
    *chosen = keep_batch(std::move(picked));
    if (!settled.checkpoint.empty()) remove_checkpoint(settled.checkpoint);
  });
}

poolwise_status poolwise_plan(const poolwise_pool* pool, const poolwise_query* asked, const poolwise_run* how,
                              poolwise_needs* needs) {
  const char* const call = __func__;
  return ask(call, pool, asked, how, [&](const where& on, const query& q, const query_run& settled) {
    const result place(call, "poolwise_needs", needs);
    const query_plan p = plan(on, q);
    place.give(
        {0, p.input_bytes, p.bytes + settled.held, p.sweeps, p.seconds, p.least_seconds, p.most_seconds});
  });
}

poolwise_status poolwise_score(const poolwise_pool* pool, const char* const* strategies, int64_t count,
                               uint64_t seed, const poolwise_run* how, float* scores, int64_t stride) {
  const char* const call = __func__;
  return guarded(call, [&] {
    const auto known = find_pool(call, pool);
    if (checked_count(call, "strategies", strategies, count) == 0)
      refuse(call, "no strategy is given; pass one");
    not_null(call, "scores", scores);
    const index_t step = stride == 0 ? count : stride;
    if (step < count)
      throw shape_error(std::string(call) + ": a stride of " + std::to_string(stride) + " for " +
                        std::to_string(count) + " strategies; pass as many or more, or 0");
    score_pool(call, known->inputs, strategies, count, seed, how, {scores, known->inputs.rows, count, step});
  });
}

poolwise_status poolwise_top_k(const float* scores, int64_t count, int64_t k, int64_t* rows, float* best,
                               int64_t* found) {
  const char* const call = __func__;
  return guarded(call, [&] {
    checked_count(call, "scores", scores, count);
    not_null(call, "found", found);
    if (k < 0) refuse(call, "k is " + std::to_string(k) + "; pass 0 or more");
    const auto picked = top_k(on_cpu(call, 0), {scores, count}, k);
    for (std::size_t i = 0; i < picked.size(); ++i) {
      if (rows != nullptr) rows[i] = picked[i].row;
      if (best != nullptr) best[i] = picked[i].score;
    }
    *found = std::int64_t(picked.size());
  });
}

}  // extern "C"
