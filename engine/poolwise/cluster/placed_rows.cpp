#include "poolwise/cluster/placed_rows.hpp"

#include <cstring>

namespace poolwise {

placed_rows place_rows(communicator& all, index_t rows) {
  placed_rows place;
  const auto of_ranks = all.allgather(std::as_bytes(std::span(&rows, 1)));
  for (std::size_t rank = 0; rank < of_ranks.size(); ++rank) {
    index_t theirs = 0;
    if (of_ranks[rank].size() != sizeof theirs)
      throw cluster_error(cluster_failure::unequal,
                          "rank " + std::to_string(rank) +
                              " does not count its rows; start all ranks with the same "
                              "query");
    std::memcpy(&theirs, of_ranks[rank].data(), sizeof theirs);
    if (rank < std::size_t(all.rank())) place.first += theirs;
    place.all += theirs;
  }
  return place;
}

}  // namespace poolwise
