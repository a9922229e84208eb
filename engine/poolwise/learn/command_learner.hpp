// The caller's own training program as a learner, over files.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "poolwise/learn/learner.hpp"

namespace poolwise {

struct command_options {
  std::string command;                    ///< run by /bin/sh -c, with the verb and the folder appended
  index_t classes = 0, members = 1;
  std::filesystem::path folder;           ///< where the files go; made if missing
  std::chrono::seconds timeout{3600};     ///< of one call
};

/// Runs `command fit FOLDER` and `command predict FOLDER` and waits.
///
///   fit      reads FOLDER/features.npy [rows, features] f4 and FOLDER/labels.npy [rows] i4, and leaves its
///            model in FOLDER under names of its own;
///   predict  reads FOLDER/query.npy [rows, features] f4 and writes FOLDER/logits.npy, [rows, classes] or
///            [members, rows, classes], f4 f2 or f8.
///
/// throws command_error: the program could not start, ended with a status other than 0 or by a signal (the
/// message quotes the end of its standard error), left no logits or logits of another shape, or ran past the
/// timeout (its whole process group is then ended: SIGTERM, and SIGKILL 2 seconds later).
class command_learner : public learner {
 public:
  explicit command_learner(command_options options);

  index_t classes() const override { return options_.classes; }
  index_t members() const override { return options_.members; }
  void fit(matrix_view<const float> x, vector_view<const std::int32_t> y) override;
  void predict(matrix_view<const float> x, cube_view<float> logits) override;

 private:
  void run(const char* verb) const;

  command_options options_;
};

}  // namespace poolwise
