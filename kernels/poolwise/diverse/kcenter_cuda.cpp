#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "poolwise/core/detail/offload.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/distance/detail/rows_cuda.hpp"
#include "poolwise/distance/detail/sweep_cuda.hpp"
#include "poolwise/diverse/detail/farthest_cuda.hpp"
#include "poolwise/diverse/detail/kcenter_cuda.hpp"
#include "poolwise/diverse/detail/shards_cuda.hpp"

namespace poolwise {
namespace {

constexpr const char* call = "kcenter";
constexpr std::size_t tile_bytes = 16 << 20;  // of rows that travel at a time

/// The longest shortlist whose distances and rows take no more than a quarter of what there is.
index_t longest_shortlist(index_t cols, index_t most, std::size_t bytes) {
  most = std::min(most, std::min(most_chain_rows, canonical_sweep::most_centers));
  const auto needed = [&](index_t rows) {
    return std::size_t(rows) * std::size_t(rows + 2 * pitch_of(cols)) * sizeof(float);
  };
  while (most > 32 && needed(most) > bytes / 4) most /= 2;
  return most;
}

/// Some rows of the pool on one device.
class kcenter_shard : public device_shard {
 public:
  /// leads: chains run here.
  kcenter_shard(const cuda& on, row_range range, bool leads, bool on_host, const kcenter_problem& problem,
                const allowance& limit, index_t most)
      : device_shard(on, call, range, on_host),
        points_{problem.points.row(range.first), range.count, problem.points.cols, problem.points.stride},
        host_(problem.host),
        most_(longest_shortlist(points_.cols, most, memory_.left())),
        centers_(memory_.array<float>(most_ * pitch_of(points_.cols))),
        centers_host_(on_host ? most_ * pitch_of(points_.cols) : 0, call),
        brought_(call),
        chain_(memory_, leads ? most_ : 0) {
    begin(limit, most_, most_ + 1);
    const auto on_device = [&](vector_view<const float> view, device_array<float>& sent) -> const float* {
      if (view.empty()) return nullptr;
      return on_host ? (sent = upload(part_of(view, range))).data() : view.data + range.first;
    };
    device_array<float> covered;
    const float* const covered_data = on_device(problem.covered, covered);
    rows_.weight = on_device(problem.weights, weight_);
    const auto barred = upload(part_of(limit.barred, range));
    begin_distances(memory_, rows_, covered_data, barred.data());
    if (on_host) make_resident();
    sweep_.emplace(memory_, on.device, points_.cols, resident() ? range.count : tile_rows_, most_);
    if (!resident()) {  // bf16 copies of centres and tiles need one origin
      const auto tile = send_tile(slots_[0], 0, tile_rows_);
      sweep_->set_origin(tile);
      slots_[0].used->record(memory_.stream());
      return;
    }
    sweep_->set_origin(resident_rows());
    kept_ = sweep_->keep(resident_rows(), most_);
  }

  ~kcenter_shard() {
    if (copies_ != nullptr) cudaStreamSynchronize(*copies_);
    finish();
  }

  index_t most() const { return most_; }

  void sweep(const std::vector<index_t>& latest, vector_view<const float> centers, const remaining& left) {
    vector_view<const index_t> numbers;
    if (!latest.empty()) {
      numbers = bring_rows(latest, centers);
      sweep_->set_centers(brought(numbers.size));
      lower();
    }
    retire(numbers, left);
  }

  /// By rows of the whole pool.
  using device_shard::best_rows;

  struct chain_result {
    vector_view<const int> place;
    const float* gain;
  };

