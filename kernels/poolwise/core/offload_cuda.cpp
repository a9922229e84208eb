#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <exception>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/core/detail/offload.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

constexpr index_t slots_of_device = 3;                          // tiles in flight: up, worked on, back
constexpr std::size_t most_tile_bytes = std::size_t(16) << 20;  // far above what starting a copy costs
constexpr std::size_t least_tile_bytes = std::size_t(1)
                                         << 18;           // smaller ones are not cut for the overlap's sake
constexpr std::size_t copy_block = std::size_t(1) << 20;  // bytes that a thread copies at a time
constexpr std::size_t alignment = 256;                    // of arrays in a slot, as cudaMalloc's

constexpr std::size_t aligned(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

/// Of `rows` rows on a device.
std::size_t dense_bytes(const host_rows& a, index_t rows) { return a.planes * a.row_bytes * std::size_t(rows); }

/// What is the same for all devices.
struct sending {
  const char* call;
  std::span<const host_rows> arrays;
  std::vector<bool> pinned;     // of the arrays: those that travel without a buffer of ours
  index_t rows, tile_rows = 0;  // of the whole, and of a tile
  std::size_t ceiling;          // of offload
  std::size_t worker_bytes = 0;
  cpu copier;  // threads of a device, and the pages they read from
  std::function<std::unique_ptr<tile_worker>(const cuda&)> make;

  std::atomic<index_t> next_tile{0};
  std::atomic<bool> failed{false};

  std::size_t bytes_of_row() const {
    std::size_t bytes = 0;
    for (const host_rows& a : arrays)
      if (!a.whole) bytes += a.planes * a.row_bytes;
    return bytes;
  }

  std::size_t whole_bytes() const {
    std::size_t bytes = 0;
    for (const host_rows& a : arrays)
      if (a.whole) bytes += aligned(dense_bytes(a, a.rows));
    return bytes;
  }

  index_t tiles() const { return blocks_of(rows, tile_rows); }

  /// Where array `a` begins in a slot; one past the last: the bytes of a slot.
  std::size_t place(std::size_t a) const {
    std::size_t bytes = 0;
    for (const host_rows& before : arrays.first(a))
      if (!before.whole) bytes += aligned(dense_bytes(before, tile_rows));
    return bytes;
  }

  void choose_tiles(std::size_t budget, std::size_t devices) {
    budget -= std::min(budget, whole_bytes());
    const std::size_t row = std::max<std::size_t>(1, bytes_of_row()), gaps = alignment * arrays.size();
    const std::size_t share = budget / 2 / std::size_t(slots_of_device);
    const std::size_t fits = std::min(most_tile_bytes, share - std::min(share, gaps)) / row;
    // Rows enough for every slot of every device, unless that makes tiles too small to be worth it.
    const std::size_t even = std::size_t(blocks_of(rows, index_t(devices) * slots_of_device));
    const auto most = index_t(
        std::clamp<std::size_t>(std::max(even, least_tile_bytes / row), 1, std::max<std::size_t>(fits, 1)));
    tile_rows = std::min(rows, most > 64 ? most / 32 * 32 : most);
    const std::size_t taken = place(arrays.size()) * std::size_t(slots_of_device);
    worker_bytes = budget > taken ? budget - taken : 1;
  }
};

/// Runs `copy(to, from, bytes)` over the rows [first, first + rows) of `a` and the dense rows at `dense`.
template <class Copy>
void copy_rows(const host_rows& a, index_t first, index_t rows, std::byte* dense, cpu on, Copy copy) {
  const std::size_t plane = a.row_bytes * std::size_t(rows);
  if (plane == 0) return;
  const auto block = index_t(std::max<std::size_t>(1, copy_block / a.row_bytes));
  for (std::size_t p = 0; p < a.planes; ++p) {
    std::byte* const begin = a.data + p * a.plane_stride + std::size_t(first) * a.row_stride;
    std::byte* const to = dense + p * plane;
    parallel_blocks(on, rows, block, [&](index_t, index_t b, index_t e) {
      if (a.row_stride == a.row_bytes)
        return copy(to + std::size_t(b) * a.row_bytes, begin + std::size_t(b) * a.row_bytes,
                    std::size_t(e - b) * a.row_bytes);
      for (index_t i = b; i < e; ++i)
        copy(to + std::size_t(i) * a.row_bytes, begin + std::size_t(i) * a.row_stride, a.row_bytes);
    });
  }
}

bool is_pinned(const host_rows& a, const char* call) {
  if (a.data == nullptr) return true;
  const std::byte* const last =
      a.data + (a.planes - 1) * a.plane_stride + std::size_t(a.rows - 1) * a.row_stride;
  for (const std::byte* byte : {static_cast<const std::byte*>(a.data), last}) {
    cudaPointerAttributes found{};
    check(cudaPointerGetAttributes(&found, byte), call, "looking for pinned memory");
    if (found.type != cudaMemoryTypeHost) return false;
  }
  return true;
}

/// One device: its streams and slots, and the tiles it takes. Lives on the thread that works for the device.
class device_lane {
 public:
  device_lane(sending& all, int device)
      : all_(all),
        here_(device, all.call),
        up_(all.call),
        work_(all.call),
        down_(all.call),
        memory_(cuda{device, work_, all.ceiling}, all.call),
        on_{device, work_, all.worker_bytes} {}

  ~device_lane() {
    for (cudaStream_t stream : {cudaStream_t(up_), cudaStream_t(work_), cudaStream_t(down_)})
      if (cudaStreamSynchronize(stream) != cudaSuccess) cudaGetLastError();
  }

  void run() {
    make_slots();
    worker_ = all_.make(on_);
    for (std::size_t turn = 0; !all_.failed; ++turn) {
      const index_t tile = all_.next_tile++;
      if (tile >= all_.tiles()) break;
      slot& s = slots_[turn % slots_.size()];
      finish(s);
      start(s, tile);
    }
    for (std::size_t n = 0; n < slots_.size(); ++n) {
      slot& earliest = *std::min_element(slots_.begin(), slots_.end(), [](const slot& a, const slot& b) {
        return std::uint64_t(a.tile) < std::uint64_t(b.tile);  // none, -1, last
      });
      finish(earliest);
    }
    if (!all_.failed) worker_->end();
  }

  /// The tile that is being dealt with; -1 before the first.
  index_t tile() const { return tile_; }

 private:
  struct slot {
    device_array<std::byte> device;
    pinned_array<std::byte> pinned;
    event arrived, done, returned;
    index_t tile = -1;

    explicit slot(const char* call) : arrived(call), done(call), returned(call) {}
  };

  void make_slots() {
    const index_t bytes = index_t(all_.place(all_.arrays.size()));
    const bool staged = std::find(all_.pinned.begin(), all_.pinned.end(), false) != all_.pinned.end();
    for (index_t n = 0; n < std::min(slots_of_device, all_.tiles()); ++n) {
      slot& s = slots_.emplace_back(all_.call);
      s.device = memory_.array<std::byte>(bytes);
      if (staged) s.pinned = pinned_array<std::byte>(bytes, all_.call);
    }
    for (const host_rows& a : all_.arrays) {
      device_array<std::byte>& room = whole_.emplace_back();
      if (a.whole) room = memory_.array<std::byte>(index_t(dense_bytes(a, a.rows)));
    }
    event allocated(all_.call);
    allocated.record(work_);
    allocated.hold(up_);
    for (std::size_t a = 0; a < whole_.size(); ++a)
      if (all_.arrays[a].whole) copy_strided(all_.arrays[a], 0, all_.arrays[a].rows, whole_[a].data(), up_);
  }

  index_t first_of(index_t tile) const { return tile * all_.tile_rows; }
  index_t rows_of_tile(index_t tile) const { return std::min(all_.tile_rows, all_.rows - first_of(tile)); }

  void start(slot& s, index_t tile) {
    s.tile = tile_ = tile;
    const index_t rows = rows_of_tile(tile);
    std::vector<std::byte*> arrays;
    for (std::size_t a = 0; a < all_.arrays.size(); ++a) {
      const host_rows& array = all_.arrays[a];
      arrays.push_back(array.whole             ? whole_[a].data()
                       : array.data == nullptr ? nullptr
                                               : s.device.data() + all_.place(a));
      if (!array.whole && !array.written) send(s, a);
    }
    s.arrived.record(up_);
    s.arrived.hold(work_);
    worker_->work({on_, first_of(tile), rows}, arrays);
    s.done.record(work_);
    s.done.hold(down_);
    for (std::size_t a = 0; a < all_.arrays.size(); ++a)
      if (all_.arrays[a].written) bring(s, a);
    s.returned.record(down_);
  }

  void send(slot& s, std::size_t a) {
    const host_rows& array = all_.arrays[a];
    const index_t rows = rows_of_tile(s.tile);
    if (all_.pinned[a])
      return copy_strided(array, first_of(s.tile), rows, s.device.data() + all_.place(a), up_);
    std::byte* const staged = s.pinned.data() + all_.place(a);
    copy_rows(array, first_of(s.tile), rows, staged, all_.copier,
              [](std::byte* dense, const std::byte* host, std::size_t n) { std::memcpy(dense, host, n); });
    copy(s.device.data() + all_.place(a), staged, array, rows, up_);
  }

  void bring(slot& s, std::size_t a) {
    const host_rows& array = all_.arrays[a];
    if (all_.pinned[a])
      return copy_strided(array, first_of(s.tile), rows_of_tile(s.tile), s.device.data() + all_.place(a),
                          down_);
    copy(s.pinned.data() + all_.place(a), s.device.data() + all_.place(a), all_.arrays[a], rows_of_tile(s.tile),
         down_);
  }

  /// Waits for the tile that `s` carries, if any, and gives the caller what was written.
  void finish(slot& s) {
    if (s.tile < 0) return;
    tile_ = s.tile;
    s.returned.wait();
    for (std::size_t a = 0; a < all_.arrays.size(); ++a)
      if (all_.arrays[a].written && !all_.pinned[a])
        copy_rows(all_.arrays[a], first_of(s.tile), rows_of_tile(s.tile), s.pinned.data() + all_.place(a),
                  all_.copier,
                  [](const std::byte* dense, std::byte* host, std::size_t n) { std::memcpy(host, dense, n); });
    s.tile = -1;
  }

  void copy(std::byte* to, const std::byte* from, const host_rows& array, index_t rows, cudaStream_t stream) {
    const std::size_t bytes = dense_bytes(array, rows);
    if (bytes == 0) return;
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream), all_.call, "copying a tile");
  }

  /// Between the caller's own rows, which lie as far apart as they do, and the dense rows of the device.
  void copy_strided(const host_rows& array, index_t first, index_t rows, std::byte* device,
                    cudaStream_t stream) {
    if (array.row_bytes == 0) return;
    for (std::size_t p = 0; p < array.planes; ++p, device += std::size_t(rows) * array.row_bytes) {
      std::byte* const host = array.data + p * array.plane_stride + std::size_t(first) * array.row_stride;
      const auto copied =
          array.written ? cudaMemcpy2DAsync(host, array.row_stride, device, array.row_bytes, array.row_bytes,
                                            std::size_t(rows), cudaMemcpyDefault, stream)
                        : cudaMemcpy2DAsync(device, array.row_bytes, host, array.row_stride, array.row_bytes,
                                            std::size_t(rows), cudaMemcpyDefault, stream);
      check(copied, all_.call, "copying a tile");
    }
  }

  sending& all_;
  current_device here_;
  own_stream up_, work_, down_;
  device_memory memory_;
  cuda on_;
  std::vector<device_array<std::byte>> whole_;  // by array; empty for those cut into tiles
  std::vector<slot> slots_;
  std::unique_ptr<tile_worker> worker_;
  index_t tile_ = -1;
};

