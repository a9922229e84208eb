#include "poolwise/reduce/reduce.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

void check_offsets(index_t parts, vector_view<const index_t> offsets, index_t items) {
  if (offsets.size != items + 1)
    throw shape_error("reduce_parts: there are " + std::to_string(offsets.size) + " offsets for " +
                      std::to_string(items) + " items; pass one more than items");
  if (offsets[0] != 0 || offsets[items] != parts)
    throw value_error("reduce_parts: the offsets go from " + std::to_string(offsets[0]) + " to " +
                      std::to_string(offsets[items]) + ", and there are " + std::to_string(parts) +
                      " parts; they are to begin at 0 and to end at the number of parts");
  for (index_t i = 0; i < items; ++i)
    if (offsets[i + 1] < offsets[i])
      throw value_error("reduce_parts: offset " + std::to_string(i + 1) + " is " +
                        std::to_string(offsets[i + 1]) + ", less than the one before it, " +
                        std::to_string(offsets[i]) + "; sort the parts by their items");
}

double sum_of(const float* begin, const float* end) {
  return std::accumulate(begin, end, 0.0, [](double sum, float value) { return sum + double(value); });
}

bool holds_nan(const float* begin, const float* end) {
  return std::any_of(begin, end, [](float value) { return std::isnan(value); });
}

double mean_of_largest(const float* begin, const float* end, index_t most, std::vector<float>& room) {
  room.resize(std::size_t(std::min<index_t>(most, end - begin)));
  std::partial_sort_copy(begin, end, room.begin(), room.end(), std::greater<>());
  return sum_of(room.data(), room.data() + room.size()) / double(room.size());
}

float reduced(const float* begin, const float* end, const reduction& how, std::vector<float>& room) {
  if (how.how == reduction::kind::sum) return float(sum_of(begin, end));
  if (begin == end || holds_nan(begin, end)) return std::numeric_limits<float>::quiet_NaN();
  if (how.how == reduction::kind::max) return *std::max_element(begin, end);
  if (how.how == reduction::kind::top_mean) return float(mean_of_largest(begin, end, how.most, room));
  return float(sum_of(begin, end) / double(end - begin));
}

}  // namespace

reduction parse_reduction(const std::string& text) {
  if (text == "sum") return {.how = reduction::kind::sum};
  if (text == "mean") return {.how = reduction::kind::mean};
  if (text == "max") return {.how = reduction::kind::max};
  if (text.starts_with("top"))
    if (const auto most = number_in<index_t>(text.substr(3)); most && *most >= 1)
      return {.how = reduction::kind::top_mean, .most = *most};
  throw usage_error("there is no reduction \"" + printable(text) +
                    "\"; choose sum, mean, max, or the mean of the largest, as top5");
}

std::string name_of(const reduction& how) {
  if (how.how == reduction::kind::sum) return "sum";
  if (how.how == reduction::kind::mean) return "mean";
  return how.how == reduction::kind::max ? "max" : "top" + std::to_string(how.most);
}

void reduce_parts(cpu on, vector_view<const float> values, vector_view<const index_t> offsets,
                  const reduction& how, vector_view<float> items) {
  check_offsets(values.size, offsets, items.size);
  parallel_blocks(on, items.size, 256, [&](index_t, index_t begin, index_t end) {
    std::vector<float> room;
    for (index_t i = begin; i < end; ++i)
      items[i] = reduced(values.data + offsets[i], values.data + offsets[i + 1], how, room);
  });
}

}  // namespace poolwise
