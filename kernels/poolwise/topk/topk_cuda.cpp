#include <algorithm>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "poolwise/core/detail/cuda_runtime.hpp"
#include "poolwise/core/detail/offload.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/rows.hpp"
#include "poolwise/topk/detail/filter_cuda.hpp"
#include "poolwise/topk/detail/guess.hpp"
#include "poolwise/topk/detail/sample.hpp"
#include "poolwise/topk/detail/topk_cuda.hpp"

namespace poolwise {
namespace {

constexpr index_t most_scored = index_t(1) << 21;    // rows: 8 MiB of scores, which the L2 cache holds
constexpr index_t most_sorted = index_t(1) << 24;    // rows kept at a time without a guess, unless k is more
constexpr index_t least_capacity = 256;              // keys; no ceiling is so low that it makes them fewer
constexpr index_t most_span = most_filter_rows / 2;  // rows behind one filter

/// Where scores come from, on the device that is current.
class score_source {
 public:
  virtual ~score_source() = default;
  virtual index_t rows() const = 0;
  /// Whether they are computed into room of ours; else they lie in device memory already.
  virtual bool needs_room() const = 0;
  virtual const float* rows_between(const cuda& on, index_t begin, index_t end, float* room) const = 0;

  struct strided {
    const float* scores;
    index_t stride;
  };
  /// Of rows begin, begin + step, ..., `count` of them.
  virtual strided sample(const cuda& on, index_t begin, index_t step, index_t count, float* room) const = 0;
};

class stored_scores final : public score_source {
 public:
  explicit stored_scores(vector_view<const float> scores) : scores_(scores) {}
  index_t rows() const override { return scores_.size; }
  bool needs_room() const override { return false; }
  const float* rows_between(const cuda&, index_t begin, index_t, float*) const override {
    return scores_.data + begin;
  }
  strided sample(const cuda&, index_t begin, index_t step, index_t, float*) const override {
    return {scores_.data + begin, step};
  }

 private:
  vector_view<const float> scores_;
};

class scored_rows final : public score_source {
 public:
  scored_rows(const real_matrix& x, outputs kind, acquisition which) : x_(x), kind_(kind), which_(which) {}
  index_t rows() const override { return rows_of(x_); }
  bool needs_room() const override { return true; }
  const float* rows_between(const cuda& on, index_t begin, index_t end, float* room) const override {
    score(on, poolwise::rows_between(x_, begin, end), kind_, which_, {room, end - begin});
    return room;
  }
  strided sample(const cuda& on, index_t begin, index_t step, index_t count, float* room) const override {
    const real_matrix from = poolwise::rows_between(x_, begin, begin + (count - 1) * step + 1);
    score(on, sample_of(from, step), kind_, which_, {room, count});
    return {room, 1};
  }

 private:
  real_matrix x_;
  outputs kind_;
  acquisition which_;
};

/// `c`, a row of the pool, as a filter counts rows whose first is row `first` of the pool.
std::optional<candidate> relative(std::optional<candidate> c, index_t first) {
  if (c) c->row = c->row < first ? 0 : c->row - first;
  return c;
}

/// The largest number of keys up to `wanted` for which a filter takes no more than `bytes`, within a factor 2.
index_t capacity_within(index_t wanted, std::size_t bytes, const char* call) {
  index_t capacity = wanted;
  while (capacity > least_capacity && row_filter::bytes(capacity, call) > bytes) capacity /= 2;
  return std::min(wanted, std::max(capacity, least_capacity));
}

/// One call on one device. Scores are made in tiles and shown to a filter; what it keeps goes to the state.
class device_sweep {
 public:
  device_sweep(const cuda& on, const char* call, const score_source& source, index_t first_row,
               const std::uint8_t* barred, top_k_state& state)
      : on_(on),
        call_(call),
        source_(source),
        first_row_(first_row),
        barred_(barred),
        state_(state),
        memory_(on, call) {
    const std::size_t budget = memory_.left();
    filter_budget_ = budget / 2;
    if (source.needs_room()) {
      const auto fits = index_t(budget / 8 / sizeof(float));
      room_ = memory_.array<float>(std::min({source.rows(), most_scored, std::max<index_t>(fits, 32)}));
    }
  }

