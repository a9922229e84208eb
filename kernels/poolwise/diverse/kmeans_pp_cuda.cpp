#include "poolwise/diverse/detail/kmeans_pp_cuda.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include "poolwise/core/detail/offload.hpp"
#include "poolwise/distance/detail/canonical_cuda.hpp"
#include "poolwise/distance/detail/neighbours_cuda.hpp"
#include "poolwise/distance/detail/sweep_cuda.hpp"
#include "poolwise/diverse/detail/farthest_cuda.hpp"
#include "poolwise/diverse/detail/weights_cuda.hpp"

namespace poolwise {
namespace {

constexpr const char* call = "kmeans_pp";
constexpr index_t proposals_a_call = 128;

index_t pitch_of(index_t cols) { return (cols + 3) / 4 * 4; }  // rows of 128-bit loads

/// Copies of some rows of a matrix.
class gathered_rows {
 public:
  gathered_rows(device_memory& memory, index_t cols)
      : cols_(cols), values_(memory.array<float>(most_proposals * pitch_of(cols))) {}

  matrix_view<const float> of(const device_memory& memory, matrix_view<const float> points,
                              vector_view<const index_t> rows) {
    const matrix_view<float> gathered{values_.data(), rows.size, cols_, pitch_of(cols_)};
    gather_rows(memory, points, rows, gathered);
    return gathered;
  }

 private:
  index_t cols_;
  device_array<float> values_;
};

/// The rows of a matrix on a device.
class plain_device_rows {
 public:
  plain_device_rows(device_memory& memory, int device, matrix_view<const float> points)
      : memory_(memory),
        device_(device),
        points_(points),
        some_(memory, points.cols),
        sweep_(memory, device, points.cols, points.rows, most_proposals) {
    if (points.rows == 0) return;
    sweep_.set_origin(points);
    if (sweep_.narrows(most_proposals) &&
        memory.left() >= canonical_sweep::narrowed_bytes(points.cols, points.rows))
      kept_ = sweep_.narrow(points);
  }

  index_t count() const { return points_.rows; }

  void squared_norms(vector_view<float> norm2) {
    squared_norms_cuda({.device = device_, .stream = memory_.stream()}, points_, norm2);
  }

  /// Lowers weights by rows of these numbers, which lie on the device.
  void lower(vector_view<const index_t> centers, float* weight) {
    sweep_.set_centers(some_.of(memory_, points_, centers));
    sweep_.lower(points_, kept_.facts.size() > 0 ? &kept_ : nullptr, weight);
  }

  void all_pairs(vector_view<const index_t> rows, float* d2) {
    sweep_.all_pairs(some_.of(memory_, points_, rows), d2, rows.size);
  }

 private:
  device_memory& memory_;
  int device_;
  matrix_view<const float> points_;
  gathered_rows some_;
  canonical_sweep sweep_;
  narrowed_rows kept_;
};

/// Outer products by their factors on a device.
class factored_device_rows {
 public:
  factored_device_rows(device_memory& memory, int device, const factored_rows& points)
      : memory_(memory),
        norm2_(memory.array<double>(points.a.rows)),
        points_{points.a, points.h, norm2_.data(), points.bias ? 1.0 : 0.0},
        some_a_(memory, points.a.cols),
        some_h_(memory, points.h.cols),
        some_norm2_(memory.array<double>(most_proposals)) {
    const cuda on{.device = device, .stream = memory.stream()};
    const auto of_a = memory.array<float>(count()), of_h = memory.array<float>(count());
    const auto beyond = memory.array<unsigned long long>(1);
    constexpr unsigned long long none = std::numeric_limits<unsigned long long>::max();
    unsigned long long first = none;
    copy_async(beyond.data(), &first, 1, memory);
    squared_norms_cuda(on, points.a, of_a.view());
    squared_norms_cuda(on, points.h, of_h.view());
    multiply_norms(memory, {of_a.data(), count()}, of_h.data(), points_.bias, norm2_.data(), beyond.data());
    copy_async(&first, beyond.data(), 1, memory);
    check(cudaStreamSynchronize(memory.stream()), call, "waiting for squared norms");
    if (first != none) refuse_norm(index_t(first));
  }

  index_t count() const { return points_.a.rows; }

  void squared_norms(vector_view<float> norm2) { round_norms(memory_, {norm2_.data(), count()}, norm2.data); }

  void lower(vector_view<const index_t> centers, float* weight) {
    lower_factored(memory_, points_, some(centers), weight);
  }

  void all_pairs(vector_view<const index_t> rows, float* d2) {
    all_factored_pairs(memory_, some(rows), d2, rows.size);
  }

 private:
  factored_view some(vector_view<const index_t> rows) {
    gather_norms(memory_, norm2_.data(), rows, some_norm2_.data());
    return {some_a_.of(memory_, points_.a, rows), some_h_.of(memory_, points_.h, rows), some_norm2_.data(),
            points_.bias};
  }

