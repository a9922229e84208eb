#include "poolwise/core/histogram.hpp"

#include <limits>
#include <string>
#include <utility>

#include "poolwise/core/detail/state_bytes.hpp"
#include "poolwise/core/error.hpp"

namespace poolwise {
namespace {

constexpr state_kind kind_of_bytes{{'p', 'w', 'h', 'i', 's', 't', 'o', 1}, "histogram"};
constexpr std::int64_t most_places = std::int64_t{1} << 40,
                       most_items = std::numeric_limits<std::int64_t>::max();

std::string text_of(std::span<const index_t> shape) {
  std::string text = "[";
  for (const index_t extent : shape) (text += text.size() > 1 ? ", " : "") += std::to_string(extent);
  return text + "]";
}

/// Places of a grid; -1 for what is none.
std::int64_t places_of(std::span<const index_t> shape) {
  if (shape.empty()) return -1;
  std::int64_t places = 1;
  for (const index_t extent : shape) {
    if (extent < 0 || (extent > 0 && places > most_places / extent)) return -1;
    places *= extent;
  }
  return places;
}

}  // namespace

histogram::histogram(std::vector<index_t> shape) : shape_(std::move(shape)) {
  const std::int64_t places = places_of(shape_);
  if (places < 0)
    throw shape_error("histogram: the shape is " + text_of(shape_) +
                      "; pass the extent of one axis or more, from 0, of 2^40 places at most");
  counts_.resize(std::size_t(places));
}

void histogram::add(index_t place, std::int64_t items) {
  if (place < 0 || place >= index_t(counts_.size()))
    throw value_error("histogram::add: place " + std::to_string(place) + " is not among the " +
                      std::to_string(counts_.size()) + "; pass one of them");
  std::int64_t& count = counts_[std::size_t(place)];
  if (items < 0 || items > most_items - count)
    throw value_error("histogram::add: " + std::to_string(items) + " items beside " + std::to_string(count) +
                      " are no count; pass 0 or more, below 2^63 together");
  count += items;
}

void histogram::merge(const histogram& other) {
  if (other.shape_ != shape_)
    throw shape_error("histogram::merge: got " + text_of(other.shape_) + " for a histogram that is " +
                      text_of(shape_) + "; give every part the same shape");
  for (std::size_t i = 0; i < counts_.size(); ++i)
    if (other.counts_[i] > most_items - counts_[i])
      throw value_error("histogram::merge: place " + std::to_string(i) +
                        " would count 2^63 items or more; merge parts that share no items");
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

std::int64_t histogram::items() const {
  std::int64_t all = 0;
  for (const std::int64_t count : counts_) {
    if (count > most_items - all)
      throw value_error("histogram::items: there are 2^63 items or more; merge parts that share no items");
    all += count;
  }
  return all;
}

std::vector<std::byte> histogram::to_bytes() const {
  state_writer out(kind_of_bytes);
  out.number(shape_.size());
  out.values(std::span<const index_t>(shape_));
  out.values(counts());
  return out.finish();
}

histogram histogram::from_bytes(std::span<const std::byte> bytes) {
  state_reader in(kind_of_bytes, bytes);
  const std::uint64_t axes = in.number();
  if (axes > in.left() / sizeof(index_t)) in.refuse("it has " + std::to_string(axes) + " axes");
  std::vector<index_t> shape(static_cast<std::size_t>(axes));
  in.values(std::span(shape));
  const std::int64_t places = places_of(shape);
  if (places < 0 || std::uint64_t(places) * sizeof(std::int64_t) != in.left())
    in.refuse("its shape " + text_of(shape) + " does not fit its " + std::to_string(in.left()) +
              " bytes of counts");
  histogram read(std::move(shape));
  in.values(std::span(read.counts_));
  for (const std::int64_t count : read.counts_)
    if (count < 0) in.refuse("a count is " + std::to_string(count));
  return read;
}

}  // namespace poolwise
