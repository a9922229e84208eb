// How the ranks of a cluster speak: each gives some bytes, and all get those of all.
//
// Nothing else is asked of MPI, of a process group, of Dask or Spark. Every exchange begins with a byte that
// says how the rank is: one that fails gives its sentence in place of its bytes, and all ranks end with that
// sentence. One that is gone, or silent for longer than the deadline, ends all others.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/error.hpp"

namespace poolwise {

/// Why ranks end together.
enum class cluster_failure : std::uint8_t {
  lost = 1,     ///< a rank is gone, or did not answer within the deadline
  unequal,      ///< ranks ask for different things, or are at different places of the same
  interrupted,  ///< somebody ended a rank
  usage,        ///< a rank threw a usage_error; and so on
  value,
  shape,
  format,
  io,
  conflict,
  budget,
  command,
  memory,
  other,
};

/// The end of all ranks, with the same sentence on each of them.
struct cluster_error : error {
  cluster_error(cluster_failure kind, const std::string& sentence) : error(sentence), why(kind) {}
  cluster_failure why;
};

/// What an exception that one rank throws is to the others.
cluster_failure failure_of(const std::exception& thrown);

/// What went through a communicator, of this rank.
struct cluster_traffic {
  std::uint64_t rounds = 0;          ///< exchanges
  std::uint64_t bytes_sent = 0;      ///< what this rank gave, once, however many ranks it went to
  std::uint64_t bytes_received = 0;  ///< what the others gave
};

/// One rank's end of a cluster. All ranks make the same exchanges in the same order.
class communicator {
 public:
  using milliseconds = std::chrono::milliseconds;

  virtual ~communicator();
  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// What each rank gave, in the order of ranks. throws cluster_error, the same on all ranks; what
  /// heed_interruption throws where this rank is ended while it waits.
  std::vector<std::vector<std::byte>> allgather(std::span<const std::byte> mine);

  /// What rank `root` gave; what others pass is not looked at.
  std::vector<std::byte> broadcast(std::span<const std::byte> mine, int root);

  /// Ends all ranks with a sentence, which becomes "rank 3: sentence" where there are others. Throws that of
  /// the lowest rank that fails in this exchange.
  [[noreturn]] void fail(cluster_failure why, const std::string& sentence);

  /// How long an exchange waits for a rank.
  milliseconds deadline() const { return deadline_; }
  void set_deadline(milliseconds longest) { deadline_ = longest; }

  const cluster_traffic& traffic() const { return traffic_; }

 protected:
  communicator() = default;
  communicator(const communicator&) = delete;
  communicator& operator=(const communicator&) = delete;

 private:
  /// Gathers `mine` of all ranks, in the order of ranks; lengths differ. Ends by throwing when a rank has not
  /// given its bytes by the deadline, or is gone: any exception ends this communicator.
  virtual std::vector<std::vector<std::byte>> gather(std::span<const std::byte> mine,
                                                     milliseconds deadline) = 0;

  std::vector<std::vector<std::byte>> exchange(std::uint8_t status, std::span<const std::byte> mine);

  milliseconds deadline_ = std::chrono::minutes(10);
  cluster_traffic traffic_;
  std::unique_ptr<cluster_error> ended_;  // by which every further exchange ends at once
};

/// One rank alone.
class self_communicator : public communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }

 private:
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> mine, milliseconds deadline) override;
};

/// Ranks that are threads of this process: each is for one thread. One that is destroyed is gone to the others.
std::vector<std::unique_ptr<communicator>> thread_communicators(int ranks);

/// Ranks of any engine that can gather bytes.
class callback_communicator : public communicator {
 public:
  /// As communicator::gather. The engine keeps the deadline, by its own means.
  using gather_bytes = std::function<std::vector<std::vector<std::byte>>(std::span<const std::byte> mine,
                                                                         milliseconds deadline)>;

  /// throws usage_error unless 0 <= rank < size.
  callback_communicator(int rank, int size, gather_bytes gather);

  int rank() const override { return rank_; }
  int size() const override { return size_; }

 private:
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> mine, milliseconds deadline) override;

  int rank_, size_;
  gather_bytes gather_;
};

/// What `body` returns. Whatever it throws on one rank ends all of them, at the exchange that they come to
/// next; a rank alone throws it as it is.
template <class Body>
auto together(communicator& all, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const cluster_error&) {
    throw;
  } catch (const std::exception& thrown) {
    if (all.size() == 1) throw;
    all.fail(failure_of(thrown), thrown.what());
  }
}

/// What all ranks must have in common, each by the name that messages call it. An empty one goes with any.
using common_facts = std::vector<std::pair<std::string, std::string>>;

/// Compares the facts of all ranks, and the version of Poolwise, before anything else is exchanged.
/// throws cluster_error that names the fact and two ranks that differ.
void shake_hands(communicator& all, const common_facts& facts);

}  // namespace poolwise