  /// Greedy among rows in ascending order; bring_rows says what `given` is.
  chain_result chain(const std::vector<index_t>& rows, const std::vector<chain_row>& facts,
                     vector_view<const float> given, candidate rival, const remaining& left) {
    const auto count = index_t(rows.size());
    bring_rows(rows, given);
    sweep_->all_pairs(brought(count), chain_.d2.data(), count);
    std::copy(facts.begin(), facts.end(), chain_.rows_host.begin());
    copy_async(chain_.rows.data(), chain_.rows_host.data(), count, memory_);
    const auto earlier = std::lower_bound(rows.begin(), rows.end(), rival.row) - rows.begin();
    run_chain(memory_, {.rows = chain_.rows.data(),
                        .count = int(count),
                        .d2 = chain_.d2.data(),
                        .pitch = count,
                        .picks = left.picks(),
                        .budget = left.budget(),
                        .rival_gain = rival.score,
                        .rival_place = int(earlier),
                        .pick = chain_.place.data(),
                        .gain = chain_.gain.data()});
    copy_async(chain_.place_host.data(), chain_.place.data(), count + 1, memory_);
    copy_async(chain_.gain_host.data(), chain_.gain.data(), count, memory_);
    wait("waiting for a chain");
    return {{chain_.place_host.data() + 1, chain_.place_host[0]}, chain_.gain_host.data()};
  }

 private:
  /// Copies rows of the pool to centers_. given: their values, in rows of a pitch, where the pool is on the
  /// host.
  vector_view<const index_t> bring_rows(const std::vector<index_t>& rows, vector_view<const float> given) {
    brought_.wait();  // sweeps may follow each other, and what is staged here is still to be read
    const auto numbers = send_numbers(rows);
    if (on_host()) {
      std::copy(given.begin(), given.end(), centers_host_.begin());
      copy_async(centers_.data(), centers_host_.data(), given.size, memory_);
    }
    brought_.record(memory_.stream());
    if (!on_host())
      gather_rows(memory_, points_, numbers,
                  {centers_.data(), numbers.size, points_.cols, pitch_of(points_.cols)});
    return numbers;
  }
  matrix_view<const float> brought(index_t count) const {
    return {centers_.data(), count, points_.cols, pitch_of(points_.cols)};
  }

  bool resident() const { return copies_ == nullptr; }
  /// The rows on the device, where all are.
  matrix_view<const float> resident_rows() const {
    if (!on_host()) return points_;
    return {resident_rows_.data(), points_.rows, points_.cols, pitch_of(points_.cols)};
  }

  /// All rows to the device, or room for the tiles in which they travel.
  void make_resident() {
    const index_t pitch = pitch_of(points_.cols);
    const std::size_t row_bytes = std::size_t(std::max<index_t>(pitch, 1)) * sizeof(float);
    const std::size_t left = memory_.left();
    const auto fitting = [&](std::size_t bytes) {
      return std::clamp<index_t>(index_t(bytes / row_bytes), 1, std::max<index_t>(points_.rows, 1));
    };
    const bool all = std::size_t(points_.rows) * row_bytes <= left / 2;
    tile_rows_ = fitting(std::min(tile_bytes, left / 6));
    for (slot& s : slots_) {
      s.host = pinned_array<float>(tile_rows_ * pitch, call);
      s.sent.emplace(call);
      s.used.emplace(call);
    }
    if (all) {
      resident_rows_ = memory_.array<float>(points_.rows * pitch);
      for (index_t first = 0, turn = 0; first < points_.rows; first += tile_rows_, ++turn)
        send(slots_[turn % 2], first, std::min(tile_rows_, points_.rows - first),
             resident_rows_.data() + first * pitch, memory_.stream());
      for (slot& s : slots_) s.sent->wait();
      for (slot& s : slots_) s = {};
      return;
    }
    copies_ = std::make_unique<own_stream>(call);
    for (slot& s : slots_) s.device = memory_.array<float>(tile_rows_ * pitch);
    // The tiles exist from here on in the order of the stream that allocates, and the other one writes them
    // first.
    event allocated(call);
    allocated.record(memory_.stream());
    allocated.hold(*copies_);
  }

  struct slot {
    pinned_array<float> host;
    device_array<float> device;
    std::optional<event> sent, used;
    bool busy = false;
  };