  device_memory& memory_;
  device_array<double> norm2_;
  factored_view points_;
  gathered_rows some_a_, some_h_;
  device_array<double> some_norm2_;
};

/// Weights are squared distances to the nearest pick, kept on the device. Every call that returns numbers waits
/// for them.
template <class Rows>
class cuda_weights : public weight_pool {
 public:
  template <class Points>
  cuda_weights(const cuda& on, const Points& points, const allowance& limit)
      : here_(on.device, call),
        memory_(on, call),
        points_(memory_, on.device, points),
        weight_(memory_.array<float>(rows())),
        sums_(memory_.array<double>((rows() + weight_block - 1) / weight_block)),
        sums_host_(sums_.size(), call),
        cost_(upload(limit.cost)),
        group_(upload(limit.group)),
        quota_(upload(limit.quota)),
        barred_(upload(limit.barred)),
        numbers_(memory_.array<index_t>(most_proposals)),
        numbers_host_(most_proposals, call),
        proposed_(memory_.array<index_t>(most_proposals)),
        draws_(memory_.array<block_draw>(proposals_a_call)),
        draws_host_(proposals_a_call, call),
        drawn_(memory_.array<candidate>(proposals_a_call)),
        drawn_host_(proposals_a_call, call),
        d2_(memory_.array<float>(most_proposals * most_proposals)),
        d2_host_(most_proposals * proposals_a_call, call),
        best_state_(memory_.array<select_state>(1)),
        best_(memory_.array<shortlisted>(1)) {
    const auto norm2 = memory_.array<float>(rows());
    points_.squared_norms(norm2.view());
    begin_distances(memory_, shard(), norm2.data(), barred_.data());
  }

  /// Nothing that is still on its way reads host memory that is freed here.
  ~cuda_weights() override {
    if (cudaStreamSynchronize(memory_.stream()) != cudaSuccess) cudaGetLastError();
  }

  index_t rows() const override { return points_.count(); }

  double sweep(const std::vector<candidate>& latest, const remaining& left) override {
    tables_.clear();
    proposals_ = 0;
    if (!latest.empty()) {
      if (first_) begin_distances(memory_, shard(), nullptr, barred_.data());
      first_ = false;
      for (std::size_t i = 0; i < latest.size(); ++i) numbers_host_[index_t(i)] = latest[i].row;
      const vector_view<const index_t> centers{numbers_.data(), index_t(latest.size())};
      copy_async(numbers_.data(), numbers_host_.data(), centers.size, memory_);
      points_.lower(centers, weight_.data());
      retire_rows(memory_, shard(), centers);
    }
    if (latest.empty() || left.dwindles()) {
      if (!left.quota().empty()) copy_async(quota_.data(), left.quota().data, left.quota().size, memory_);
      retire_beyond(memory_, shard(), cost_.data(), left.budget(), group_.data(), quota_.data());
    }
    sum_weights(memory_, {weight_.data(), rows()}, sums_.data());
    copy_async(sums_host_.data(), sums_.data(), sums_.size(), memory_);
    wait("waiting for sums of weights");
    std::partial_sum(sums_host_.begin(), sums_host_.end(), sums_host_.begin());
    return rows() == 0 ? 0 : sums_host_[sums_.size() - 1];
  }

  candidate largest() override {
    shortlisted best{-1, 0, 0, 0};
    unsigned found = 0;
    select_best(memory_, shard(), 1, best_state_.data(), best_.data());
    copy_async(&found, &best_state_.data()->found, 1, memory_);
    copy_async(&best, best_.data(), 1, memory_);
    wait("waiting for the largest norm");
    return found == 0 ? candidate{} : candidate{best.row, best.gain};
  }

  candidate at(index_t row) override {
    candidate c{row, 0};
    copy_async(&c.score, weight_.data() + row, 1, memory_);
    wait("waiting for a weight");
    return c;
  }

  std::vector<candidate> propose(const std::vector<double>& units) override {
    const auto count = index_t(units.size());
    for (index_t i = 0; i < count; ++i) draws_host_[i] = block_of(units[std::size_t(i)]);
    copy_async(draws_.data(), draws_host_.data(), count, memory_);
    draw_rows(memory_, {weight_.data(), rows()}, {draws_.data(), count}, drawn_.data(),
              proposed_.data() + proposals_);
    copy_async(drawn_host_.data(), drawn_.data(), count, memory_);
    const index_t all = proposals_ + count;
    points_.all_pairs({proposed_.data(), all}, d2_.data());
    copy_async(d2_host_.data(), d2_.data() + proposals_ * all, count * all, memory_);
    wait("waiting for proposals");
    tables_.push_back({proposals_, all, {d2_host_.begin(), d2_host_.begin() + count * all}});
    proposals_ = all;
    return {drawn_host_.begin(), drawn_host_.begin() + count};
  }

