// A query as JSON.
#include "poolwise/query/spec.hpp"

#include "harness.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwise;
  using namespace poolwise::fuzz;
  const std::string text(text_of(data, size));
  accepted([&] {
    const query_spec spec = spec_from_json(text);
    bool back = false;
    require(accepted([&] { back = spec_from_json(to_json(spec)) == spec; }) && back,
            "a spec that was written is read back");
  });
  return 0;
}