  nan_rows run() {
    nan_rows nan;
    for (index_t begin = 0; begin < source_.rows(); begin += most_span) {
      const index_t end = std::min(source_.rows(), begin + most_span);
      if (const auto guessed = by_guess(begin, end))
        nan += *guessed;
      else
        nan += by_parts(begin, end);
    }
    return nan;
  }

 private:
  /// One filter for all the rows, with a threshold from a sample; nothing where that has not worked.
  std::optional<nan_rows> by_guess(index_t begin, index_t end) {
    const top_k_guess guess = guess_top_k(end - begin, state_.k());
    if (guess.step == 0) return {};
    const index_t count = sample_rows(end - begin, guess);
    if (row_filter::bytes(guess.most, call_) + row_filter::sharpen_bytes > filter_budget_ ||
        (source_.needs_room() && count > room_.size()))
      return {};
    row_filter filter(memory_, end - begin, guess.most);
    const auto limit = relative(state_.threshold(), first_row_ + begin);
    filter.start(limit);
    const auto sample = source_.sample(for_scores(), begin, guess.step, count, room_.data());
    filter.sharpen(sample.scores, sample.stride, count, guess.step, bars(begin), guess.rank);
    show(filter, begin, begin, end);
    const row_filter::result found = filter.best(state_.k());
    const bool guessed = !limit || found.limit != *limit;
    if (found.count > guess.most || (guessed && found.count < state_.k())) return {};
    return take(found, begin);
  }

  /// A filter at a time for as many rows as it can keep all of, behind what the state has by then.
  nan_rows by_parts(index_t begin, index_t end) {
    const index_t wanted = std::min(end - begin, std::max(most_sorted, std::min(state_.k(), end - begin)));
    row_filter filter(memory_, end - begin, capacity_within(wanted, filter_budget_, call_));
    nan_rows nan;
    for (index_t from = begin; from < end; from += filter.capacity()) {
      const index_t to = std::min(end, from + filter.capacity());
      filter.start(relative(state_.threshold(), first_row_ + from));
      show(filter, from, from, to);
      nan += take(filter.best(state_.k()), from);
    }
    return nan;
  }

  /// Shows rows [begin, end) to a filter whose first row is `first`.
  void show(row_filter& filter, index_t first, index_t begin, index_t end) {
    const index_t step = source_.needs_room() ? room_.size() : end - begin;
    for (index_t from = begin; from < end; from += step) {
      const index_t to = std::min(end, from + step);
      const float* const scores = source_.rows_between(for_scores(), from, to, room_.data());
      filter.show({scores, to - from}, from - first, bars(from));
    }
  }

  nan_rows take(const row_filter::result& found, index_t begin) {
    for (candidate c : found.best) {
      c.row += first_row_ + begin;
      state_.add(c);
    }
    nan_rows nan = found.nan;
    if (nan.count > 0) nan.first += begin;
    return nan;
  }

  const std::uint8_t* bars(index_t row) const { return barred_ == nullptr ? nullptr : barred_ + row; }

  /// The device with what of the ceiling is left for scoring.
  cuda for_scores() const {
    return {on_.device, on_.stream, on_.memory == 0 ? 0 : std::max<std::size_t>(1, memory_.left())};
  }

