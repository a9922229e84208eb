// The files that a pool and its models lie in, and how one knows them again.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "poolwise/files/array.hpp"
#include "poolwise/pool/pool.hpp"

namespace poolwise {

class file_digests;
class stitched_rows;

/// An array of the pool's rows, and what it is to the pool: "embeddings", "queries", "private", "cost-matrix",
/// "logits", "probs", "predictions", or one member of "committee", "committee-probs" or "targets" (or all of
/// them in one array). Several files of "embeddings", "logits" or "probs" hold the pool's rows one behind the
/// other.
struct part_file {
  std::string part;
  std::string file;         ///< as open_array reads it, absolute
  std::string sha256 = {};  ///< of the elements, as they lie; with shape and format it tells the content
  std::vector<index_t> shape = {};
  std::string format = {};
  std::uint64_t bytes = 0;
};

/// Arrays that are open, as parts of a pool.
class opened_parts {
 public:
  /// known  what was read of untouched files before, which is not read again; it outlives this
  explicit opened_parts(file_digests* known = nullptr);
  ~opened_parts();

  /// throws as open_array does, value_error for a part there is not, format_error and shape_error for an array
  /// that cannot be that part.
  void open(std::span<const part_file> files);

  /// Views of the arrays. Rows are those of the first part that has rows. A part that lies in several files is
  /// a copy in memory, whose rows are zeros until they are brought.
  const pool_inputs& inputs() const { return inputs_; }
  void bring(std::span<const index_t> rows);
  void bring_all(parts needed);
  /// Bytes that such copies take.
  std::uint64_t copied_bytes() const;

  /// Where rows end that lie in one file of each of these parts: ascending, the last of the pool last.
  std::vector<index_t> ends(parts needed) const;
  /// These parts of such rows, where they lie, to be read. Predictions are there if all rows are asked for.
  pool_inputs rows_of_files(parts needed, index_t begin, index_t end);
  /// The same text for the same content of these parts.
  std::string content(parts needed, index_t begin, index_t end);

  /// The files from number `first` on, with what tells their content. Reads those that are not known.
  std::vector<part_file> described(std::size_t first = 0);

  /// throws value_error naming the first file whose content is not as it was recorded.
  void require_recorded();

  /// Bytes of the files that were read: for their digests, where they lie, to be brought.
  std::uint64_t bytes_read() const;

 private:
  struct opened;
  void add(opened& one);
  const part_file& described(opened& one);
  void count_read(parts needed, index_t begin, index_t end);

  file_digests* known_;
  std::deque<opened> arrays_;  // whose places stay
  std::vector<real_matrix> members_, member_probs_, targets_;
  std::unique_ptr<stitched_rows> model_, embeddings_;
  pool_inputs inputs_;
};

/// In lower-case hexadecimal digits. throws io_error.
std::string sha256_of_file(const std::filesystem::path& file);

/// A name that means the same array from any folder.
std::string absolute_spec(const std::string& spec);

}  // namespace poolwise
