// A .npz file, and its member "a".
#include "arrays.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwise::fuzz;
  read_array(text_of(data, size), ".npz", "");
  read_array(text_of(data, size), ".npz", ":a");
  return 0;
}
