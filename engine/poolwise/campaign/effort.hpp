// What labels take, as the log of a campaign says.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "poolwise/campaign/items.hpp"
#include "poolwise/campaign/settings.hpp"
#include "poolwise/ledger/tables.hpp"
#include "poolwise/metrics/forecast.hpp"

namespace poolwise {

/// cost(type, length), as fit_costs fits it, for the types of which the settings ask no more labels than there
/// are. Labels that do not say a cost or their seconds count for nothing there.
struct fitted_tariffs {
  std::vector<fitted_cost> price, seconds;
  std::vector<std::string> sentences;  ///< on each type: the model, or how many labels it lacks
};
fitted_tariffs fit_tariffs(const tables& seen, const campaign_settings& settings);

/// The amounts of items, those of fitted types by the fit, to the nearest whole number.
std::vector<std::int64_t> fitted_amounts(const std::vector<std::int64_t>& listed,
                                         const std::vector<fitted_cost>& types, const item_table& items);

}  // namespace poolwise