  float nearest(index_t p, const std::vector<index_t>& accepted) override {
    const auto table = std::find_if(tables_.begin(), tables_.end(), [&](const auto& t) { return p < t.pitch; });
    const float* const d2 = table->d2.data() + (p - table->first) * table->pitch;
    float nearest = std::numeric_limits<float>::infinity();
    for (const index_t other : accepted) nearest = std::min(nearest, d2[other]);
    return nearest;
  }

  index_t proposals_at_once() const override { return proposals_a_call; }

 private:
  /// Squared distances of the proposals `first`, ..., pitch - 1 to all before them.
  struct distance_table {
    index_t first, pitch;
    std::vector<float> d2;
  };

  shard_rows shard() const { return {rows(), weight_.data(), nullptr}; }

  template <class T>
  device_array<T> upload(vector_view<const T> host) {
    auto array = memory_.array<T>(host.size);
    copy_async(array.data(), host.data, host.size, memory_);
    return array;
  }

  void wait(const char* what) { check(cudaStreamSynchronize(memory_.stream()), call, what); }

  block_draw block_of(double unit) const {
    const double *const begin = sums_host_.begin(), *const end = sums_host_.end();
    const double target = unit * *(end - 1);
    // A block without any share ends where it begins, at or below the target.
    const double* block = std::upper_bound(begin, end, target);
    if (block == end) block = std::lower_bound(begin, end, *(end - 1));
    return {block - begin, target - (block == begin ? 0 : *(block - 1))};
  }

  current_device here_;
  device_memory memory_;
  Rows points_;
  device_array<float> weight_;
  device_array<double> sums_;
  pinned_array<double> sums_host_;
  device_array<std::int64_t> cost_;
  device_array<index_t> group_, quota_;
  device_array<std::uint8_t> barred_;
  device_array<index_t> numbers_;
  pinned_array<index_t> numbers_host_;
  device_array<index_t> proposed_;
  device_array<block_draw> draws_;
  pinned_array<block_draw> draws_host_;
  device_array<candidate> drawn_;
  pinned_array<candidate> drawn_host_;
  device_array<float> d2_;
  pinned_array<float> d2_host_;
  device_array<select_state> best_state_;
  device_array<shortlisted> best_;
  bool first_ = true;  // no pick yet: weights are squared norms
  index_t proposals_ = 0;
  std::vector<distance_table> tables_;
};

// ---- rows that are sent once --------------------------------------------------------------------------------

index_t cols_of(matrix_view<const float> points) { return points.cols; }
index_t cols_of(const factored_rows& points) { return points.a.cols + points.h.cols; }
index_t rows_of(matrix_view<const float> points) { return points.rows; }
index_t rows_of(const factored_rows& points) { return points.a.rows; }

/// Whether the rows fit on the one device there is, in half of what a pool of them leaves.
template <class Points>
bool can_settle(const offload& on, const Points& points) {
  if (on.devices.size() != 1) return false;
  const current_device here(on.devices[0], call);
  const device_memory memory({.device = on.devices[0], .memory = on.memory}, call);
  constexpr std::size_t weight_bytes = 64;  // a row, with norms and limits: more than there are
  constexpr auto proposals = std::size_t(most_proposals);
  const auto rows = std::size_t(rows_of(points)), cols = std::size_t(cols_of(points));
  const std::size_t of_pool = rows * weight_bytes + proposals * (proposals + cols + 64) * sizeof(float);
  return of_pool + 2 * rows * cols * sizeof(float) <= memory.left();
}

/// Rows of the host on a device, in the order of a stream of their own.
template <class Points>
class settled_rows {
 protected:
  settled_rows(const offload& on, const Points& points)
      : here_(on.devices[0], call),
        stream_(call),
        on_{.device = on.devices[0], .stream = stream_, .memory = on.memory},
        memory_(on_, call),
        sent_(send(points)) {
    if (on.memory > 0) on_.memory = memory_.left();
  }

  /// Where a pool of them is, with the memory that is left.
  const cuda& place() const { return on_; }
  const Points& sent() const { return sent_; }

 private:
  matrix_view<const float> send(matrix_view<const float> rows) {
    copies_.push_back(memory_.array<float>(rows.rows * rows.cols));
    const std::size_t width = std::size_t(rows.cols) * sizeof(float);
    if (copies_.back().size() > 0)
      check(cudaMemcpy2DAsync(copies_.back().data(), width, rows.data, std::size_t(rows.stride) * sizeof(float),
                              width, std::size_t(rows.rows), cudaMemcpyDefault, stream_),
            call, "sending rows");
    return {copies_.back().data(), rows.rows, rows.cols};
  }
  factored_rows send(const factored_rows& rows) { return {send(rows.a), send(rows.h), rows.bias}; }

