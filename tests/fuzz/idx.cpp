// An IDX file of images or labels.
#include "poolwise/files/idx.hpp"

#include "harness.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwise;
  using namespace poolwise::fuzz;
  const auto file = file_of(text_of(data, size), ".idx");
  accepted([&] {
    const idx_array read = read_idx(file);
    index_t places = 1;
    for (const index_t extent : read.shape) places *= extent;
    require(read.values.size() == std::size_t(places), "as many values as the shape says");
  });
  return 0;
}
