#include "poolwise/loop/lu2023.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "poolwise/core/error.hpp"
#include "poolwise/learn/binary_classifier.hpp"
#include "poolwise/loop/numpy_random.hpp"
#include "poolwise/query/select.hpp"
#include "poolwise/topk/topk.hpp"

namespace poolwise {
namespace {

/// Some rows of a table, standardised.
struct part {
  std::vector<double> features;
  std::vector<std::int32_t> labels;
  index_t cols = 0;

  index_t rows() const { return index_t(labels.size()); }
  matrix_view<const double> view() const { return {features.data(), rows(), cols}; }
};

part rows_of(const labelled_table& data, const std::vector<index_t>& rows) {
  part p;
  p.cols = data.cols;
  for (const index_t row : rows) {
    p.labels.push_back(data.labels[std::size_t(row)]);
    p.features.insert(p.features.end(), data.view().row(row), data.view().row(row) + data.cols);
  }
  return p;
}

/// (x - mean) / deviation by the columns of `train`, ddof 0.
void standardise(part& train, part& test) {
  for (index_t j = 0; j < train.cols; ++j) {
    double mean = 0, squares = 0, drift = 0;
    for (index_t i = 0; i < train.rows(); ++i) mean += train.view()(i, j);
    mean /= double(train.rows());
    for (index_t i = 0; i < train.rows(); ++i) {
      const double d = train.view()(i, j) - mean;
      squares += d * d;
      drift += d;
    }
    const double variance = (squares - drift * drift / double(train.rows())) / double(train.rows());
    const double tiny = 1e-15 * mean * mean;  // what rounding leaves of a constant column
    const double deviation = variance > tiny ? std::sqrt(variance) : 1;
    for (part* p : {&train, &test})
      for (index_t i = 0; i < p->rows(); ++i) {
        double& x = p->features[std::size_t(i * p->cols + j)];
        x = (x - mean) / deviation;
      }
  }
}

class labelled_places {
 public:
  labelled_places(const part& train, const std::vector<index_t>& initial)
      : train_(train), is_labelled_(std::size_t(train.rows()), false) {
    for (const index_t place : initial) add(place);
  }

  void add(index_t place) { is_labelled_[std::size_t(place)] = true; }

  void fit(binary_classifier& model) const {
    part p;
    p.cols = train_.cols;
    for (index_t i = 0; i < train_.rows(); ++i)
      if (is_labelled_[std::size_t(i)]) {
        p.labels.push_back(train_.labels[std::size_t(i)]);
        p.features.insert(p.features.end(), train_.view().row(i), train_.view().row(i) + p.cols);
      }
    model.fit(p.view(), {p.labels.data(), p.rows()});
  }

  std::vector<index_t> rest() const {
    std::vector<index_t> places;
    for (index_t i = 0; i < train_.rows(); ++i)
      if (!is_labelled_[std::size_t(i)]) places.push_back(i);
    return places;
  }

 private:
  const part& train_;
  std::vector<bool> is_labelled_;
};

std::vector<double> decisions(const binary_classifier& model, matrix_view<const double> x) {
  std::vector<double> values(std::size_t(x.rows));
  model.decide(x, {values.data(), x.rows});
  return values;
}

double accuracy_of(const binary_classifier& model, const part& test) {
  const auto values = decisions(model, test.view());
  index_t right = 0;
  for (std::size_t i = 0; i < values.size(); ++i) right += (values[i] > 0) == (test.labels[i] == 1);
  return double(right) / double(test.rows());
}

index_t least_decided(const binary_classifier& model, const part& train, const labelled_places& labelled) {
  const auto values = decisions(model, train.view());
  top_k_state best(1);
  for (const index_t i : labelled.rest()) best.add({i, -float(std::abs(values[std::size_t(i)]))});
  return best.best().front().row;
}

/// The order in which a strategy without a model takes the whole pool.
std::vector<index_t> whole_pool(const part& train, const std::vector<index_t>& initial, const std::string& name,
                                std::uint64_t seed) {
  const std::vector<float> rounded(train.features.begin(), train.features.end());
  pool_inputs inputs;
  inputs.rows = train.rows();
  inputs.embeddings = matrix_view<const float>{rounded.data(), train.rows(), train.cols};
  selection_request request{parse_strategy(name), initial, {}, {}, seed, 0, on_invalid::refuse};
  request.limit.picks = train.rows() - index_t(initial.size());
  std::vector<index_t> order;
  for (const pick& p : select(cpu{1}, inputs, request).picks) order.push_back(p.row);
  return order;
}

}  // namespace

lu2023_split split_lu2023(index_t rows, std::uint64_t seed) {
  std::vector<index_t> all(static_cast<std::size_t>(rows));
  std::iota(all.begin(), all.end(), index_t(0));
  numpy_random(seed).shuffle(std::span(all));
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
  part train = rows_of(data, split.train), test = rows_of(data, split.test);
  standardise(train, test);

  const auto task = make_binary_classifier(models.task);
  const bool asks_task_model = models.query == models.task;
  const auto other = asks_task_model ? nullptr : make_binary_classifier(models.query);
  const std::vector<index_t> order =
      strategy == "margin" ? std::vector<index_t>{} : whole_pool(train, split.initial, strategy, seed);

  labelled_places labelled(train, split.initial);
  learning_curve curve;
  const index_t queries = train.rows() - index_t(split.initial.size());
  for (index_t q = 0; q <= queries; ++q) {
    labelled.fit(*task);
    curve.labels.push_back(index_t(split.initial.size()) + q);
    curve.accuracy.push_back(accuracy_of(*task, test));
    if (q == queries) break;
    if (strategy == "margin" && other) labelled.fit(*other);
    labelled.add(strategy == "margin" ? least_decided(other ? *other : *task, train, labelled)
                                      : order[std::size_t(q)]);
  }
  return curve;
}

}  // namespace poolwise
