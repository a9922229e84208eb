#include "poolwise/diverse/detail/kmeans_pp_cuda.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "poolwise/core/detail/offload.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/distance/detail/canonical_cuda.hpp"
#include "poolwise/distance/detail/rows_cuda.hpp"
#include "poolwise/distance/detail/sweep_cuda.hpp"
#include "poolwise/diverse/detail/farthest_cuda.hpp"
#include "poolwise/diverse/detail/shards_cuda.hpp"
#include "poolwise/diverse/detail/weights_cuda.hpp"

namespace poolwise {
namespace {

constexpr const char* call = "kmeans_pp";
constexpr index_t proposals_a_call = 128;

index_t rows_of(matrix_view<const float> points) { return points.rows; }
index_t rows_of(const factored_rows& points) { return points.a.rows; }
index_t padded_cols_of(matrix_view<const float> points) { return pitch_of(points.cols); }
index_t padded_cols_of(const factored_rows& points) {
  return pitch_of(points.a.cols) + pitch_of(points.h.cols);
}

/// The rows of a shard on its device, and room there for some rows of any shard.
class shard_matrix {
 public:
  /// pool: all rows, on this device or, on_host, on the host, from where those of the shard are sent.
  shard_matrix(device_memory& memory, matrix_view<const float> pool, row_range shard, bool on_host)
      : pool_(pool),
        on_host_(on_host),
        rows_{pool.row(shard.first), shard.count, pool.cols, pool.stride},
        brought_(memory.array<float>(most_proposals * pitch_of(pool.cols))),
        staged_(on_host ? brought_.size() : 0, call) {
    if (!on_host || shard.count * pool.cols == 0) return;
    const auto from = rows_;
    sent_ = memory.array<float>(shard.count * pitch_of(pool.cols));
    rows_ = {sent_.data(), shard.count, pool.cols, pitch_of(pool.cols)};
    const auto bytes = [](index_t values) { return std::size_t(values) * sizeof(float); };
    check(cudaMemcpy2DAsync(sent_.data(), bytes(rows_.stride), from.data, bytes(from.stride), bytes(from.cols),
                            std::size_t(from.rows), cudaMemcpyDefault, memory.stream()),
          call, "sending rows");
  }

  matrix_view<const float> rows() const { return rows_; }

  /// Copies rows of the pool, `numbers` on the device, to the places `at` and on among those brought.
  void bring(const device_memory& memory, const std::vector<index_t>& rows, const index_t* numbers,
             index_t at) {
    const index_t pitch = pitch_of(pool_.cols), count = index_t(rows.size());
    float* const to = brought_.data() + at * pitch;
    if (!on_host_) return gather_rows(memory, pool_, {numbers, count}, {to, count, pool_.cols, pitch});
    float* const staged = staged_.data() + at * pitch;
    for (index_t i = 0; i < count; ++i)
      std::copy_n(pool_.row(rows[std::size_t(i)]), pool_.cols, staged + i * pitch);
    copy_async(to, staged, count * pitch, memory);
  }

  /// The first rows among those brought.
  matrix_view<const float> brought(index_t count) const {
    return {brought_.data(), count, pool_.cols, pitch_of(pool_.cols)};
  }

 private:
  matrix_view<const float> pool_;
  bool on_host_;
  matrix_view<const float> rows_;
  device_array<float> sent_, brought_;
  pinned_array<float> staged_;
};

/// The rows of a matrix on a device.
class plain_device_rows {
 public:
  plain_device_rows(device_memory& memory, int device, matrix_view<const float> points, row_range shard,
                    bool on_host)
      : memory_(memory),
        device_(device),
        points_(memory, points, shard, on_host),
        sweep_(memory, device, points.cols, shard.count, most_proposals) {
    if (shard.count == 0) return;
    sweep_.set_origin(points_.rows());
    kept_ = sweep_.keep(points_.rows(), most_proposals);
  }

  void squared_norms(vector_view<float> norm2) {
    squared_norms_cuda({.device = device_, .stream = memory_.stream()}, points_.rows(), norm2);
  }

  void bring(const std::vector<index_t>& rows, const index_t* numbers, index_t at) {
    points_.bring(memory_, rows, numbers, at);
  }

  /// Lowers weights by the first rows among those brought.
  void lower(index_t centers, float* weight) {
    sweep_.set_centers(points_.brought(centers));
    sweep_.lower(points_.rows(), kept_, weight);
  }