  void send(slot& s, index_t first, index_t rows, float* to, cudaStream_t stream) {
    const index_t pitch = pitch_of(points_.cols);
    if (s.busy) s.sent->wait();
    for (index_t i = 0; i < rows; ++i) {
      std::copy_n(points_.row(first + i), points_.cols, s.host.data() + i * pitch);
      settle_pages(host_);
    }
    check(cudaMemcpyAsync(to, s.host.data(), std::size_t(rows * pitch) * sizeof(float), cudaMemcpyHostToDevice,
                          stream),
          call, "sending rows");
    s.sent->record(stream);
    s.busy = true;
  }

  void lower() {
    if (resident()) {
      sweep_->lower(resident_rows(), kept_, rows_.distance);
      return;
    }
    for (index_t first = 0, turn = 0; first < points_.rows; first += tile_rows_, ++turn) {
      slot& s = slots_[turn % 2];
      const auto tile = send_tile(s, first, std::min(tile_rows_, points_.rows - first));
      sweep_->lower(tile, {}, rows_.distance + first);
      s.used->record(memory_.stream());
    }
  }

  /// A tile of rows on the device, for what comes next on the stream.
  matrix_view<const float> send_tile(slot& s, index_t first, index_t rows) {
    if (s.busy) s.used->hold(*copies_);
    send(s, first, rows, s.device.data(), *copies_);
    s.sent->hold(memory_.stream());
    return {s.device.data(), rows, points_.cols, pitch_of(points_.cols)};
  }

  /// Memory of a chain.
  struct chain_room {
    chain_room(device_memory& memory, index_t most)
        : d2(memory.array<float>(most * most)),
          rows(memory.array<chain_row>(most)),
          rows_host(most, call),
          place(memory.array<int>(most + 1)),
          place_host(most + 1, call),
          gain(memory.array<float>(most)),
          gain_host(most, call) {}
    device_array<float> d2;
    device_array<chain_row> rows;
    pinned_array<chain_row> rows_host;
    device_array<int> place;
    pinned_array<int> place_host;
    device_array<float> gain;
    pinned_array<float> gain_host;
  };

  matrix_view<const float> points_;
  cpu host_;  // what reads them, where they are sent
  index_t most_;
  device_array<float> centers_;
  pinned_array<float> centers_host_;
  event brought_;  // the rows that bring_rows has staged last
  chain_room chain_;
  device_array<float> weight_, resident_rows_;
  index_t tile_rows_ = 0;
  std::unique_ptr<own_stream> copies_;
  slot slots_[2];
  std::optional<canonical_sweep> sweep_;
  rounded_rows kept_;
};

/// k-center over the shards of a pool.
class kcenter_shards : public gain_model {
 public:
  kcenter_shards(const std::vector<cuda>& devices, bool on_host, const kcenter_problem& problem,
                 const allowance& limit, width asked)
      : on_host_(on_host),
        points_(problem.points),
        limit_(limit),
        width_(asked),
        shards_(call, devices, points_.rows, 1, on_host, problem, limit, asked.most) {
    for (std::size_t s = 0; s < shards_.size(); ++s) width_.most = std::min(width_.most, shards_[s].most());
    width_.first = std::min(width_.first, width_.most);
  }

  width shortlist_width() const override { return width_; }

  void sweep(const std::vector<candidate>& latest, const remaining& left) override {
    const std::vector<index_t> rows = numbers_of(latest);
    const std::vector<float> centers = values_of(rows);
    shards_.on_each([&](kcenter_shard& shard, std::size_t) {
      shard.sweep(rows, {centers.data(), index_t(centers.size())}, left);
    });
  }

  std::vector<candidate> best(index_t count) override {
    std::vector<vector_view<const shortlisted>> found(shards_.size());
    shards_.on_each([&](kcenter_shard& shard, std::size_t s) { found[s] = shard.best_rows(count); });
    best_.clear();
    for (const auto& some : found) best_.insert(best_.end(), some.begin(), some.end());
    std::sort(best_.begin(), best_.end(), [](const shortlisted& a, const shortlisted& b) {
      return before({a.row, a.gain}, {b.row, b.gain});
    });
    best_.resize(std::min(best_.size(), std::size_t(count)));
    std::vector<candidate> rows;
    for (const shortlisted& s : best_) rows.push_back({s.row, s.gain});
    return rows;
  }

