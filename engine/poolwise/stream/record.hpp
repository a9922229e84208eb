// What a stream was asked about, kept in a file as it is decided.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "poolwise/stream/sampler.hpp"

namespace poolwise {

/// A sampler whose decisions are lines of a file, each written before it is known: a process that is killed at
/// any moment goes on from there. The first line holds the spec, each further one a decision in JSON, with its
/// score and its probability; a last line that was cut is dropped, for nobody was told of it. One process at a
/// time.
class recorded_stream {
 public:
  /// Opens the file, or begins it, and decides again what it holds. An empty name: nothing is kept.
  /// throws format_error for a file that is no record; value_error where it is of another spec, or of decisions
  /// that this build makes otherwise; conflict_error while another process has it; io_error.
  recorded_stream(const std::filesystem::path& file, const stream_spec& spec);
  ~recorded_stream();
  recorded_stream(const recorded_stream&) = delete;
  recorded_stream& operator=(const recorded_stream&) = delete;

  /// Decides on the next row and keeps that. throws as stream_sampler::decide; io_error, and then the row was
  /// not seen by those who read the file.
  stream_decision decide(double score);

  const stream_sampler& sampler() const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace poolwise
