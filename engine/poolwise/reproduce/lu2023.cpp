#include "poolwise/reproduce/detail/lu2023.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "poolwise/core/error.hpp"
#include "poolwise/learn/binary_classifier.hpp"
#include "poolwise/query/select.hpp"
#include "poolwise/reproduce/detail/numpy_random.hpp"
#include "poolwise/reproduce/detail/table_part.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {
namespace {

/// A run's rows, the training part before the test part, and which of the former are labelled.
class labelled_rows {
 public:
  labelled_rows(const table_part& part, const std::vector<index_t>& initial)
      : part_(part), is_labelled_(std::size_t(part.trained), false) {
    for (const index_t row : initial) add(row);
  }

  void add(index_t row) { is_labelled_[std::size_t(row)] = true; }

  void fit(binary_classifier& model) const {
    std::vector<index_t> rows;
    std::vector<std::int32_t> labels;
    for (index_t i = 0; i < part_.trained; ++i)
      if (is_labelled_[std::size_t(i)]) {
        rows.push_back(i);
        labels.push_back(part_.labels[std::size_t(i)]);
      }
    model.fit(rows, labels);
  }

  double accuracy_of(const binary_classifier& model) const {
    const auto values = decisions(model, part_.trained, part_.rows());
    index_t right = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
      right += (values[i] > 0) == (part_.labels[std::size_t(part_.trained) + i] == 1);
    return double(right) / double(values.size());
  }

  index_t least_decided(const binary_classifier& model) const {
    const auto values = decisions(model, 0, part_.trained);
    top_k_state best(1);
    for (index_t i = 0; i < part_.trained; ++i)
      if (!is_labelled_[std::size_t(i)]) best.add({i, -float(std::abs(values[std::size_t(i)]))});
    return best.best().front().row;
  }

 private:
  static std::vector<double> decisions(const binary_classifier& model, index_t begin, index_t end) {
    std::vector<double> values(std::size_t(end - begin));
    model.decide(begin, {values.data(), end - begin});
    return values;
  }

  const table_part& part_;
  std::vector<bool> is_labelled_;
};

/// The order in which a strategy without a model takes the whole pool.
std::vector<index_t> whole_pool(const table_part& part, const std::vector<index_t>& initial,
                                const std::string& name, std::uint64_t seed) {
  const std::vector<float> rounded(part.features.begin(), part.features.end());
  pool_inputs inputs;
  inputs.rows = part.trained;
  inputs.embeddings = matrix_view<const float>{rounded.data(), part.trained, part.cols};
  inputs.labelled = initial;
  const index_t rest = part.trained - index_t(initial.size());
  std::vector<index_t> order;
  for (const pick& p : select(cpu{1}, inputs, {.strategy = name, .batch = rest, .seed = seed}).picks)
    order.push_back(p.row);
  return order;
}

}  // namespace

lu2023_split split_lu2023(index_t rows, std::uint64_t seed) {
  const auto all = shuffled_rows(rows, seed);
  const auto trained = std::ptrdiff_t(double(rows) * 0.6);
  lu2023_split split;
  split.train.assign(all.begin(), all.begin() + trained);
  split.test.assign(all.begin() + trained, all.end());
  numpy_random(seed).shuffle(std::span(split.train));
  split.initial.resize(std::size_t(std::min<index_t>(lu2023_initial, trained)));
  std::iota(split.initial.begin(), split.initial.end(), index_t(0));
  return split;
}

std::optional<std::string> lu2023_skips(const labelled_table& data, std::uint64_t seed) {
  const auto split = split_lu2023(data.rows, seed);
  index_t ones = 0;
  for (const index_t place : split.initial) ones += data.labels[std::size_t(split.train[std::size_t(place)])];
  if (ones > 0 && ones < index_t(split.initial.size())) return std::nullopt;
  return "the initial labels of seed " + std::to_string(seed) + " miss class " +
         data.class_names[ones == 0 ? 1 : 0];
}

void require_lu2023(const labelled_table& data, const std::string& file) {
  if (data.classes() != 2)
    throw value_error("lu2023: " + file + " has " + std::to_string(data.classes()) +
                      " classes; the protocol is for two");
  const index_t train = index_t(double(data.rows) * 0.6), least = lu2023_initial + 2;
  if (train < least)
    throw value_error("lu2023: " + file + " has " + std::to_string(data.rows) + " rows, of which 60 % are " +
                      std::to_string(train) + "; the protocol needs " + std::to_string(least) +
                      " of them, 20 initial labels and two queries");
  if (index_t(constant_columns(data).size()) == data.cols)
    throw value_error("lu2023: every column of " + file + " is constant; there is nothing to learn from");
}

learning_curve run_lu2023(const labelled_table& data, const lu2023_models& models, const std::string& strategy,
                          std::uint64_t seed) {
  require_lu2023(data, "the table");
  if (strategy != "margin" && strategy != "random" && strategy != "kcenter")
    throw value_error("run_lu2023: strategy \"" + strategy + "\" is none of margin, random and kcenter");
  if (const auto reason = lu2023_skips(data, seed)) throw value_error("run_lu2023: " + *reason);
  const auto split = split_lu2023(data.rows, seed);
  const table_part part = standardised(parted(data, split.train, split.test));

  const auto task = make_binary_classifier(models.task, part.view());
  const bool asks_task_model = models.query == models.task;
  const auto other = asks_task_model ? nullptr : make_binary_classifier(models.query, part.view());
  const std::vector<index_t> order =
      strategy == "margin" ? std::vector<index_t>{} : whole_pool(part, split.initial, strategy, seed);

  labelled_rows labelled(part, split.initial);
  learning_curve curve;
  const index_t queries = part.trained - index_t(split.initial.size());
  for (index_t q = 0; q <= queries; ++q) {
    labelled.fit(*task);
    curve.labels.push_back(index_t(split.initial.size()) + q);
    curve.accuracy.push_back(labelled.accuracy_of(*task));
    if (q == queries) break;
    if (strategy == "margin" && other) labelled.fit(*other);
    labelled.add(strategy == "margin" ? labelled.least_decided(other ? *other : *task) : order[std::size_t(q)]);
  }
  return curve;
}

}  // namespace poolwise
