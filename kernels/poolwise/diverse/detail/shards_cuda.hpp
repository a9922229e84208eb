// A pool cut into shards, one a device: what every shard has, and what drives them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "poolwise/budget/allowance.hpp"
#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/order.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/core/types.hpp"
#include "poolwise/diverse/detail/farthest_cuda.hpp"

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

inline std::vector<index_t> numbers_of(const std::vector<candidate>& some) {
  std::vector<index_t> rows;
  for (const candidate& c : some) rows.push_back(c.row);
  return rows;
}

/// Columns of a row that 128-bit loads read.
inline index_t pitch_of(index_t cols) { return (cols + 3) / 4 * 4; }

/// Some rows of a pool on one device, each with its squared distance to the nearest labelled or picked row, and
/// the limits on what may be picked. The device is current in every call.
class device_shard {
 public:
  /// on_host: the pool is host memory, and the shard has a stream of its own.
  device_shard(const cuda& on, const char* call, row_range range, bool on_host);

  int device() const { return device_; }
  row_range range() const { return range_; }

 protected:
  ~device_shard() = default;

  bool on_host() const { return stream_ != nullptr; }

  /// Takes room for the distances, for so many row numbers at a time and for a shortlist, and sends the limits.
  void begin(const allowance& limit, index_t most_numbers, index_t most_best);

  template <class T>
  device_array<T> upload(vector_view<const T> host) {
    auto array = memory_.array<T>(host.size);
    copy_async(array.data(), host.data, host.size, memory_);
    return array;
  }

  /// Sends the numbers of rows of the pool. The device has read those sent before.
  vector_view<const index_t> send_numbers(const std::vector<index_t>& rows);

  /// Retires `latest`, the picks since the last call, and what `left` rules out by now.
  void retire(vector_view<const index_t> latest, const remaining& left);

  /// The best rows by what they gain, up to `count`, in any order. Waits.
  vector_view<const shortlisted> best_rows(index_t count);

  void wait(const char* doing) const;
  /// Waits, so that nothing on its way reads host memory that goes: in the destructor.
  void finish() noexcept;

 private:
  row_range range_;
  int device_;
  std::unique_ptr<own_stream> stream_;

 protected:
  device_memory memory_;
  shard_rows rows_;  ///< a view of the distances, and of weights where a shard sets them

 private:
  device_array<float> distance_;
  device_array<std::int64_t> cost_;
  device_array<index_t> group_, quota_, numbers_;
  pinned_array<index_t> numbers_host_;
  device_array<selection> limits_;  // of the shortlist
  device_array<shortlisted> best_;
  pinned_array<shortlisted> best_host_;
  pinned_array<unsigned> taken_;  // rows of the shortlist
};

/// Shards, each on its device, that threads drive side by side.
template <class Shard>
class sharded_pool {
 public:
  /// Shard(device, range, whether it is the first, more...) for each range, cut between blocks of `block` rows.
  template <class... More>
  sharded_pool(const char* call, const std::vector<cuda>& devices, index_t rows, index_t block,
               const More&... more)
      : call_(call), shards_(devices.size()) {
    on_each_shard(size(), [&](std::size_t s) {
      const current_device here(devices[s].device, call);
      const row_range range = shard_of(rows, block, index_t(size()), index_t(s));
      shards_[s] = std::make_unique<Shard>(devices[s], range, s == 0, more...);
    });
  }

  std::size_t size() const { return shards_.size(); }
  const Shard& operator[](std::size_t s) const { return *shards_[s]; }

  /// body(shard), its device current.
  template <class Body>
  auto on(std::size_t s, const Body& body) {
    const current_device here(shards_[s]->device(), call_);
    return body(*shards_[s]);
  }

  /// body(shard, its number) for every shard.
  template <class Body>
  void on_each(const Body& body) {
    on_each_shard(size(), [&](std::size_t s) { on(s, [&](Shard& shard) { body(shard, s); }); });
  }

  std::size_t owner_of(index_t row) const {
    std::size_t s = size() - 1;
    while (row < shards_[s]->range().first) --s;
    return s;
  }

 private:
  const char* call_;
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace poolwise
