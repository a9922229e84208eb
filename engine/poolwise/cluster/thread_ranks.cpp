#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "poolwise/cluster/communicator.hpp"
#include "poolwise/core/interruption.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

// A rank that waits asks so often whether it is to go on.
constexpr auto look_every = std::chrono::milliseconds(50);

/// Where threads leave what they give.
class meeting {
 public:
  explicit meeting(std::size_t ranks) : gone_(ranks) {}

  int size() const { return int(gone_.size()); }

  void give(std::size_t rank, std::uint64_t round, std::span<const std::byte> bytes) {
    const std::lock_guard here(mutex_);
    exchange& now = at(round);
    now.given[rank].emplace(bytes.begin(), bytes.end());
    ++now.count;
    changed_.notify_all();
  }

  /// What all gave in this round, once they have.
  std::vector<std::vector<std::byte>> take(std::uint64_t round, std::chrono::milliseconds deadline) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    for (;;) {
      heed_interruption();
      std::unique_lock here(mutex_);
      exchange& now = at(round);
      changed_.wait_until(here, std::min(end, std::chrono::steady_clock::now() + look_every),
                          [&] { return now.count == gone_.size() || lacks_the_gone(now) || ended_; });
      if (now.count == gone_.size()) return taken(round);
      if (!ended_ && (lacks_the_gone(now) || std::chrono::steady_clock::now() >= end))
        ended_ = end_of(now, deadline);
      if (ended_) throw cluster_error(*ended_);
    }
  }

  void leave(std::size_t rank) {
    const std::lock_guard here(mutex_);
    gone_[rank] = true;
    changed_.notify_all();
  }

 private:
  struct exchange {
    std::vector<std::optional<std::vector<std::byte>>> given;
    std::size_t count = 0, taken = 0;
  };

  exchange& at(std::uint64_t round) {
    exchange& found = rounds_[round];
    found.given.resize(gone_.size());
    return found;
  }

  std::vector<std::vector<std::byte>> taken(std::uint64_t round) {
    exchange& now = rounds_[round];
    std::vector<std::vector<std::byte>> all;
    for (const auto& one : now.given) all.push_back(*one);
    if (++now.taken == gone_.size()) rounds_.erase(round);
    return all;
  }

  bool lacks_the_gone(const exchange& now) const {
    for (std::size_t r = 0; r < gone_.size(); ++r)
      if (gone_[r] && !now.given[r]) return true;
    return false;
  }

  cluster_error end_of(const exchange& now, std::chrono::milliseconds deadline) const {
    for (std::size_t r = 0; r < gone_.size(); ++r)
      if (gone_[r] && !now.given[r])
        return {cluster_failure::lost,
                "rank " + std::to_string(r) +
                    " is gone; start all ranks again, from the checkpoint if there is one"};
    std::string silent;
    for (std::size_t r = 0; r < gone_.size(); ++r)
      if (!now.given[r]) silent += (silent.empty() ? "" : ", ") + std::to_string(r);
    return {cluster_failure::lost, "rank " + silent + " did not answer within " +
                                       human_seconds(double(deadline.count()) / 1e3) +
                                       "; start all ranks again, or allow a longer deadline"};
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bool> gone_;
  std::map<std::uint64_t, exchange> rounds_;
  std::optional<cluster_error> ended_;
};

class thread_rank : public communicator {
 public:
  thread_rank(std::shared_ptr<meeting> with, int rank) : with_(std::move(with)), rank_(rank) {}
  ~thread_rank() override { with_->leave(std::size_t(rank_)); }

  int rank() const override { return rank_; }
  int size() const override { return with_->size(); }

 private:
  std::vector<std::vector<std::byte>> gather(std::span<const std::byte> mine, milliseconds deadline) override {
    const std::uint64_t round = round_++;
    with_->give(std::size_t(rank_), round, mine);
    return with_->take(round, deadline);
  }

  std::shared_ptr<meeting> with_;
  int rank_;
  std::uint64_t round_ = 0;
};

}  // namespace

std::vector<std::unique_ptr<communicator>> thread_communicators(int ranks) {
  if (ranks < 1)
    throw usage_error("thread_communicators: " + std::to_string(ranks) + " ranks; ask for at least 1");
  const auto with = std::make_shared<meeting>(std::size_t(ranks));
  std::vector<std::unique_ptr<communicator>> all;
  for (int r = 0; r < ranks; ++r) all.push_back(std::make_unique<thread_rank>(with, r));
  return all;
}

}  // namespace poolwise
