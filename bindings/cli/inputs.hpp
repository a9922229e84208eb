// The flags that describe a pool and a query, and the arrays behind them.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/core/mapped_pages.hpp"
#include "poolwise/files/array.hpp"
#include "poolwise/files/groups.hpp"
#include "poolwise/files/ids.hpp"
#include "poolwise/pool/pool.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise::cli {

class shard_files;

/// The input files of a command, whose pages are given back where the process comes near its ceiling.
class input_files {
 public:
  /// ceiling: bytes beside what every process takes; 0 for none.
  explicit input_files(std::uint64_t ceiling);

  /// Opens an array that the user named; a file that cannot be opened is bad input, not a failure of the run.
  array open(const std::string& spec);

  /// The same as whole numbers, one for each of `rows` unless these are 0. They are copied: throws value_error
  /// where the copy is beyond the ceiling.
  std::vector<index_t> open_integers(const std::string& spec, index_t rows);
  /// The same as numbers of any type, in fp32.
  std::vector<float> open_values(const std::string& spec);
  /// The same as numbers of the pool's `rows`, or as a mask of them.
  std::vector<index_t> open_rows(const std::string& spec, index_t rows);
  grouping open_groups(const std::string& spec, const quota_list& quotas);

  /// Counts what was read otherwise.
  void hold(std::uint64_t bytes) { copied_ += bytes; }
  /// Counts what is to be made. throws value_error where it is beyond the ceiling.
  void make(const std::string& what, std::uint64_t bytes);

  /// The same as model outputs or features, which `keep` holds: `as` is as_matrix, as_cube or as_float_matrix.
  /// throws value_error where they would have to be converted and the copy is beyond the ceiling.
  template <class View>
  View open_as(View (*as)(const array&, array&, cpu), const std::string& spec, array& keep);

  /// From now on names with a * are of the files that lie in shards.
  void lie_in(shard_files& shards) { shards_ = &shards; }
  /// None where the pool lies in no shards.
  shard_files* shards() const { return shards_; }

  /// What is left under the ceiling for files that cannot be mapped.
  copy_limit room() const;

  /// None without a ceiling.
  mapped_pages* pages() { return pages_ ? &*pages_ : nullptr; }

  /// Bytes of the copies, and of the arrays that are mapped.
  std::uint64_t copied() const { return copied_; }
  std::uint64_t mapped() const { return mapped_; }

 private:
  array open_one(const std::string& spec);
  void count(const array& opened, std::uint64_t bytes, const std::string& why, const char* remedy);

  shard_files* shards_ = nullptr;
  std::uint64_t ceiling_, copied_ = 0, mapped_ = 0;
  std::optional<mapped_pages> pages_;
  // What pages_ gives back must not be unmapped: the next buffer could lie there.
  std::vector<std::shared_ptr<const void>> registered_;
};

/// A check for the words of a strategy.
CLI::Validator strategy_name();

/// --logits or --probs, --committee or --committee-probs and --targets, --predictions, --label-logits or
/// --label-probs.
struct model_flags {
  std::string logits, probs, predictions, label_logits, label_probs;
  std::vector<std::string> committee, committee_probs, targets;

  void add_to(CLI::App& command);
};

/// The arrays of model_flags, kept open; `inputs` views them.
class model_arrays {
 public:
  model_arrays(const model_flags& flags, input_files& files);
  model_arrays(const model_arrays&) = delete;
  model_arrays& operator=(const model_arrays&) = delete;

  /// For scores of model outputs, which a committee alone has by the mean of its members.
  void give_outputs();

  pool_inputs inputs;

 private:
  committee_outputs open_committee(const std::vector<std::string>& specs, input_files& files,
                                   std::vector<array>& keep);

  input_files& files_;
  array model_, predictions_, label_outputs_;
  std::vector<array> committee_, targets_;
  std::vector<float> consensus_;
};

/// All of `select` and `plan`.
struct query_flags {
  model_flags model;
  query_spec spec;  ///< but for the seed, and the quotas that are in a file
  std::string embeddings, queries, private_rows, labels, label_sets, cost_matrix, labelled, exclude, candidates,
      cost, group, quota, ids, id_column = "id";
  std::vector<std::string> also_cost, also_budget;  ///< NAME=ARRAY, NAME=NUMBER

  void add_to(CLI::App& command);

 private:
  void add_limits(CLI::App& command);
};

/// What messages call the parts of a query: by their options.
wording words_of(const char* command);

/// The spec and the pool that flags describe, with everything that the pool views.
class query_inputs {
 public:
  query_inputs(const query_flags& flags, std::uint64_t seed, input_files& files);
  query_inputs(const query_inputs&) = delete;
  query_inputs& operator=(const query_inputs&) = delete;

  const pool_inputs& pool() const { return model_.inputs; }
  const query_spec& spec() const { return spec_; }

  /// What the inputs take beside mapped files.
  std::uint64_t copied_bytes() const;

 private:
  std::vector<index_t> rows(const std::string& spec) const;
  std::vector<index_t> rows_of_all(const std::string& spec) const;
  void read_ids(const query_flags& flags);
  void read_groups(const std::string& groups, const std::string& quotas);
  void read_further_costs(const query_flags& flags);

  input_files& files_;
  query_spec spec_;
  model_arrays model_;
  array embeddings_, queries_, private_rows_, cost_matrix_, label_sets_;
  row_ids ids_;
  std::vector<index_t> labelled_, excluded_, group_;
  std::vector<std::string> group_names_;
  std::vector<std::int64_t> cost_;
  std::vector<float> labels_;
  std::vector<std::vector<std::int64_t>> also_cost_;
};

}  // namespace poolwise::cli
