// Scores of rows that are kept from round to round. Not part of the public interface.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "poolwise/campaign/parts.hpp"
#include "poolwise/core/where.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {

/// Whether the first stage of a strategy scores each row by what the files say of that row alone, so that a
/// score stands as long as these do. Draws are made anew in each round; density compares rows; scores of
/// embeddings that later stages look at, too, can depend on the scale that all of them get.
bool scores_by_row(const strategy& what, const query_spec& asked);

/// Scores by the first stage of a strategy, in a folder: for each run of rows that lie in the same files one
/// file, named by a digest of what its scores depend on: the content of these files, the strategy with its
/// parameters, the kind of processor, the version of the library. So none ever becomes wrong, and all can be
/// removed: they are made again. Those that the last call did not ask for are removed.
class kept_scores {
 public:
  explicit kept_scores(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// [rows] NaN for rows that cannot be judged. Reads the rows whose scores are not kept, and no others.
  /// throws as pool_inputs::check in the name of `call`, and as the scores do.
  std::vector<float> of_rows(const where& on, opened_parts& of, const stage& by, const char* call);

  index_t rows_scored() const { return rows_scored_; }
  std::uint64_t bytes_read() const { return bytes_read_; }  ///< of the folder

 private:
  bool read(const std::string& name, vector_view<float> scores);
  void write(const std::string& name, vector_view<const float> scores) const;
  void remove_others(const std::vector<std::string>& names) const;

  std::filesystem::path folder_;
  index_t rows_scored_ = 0;
  std::uint64_t bytes_read_ = 0;
};

}  // namespace poolwise
