// Ranks whose bytes Python carries.
#pragma once

#include <nanobind/nanobind.h>

#include <chrono>
#include <exception>
#include <optional>
#include <vector>

#include "answer.hpp"
#include "module.hpp"
#include "poolwise/cluster/communicator.hpp"

namespace poolwise::python {

/// One rank's end of a cluster, for one thread. `gather`, a function of Python, takes this rank's bytes and the
/// deadline in seconds, and gives a list of all ranks' bytes.
class python_ranks {
 public:
  python_ranks(const integer& rank, const integer& size, nb::callable gather, const real& deadline,
               const std::optional<integer_array>& numbers);

  /// Called without the GIL. throws what Python raised while it gathered, where that is no Exception.
  batch select(const where& on, const pool_inputs& pool, const query_spec& spec, const query_run& how,
               const wording& words);

  /// Called without the GIL. throws cluster_error.
  void fail(const std::string& sentence) { all_->fail(cluster_failure::value, sentence); }

  const cluster_traffic& traffic() const { return all_->traffic(); }

 private:
  std::vector<std::vector<std::byte>> gathered(std::span<const std::byte> mine,
                                               std::chrono::milliseconds deadline);

  nb::callable gather_;
  std::unique_ptr<communicator> all_;
  std::optional<std::vector<index_t>> numbers_;
  std::exception_ptr ended_by_;  ///< KeyboardInterrupt and its kin
};

}  // namespace poolwise::python