  const cuda on_;
  const char* call_;
  const score_source& source_;
  index_t first_row_;
  const std::uint8_t* barred_;
  top_k_state& state_;
  device_memory memory_;
  std::size_t filter_budget_ = 0;
  device_array<float> room_;
};

nan_rows keep_best_of(const cuda& on, const char* call, const score_source& source, index_t first_row,
                      const std::uint8_t* barred, top_k_state& state) {
  if (source.rows() == 0) return {};
  const current_device here(on.device, call);
  return device_sweep(on, call, source, first_row, barred, state).run();
}

// ---- From host memory

/// The best rows of all devices together.
struct findings {
  explicit findings(const top_k_state& state) : nothing(state.k()), best(state.k()) {
    if (const auto limit = state.threshold()) nothing.keep_only_before(*limit);
    best = nothing;
  }

  top_k_state nothing;  // what a device begins with, though others may have ended
  std::mutex mutex;     // of what follows
  top_k_state best;
  nan_rows nan;
  bool lost = false;
};

/// Tiles behind one filter a device, whose threshold stays as it is: nothing waits before the end.
template <class SourceOf>
class filtering {
 public:
  filtering(const cuda& on, const char* call, index_t rows, index_t capacity, index_t first_row,
            const SourceOf& source_of, findings& all)
      : on_(on),
        memory_(on, call),
        filter_(memory_, rows, capacity_within(capacity, on.memory / 2, call)),
        source_of_(source_of),
        first_row_(first_row),
        all_(all) {
    filter_.start(relative(all.nothing.threshold(), first_row));
  }

  template <class View>
  void operator()(const device_tile& tile, const View& rows, vector_view<const std::uint8_t> barred) {
    const auto source = source_of_(rows);
    if (source.needs_room() && room_.size() == 0) {
      const auto fits = index_t(on_.memory / 8 / sizeof(float));
      room_ = memory_.template array<float>(std::min({tile.rows, most_scored, std::max<index_t>(fits, 32)}));
    }
    const index_t step = source.needs_room() ? room_.size() : tile.rows;
    const cuda left{on_.device, on_.stream, std::max<std::size_t>(1, memory_.left())};
    for (index_t from = 0; from < tile.rows; from += step) {
      const index_t to = std::min(tile.rows, from + step);
      filter_.show({source.rows_between(left, from, to, room_.data()), to - from}, tile.first + from,
                   barred.data == nullptr ? nullptr : barred.data + from);
    }
  }

  void end() {
    const row_filter::result found = filter_.best(all_.nothing.k());
    const std::lock_guard lock(all_.mutex);
    all_.nan += found.nan;
    all_.lost |= found.count > filter_.capacity();
    for (candidate c : found.best) {
      c.row += first_row_;
      all_.best.add(c);
    }
  }

 private:
  cuda on_;
  device_memory memory_;
  row_filter filter_;
  device_array<float> room_;
  const SourceOf& source_of_;
  index_t first_row_;
  findings& all_;
};

/// Each tile for itself, into a state a device: whatever passes, nothing is lost, but a tile is waited for.
template <class SourceOf>
class keeping {
 public:
  keeping(const char* call, index_t first_row, const SourceOf& source_of, findings& all)
      : call_(call), source_of_(source_of), first_row_(first_row), best_(all.nothing), all_(all) {}

  template <class View>
  void operator()(const device_tile& tile, const View& rows, vector_view<const std::uint8_t> barred) {
    const auto source = source_of_(rows);
    nan_rows nan = keep_best_of(tile.on, call_, source, first_row_ + tile.first, barred.data, best_);
    if (nan.count > 0) nan.first += tile.first;
    nan_ += nan;
  }

  void end() {
    const std::lock_guard lock(all_.mutex);
    all_.nan += nan_;
    all_.best.merge(best_);
  }

