// A pool whose rows lie in many files, of which each rank reads some.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cli.hpp"
#include "inputs.hpp"
#include "poolwise/cluster/communicator.hpp"
#include "poolwise/cluster/placed_rows.hpp"
#include "poolwise/core/types.hpp"

namespace poolwise::cli {

/// The shards that a pattern such as part-*.npy names, in the order of their names as bytes, and those of them
/// that one rank reads: as many as any other, give or take one, beside each other.
class shard_files {
 public:
  /// throws usage_error unless the pattern has one *; value_error where there is no such file.
  shard_files(const std::string& pattern, communicator& all);

  index_t count() const { return index_t(names_.size()); }

  /// Whether an option names a file for each shard.
  static bool is_pattern(const std::string& spec) { return spec.find('*') != std::string::npos; }

  /// The files of this rank that such an option names.
  std::vector<std::string> mine(const std::string& spec) const;
  /// Its first file, of any rank: has the columns that all have.
  std::string first(const std::string& spec) const { return named(spec, 0); }

  /// Notes how many rows each of this rank's files has.
  void note_rows(std::vector<index_t> rows) { rows_of_mine_ = std::move(rows); }
  const std::vector<index_t>& rows_of_mine() const { return rows_of_mine_; }

  /// Counts the rows of all ranks. Each rank calls it once, with its own.
  void place(index_t rows);
  /// The numbers of this rank's rows begin with `first_row`, of `all_rows`.
  index_t first_row() const { return rows_.first; }
  index_t all_rows() const { return rows_.all; }

 private:
  std::string named(const std::string& spec, std::size_t shard) const;

  communicator& all_;
  std::vector<std::string> names_;  ///< what stands for the * of each shard
  std::size_t begin_ = 0, end_ = 0;
  std::vector<index_t> rows_of_mine_;
  placed_rows rows_;
};

/// The array of a pattern: a file as it lies, several behind each other in memory, no rows of the first one
/// where there are none. open: opens one file. made: called with the bytes of a copy before it is made.
array open_shards(shard_files& shards, const std::string& spec,
                  const std::function<array(const std::string&)>& open,
                  const std::function<void(const std::string&, std::uint64_t)>& made);

/// throws usage_error for an option that has to name a file for each shard and names one for all.
void require_patterns(const query_flags& flags);

/// Threads of this rank where several share a machine; 0 to leave it to OpenMP.
int threads_of_rank();

/// By what code all ranks end.
exit_code code_of_ranks(cluster_failure why);

}  // namespace poolwise::cli
