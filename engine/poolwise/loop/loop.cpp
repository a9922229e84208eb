#include "poolwise/loop/loop.hpp"

#include <algorithm>
#include <optional>
#include <string>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/stopwatch.hpp"
#include "poolwise/query/select.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {
namespace {

constexpr stream initial_stream{3};

// The model's logits for a set of rows, [members, rows, classes].
struct prediction {
  std::vector<float> logits;
  cube_view<float> view;

  prediction(learner& model, matrix_view<const float> x)
      : logits(std::size_t(model.members() * x.rows * model.classes())),
        view{logits.data(), model.members(), x.rows, model.classes()} {
    model.predict(x, view);
  }
};

// The opinion of the model as a whole: its logits, or the log of the mean distribution of a committee.
std::vector<float> consensus(const prediction& p) {
  if (p.view.members == 1) return p.logits;
  std::vector<float> mean(std::size_t(p.view.rows * p.view.cols), 0.0f);
  for (index_t member = 0; member < p.view.members; ++member)
    for (index_t i = 0; i < p.view.rows; ++i) {
      const float* z = p.view.member(member).row(i);
      const float largest = *std::max_element(z, z + p.view.cols);
      double total = 0;
      for (index_t c = 0; c < p.view.cols; ++c) total += fixed_exp(double(z[c] - largest));
      for (index_t c = 0; c < p.view.cols; ++c)
        mean[std::size_t(i * p.view.cols + c)] +=
            float(fixed_exp(double(z[c] - largest)) / total / double(p.view.members));
    }
  for (float& v : mean) v = float(fixed_log(double(v)));
  return mean;
}

void check(const labelled_pool& data, const learner& model, const strategy& what,
           const loop_schedule& schedule) {
  if (data.pool.rows != data.pool_labels.size || data.test.rows != data.test_labels.size ||
      data.pool.cols != data.test.cols)
    throw shape_error(
        "run_loop: pool, test and their labels disagree in rows or features; give one label for "
        "each row and the same features for both");
  const index_t needed =
      schedule.initial * (schedule.by_class ? model.classes() : 1) + schedule.batch * schedule.rounds;
  if (schedule.initial < 1 || schedule.batch < 1 || schedule.rounds < 0 || needed > data.pool.rows)
    throw value_error("run_loop: the schedule labels " + std::to_string(needed) + " rows but the pool has " +
                      std::to_string(data.pool.rows) + "; shorten it (initial and batch are at least 1)");
  if (what.needs(part::committee) && model.members() < 2)
    throw value_error("run_loop: strategy \"" + what.name +
                      "\" asks a committee but the learner is one model; "
                      "use a committee learner");
}

class labelled_set {
 public:
  labelled_set(const labelled_pool& data, std::vector<index_t> rows) : data_(data) { add(rows); }

  void add(const std::vector<index_t>& rows) {
    for (const index_t row : rows) {
      rows_.push_back(row);
      labels_.push_back(data_.pool_labels[row]);
      features_.insert(features_.end(), data_.pool.row(row), data_.pool.row(row) + data_.pool.cols);
    }
  }

  void fit(learner& model) const {
    const index_t n = index_t(rows_.size());
    model.fit({features_.data(), n, data_.pool.cols}, {labels_.data(), n});
  }

  const std::vector<index_t>& rows() const { return rows_; }

 private:
  const labelled_pool& data_;
  std::vector<index_t> rows_;
  std::vector<std::int32_t> labels_;
  std::vector<float> features_;
};

}  // namespace

learning_curve loop_run::curve() const {
  learning_curve c;
  for (const round_record& r : rounds) {
    c.labels.push_back(r.labels);
    c.accuracy.push_back(r.accuracy);
  }
  return c;
}

std::vector<index_t> initial_rows(index_t rows, index_t count, std::uint64_t seed) {
  const std::vector<std::int32_t> alike(std::size_t(rows), 0);
  return initial_rows_by_class({alike.data(), rows}, 1, std::min(count, rows), seed);
}

std::vector<index_t> initial_rows_by_class(vector_view<const std::int32_t> labels, index_t classes,
                                           index_t count, std::uint64_t seed) {
  std::vector<top_k_state> lowest(static_cast<std::size_t>(classes), top_k_state(count));
  for (index_t i = 0; i < labels.size; ++i) {
    if (labels[i] < 0 || labels[i] >= classes)
      throw value_error("initial_rows_by_class: label " + std::to_string(labels[i]) + " at row " +
                        std::to_string(i) + " is outside the " + std::to_string(classes) + " classes");
    lowest[std::size_t(labels[i])].add({i, float(random_unit(seed, initial_stream, std::uint64_t(i)))});
  }
  std::vector<index_t> sample;
  for (index_t c = 0; c < classes; ++c) {
    const auto best = lowest[std::size_t(c)].best();
    if (index_t(best.size()) < count)
      throw value_error("initial_rows_by_class: class " + std::to_string(c) + " has " +
                        std::to_string(best.size()) + " of the " + std::to_string(count) +
                        " rows to start from; ask for fewer");
    for (const candidate& one : best) sample.push_back(one.row);
  }
  std::sort(sample.begin(), sample.end());
  return sample;
}

loop_run run_loop(const where& on, const labelled_pool& data, learner& model, const strategy& what,
                  const loop_schedule& schedule, std::uint64_t seed,
                  const std::function<void(const round_record&)>& seen) {
  check(data, model, what, schedule);
  labelled_set labelled(
      data, schedule.by_class ? initial_rows_by_class(data.pool_labels, model.classes(), schedule.initial, seed)
                              : initial_rows(data.pool.rows, schedule.initial, seed));
  loop_run run;
  for (index_t round = 0; round <= schedule.rounds; ++round) {
    round_record record;
    record.labels = index_t(labelled.rows().size());
    stopwatch watch;
    labelled.fit(model);
    record.train_seconds = watch.lap();
    const auto tested = consensus(prediction(model, data.test));
    record.accuracy = accuracy({tested.data(), data.test.rows, model.classes()}, data.test_labels);
    if (round < schedule.rounds) {
      watch.lap();
      pool_inputs inputs;
      inputs.rows = data.pool.rows;
      inputs.embeddings = data.pool;
      std::optional<prediction> predicted;
      std::vector<float> model_outputs;
      inputs.labelled = labelled.rows();
      const std::vector<float> labels(data.pool_labels.begin(), data.pool_labels.end());
      inputs.labels = {labels.data(), index_t(labels.size())};
      if (what.needs(part::outputs) || what.needs(part::committee)) predicted.emplace(model, data.pool);
      if (what.needs(part::committee)) inputs.committee = cube_view<const float>(predicted->view);
      if (what.needs(part::outputs)) {
        model_outputs = consensus(*predicted);
        inputs.model = matrix_view<const float>{model_outputs.data(), data.pool.rows, model.classes()};
      }
      const double predict_seconds = watch.lap();
      const batch chosen =
          select(on, inputs,
                 {.strategy = what.name, .batch = schedule.batch, .seed = seed, .round = std::uint32_t(round)});
      record.score_seconds = predict_seconds + chosen.rank_seconds;
      record.select_seconds = chosen.diversify_seconds;
      for (const pick& p : chosen.picks) record.picked.push_back(p.row);
      labelled.add(record.picked);
    }
    if (seen) seen(record);
    run.rounds.push_back(std::move(record));
  }
  return run;
}

}  // namespace poolwise
