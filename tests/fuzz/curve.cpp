// The learning curve of one run.
#include "harness.hpp"
#include "poolwise/reproduce/detail/curve_file.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwise;
  using namespace poolwise::fuzz;
  const auto file = file_of(text_of(data, size), ".csv");
  accepted([&] {
    const auto curve = read_curve(file);
    require(curve.has_value(), "there is a file");
    write_curve(file, *curve);
    const auto again = read_curve(file);
    require(again && again->labels == curve->labels && again->accuracy == curve->accuracy,
            "a curve that was written is read back");
    aubc(*curve);
  });
  return 0;
}