 private:
  const char* call_;
  const SourceOf& source_of_;
  index_t first_row_;
  top_k_state best_;
  nan_rows nan_;
  findings& all_;
};

template <class View, class SourceOf>
nan_rows keep_best_of_host(const offload& on, const char* call, const View& x, index_t rows, index_t first_row,
                           vector_view<const std::uint8_t> barred, top_k_state& state,
                           const SourceOf& source_of) {
  nan_rows nan;
  for (index_t begin = 0; begin < rows; begin += most_span) {
    const index_t end = std::min(rows, begin + most_span), first = first_row + begin;
    const auto part = rows_between(x, begin, end);
    const auto bars = rows_between(barred, begin, end);
    findings all(state);
    const top_k_guess guess = guess_top_k(end - begin, state.k());
    const bool filtered = guess.step > 0 && state.threshold();
    if (filtered)
      on_each_device(
          on, call,
          [&](const cuda& device) {
            return filtering<SourceOf>(device, call, end - begin, guess.most, first, source_of, all);
          },
          part, bars);
    findings again(state);
    if (!filtered || all.lost)
      on_each_device(
          on, call, [&](const cuda&) { return keeping<SourceOf>(call, first, source_of, again); }, part, bars);
    findings& found = !filtered || all.lost ? again : all;
    if (found.nan.count > 0) found.nan.first += begin;
    nan += found.nan;
    state.merge(found.best);
  }
  return nan;
}

/// Counts NaN alone.
class counting {
 public:
  counting(const cuda& on, nan_rows& all, std::mutex& mutex)
      : memory_(on, "find_nan"), filter_(memory_, 0, 0), all_(all), mutex_(mutex) {
    filter_.start(candidate{0, std::numeric_limits<float>::infinity()});
  }
  void operator()(const device_tile& tile, vector_view<const float> scores,
                  vector_view<const std::uint8_t> barred) {
    filter_.show(scores, tile.first, barred.data);
  }
  void end() {
    const nan_rows found = filter_.best(0).nan;
    const std::lock_guard lock(mutex_);
    all_ += found;
  }

 private:
  device_memory memory_;
  row_filter filter_;
  nan_rows& all_;
  std::mutex& mutex_;
};

}  // namespace

nan_rows find_nan_cuda(const cuda& on, vector_view<const float> scores,
                       vector_view<const std::uint8_t> barred) {
  nan_rows all;
  if (scores.size == 0) return all;
  const current_device here(on.device, "find_nan");
  std::mutex mutex;
  counting count(on, all, mutex);
  count({on, 0, scores.size}, scores, barred);
  count.end();
  return all;
}

nan_rows find_nan_cuda(const offload& on, vector_view<const float> scores,
                       vector_view<const std::uint8_t> barred) {
  nan_rows all;
  std::mutex mutex;
  on_each_device(
      on, "find_nan", [&](const cuda& device) { return counting(device, all, mutex); }, scores, barred);
  return all;
}

nan_rows keep_best_cuda(const cuda& on, const char* call, vector_view<const float> scores, index_t first_row,
                        vector_view<const std::uint8_t> barred, top_k_state& state) {
  return keep_best_of(on, call, stored_scores(scores), first_row, barred.data, state);
}

nan_rows keep_best_cuda(const offload& on, const char* call, vector_view<const float> scores, index_t first_row,
                        vector_view<const std::uint8_t> barred, top_k_state& state) {
  return keep_best_of_host(on, call, scores, scores.size, first_row, barred, state,
                           [](vector_view<const float> tile) { return stored_scores(tile); });
}

nan_rows keep_best_rows_cuda(const cuda& on, const char* call, const real_matrix& x, outputs kind,
                             acquisition which, vector_view<const std::uint8_t> barred, top_k_state& state) {
  return keep_best_of(on, call, scored_rows(x, kind, which), 0, barred.data, state);
}

nan_rows keep_best_rows_cuda(const offload& on, const char* call, const real_matrix& x, outputs kind,
                             acquisition which, vector_view<const std::uint8_t> barred, top_k_state& state) {
  return keep_best_of_host(on, call, x, rows_of(x), 0, barred, state,
                           [&](const real_matrix& tile) { return scored_rows(tile, kind, which); });
}

}  // namespace poolwise
