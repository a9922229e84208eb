// Groups of rows and their quotas, as files name them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/files/array.hpp"

namespace poolwise {

/// Rows numbered by group, and what may be picked of each group.
struct grouping {
  std::vector<index_t> group;  ///< [rows]
  std::vector<index_t> quota;  ///< [groups] picks
};

/// How many picks each group may have: the columns `group` and `quota` of a file as row_ids reads them, or two
/// columns of these without a header line. A group is a number, also a negative one, or a name; `*` stands for
/// every group that has no line. A quota is a number of picks, or a share of `batch` such as 30%, rounded up.
class quota_list {
 public:
  /// throws io_error; format_error naming the line, for two quotas of one group, and for none at all;
  /// usage_error for a share without a batch.
  quota_list(const std::filesystem::path& file, std::optional<index_t> batch);

  /// The groups of rows by numbers, [rows] of integers, or by the column `group` of a table, a line a row. Of
  /// a name without an ending, the first bytes tell.
  /// throws value_error for a group without a quota, naming its first row; as row_ids and as_integers do.
  grouping applied_to(const array& groups, cpu on = {}) const;
  grouping applied_to(const std::filesystem::path& groups, const copy_limit& most = {}) const;

 private:
  class numbering;

  std::string file_;
  std::vector<std::string> groups_;
  std::vector<index_t> quota_;     // of the groups
  std::optional<index_t> others_;  // of each group that is not listed
};

}  // namespace poolwise
