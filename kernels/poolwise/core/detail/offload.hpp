// Host arrays through CUDA devices, a tile of rows at a time. No CUDA header is needed to use it.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/core/where.hpp"

namespace poolwise {

/// The rows first, ..., first + rows - 1 of the pool while they are on a device.
struct device_tile {
  cuda on;  ///< with the memory that the work on all tiles of this device may allocate together
  index_t first = 0, rows = 0;
};

/// An array in host memory of so many bytes a row, with its rows in each of `planes` planes. On a device its
/// rows and planes touch each other. One without data is not sent and has none there either.
struct host_rows {
  std::byte* data = nullptr;
  index_t rows = 0;
  std::size_t row_bytes = 0, row_stride = 0;
  std::size_t planes = 1, plane_stride = 0;
  bool written = false;  ///< by the devices; else only read
  bool whole = false;    ///< not cut into tiles: every device reads all of it, sent once
};

/// A view of const that every tile sees whole, such as the centre of distances.
template <class View>
struct whole {
  View view;
};
template <class View>
whole(View) -> whole<View>;  // for Clang before 17, which deduces no aggregate

/// What one device does. Made, called and destroyed on the device's own thread, with the device current.
class tile_worker {
 public:
  virtual ~tile_worker() = default;
  /// Works on the arrays, in device memory, on the stream of `tile.on`. Best without waiting for it.
  virtual void work(const device_tile& tile, std::span<std::byte* const> arrays) = 0;
  /// After the device's last tile has been worked on. Not called where a tile has failed.
  virtual void end() {}
};

/// throws value_error if `devices` is empty or names one twice.
void require_devices(const char* call, const std::vector<int>& devices);

/// Sends the rows of `arrays`, as many in each as in the first, over the devices of `on`, a worker each, and
/// returns when what they have written is in host memory. A device has a thread, three tiles in flight (one on
/// the way up, one worked on, one on the way back), and takes the next tile as it comes free; so a result must
/// not depend on who worked on it. Arrays in pinned memory travel as they are, others through pinned buffers of
/// at most 16 MiB a tile. Half of the memory of `on` at most is the tiles', the rest is the worker's. throws
/// what a worker throws, for the lowest tile that failed; value_error if `on` names no device or one twice;
/// memory_error; cuda_error.
void send_tiles(const offload& on, const char* call, std::span<const host_rows> arrays,
                const std::function<std::unique_ptr<tile_worker>(const cuda&)>& make);

// ---- Views as arrays of bytes, and the same views of a tile in device memory

template <class T>
host_rows as_host_rows(vector_view<T> x) {
  const auto data = reinterpret_cast<std::byte*>(const_cast<std::remove_const_t<T>*>(x.data));
  return {.data = data,
          .rows = x.size,
          .row_bytes = data == nullptr ? 0 : sizeof(T),
          .row_stride = sizeof(T),
          .written = !std::is_const_v<T>};
}
template <class T>
host_rows as_host_rows(matrix_view<T> x) {
  host_rows rows = as_host_rows(vector_view<T>{x.data, x.rows});
  rows.row_bytes *= std::size_t(x.cols);
  rows.row_stride *= std::size_t(x.stride);
  return rows;
}
template <class T>
host_rows as_host_rows(cube_view<T> x) {
  host_rows rows = as_host_rows(x.member(0));
  rows.planes = std::size_t(x.members);
  rows.plane_stride = rows.row_bytes * std::size_t(x.rows);
  return rows;
}
template <class... Views>
host_rows as_host_rows(const std::variant<Views...>& x) {
  return std::visit([](auto view) { return as_host_rows(view); }, x);
}

template <class View>
host_rows as_host_rows(const whole<View>& x) {
  host_rows rows = as_host_rows(x.view);
  rows.whole = true;
  return rows;
}

template <class T>
vector_view<T> of_tile(vector_view<T>, std::byte* data, index_t rows) {
  return {reinterpret_cast<T*>(data), rows};
}
template <class T>
matrix_view<T> of_tile(matrix_view<T> x, std::byte* data, index_t rows) {
  return {reinterpret_cast<T*>(data), rows, x.cols};
}
template <class T>
cube_view<T> of_tile(cube_view<T> x, std::byte* data, index_t rows) {
  return {reinterpret_cast<T*>(data), x.members, rows, x.cols};
}
template <class... Views>
std::variant<Views...> of_tile(const std::variant<Views...>& x, std::byte* data, index_t rows) {
  return std::visit([&](auto view) { return std::variant<Views...>(of_tile(view, data, rows)); }, x);
}

template <class View>
View of_tile(const whole<View>& x, std::byte* data, index_t) {
  return of_tile(x.view, data, as_host_rows(x.view).rows);
}

/// Calls `make(cuda)` on every device for a body of its own, and of that `body(device_tile, views of the tile
/// in device memory...)` for each tile it takes and, where it has one, `body.end()` after the last.
/// Views of const travel up, others back; the first is cut into tiles.
template <class Make, class... Views>
void on_each_device(const offload& on, const char* call, const Make& make, const Views&... views) {
  using body_type = std::invoke_result_t<const Make&, const cuda&>;
  class worker final : public tile_worker {
   public:
    worker(const Make& make_body, const cuda& device, const Views&... whole)
        : body_(make_body(device)), whole_(whole...) {}
    void work(const device_tile& tile, std::span<std::byte* const> arrays) override {
      [&]<std::size_t... I>(std::index_sequence<I...>) {
        body_(tile, of_tile(std::get<I>(whole_), arrays[I], tile.rows)...);
      }
      (std::index_sequence_for<Views...>());
    }
    void end() override {
      if constexpr (requires(body_type & b) { b.end(); }) body_.end();
    }

   private:
    body_type body_;
    std::tuple<Views...> whole_;
  };
  const std::array<host_rows, sizeof...(Views)> arrays{as_host_rows(views)...};
  send_tiles(on, call, arrays,
             [&](const cuda& device) { return std::make_unique<worker>(make, device, views...); });
}

/// `body(device_tile, views of the tile in device memory...)` for every tile of the rows of `views`, on
/// whichever device is free. It is called on several threads at once.
template <class Body, class... Views>
void for_each_tile(const offload& on, const char* call, const Body& body, const Views&... views) {
  on_each_device(
      on, call, [&](const cuda&) { return std::cref(body); }, views...);
}

}  // namespace poolwise
