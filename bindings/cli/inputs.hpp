// The flags that describe a pool and a query, and the arrays behind them.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/core/mapped_pages.hpp"
#include "poolwise/files/array.hpp"
#include "poolwise/files/ids.hpp"
#include "poolwise/query/select.hpp"

namespace poolwise::cli {

/// The input files of a command, whose pages are given back where the process comes near its ceiling.
class input_files {
 public:
  /// ceiling: bytes beside what every process takes; 0 for none.
  explicit input_files(std::uint64_t ceiling);

  /// Opens an array that the user named; a file that cannot be opened is bad input, not a failure of the run.
  array open(const std::string& spec);

  /// The same as model outputs or features, which `keep` holds. throws value_error where they would have to be
  /// converted and the copy is beyond the ceiling.
  real_matrix open_matrix(const std::string& spec, array& keep);
  real_cube open_cube(const std::string& spec, array& keep);
  matrix_view<const float> open_floats(const std::string& spec, array& keep);

  /// None without a ceiling.
  mapped_pages* pages() { return pages_ ? &*pages_ : nullptr; }

  /// Bytes of the copies.
  std::uint64_t copied() const { return copied_; }

 private:
  template <class View>
  View converted(View (*as)(const array&, array&, cpu), const std::string& spec,
                 std::initializer_list<dtype> kept, array& keep);

  std::uint64_t ceiling_, copied_ = 0;
  std::optional<mapped_pages> pages_;
};

/// A check for the words of a strategy.
CLI::Validator strategy_name();

/// --logits or --probs, --committee or --committee-probs.
struct model_flags {
  std::string logits, probs, committee, committee_probs;

  void add_to(CLI::App& command);
};

/// The arrays of model_flags, kept open; `inputs` views them.
class model_arrays {
 public:
  model_arrays(const model_flags& flags, input_files& files);
  model_arrays(const model_arrays&) = delete;
  model_arrays& operator=(const model_arrays&) = delete;

  pool_inputs inputs;

 private:
  array model_, committee_;
};

/// All of `select` and `plan`.
struct query_flags {
  model_flags model;
  std::string embeddings, labelled, exclude, strategy, cost, group, quota, ids, on_nan = "refuse",
                                                                                neighbours = "auto";
  index_t batch = 0;
  std::int64_t budget = -1;
  std::optional<float> apart;

  void add_to(CLI::App& command);
};

/// A query with everything it views. Not movable: the request points into it.
class query {
 public:
  /// In the name of `command`, which messages begin with.
  query(const char* command, const query_flags& flags, std::uint64_t seed, input_files& files);
  query(const query&) = delete;
  query& operator=(const query&) = delete;

  const pool_inputs& pool() const { return model_.inputs; }

  /// What the inputs take beside mapped files.
  std::uint64_t copied_bytes() const;

  selection_request request;
  row_ids ids;

 private:
  const input_files& files_;
  model_arrays model_;
  array embeddings_;
  std::vector<index_t> labelled_, excluded_, group_, quota_;
  std::vector<std::int64_t> cost_;
};

}  // namespace poolwise::cli
