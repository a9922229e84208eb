// Arrays that a file was read as: every reader of the engine looks at them.
#pragma once

#include <cstring>

#include "harness.hpp"
#include "poolwise/files/array.hpp"
#include "poolwise/files/output.hpp"

namespace poolwise::fuzz {

/// A header of a few bytes may speak of more than a test has time for.
constexpr copy_limit most_copied{std::uint64_t{1} << 24, "the fuzzer's limit"};
constexpr index_t most_read = index_t{1} << 16;

/// What is written of an array is read back to the bit.
inline void require_round_trip(matrix_view<const float> rows) {
  const std::filesystem::path file = file_of("", ".written.npy");
  write_npy(file, rows);
  array again, keep;
  again = open_npy(file);
  const auto back = as_float_matrix(again, keep);
  require(back.rows == rows.rows && back.cols == rows.cols, "an array that was written has its shape");
  const std::size_t row_bytes = std::size_t(rows.cols) * sizeof(float);
  for (index_t i = 0; row_bytes > 0 && i < rows.rows; ++i)
    require(std::memcmp(back.row(i), rows.row(i), row_bytes) == 0, "an array that was written has its values");
}

inline void read_all(const array& a) {
  if (a.size() > most_read) return;
  for (const index_t extent : a.shape)
    if (extent > most_read) return;
  const cpu one_thread{1};
  array keep;
  accepted([&] { as_matrix(a, keep, one_thread); });
  accepted([&] { as_cube(a, keep, one_thread); });
  accepted([&] { as_integers(a, one_thread); });
  accepted([&] { row_numbers(a, 8, one_thread); });
  accepted([&] { require_round_trip(as_float_matrix(a, keep, one_thread)); });
}

/// Reads a file by its name and by its first bytes.
inline void read_array(std::string_view bytes, const std::string& ending, const std::string& part) {
  for (const std::string& name : {ending, std::string(), ending + ".gz"}) {
    const std::string file = file_of(bytes, name).string();
    accepted([&] { read_all(open_array(name == ending ? file + part : file, most_copied)); });
  }
}

}  // namespace poolwise::fuzz
