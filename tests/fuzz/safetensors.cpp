// A .safetensors file, and its tensor "a".
#include "arrays.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwise::fuzz;
  read_array(text_of(data, size), ".safetensors", "");
  read_array(text_of(data, size), ".safetensors", ":a");
  return 0;
}