  void all_pairs(index_t count, float* d2) { sweep_.all_pairs(points_.brought(count), d2, count); }

 private:
  device_memory& memory_;
  int device_;
  shard_matrix points_;
  canonical_sweep sweep_;
  rounded_rows kept_;
};

/// Outer products by their factors on a device.
class factored_device_rows {
 public:
  factored_device_rows(device_memory& memory, int device, const factored_rows& points, row_range shard,
                       bool on_host)
      : memory_(memory),
        device_(device),
        a_(memory, points.a, shard, on_host),
        h_(memory, points.h, shard, on_host),
        bias_(points.bias ? 1 : 0),
        norm2_(memory.array<double>(shard.count)),
        brought_norm2_(memory.array<double>(most_proposals)),
        beyond_(memory.array<unsigned long long>(1)) {
    constexpr unsigned long long none = std::numeric_limits<unsigned long long>::max();
    unsigned long long first = none;
    copy_async(beyond_.data(), &first, 1, memory);
    find_norms(a_.rows(), h_.rows(), norm2_.data());
    copy_async(&first, beyond_.data(), 1, memory);
    check(cudaStreamSynchronize(memory.stream()), call, "waiting for squared norms");
    if (first != none) refuse_norm(shard.first + index_t(first));
  }

  void squared_norms(vector_view<float> norm2) {
    round_norms(memory_, {norm2_.data(), norm2_.size()}, norm2.data);
  }

  void bring(const std::vector<index_t>& rows, const index_t* numbers, index_t at) {
    a_.bring(memory_, rows, numbers, at);
    h_.bring(memory_, rows, numbers, at);
  }

  void lower(index_t centers, float* weight) {
    lower_factored(memory_, {a_.rows(), h_.rows(), norm2_.data(), bias_}, brought(centers), weight);
  }

  void all_pairs(index_t count, float* d2) { all_factored_pairs(memory_, brought(count), d2, count); }

 private:
  factored_view brought(index_t count) {
    find_norms(a_.brought(count), h_.brought(count), brought_norm2_.data());
    return {a_.brought(count), h_.brought(count), brought_norm2_.data(), bias_};
  }

  void find_norms(matrix_view<const float> a, matrix_view<const float> h, double* norm2) {
    const cuda on{.device = device_, .stream = memory_.stream()};
    const auto of_a = memory_.array<float>(a.rows), of_h = memory_.array<float>(a.rows);
    squared_norms_cuda(on, a, of_a.view());
    squared_norms_cuda(on, h, of_h.view());
    multiply_norms(memory_, {of_a.data(), a.rows}, of_h.data(), bias_, norm2, beyond_.data());
  }

  device_memory& memory_;
  int device_;
  shard_matrix a_, h_;
  double bias_;
  device_array<double> norm2_, brought_norm2_;
  device_array<unsigned long long> beyond_;
};

/// Some rows of the pool on one device: their weights are squared distances to the nearest pick, kept there.
/// Every call that returns numbers waits for them.
template <class Rows>
class weight_shard : public device_shard {
 public:
  /// leads: distances of proposals are found here.
  template <class Points>
  weight_shard(const cuda& on, row_range range, bool leads, bool on_host, const Points& points,
               const allowance& limit)
      : device_shard(on, call, range, on_host),
        points_(memory_, on.device, points, range, on_host),
        sums_(memory_.array<double>(blocks_of(range.count, weight_block))),
        sums_host_(sums_.size(), call),
        barred_(upload(part_of(limit.barred, range))),
        draws_(memory_.array<block_draw>(proposals_a_call)),
        draws_host_(proposals_a_call, call),
        drawn_(memory_.array<candidate>(proposals_a_call)),
        drawn_host_(proposals_a_call, call),
        d2_(memory_.array<float>(leads ? most_proposals * most_proposals : 0)),
        d2_host_(leads ? most_proposals * proposals_a_call : 0, call) {
    begin(limit, most_proposals, 1);
    const auto norm2 = memory_.array<float>(range.count);
    points_.squared_norms(norm2.view());
    begin_distances(memory_, rows_, norm2.data(), barred_.data());
  }

  ~weight_shard() { finish(); }

