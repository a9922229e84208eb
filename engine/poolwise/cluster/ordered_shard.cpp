#include "poolwise/cluster/detail/ordered_shard.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "poolwise/core/detail/message.hpp"

namespace poolwise {
namespace {

/// Of numbers, each of which adds up to something else.
std::uint64_t scattered(index_t number) {
  std::uint64_t x = std::uint64_t(number) + 0x9e3779b97f4a7c15u;  // splitmix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

template <class Numbers>
std::uint64_t sum_of(const Numbers& numbers, index_t from, index_t to) {
  std::uint64_t sum = 0;
  for (const index_t number : numbers)
    if (number >= from && number < to) sum += scattered(number);
  return sum;
}

template <class T>
T sum_of_all(communicator& all, T mine) {
  message_writer out;
  out.add(mine);
  T sum = 0;
  for (const auto& bytes : all.allgather(out.bytes())) sum += message_reader(bytes).value<T>();
  return sum;
}

/// Whether all ranks together have each number of a range once.
bool is_whole(communicator& all, std::span<const index_t> numbers, index_t from, index_t to) {
  // Each rank adds up its share of the numbers that there should be.
  const index_t share = (to - from) / all.size() + 1;
  const index_t begin = std::min(to, from + share * all.rank()), end = std::min(to, begin + share);
  std::uint64_t sum = sum_of(numbers, from, to);
  for (index_t n = begin; n < end; ++n) sum -= scattered(n);
  return sum_of_all(all, sum) == 0;
}

/// Of numbers that are not each there once.
[[noreturn]] void refuse_numbers(communicator& all, std::span<const index_t> numbers, index_t rows) {
  index_t from = 0, to = rows;
  while (to - from > 1) {
    const index_t middle = from + (to - from) / 2;
    (is_whole(all, numbers, from, middle) ? from : to) = middle;
  }
  const auto there = sum_of_all(all, index_t(std::count(numbers.begin(), numbers.end(), from)));
  throw value_error("row " + std::to_string(from) + " of the whole pool is on the ranks " +
                    std::to_string(there) + " times; number the rows of all shards from 0 to " +
                    std::to_string(rows - 1) + ", each once");
}

}  // namespace

std::vector<index_t> numbers_of_shard(const pool_shard& shard, communicator& all) {
  if (!shard.numbers.empty() && index_t(shard.numbers.size()) != shard.pool.rows)
    throw shape_error("a shard of " + std::to_string(shard.pool.rows) + " rows has the numbers of " +
                      std::to_string(shard.numbers.size()) + "; give one for each row");
  message_writer mine;
  mine.add(shard.pool.rows).add(shard.numbers.empty());
  index_t rows = 0, first = 0;
  bool some = false, none = false;
  int rank = 0;
  for (const auto& bytes : all.allgather(mine.bytes())) {
    message_reader in(bytes);
    const auto count = in.value<index_t>();
    (in.value<bool>() ? none : some) |= count > 0;
    if (rank++ < all.rank()) first += count;
    rows += count;
  }
  if (some && none)
    throw usage_error("some shards have the numbers of their rows and some have not; give them for all shards");
  std::vector<index_t> numbers(shard.numbers.begin(), shard.numbers.end());
  if (!some) {
    numbers.resize(std::size_t(shard.pool.rows));
    std::iota(numbers.begin(), numbers.end(), first);
    return numbers;
  }
  for (const index_t n : numbers)
    if (n < 0 || n >= rows)
      all.fail(cluster_failure::value,
               "row " + std::to_string(n) + " is numbered so, but all ranks together have " +
                   std::to_string(rows) + " rows; number them from 0 to " + std::to_string(rows - 1));
  if (!is_whole(all, numbers, 0, rows)) refuse_numbers(all, numbers, rows);
  return numbers;
}

ordered_shard::ordered_shard(cpu on, const pool_shard& shard, parts needed)
    : pool_(shard.pool), ids_(shard.pool.ids), numbers_(shard.numbers) {
  if (std::is_sorted(numbers_.begin(), numbers_.end())) return;
  order_.resize(numbers_.size());
  std::iota(order_.begin(), order_.end(), index_t{0});
  std::sort(order_.begin(), order_.end(),
            [&](index_t a, index_t b) { return numbers_[std::size_t(a)] < numbers_[std::size_t(b)]; });
  for (const index_t row : order_) sorted_.push_back(numbers_[std::size_t(row)]);
  copy_.emplace(on, shard.pool, order_, needed);
  pool_ = copy_->view();
  pool_.group_names = shard.pool.group_names;
  std::vector<index_t> place(order_.size());
  for (std::size_t i = 0; i < order_.size(); ++i) place[std::size_t(order_[i])] = index_t(i);
  for (const index_t row : shard.pool.labelled) labelled_.push_back(place[std::size_t(row)]);
  for (const index_t row : shard.pool.excluded) excluded_.push_back(place[std::size_t(row)]);
  labels_ = gather(shard.pool.labels, order_);
  pool_.labelled = labelled_;
  pool_.excluded = excluded_;
  pool_.labels = {labels_.data(), index_t(labels_.size())};
  numbers_ = sorted_;
}

std::optional<index_t> ordered_shard::row_of(index_t number) const {
  const auto at = std::lower_bound(numbers_.begin(), numbers_.end(), number);
  return at != numbers_.end() && *at == number ? std::optional(index_t(at - numbers_.begin())) : std::nullopt;
}

std::string ordered_shard::id(index_t row) const {
  if (ids_ == nullptr) return std::to_string(number(row));
  return (*ids_)[order_.empty() ? row : order_[std::size_t(row)]];
}

}  // namespace poolwise
