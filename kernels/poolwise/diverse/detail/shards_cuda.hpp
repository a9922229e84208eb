// A pool cut into shards, one a device.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/core/types.hpp"

namespace poolwise {

struct row_range {
  index_t first = 0, count = 0;
};

/// Shard `s` of `shards`: they follow each other, are cut between blocks of `block` rows, and differ by a block
/// at most.
inline row_range shard_of(index_t rows, index_t block, index_t shards, index_t s) {
  const index_t blocks = blocks_of(rows, block);
  const auto begin = [&](index_t i) {
    return std::min(rows, block * (blocks / shards * i + std::min(i, blocks % shards)));
  };
  return {begin(s), begin(s + 1) - begin(s)};
}

template <class T>
vector_view<T> part_of(vector_view<T> x, row_range range) {
  return rows_between(x, range.first, range.first + range.count);
}

/// Calls body(s) for every shard, side by side; rethrows what the first of them threw.
template <class Body>
void on_each_shard(std::size_t shards, const Body& body) {
  std::vector<std::exception_ptr> failed(shards);
  const auto guarded = [&](std::size_t s) {
    try {
      body(s);
    } catch (...) {
      failed[s] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t s = 1; s < shards; ++s) others.emplace_back(guarded, s);
    guarded(0);
  }
  for (const std::exception_ptr& f : failed)
    if (f) std::rethrow_exception(f);
}

}  // namespace poolwise
