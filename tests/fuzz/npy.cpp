// A .npy file.
#include "arrays.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwise::fuzz;
  read_array(text_of(data, size), ".npy", "");
  return 0;
}
