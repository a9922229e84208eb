// The flags that describe a pool and a query, and the arrays behind them.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "poolwise/pool/array.hpp"
#include "poolwise/pool/ids.hpp"
#include "poolwise/query/select.hpp"

namespace poolwise::cli {

/// Opens an array that the user named; a file that cannot be opened is bad input, not a failure of the run.
array open_input(const std::string& spec);

/// --logits or --probs, --committee or --committee-probs.
struct model_flags {
  std::string logits, probs, committee, committee_probs;

  void add_to(CLI::App& command);
};

/// The arrays of model_flags, kept open; `inputs` views them.
class model_arrays {
 public:
  explicit model_arrays(const model_flags& flags);
  model_arrays(const model_arrays&) = delete;
  model_arrays& operator=(const model_arrays&) = delete;

  pool_inputs inputs;

 private:
  array model_, committee_;
};

/// All of `select` and `plan`.
struct query_flags {
  model_flags model;
  std::string embeddings, labelled, exclude, strategy, cost, group, quota, ids, on_nan = "refuse";
  index_t batch = 0;
  std::int64_t budget = -1;

  void add_to(CLI::App& command);
};

/// A query with everything it views. Not movable: the request points into it.
class query {
 public:
  query(const query_flags& flags, std::uint64_t seed);
  query(const query&) = delete;
  query& operator=(const query&) = delete;

  const pool_inputs& pool() const { return model_.inputs; }
  selection_request request;
  row_ids ids;

 private:
  model_arrays model_;
  array embeddings_;
  std::vector<index_t> labelled_, excluded_, group_, quota_;
  std::vector<std::int64_t> cost_;
};

}  // namespace poolwise::cli
