// The items of a pool as their file describes them: ids, slices, prices.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "poolwise/campaign/settings.hpp"
#include "poolwise/files/ids.hpp"

namespace poolwise {

struct item_table {
  index_t rows = 0;
  row_ids ids;
  std::vector<std::string> slices;    ///< those of the settings first, then others in the order of their rows
  std::vector<index_t> slice;         ///< [rows] in [0, slices); empty where the settings name no column
  std::vector<std::string> types;     ///< in the order of their rows
  std::vector<index_t> type;          ///< [rows] in [0, types); empty where the settings name no column
  std::vector<double> length;         ///< [rows], >= 0; empty where the settings name no column
  std::vector<std::int64_t> price;    ///< [rows]; empty where nothing has a price
  std::vector<std::int64_t> seconds;  ///< [rows] of an annotator; empty where none is known

  std::optional<index_t> row_of(std::string_view item) const;
};

/// Reads a CSV or JSONL file of items, one a row of the pool, by the columns that the settings name.
/// throws io_error; format_error naming the line: a column that is not there, a price that is no whole number
/// from 0 on, a length that is no number from 0 on, a type without a price; value_error for an empty or
/// repeated id. Keeps every id and two or three numbers an item.
item_table read_items(const std::filesystem::path& file, const campaign_settings& settings);

/// The items of a pool of so many rows without such a file: they are called by their numbers. throws
/// value_error where the settings ask for a column.
item_table numbered_items(index_t rows, const campaign_settings& settings);

}  // namespace poolwise
