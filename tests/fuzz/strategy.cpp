// The words of a strategy.
#include "poolwise/query/strategy.hpp"

#include "harness.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwise;
  using namespace poolwise::fuzz;
  const std::string text(text_of(data, size));
  accepted([&] {
    const strategy read = parse_strategy(text);
    require(read.name == text && !read.stages.empty(), "a strategy is called what was written");
    for (const stage& one : read.stages) {
      parse_strategy(one.text);
      require(one.keep.count(3, 100) >= 3, "a stage leaves as many rows as there are picks");
    }
  });
  return 0;
}