  current_device here_;
  own_stream stream_;
  cuda on_;
  device_memory memory_;
  std::vector<device_array<float>> copies_;
  Points sent_;
};

template <class Rows, class Points>
class settled_weights : private settled_rows<Points>, public cuda_weights<Rows> {
 public:
  settled_weights(const offload& on, const Points& points, const allowance& limit)
      : settled_rows<Points>(on, points), cuda_weights<Rows>(this->place(), this->sent(), limit) {}
};

// ---- rows that are sent -------------------------------------------------------------------------------------

std::vector<float> values_of(matrix_view<const float> x, const std::vector<index_t>& rows) {
  std::vector<float> values;
  values.reserve(rows.size() * std::size_t(x.cols));
  for (const index_t row : rows) values.insert(values.end(), x.row(row), x.row(row) + x.cols);
  return values;
}

template <class T>
vector_view<const T> view(const std::vector<T>& values) {
  return {values.data(), index_t(values.size())};
}

}  // namespace

std::unique_ptr<weight_pool> kmeans_pp_pool_cuda(const cuda& on, matrix_view<const float> points,
                                                 const allowance& limit) {
  return std::make_unique<cuda_weights<plain_device_rows>>(on, points, limit);
}

std::unique_ptr<weight_pool> kmeans_pp_pool_cuda(const cuda& on, const factored_rows& points,
                                                 const allowance& limit) {
  return std::make_unique<cuda_weights<factored_device_rows>>(on, points, limit);
}

std::unique_ptr<weight_pool> kmeans_pp_pool_settled(const offload& on, matrix_view<const float> points,
                                                    const allowance& limit) {
  if (!can_settle(on, points)) return nullptr;
  return std::make_unique<settled_weights<plain_device_rows, matrix_view<const float>>>(on, points, limit);
}

std::unique_ptr<weight_pool> kmeans_pp_pool_settled(const offload& on, const factored_rows& points,
                                                    const allowance& limit) {
  if (!can_settle(on, points)) return nullptr;
  return std::make_unique<settled_weights<factored_device_rows, factored_rows>>(on, points, limit);
}

void lower_distances_offload(const offload& on, matrix_view<const float> points,
                             const std::vector<index_t>& centers, vector_view<float> distance) {
  std::vector<float> lowered(std::size_t(points.rows));
  const auto values = values_of(points, centers);
  const matrix_view<const float> center_rows{values.data(), index_t(centers.size()), points.cols};
  for_each_tile(
      on, call,
      [](const device_tile& tile, matrix_view<const float> rows, vector_view<const float> before,
         vector_view<float> after, matrix_view<const float> c) {
        device_memory memory(tile.on, call);
        canonical_sweep sweep(memory, tile.on.device, rows.cols, rows.rows, c.rows);
        copy_async(after.data, before.data, before.size, memory);
        sweep.set_origin(rows);
        sweep.set_centers(c);
        sweep.lower(rows, nullptr, after.data);
      },
      points, vector_view<const float>(distance), vector_view<float>{lowered.data(), points.rows},
      whole{center_rows});
  std::copy(lowered.begin(), lowered.end(), distance.begin());
}

void lower_distances_offload(const offload& on, const factored_rows& points, const std::vector<double>& norm2,
                             const std::vector<index_t>& centers, vector_view<float> distance) {
  std::vector<float> lowered(std::size_t(points.a.rows));
  const auto of_a = values_of(points.a, centers), of_h = values_of(points.h, centers);
  std::vector<double> of_norm2;
  for (const index_t center : centers) of_norm2.push_back(norm2[std::size_t(center)]);
  const auto count = index_t(centers.size());
  const double bias = points.bias ? 1 : 0;
  for_each_tile(
      on, call,
      [bias](const device_tile& tile, matrix_view<const float> a, matrix_view<const float> h,
             vector_view<const double> rows_norm2, vector_view<const float> before, vector_view<float> after,
             matrix_view<const float> center_a, matrix_view<const float> center_h,
             vector_view<const double> centers_norm2) {
        device_memory memory(tile.on, call);
        copy_async(after.data, before.data, before.size, memory);
        lower_factored(memory, {a, h, rows_norm2.data, bias}, {center_a, center_h, centers_norm2.data, bias},
                       after.data);
      },
      points.a, points.h, view(norm2), vector_view<const float>(distance),
      vector_view<float>{lowered.data(), index_t(lowered.size())},
      whole{matrix_view<const float>{of_a.data(), count, points.a.cols}},
      whole{matrix_view<const float>{of_h.data(), count, points.h.cols}}, whole{view(of_norm2)});
  std::copy(lowered.begin(), lowered.end(), distance.begin());
}

}  // namespace poolwise