/// Why a device stopped.
struct failure {
  index_t tile = std::numeric_limits<index_t>::max();
  std::exception_ptr why;
};

failure work_for(sending& all, int device) {
  index_t tile = -1;
  try {
    device_lane lane(all, device);
    try {
      lane.run();
    } catch (...) {
      tile = lane.tile();
      throw;
    }
  } catch (...) {
    all.failed = true;
    return {tile, std::current_exception()};
  }
  return {};
}

}  // namespace

void require_devices(const char* call, const std::vector<int>& devices) {
  if (devices.empty()) throw value_error(std::string(call) + ": offload names no device; name at least one");
  for (auto d = devices.begin(); d != devices.end(); ++d)
    if (std::find(devices.begin(), d, *d) != d)
      throw value_error(std::string(call) + ": offload names device " + std::to_string(*d) +
                        " twice; name each once");
}

void send_tiles(const offload& on, const char* call, std::span<const host_rows> arrays,
                const std::function<std::unique_ptr<tile_worker>(const cuda&)>& make) {
  require_devices(call, on.devices);
  const index_t rows = arrays.front().rows;
  if (rows == 0) return;
  sending all{.call = call,
              .arrays = arrays,
              .pinned = {},
              .rows = rows,
              .ceiling = on.memory,
              .copier = {std::max(1, threads_of(on.host) / int(on.devices.size())), on.host.pages},
              .make = make};
  std::size_t budget = std::numeric_limits<std::size_t>::max();
  for (int device : on.devices) {
    const current_device here(device, call);
    budget = std::min(budget, device_memory({device, nullptr, on.memory}, call).left());
  }
  for (const host_rows& a : arrays) all.pinned.push_back(is_pinned(a, call));
  all.choose_tiles(budget, on.devices.size());

  const auto lanes = std::size_t(std::min(index_t(on.devices.size()), all.tiles()));
  std::vector<failure> failures(lanes);
  {
    std::vector<std::jthread> threads;  // joined on leaving, whatever happens
    for (std::size_t d = 1; d < lanes; ++d)
      threads.emplace_back([&, d] { failures[d] = work_for(all, on.devices[d]); });
    failures[0] = work_for(all, on.devices[0]);
  }
  const failure& first = *std::min_element(failures.begin(), failures.end(),
                                           [](const failure& a, const failure& b) { return a.tile < b.tile; });
  if (first.why) std::rethrow_exception(first.why);
}

}  // namespace poolwise
