// campaign.toml.
#include "harness.hpp"
#include "poolwise/campaign/settings.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poolwise;
  using namespace poolwise::fuzz;
  const std::string text(text_of(data, size));
  accepted([&] {
    const campaign_settings settings = read_settings(text, "campaign.toml");
    require(settings.audit >= 0 && settings.audit <= 1 && settings.query.batch.value_or(0) >= 1,
            "settings that are accepted are in range");
    for (const slice_settings& slice : settings.slices)
      require(slice.floor >= 0 && slice.floor <= slice.quota.value_or(slice.floor),
              "a floor is within its quota");
  });
  return 0;
}
