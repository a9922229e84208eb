// The golden vectors of tests/conformance, which an independent double-precision reference wrote.
#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "poolwise/query/select.hpp"

namespace poolwise {
namespace {

using json = nlohmann::json;

json vectors_of(const std::string& name) {
  std::ifstream file(std::filesystem::path(POOLWISE_VECTORS) / (name + ".json"));
  return file ? json::parse(file) : json();
}

/// The arrays of a case, as long as it runs.
class case_inputs {
 public:
  explicit case_inputs(const json& inputs) {
    for (const auto& [name, value] : inputs.items()) add(name, value);
    if (pool_.rows == 0) pool_.rows = rows_;
  }
  const pool_inputs& pool() const { return pool_; }

 private:
  void add(const std::string& name, const json& value) {
    if (name == "rows") {
      pool_.rows = value;
    } else if (name == "labelled" || name == "exclude") {
      std::vector<index_t>& rows = integers_.emplace_back(value.get<std::vector<index_t>>());
      (name == "labelled" ? pool_.labelled : pool_.excluded) = rows;
    } else if (name == "query_weights") {
      std::vector<float>& weights = floats_.emplace_back(value.get<std::vector<float>>());
      pool_.query_weights = {weights.data(), index_t(weights.size())};
    } else if (name == "committee" || name == "committee_probs") {
      const cube_view<const float> members = cube(value);
      pool_.committee = members;
      rows_ = members.rows;
      if (name == "committee_probs") pool_.committee_kind = outputs::probabilities;
    } else if (name == "predictions") {
      pool_.predictions = cube(value);
      rows_ = pool_.predictions->rows;
    } else if (add_of_labels(pool_, name, value)) {
      return;
    } else if (name == "queries") {
      pool_.queries = matrix(value);
    } else if (name == "private") {
      pool_.private_rows = matrix(value);
    } else if (name == "embeddings") {
      pool_.embeddings = matrix(value);
      rows_ = pool_.embeddings->rows;
    } else {
      ASSERT_TRUE(name == "logits" || name == "probs") << name;
      const matrix_view<const float> model = matrix(value);
      pool_.model = model;
      rows_ = model.rows;
      if (name == "probs") pool_.model_kind = outputs::probabilities;
    }
  }

  /// What a pool may lack; no strategy asks for it then.
  template <class Pool>
  bool add_of_labels(Pool& pool, const std::string& name, const json& value) {
    if constexpr (requires { pool.label_outputs, pool.label_sets; }) {
      if (name == "label_logits" || name == "label_probs") {
        const matrix_view<const float> labels = matrix(value);
        pool.label_outputs = labels;
        pool.label_kind = name == "label_probs" ? outputs::probabilities : outputs::logits;
        rows_ = labels.rows;
        return true;
      }
      if (name == "label_sets") {
        pool.label_sets = matrix(value);
        return true;
      }
    }
    if constexpr (requires { pool.labels, pool.targets, pool.cost_matrix; }) {
      if (name == "labels") {
        std::vector<float>& labels = floats_.emplace_back(value.get<std::vector<float>>());
        pool.labels = {labels.data(), index_t(labels.size())};
      } else if (name == "targets") {
        pool.targets = cube(value);
      } else if (name == "cost_matrix") {
        pool.cost_matrix = matrix(value);
      }
    }
    return name == "labels" || name == "targets" || name == "cost_matrix";
  }

  matrix_view<const float> matrix(const json& value) {
    std::vector<float>& flat = floats_.emplace_back();
    for (const json& row : value)
      for (const json& number : row) flat.push_back(number);
    return {flat.data(), index_t(value.size()), index_t(value[0].size())};
  }

  cube_view<const float> cube(const json& value) {
    json rows = json::array();
    for (const json& member : value)
      for (const json& row : member) rows.push_back(row);
    const matrix_view<const float> flat = matrix(rows);
    return {flat.data, index_t(value.size()), index_t(value[0].size()), flat.cols};
  }

  pool_inputs pool_;
  index_t rows_ = 0;
  std::deque<std::vector<float>> floats_;
  std::deque<std::vector<index_t>> integers_;
};

query_spec spec_of(const json& from) {
  const json& parameters = from["parameters"];
  query_spec spec{.strategy = from["strategy"], .batch = from["batch"].get<index_t>()};
  spec.seed = parameters.value("seed", std::uint64_t{0});
  spec.round = parameters.value("round", std::uint32_t{0});
  spec.distance = parse_metric(parameters.value("metric", "euclidean"));
  for (const auto& [name, value] : parameters.items())
    EXPECT_TRUE(name == "seed" || name == "round" || name == "metric") << name;
  return spec;
}

/// JSON has no infinity.
double number(const json& value) {
  return value.is_string() ? std::stod(value.get<std::string>()) : double(value);
}

void expect_near(double got, double wanted, double tolerance, index_t row) {
  if (got == wanted) return;  // infinite, too
  EXPECT_NEAR(got, wanted, tolerance * (1 + std::abs(wanted))) << "row " << row;
}

TEST(Conformance, EveryStrategyGivesItsVectors) {
  for (const strategy_entry& entry : strategies()) {
    const json vectors = vectors_of(entry.name);
    ASSERT_FALSE(vectors.is_null() || vectors["cases"].empty())
        << entry.name << " has no vectors; CONTRIBUTING says how to add some";
    for (const json& one : vectors["cases"]) {
      SCOPED_TRACE(entry.name + (": " + one["case"].get<std::string>()));
      const case_inputs inputs(one["inputs"]);
      const batch chosen = select(cpu{}, inputs.pool(), spec_of(one));
      std::vector<index_t> rows;
      for (std::size_t i = 0; i < chosen.picks.size(); ++i) {
        const pick& p = chosen.picks[i];
        rows.push_back(p.row);
        if (i < one["values"].size()) expect_near(p.score, number(one["values"][i]), one["tolerance"], p.row);
        if (one.contains("scores"))
          expect_near(p.score, number(one["scores"][std::size_t(p.row)]), one["tolerance"], p.row);
      }
      EXPECT_EQ(rows, one["picks"].get<std::vector<index_t>>());
    }
  }
}

}  // namespace
}  // namespace poolwise
