#include "poolwise/cluster/communicator.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "poolwise/core/detail/message.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

// Every exchange begins with these: how the rank is, and at which exchange.
constexpr std::uint8_t well = 0;
constexpr std::size_t bytes_of_head = 1 + sizeof(std::uint64_t);

std::string rank_text(std::size_t rank) { return "rank " + std::to_string(rank); }

struct received {
  std::uint8_t status;
  std::uint64_t round;
};

received head_of(const std::vector<std::byte>& message, std::size_t rank) {
  if (message.size() < bytes_of_head)
    throw cluster_error(cluster_failure::unequal,
                        rank_text(rank) +
                            " gave bytes that are no message of Poolwise; let nothing else use the "
                            "same group");
  received head{std::uint8_t(message[0]), 0};
  std::memcpy(&head.round, message.data() + 1, sizeof head.round);
  return head;
}

/// The lowest rank that fails speaks for all; where all say the same, it is not of one rank.
void heed_failures(const std::vector<std::vector<std::byte>>& all) {
  const auto fails = [&](std::size_t r) { return head_of(all[r], r).status != well; };
  std::size_t r = 0;
  while (r < all.size() && !fails(r)) ++r;
  if (r == all.size()) return;
  const bool common = std::all_of(all.begin(), all.end(), [&](const auto& one) { return one == all[0]; });
  throw cluster_error(cluster_failure(head_of(all[r], r).status),
                      (common ? "" : rank_text(r) + ": ") +
                          std::string(reinterpret_cast<const char*>(all[r].data()) + bytes_of_head,
                                      all[r].size() - bytes_of_head));
}

template <class Error>
bool is(const std::exception& thrown) {
  return dynamic_cast<const Error*>(&thrown) != nullptr;
}

}  // namespace

cluster_failure failure_of(const std::exception& thrown) {
  if (const auto* ended = dynamic_cast<const cluster_error*>(&thrown)) return ended->why;
  if (is<usage_error>(thrown)) return cluster_failure::usage;
  if (is<value_error>(thrown)) return cluster_failure::value;
  if (is<shape_error>(thrown)) return cluster_failure::shape;
  if (is<format_error>(thrown)) return cluster_failure::format;
  if (is<io_error>(thrown)) return cluster_failure::io;
  if (is<conflict_error>(thrown)) return cluster_failure::conflict;
  if (is<budget_error>(thrown)) return cluster_failure::budget;
  if (is<command_error>(thrown)) return cluster_failure::command;
  if (is<memory_error>(thrown) || is<std::bad_alloc>(thrown)) return cluster_failure::memory;
  return is<error>(thrown) ? cluster_failure::other : cluster_failure::interrupted;
}

communicator::~communicator() = default;

std::vector<std::vector<std::byte>> communicator::exchange(std::uint8_t status,
                                                           std::span<const std::byte> mine) {
  if (ended_) throw *ended_;
  const std::uint64_t round = traffic_.rounds++;
  std::vector<std::byte> message(bytes_of_head + mine.size());
  message[0] = std::byte(status);
  std::memcpy(message.data() + 1, &round, sizeof round);
  std::copy(mine.begin(), mine.end(), message.begin() + bytes_of_head);
  try {
    auto all = gather(message, deadline_);
    if (all.size() != std::size_t(size()))
      throw cluster_error(cluster_failure::unequal,
                          "an exchange of " + std::to_string(size()) + " ranks brought the bytes of " +
                              std::to_string(all.size()) + "; check what gathers them");
    heed_failures(all);
    for (std::size_t r = 0; r < all.size(); ++r)
      if (const std::uint64_t at = head_of(all[r], r).round; at != head_of(all[0], 0).round)
        throw cluster_error(cluster_failure::unequal, rank_text(r) + " is at exchange " + std::to_string(at) +
                                                          ", and rank 0 at exchange " +
                                                          std::to_string(head_of(all[0], 0).round) +
                                                          "; start all ranks together");
    traffic_.bytes_sent += message.size();
    for (std::size_t r = 0; r < all.size(); ++r) {
      if (int(r) != rank()) traffic_.bytes_received += all[r].size();
      all[r].erase(all[r].begin(), all[r].begin() + bytes_of_head);
    }
    return all;
  } catch (const cluster_error& end) {
    ended_ = std::make_unique<cluster_error>(end);
    throw;
  }
}

std::vector<std::vector<std::byte>> communicator::allgather(std::span<const std::byte> mine) {
  return exchange(well, mine);
}

std::vector<std::byte> communicator::broadcast(std::span<const std::byte> mine, int root) {
  if (root < 0 || root >= size())
    throw usage_error("broadcast: there is no rank " + std::to_string(root) + " among " +
                      std::to_string(size()));
  return std::move(exchange(well, rank() == root ? mine : std::span<const std::byte>{})[std::size_t(root)]);
}

void communicator::fail(cluster_failure why, const std::string& sentence) {
  try {
    exchange(std::uint8_t(why), std::as_bytes(std::span(sentence)));
  } catch (const cluster_error& end) {
    if (end.why != cluster_failure::lost) throw;
  } catch (const std::exception&) {  // of an engine that carries nothing any more
  }
  // The others are gone, or busy for longer than the deadline.
  throw cluster_error(why, (size() == 1 ? "" : rank_text(std::size_t(rank())) + ": ") + sentence);
}

std::vector<std::vector<std::byte>> self_communicator::gather(std::span<const std::byte> mine, milliseconds) {
  return {{mine.begin(), mine.end()}};
}

callback_communicator::callback_communicator(int rank, int size, gather_bytes gather)
    : rank_(rank), size_(size), gather_(std::move(gather)) {
  if (rank < 0 || rank >= size)
    throw usage_error("callback_communicator: rank " + std::to_string(rank) + " of " + std::to_string(size) +
                      "; ranks are 0 to " + std::to_string(size - 1));
}

std::vector<std::vector<std::byte>> callback_communicator::gather(std::span<const std::byte> mine,
                                                                  milliseconds deadline) {
  return gather_(mine, deadline);
}

void shake_hands(communicator& all, const common_facts& facts) {
  common_facts mine{{"Poolwise", POOLWISE_VERSION},
                    {"byte order", std::endian::native == std::endian::little ? "little" : "big"}};
  mine.insert(mine.end(), facts.begin(), facts.end());
  message_writer out;
  for (const auto& [name, value] : mine) out.add(name).add(value);
  std::vector<common_facts> of_rank;
  for (const auto& bytes : all.allgather(out.bytes())) {
    message_reader in(bytes);
    of_rank.emplace_back();
    while (!in.done()) {
      std::string name = in.text();
      of_rank.back().emplace_back(std::move(name), in.text());
    }
  }
  for (std::size_t f = 0; f < mine.size(); ++f) {
    std::size_t first = 0;
    for (std::size_t r = 0; r < of_rank.size(); ++r) {
      if (f >= of_rank[r].size() || of_rank[r][f].first != mine[f].first)
        throw cluster_error(cluster_failure::unequal,
                            rank_text(r) + " says nothing of " + mine[f].first + "; start all ranks alike");
      if (of_rank[first][f].second.empty()) first = r;
      const std::string &one = of_rank[first][f].second, &other = of_rank[r][f].second;
      if (other.empty() || other == one) continue;
      throw cluster_error(cluster_failure::unequal, rank_text(r) + " has " + mine[f].first + " " +
                                                        printable(other, 200) + ", but " + rank_text(first) +
                                                        " has " + printable(one, 200) +
                                                        "; start all ranks with the same query");
    }
  }
}

}  // namespace poolwise
