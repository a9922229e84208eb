// Lines and bodies of a ledger's events. The first byte says which kind a body is of; a line says so itself.
#include "poolwise/ledger/event.hpp"

#include "harness.hpp"

namespace poolwise::fuzz {
namespace {

void require_round_trip(const event& one) {
  require(event_in(line_of(one)) == one, "an event comes back from its line");
}

}  // namespace
}  // namespace poolwise::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwise;
  using namespace poolwise::fuzz;
  std::string_view input = text_of(data, size);
  const char* const kinds[] = {"label",    "decision", "round",     "pool",     "model",
                               "campaign", "settings", "guideline", "excluded", "evaluation",
                               "verdict",  "note",     "weather"};
  accepted(
      [&] { require(line_of(event_in(input)) == input, "a line that is read is the line that is written"); });
  const std::string kind = kinds[take_choice(input, std::size(kinds))];
  accepted([&] {
    const std::string body = canonical_body({kind, std::string(input)});
    require(canonical_body({kind, body}) == body, "a canonical body stays as it is");
    require_round_trip({7, 1'000, kind, body});
  });
  return 0;
}
