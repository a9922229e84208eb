// The files that a pool and its models lie in, and how one knows them again.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "poolwise/files/array.hpp"
#include "poolwise/pool/pool.hpp"

namespace poolwise {

/// An array of the pool's rows, and what it is to the pool: "embeddings", "queries", "private", "cost-matrix",
/// "logits", "probs", "predictions", or one member of "committee", "committee-probs" or "targets" (or all of
/// them in one array).
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
  /// throws as open_array does, value_error for a part there is not, format_error and shape_error for an array
  /// that cannot be that part.
  void open(std::span<const part_file> files);

  /// Views of the arrays. Rows are those of the first part that has rows.
  const pool_inputs& inputs() const { return inputs_; }

  /// The files from number `first` on, with what tells their content. Reads all of them.
  std::vector<part_file> described(std::size_t first = 0) const;

  /// Reads the files that were recorded. throws value_error naming the first whose content is another now.
  void require_recorded() const;

 private:
  struct opened {
    part_file file;
    array raw, kept;
  };
  void add(opened& one);

  std::deque<opened> arrays_;  // whose places stay
  std::vector<real_matrix> members_, member_probs_, targets_;
  pool_inputs inputs_;
};

/// In lower-case hexadecimal digits. throws io_error.
std::string sha256_of_file(const std::filesystem::path& file);

/// A name that means the same array from any folder.
std::string absolute_spec(const std::string& spec);

}  // namespace poolwise
