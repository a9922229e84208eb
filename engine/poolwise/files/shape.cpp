#include "poolwise/files/detail/shape.hpp"

namespace poolwise {

std::optional<index_t> bytes_of(const std::vector<index_t>& shape, std::size_t element_bytes) {
  auto bytes = index_t(element_bytes);
  bool empty = false;
  for (const index_t extent : shape) {
    if (extent < 0) return std::nullopt;
    if (extent == 0)
      empty = true;
    else if (__builtin_mul_overflow(bytes, extent, &bytes))
      return std::nullopt;
  }
  return empty ? 0 : bytes;
}

}  // namespace poolwise
