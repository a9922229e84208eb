// Groups of rows and their quotas, as files name them.
#pragma once

#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/files/array.hpp"

namespace poolwise {

/// Rows numbered by group, and what may be picked of each group.
struct grouping {
  static constexpr index_t any_number = std::numeric_limits<index_t>::max();

  std::vector<index_t> group;      ///< [rows]
  std::vector<index_t> quota;      ///< [groups] picks
  std::vector<index_t> floor;      ///< [groups] picks at least; empty where no floor is given
  std::vector<std::string> names;  ///< [groups]
};

/// How many picks each group may have, and how many it is to have at least: the columns `group`, `quota` and,
/// if it is there, `floor` of a file as row_ids reads them, or two or three columns of these without a header
/// line. A group is a number, also a negative one, or a name; `*` stands for every group that has no line. A
/// quota, and a floor, is a number of picks, or a share of `batch` such as 30%, rounded up. Where there are
/// floors a quota may be empty, for any number, and a floor, for none.
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
  struct terms {
    index_t quota, floor;
  };

  std::string file_;
  std::vector<std::string> groups_;
  std::vector<terms> terms_;     // of the groups
  std::optional<terms> others_;  // of each group that is not listed
  bool has_floors_ = false;
};

}  // namespace poolwise