  /// As of a pool; returns the sums of the blocks.
  vector_view<const double> sweep(const std::vector<index_t>& latest, const remaining& left) {
    vector_view<const index_t> numbers;
    if (!latest.empty()) {
      if (first_) begin_distances(memory_, rows_, nullptr, barred_.data());
      first_ = false;
      numbers = bring(latest, 0);
      points_.lower(numbers.size, rows_.distance);
    }
    retire(numbers, left);
    sum_weights(memory_, weights(), sums_.data());
    copy_async(sums_host_.data(), sums_.data(), sums_.size(), memory_);
    wait("waiting for sums of weights");
    return {sums_host_.data(), sums_host_.size()};
  }

  candidate largest() {
    const auto best = best_rows(1);
    return best.empty() ? candidate{} : candidate{best[0].row, best[0].gain};
  }

  candidate at(index_t row) {
    candidate c{row, 0};
    copy_async(&c.score, rows_.distance + row - range().first, 1, memory_);
    wait("waiting for a weight");
    return c;
  }

  /// The rows that are drawn; blocks count from the shard's first.
  std::vector<candidate> draw(const std::vector<block_draw>& draws) {
    if (draws.empty()) return {};
    const auto count = index_t(draws.size());
    std::copy(draws.begin(), draws.end(), draws_host_.begin());
    copy_async(draws_.data(), draws_host_.data(), count, memory_);
    draw_rows(memory_, weights(), {draws_.data(), count}, drawn_.data());
    copy_async(drawn_host_.data(), drawn_.data(), count, memory_);
    wait("waiting for draws");
    std::vector<candidate> drawn(drawn_host_.begin(), drawn_host_.begin() + count);
    for (candidate& c : drawn) c.row += range().first;
    return drawn;
  }

  /// Squared distances of the proposals `first` and on, of which the earlier ones have been brought, to all of
  /// them: [rows, first + rows].
  std::vector<float> distances(const std::vector<index_t>& rows, index_t first) {
    const index_t count = index_t(rows.size()), all = first + count;
    bring(rows, first);
    points_.all_pairs(all, d2_.data());
    copy_async(d2_host_.data(), d2_.data() + first * all, count * all, memory_);
    wait("waiting for distances of proposals");
    return {d2_host_.begin(), d2_host_.begin() + count * all};
  }

 private:
  vector_view<const float> weights() const { return {rows_.distance, rows_.rows}; }

  vector_view<const index_t> bring(const std::vector<index_t>& rows, index_t at) {
    const auto numbers = send_numbers(rows);
    points_.bring(rows, numbers.data, at);
    return numbers;
  }

  Rows points_;
  device_array<double> sums_;
  pinned_array<double> sums_host_;
  device_array<std::uint8_t> barred_;
  device_array<block_draw> draws_;
  pinned_array<block_draw> draws_host_;
  device_array<candidate> drawn_;
  pinned_array<candidate> drawn_host_;
  device_array<float> d2_;
  pinned_array<float> d2_host_;
  bool first_ = true;  // no pick yet: weights are squared norms
};

/// The shards of a pool, each on its device, cut where blocks of weights end.
template <class Rows>
class weight_shards : public weight_model {
 public:
  template <class Points>
  weight_shards(const std::vector<cuda>& devices, bool on_host, const Points& points, const allowance& limit)
      : rows_(rows_of(points)), shards_(call, devices, rows_, weight_block, on_host, points, limit) {}

  index_t rows() const override { return rows_; }

  double sweep(const std::vector<candidate>& latest, const remaining& left) override {
    tables_.clear();
    proposals_ = 0;
    std::vector<vector_view<const double>> of_shard(shards_.size());
    shards_.on_each([&](shard& some, std::size_t s) { of_shard[s] = some.sweep(numbers_of(latest), left); });
    sums_.clear();
    for (const auto& sums : of_shard) sums_.insert(sums_.end(), sums.begin(), sums.end());
    std::partial_sum(sums_.begin(), sums_.end(), sums_.begin());
    return sums_.empty() ? 0 : sums_.back();
  }

  candidate largest() override {
    std::vector<candidate> best(shards_.size());
    shards_.on_each([&](shard& some, std::size_t s) { best[s] = some.largest(); });
    candidate first;
    for (const candidate& c : best)
      if (c.row >= 0 && (first.row < 0 || before(c, first))) first = c;
    return first;
  }

  candidate at(index_t row) override {
    return shards_.on(shards_.owner_of(row), [&](shard& owner) { return owner.at(row); });
  }

