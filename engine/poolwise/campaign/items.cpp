#include "poolwise/campaign/items.hpp"

#include <algorithm>
#include <unordered_map>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/columns.hpp"
#include "poolwise/files/detail/csv.hpp"

namespace poolwise {
namespace {

constexpr const char* call = "items";

/// Where the columns that are read stand among the values of a line; npos for one that is not asked for.
class column_places {
 public:
  std::size_t add(const std::string& name) {
    if (name.empty()) return npos;
    const auto known = std::find(names.begin(), names.end(), name);
    if (known != names.end()) return std::size_t(known - names.begin());
    names.push_back(name);
    return names.size() - 1;
  }
  static constexpr std::size_t npos = std::string::npos;
  std::vector<std::string> names;
};

/// What one tariff gives for each line.
class amounts {
 public:
  amounts(const tariff& what, std::size_t column, std::size_t type_column)
      : what_(what), column_(column), type_column_(type_column) {}

  void add(const std::string& place, std::span<const std::string> values,
           std::vector<std::int64_t>& out) const {
    if (!what_.given()) return;
    if (what_.each) return out.push_back(*what_.each);
    if (column_ != column_places::npos) {
      const auto amount = number_in<std::int64_t>(trimmed(values[column_]));
      if (!amount || *amount < 0)
        throw format_error(place + ": \"" + printable(values[column_], 40) + "\" in column " + what_.column +
                           " is no whole number from 0 on; count in the smallest unit");
      return out.push_back(*amount);
    }
    auto found = what_.by_type.find(values[type_column_]);
    if (found == what_.by_type.end()) found = what_.by_type.find("*");
    if (found == what_.by_type.end())
      throw format_error(place + ": campaign.toml lists no price or time for the type \"" +
                         printable(values[type_column_], 40) + "\"; add it, or \"*\" for all others");
    out.push_back(found->second);
  }

 private:
  const tariff& what_;
  std::size_t column_, type_column_;
};

}  // namespace

item_table read_items(const std::filesystem::path& file, const campaign_settings& settings) {
  column_places places;
  const std::size_t id = places.add(settings.id_column), slice = places.add(settings.slice_column),
                    type = places.add(settings.type_column), length = places.add(settings.length_column);
  const amounts price(settings.price, places.add(settings.price.column), type),
      seconds(settings.seconds, places.add(settings.seconds.column), type);
  item_table items;
  std::unordered_map<std::string, index_t> number_of, type_number_of;
  const auto number = [](const std::string& name, std::unordered_map<std::string, index_t>& known,
                         std::vector<std::string>& names) {
    const auto [place, is_new] = known.emplace(name, index_t(names.size()));
    if (is_new) names.push_back(name);
    return place->second;
  };
  for (const slice_settings& one : settings.slices) {
    number_of.emplace(one.name, index_t(items.slices.size()));
    items.slices.push_back(one.name);
  }
  const wanted_columns wanted{
      .call = call,
      .what = "an item",
      .names = places.names,
      .remedy = "name the columns so in the header line, or change [items] in campaign.toml"};
  std::vector<std::string> ids;
  const std::string shown = printable(file.string());
  read_columns(file, copy_limit{}, wanted, [&](index_t line, std::span<std::string> values) {
    const std::string place = place_in(call, shown, line);
    for (const std::string& value : values)
      if (!is_utf8(value)) throw format_error(place + ": a field is not UTF-8; save the file as UTF-8");
    price.add(place, values, items.price);
    seconds.add(place, values, items.seconds);
    if (slice != column_places::npos) items.slice.push_back(number(values[slice], number_of, items.slices));
    if (type != column_places::npos) items.type.push_back(number(values[type], type_number_of, items.types));
    if (length != column_places::npos) {
      const auto amount = number_in<double>(trimmed(values[length]));
      if (!amount || !(*amount >= 0 && *amount <= 1e15))
        throw format_error(place + ": \"" + printable(values[length], 40) + "\" in column " +
                           settings.length_column + " is no number from 0 on");
      items.length.push_back(*amount);
    }
    ids.push_back(values[id]);
  });
  items.rows = index_t(ids.size());
  items.ids = row_ids(std::move(ids));
  return items;
}

item_table numbered_items(index_t rows, const campaign_settings& settings) {
  if (!settings.slice_column.empty() || !settings.type_column.empty() || !settings.length_column.empty() ||
      !settings.price.column.empty() || !settings.seconds.column.empty())
    throw value_error(
        "items: campaign.toml names columns of a file of items, and there is none; give it (--items)");
  item_table items;
  items.rows = rows;
  if (settings.price.each) items.price.assign(std::size_t(rows), *settings.price.each);
  if (settings.seconds.each) items.seconds.assign(std::size_t(rows), *settings.seconds.each);
  return items;
}

std::optional<index_t> item_table::row_of(std::string_view item) const {
  if (!ids.numbered()) return ids.row_of(item);
  const auto row = number_in<index_t>(item);
  return row && *row >= 0 && *row < rows && std::to_string(*row) == item ? row : std::nullopt;
}

}  // namespace poolwise
