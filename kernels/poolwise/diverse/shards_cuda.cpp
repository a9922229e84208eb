#include "poolwise/diverse/detail/shards_cuda.hpp"

namespace poolwise {

device_shard::device_shard(const cuda& on, const char* call, row_range range, bool on_host)
    : range_(range),
      device_(on.device),
      stream_(on_host ? std::make_unique<own_stream>(call) : nullptr),
      memory_(
          {.device = on.device, .stream = stream_ ? cudaStream_t(*stream_) : on.stream, .memory = on.memory},
          call) {}

void device_shard::begin(const allowance& limit, index_t most_numbers, index_t most_best) {
  distance_ = memory_.array<float>(range_.count);
  rows_ = {range_.count, distance_.data(), nullptr, range_.first};
  cost_ = upload(part_of(limit.cost, range_));
  group_ = upload(part_of(limit.group, range_));
  quota_ = upload(limit.quota);
  numbers_ = memory_.array<index_t>(most_numbers);
  numbers_host_ = pinned_array<index_t>(most_numbers, memory_.call());
  limits_ = memory_.array<selection>(1);
  best_ = memory_.array<shortlisted>(most_best);
  best_host_ = pinned_array<shortlisted>(most_best, memory_.call());
  taken_ = pinned_array<unsigned>(1, memory_.call());
}

vector_view<const index_t> device_shard::send_numbers(const std::vector<index_t>& rows) {
  const auto count = index_t(rows.size());
  std::copy(rows.begin(), rows.end(), numbers_host_.begin());
  copy_async(numbers_.data(), numbers_host_.data(), count, memory_);
  return {numbers_.data(), count};
}

void device_shard::retire(vector_view<const index_t> latest, const remaining& left) {
  retire_rows(memory_, rows_, latest);
  if (!latest.empty() && !left.dwindles()) return;
  if (!left.quota().empty()) copy_async(quota_.data(), left.quota().data, left.quota().size, memory_);
  retire_beyond(memory_, rows_, cost_.data(), left.budget(), group_.data(), quota_.data());
}

vector_view<const shortlisted> device_shard::best_rows(index_t count) {
  select_best(memory_, rows_, count, limits_.data(), best_.data());
  copy_async(taken_.data(), &limits_.data()->taken, 1, memory_);
  copy_async(best_host_.data(), best_.data(), std::min(count, best_.size()), memory_);
  wait("waiting for the best rows");
  return {best_host_.data(), index_t(taken_[0])};
}

void device_shard::wait(const char* doing) const {
  check(cudaStreamSynchronize(memory_.stream()), memory_.call(), doing);
}

void device_shard::finish() noexcept {
  if (cudaStreamSynchronize(memory_.stream()) != cudaSuccess) cudaGetLastError();
}

}  // namespace poolwise
