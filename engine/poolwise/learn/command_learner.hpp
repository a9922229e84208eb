// The caller's own training program as a learner, over files.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "poolwise/learn/learner.hpp"

namespace poolwise {

struct command_options {
  std::string command;  ///< run by /bin/sh -c, with the verb and the folder appended as two words
  index_t classes = 0, members = 1;
  std::filesystem::path folder;        ///< where the files go; made if missing
  std::chrono::seconds timeout{3600};  ///< of one call
  std::uint64_t seed = 0;              ///< for the program, in POOLWISE_SEED
};

/// Runs `command fit FOLDER` and `command predict FOLDER` and waits.
///
///   fit      reads FOLDER/features.npy [rows, features] f4 and FOLDER/labels.npy [rows] i4, and leaves its
///            model in FOLDER under names of its own;
///   predict  reads FOLDER/query.npy [rows, features] f4 and writes FOLDER/logits.npy, [rows, classes] or
///            [members, rows, classes], f4 f2 or f8 (narrowed to fp32). No rows: it is not run.
///
/// FOLDER is absolute, and one word whatever characters it holds. POOLWISE_SEED in its environment is the seed
/// of the run. The program reads nothing on its standard input; its standard output and error are appended to
/// FOLDER/output.txt, and an error message quotes their end. Features go to it as they are, NaN included. It
/// leads a process group of its own, which is killed where a signal ends a process that called
/// clean_up_on_signals (the command); where SIGKILL does, the program is killed, and what it started is not.
/// Processes that it leaves behind on its own end are not waited for.
///
/// throws command_error: the program could not start, ended with a status other than 0 or by a signal (the
/// message quotes the end of what it said), left no logits or logits of another shape or type, or ran past
/// the timeout (its whole process group is then ended: SIGTERM, and SIGKILL 2 seconds later); io_error if
/// FOLDER or a file in it cannot be written.
class command_learner : public learner {
 public:
  /// throws value_error unless command and folder are not empty, classes and members >= 1, timeout > 0.
  explicit command_learner(command_options options);

  index_t classes() const override { return options_.classes; }
  index_t members() const override { return options_.members; }
  void fit(matrix_view<const float> x, vector_view<const std::int32_t> y) override;
  void predict(matrix_view<const float> x, cube_view<float> logits) override;

 private:
  void run(const char* verb) const;
  void read_logits(cube_view<float> logits) const;

  command_options options_;
  index_t features_ = 0;  // of the last fit; 0 before any
};

}  // namespace poolwise
