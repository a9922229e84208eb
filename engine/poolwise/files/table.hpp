// Small labelled data sets: features and one class a row.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

struct labelled_table {
  index_t rows = 0, cols = 0;
  std::vector<double> features;          ///< [rows, cols]
  std::vector<std::int32_t> labels;      ///< [rows] in [0, classes)
  std::vector<std::string> class_names;  ///< ascending: as numbers where all are numbers, else as text

  index_t classes() const { return index_t(class_names.size()); }
  matrix_view<const double> view() const { return {features.data(), rows, cols}; }
};

/// Reads .csv or .tsv (numbers, the class in the last column, under a header line or without one; as row_ids
/// reads them, so without comments) or, by any other name, LIBSVM's format (`class index:value ...`, indices
/// from 1 and rising, what is left out is 0, `#` begins a comment); either also compressed by gzip, `.csv.gz`.
/// throws io_error; format_error naming the line, and where a line may be names of columns or a row;
/// shape_error for a file without rows or features, or with 1 GiB of zeros in a thousandth of it.
labelled_table read_table(const std::filesystem::path& file);

/// Tells one data set from another: `ordered` changes with any value, class or the order of rows, `rows` with
/// all but the order.
struct table_fingerprint {
  std::uint64_t ordered = 0, rows = 0;
};
table_fingerprint fingerprint(const labelled_table& table);

/// Columns that hold one value only.
std::vector<index_t> constant_columns(const labelled_table& table);

}  // namespace poolwise