  std::vector<candidate> chain(const std::vector<candidate>& shortlist, candidate rival,
                               remaining& left) override {
    if (shortlist.empty()) return {};
    std::vector<shortlisted> by_row(best_.begin(), best_.begin() + index_t(shortlist.size()));
    std::sort(by_row.begin(), by_row.end(), [](const auto& a, const auto& b) { return a.row < b.row; });
    std::vector<index_t> rows;
    std::vector<chain_row> facts;
    for (const shortlisted& s : by_row) {
      rows.push_back(s.row);
      const index_t group = limit_.group.empty() ? 0 : limit_.group[s.row];
      facts.push_back({s.distance, s.weight, limit_.cost.empty() ? 0 : limit_.cost[s.row], group,
                       limit_.group.empty() ? std::numeric_limits<index_t>::max() : left.quota()[group]});
    }
    const std::vector<float> values = values_of(rows);
    const auto found = shards_.on(0, [&](kcenter_shard& shard) {
      return shard.chain(rows, facts, {values.data(), index_t(values.size())}, rival, left);
    });
    std::vector<candidate> picks;
    for (const int place : found.place) {
      picks.push_back({rows[std::size_t(place)], found.gain[picks.size()]});
      left.take(picks.back().row);
    }
    return picks;
  }

 private:
  /// The values of rows that are on the host, in rows of a pitch.
  std::vector<float> values_of(const std::vector<index_t>& rows) const {
    std::vector<float> values;
    if (!on_host_) return values;
    const index_t pitch = pitch_of(points_.cols);
    values.resize(rows.size() * std::size_t(pitch));
    for (std::size_t i = 0; i < rows.size(); ++i)
      std::copy_n(points_.row(rows[i]), points_.cols, values.begin() + index_t(i) * pitch);
    return values;
  }

  bool on_host_;
  matrix_view<const float> points_;
  const allowance& limit_;
  width width_;
  sharded_pool<kcenter_shard> shards_;
  std::vector<shortlisted> best_;  // as `best` has given them
};

}  // namespace

std::unique_ptr<gain_model> kcenter_model(const cuda& on, const kcenter_problem& problem,
                                          const allowance& limit, gain_model::width width) {
  return std::make_unique<kcenter_shards>(std::vector<cuda>{on}, false, problem, limit, width);
}

std::unique_ptr<gain_model> kcenter_model(const offload& on, const kcenter_problem& problem,
                                          const allowance& limit, gain_model::width width) {
  require_devices(call, on.devices);
  std::vector<cuda> devices;
  for (const int device : on.devices) devices.push_back({.device = device, .memory = on.memory});
  kcenter_problem sent = problem;
  sent.host = on.host;
  return std::make_unique<kcenter_shards>(devices, true, sent, limit, width);
}

outside_value first_outside_cuda(const cuda& on, const char* of_call, vector_view<const float> values,
                                 float most) {
  if (values.empty()) return {};
  const current_device here(on.device, of_call);
  device_memory memory(on, of_call);
  unsigned long long first = ~0ull;
  outside_value found;
  const auto note = memory.array<unsigned long long>(1);
  copy_async(note.data(), &first, 1, memory);
  note_first_outside(memory, values, most, note.data());
  copy_async(&first, note.data(), 1, memory);
  check(cudaStreamSynchronize(on.stream), of_call, "waiting for a search");
  if (first == ~0ull) return found;
  found.row = index_t(first);
  copy_async(&found.value, values.data + found.row, 1, memory);
  check(cudaStreamSynchronize(on.stream), of_call, "waiting for a value");
  return found;
}

}  // namespace poolwise
