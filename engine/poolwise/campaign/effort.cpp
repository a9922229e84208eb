#include "poolwise/campaign/effort.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <span>
#include <unordered_map>

#include "poolwise/campaign/records.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

struct handed_out_item {
  std::string type;
  double cost = 0, length = 0;
};

std::unordered_map<std::string, handed_out_item> items_handed_out(const tables& seen) {
  std::unordered_map<std::string, handed_out_item> items;
  for (const round_entry& round : seen.rounds())
    seen.each_decision(round, [&](const decision& one) {
      const picked_item pick = picked_item_in(one.body);
      items[one.item] = {pick.type, double(one.cost), pick.length};
    });
  return items;
}

/// Of records whose `cost` is what is to be fitted.
std::vector<fitted_cost> fit_types(const tariff& what, const char* unit, std::span<const label_record> records,
                                   std::vector<std::string>& sentences) {
  if (what.fitted == 0) return {};
  std::vector<fitted_cost> known;
  for (const fitted_cost& one : fit_costs(records)) {
    const std::string opened =
        std::string(unit) + " of a label" + (one.type.empty() ? "" : " of " + printable(one.type)) + ": ";
    if (one.labels < what.fitted) {
      sentences.push_back(opened + std::to_string(one.labels) + " labels say it, and " +
                          std::to_string(what.fitted) + " are asked for; until then campaign.toml's count");
      continue;
    }
    char text[96];
    std::snprintf(text, sizeof text, "%.4g + %.4g x length, from %lld labels", one.base, one.per_length,
                  static_cast<long long>(one.labels));
    sentences.push_back(opened + text);
    known.push_back(one);
  }
  if (sentences.empty())
    sentences.push_back(std::string(unit) + " of a label: no label says it yet; campaign.toml's count");
  return known;
}

}  // namespace

fitted_tariffs fit_tariffs(const tables& seen, const campaign_settings& settings) {
  fitted_tariffs fitted;
  if (settings.price.fitted == 0 && settings.seconds.fitted == 0) return fitted;
  const auto items = items_handed_out(seen);
  std::vector<label_record> money, seconds;
  seen.each_label(versions::current, [&](const label& one) {
    const auto item = items.find(one.item);
    if (item == items.end()) return;  // its type is not known
    const auto add = [&](std::vector<label_record>& to, double amount) {
      to.push_back({item->second.type, amount, {}, item->second.length});
    };
    if (one.cost) add(money, double(*one.cost));
    if (one.seconds) add(seconds, *one.seconds);
  });
  std::vector<std::string> of_seconds;
  fitted.price = fit_types(settings.price, settings.unit.c_str(), money, fitted.sentences);
  fitted.seconds = fit_types(settings.seconds, "seconds", seconds, of_seconds);
  fitted.sentences.insert(fitted.sentences.end(), of_seconds.begin(), of_seconds.end());
  return fitted;
}

std::vector<std::int64_t> fitted_amounts(const std::vector<std::int64_t>& listed,
                                         const std::vector<fitted_cost>& types, const item_table& items) {
  std::vector<const fitted_cost*> of_type(std::max<std::size_t>(1, items.types.size()), nullptr);
  for (std::size_t k = 0; k < of_type.size(); ++k)
    for (const fitted_cost& one : types)
      if (one.type == (items.types.empty() ? "" : items.types[k])) of_type[k] = &one;
  std::vector<std::int64_t> amounts = listed;
  for (std::size_t row = 0; row < amounts.size(); ++row)
    if (const fitted_cost* one = of_type[items.type.empty() ? 0 : std::size_t(items.type[row])])
      amounts[row] = std::llround(std::min(1e15, one->at(items.length.empty() ? 0 : items.length[row])));
  return amounts;
}

}  // namespace poolwise