  std::vector<candidate> propose(const std::vector<double>& units) override {
    std::vector<std::vector<block_draw>> draws(shards_.size());
    std::vector<std::size_t> owners;
    for (const double unit : units) {
      block_draw draw = block_of(unit);
      owners.push_back(shards_.owner_of(draw.block * weight_block));
      draw.block -= shards_[owners.back()].range().first / weight_block;
      draws[owners.back()].push_back(draw);
    }
    std::vector<std::vector<candidate>> drawn(shards_.size());
    shards_.on_each([&](shard& some, std::size_t s) { drawn[s] = some.draw(draws[s]); });
    std::vector<std::size_t> taken(shards_.size());
    std::vector<candidate> proposed;
    for (const std::size_t s : owners) proposed.push_back(drawn[s][taken[s]++]);
    const index_t first = proposals_;
    proposals_ += index_t(units.size());
    const std::vector<index_t> numbers = numbers_of(proposed);
    tables_.push_back(
        {first, proposals_, shards_.on(0, [&](shard& leader) { return leader.distances(numbers, first); })});
    return proposed;
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
  using shard = weight_shard<Rows>;

  /// Squared distances of the proposals `first`, ..., pitch - 1 to all before them.
  struct distance_table {
    index_t first, pitch;
    std::vector<float> d2;
  };

  block_draw block_of(double unit) const {
    const double target = unit * sums_.back();
    // A block without any share ends where it begins, at or below the target.
    auto block = std::upper_bound(sums_.begin(), sums_.end(), target);
    if (block == sums_.end()) block = std::lower_bound(sums_.begin(), sums_.end(), sums_.back());
    return {block - sums_.begin(), target - (block == sums_.begin() ? 0 : *(block - 1))};
  }

  index_t rows_;
  sharded_pool<shard> shards_;
  std::vector<double> sums_;  // of the weights up to the end of each block
  index_t proposals_ = 0;
  std::vector<distance_table> tables_;
};

// ---- rows that are sent once --------------------------------------------------------------------------------

/// Whether every device has room for its shard, in half of what a pool of it leaves.
template <class Points>
bool can_be_resident(const std::vector<cuda>& devices, const Points& points) {
  constexpr std::size_t weight_bytes = 64;  // a row, with norms and limits: more than there are
  constexpr auto proposals = std::size_t(most_proposals);
  const auto cols = std::size_t(padded_cols_of(points));
  const auto rows = std::size_t(shard_of(rows_of(points), weight_block, index_t(devices.size()), 0).count);
  const std::size_t of_pool = rows * weight_bytes + proposals * (proposals + cols + 64) * sizeof(float);
  return std::all_of(devices.begin(), devices.end(), [&](const cuda& on) {
    const current_device here(on.device, call);
    return of_pool + 2 * rows * cols * sizeof(float) <= device_memory(on, call).left();
  });
}

template <class Rows, class Points>
std::unique_ptr<weight_model> resident_model(const offload& on, const Points& points, const allowance& limit) {
  require_devices(call, on.devices);
  std::vector<cuda> devices;
  for (const int device : on.devices) devices.push_back({.device = device, .memory = on.memory});
  const index_t blocks = blocks_of(rows_of(points), weight_block);
  devices.resize(std::size_t(std::clamp<index_t>(blocks, 1, index_t(devices.size()))));
  if (!can_be_resident(devices, points)) return nullptr;
  return std::make_unique<weight_shards<Rows>>(devices, true, points, limit);
}

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

std::unique_ptr<weight_model> kmeans_pp_pool_cuda(const cuda& on, matrix_view<const float> points,
                                                  const allowance& limit) {
  return std::make_unique<weight_shards<plain_device_rows>>(std::vector{on}, false, points, limit);
}

std::unique_ptr<weight_model> kmeans_pp_pool_cuda(const cuda& on, const factored_rows& points,
                                                  const allowance& limit) {
  return std::make_unique<weight_shards<factored_device_rows>>(std::vector{on}, false, points, limit);
}

std::unique_ptr<weight_model> kmeans_pp_pool_resident(const offload& on, matrix_view<const float> points,
                                                      const allowance& limit) {
  return resident_model<plain_device_rows>(on, points, limit);
}

std::unique_ptr<weight_model> kmeans_pp_pool_resident(const offload& on, const factored_rows& points,
                                                      const allowance& limit) {
  return resident_model<factored_device_rows>(on, points, limit);
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
        sweep.lower(rows, {}, after.data);
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
