#include "poolwise/files/groups.hpp"

#include <cmath>
#include <unordered_map>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/array_bytes.hpp"
#include "poolwise/files/detail/columns.hpp"
#include "poolwise/files/detail/contents.hpp"
#include "poolwise/files/detail/csv.hpp"

namespace poolwise {
namespace {

constexpr const char* call = "quotas";
constexpr std::size_t shown = 80;  // bytes of foreign text in a message

// Numbers in one way of writing, so that "01" and 1 are one group.
std::string group_name(std::string_view text) {
  std::string name = trimmed(text);
  const auto number = number_in<index_t>(name);
  return number ? std::to_string(*number) : name;
}

// Of a share such as "30%".
std::optional<double> percent_of(std::string_view text) {
  if (!text.ends_with('%')) return std::nullopt;
  const auto percent = number_in<double>(trimmed(text.substr(0, text.size() - 1)));
  return percent && *percent >= 0 && *percent <= 100 ? percent : std::nullopt;
}

bool is_amount(std::string_view text) {
  const auto picks = number_in<index_t>(text);
  return (picks && *picks >= 0) || percent_of(text);
}

/// A number of picks, or a share of the batch.
index_t amount_in(std::string_view text, const std::string& place, std::optional<index_t> batch) {
  const auto percent = percent_of(text);
  if (!percent) return *number_in<index_t>(text);
  if (!batch)
    throw usage_error(place +
                      "a share is of the batch, and no number of picks is given; give one (--batch), or "
                      "quotas in picks");
  // A share that is a whole number but for rounding is that number.
  return index_t(std::ceil(*percent * double(*batch) / 100 * (1 - 1e-12)));
}

}  // namespace

quota_list::quota_list(const std::filesystem::path& file, std::optional<index_t> batch)
    : file_(printable(file.string())) {
  std::unordered_map<std::string, index_t> line_of;
  const auto is_data = [](const std::vector<std::string>& fields) {
    const bool floor = fields.size() > 2 && is_amount(trimmed(fields[2]));
    return is_amount(trimmed(fields[1])) || (floor && trimmed(fields[1]).empty());
  };
  const wanted_columns wanted{.call = call,
                              .what = "a group",
                              .names = {"group", "quota"},
                              .blank_lines = true,
                              .remedy = "begin with the line group,quota",
                              .is_data = is_data,
                              .optional = {"floor"}};
  read_columns(file, copy_limit{}, wanted, [&](index_t line, std::span<std::string> values) {
    const std::string group = group_name(values[0]), quota = trimmed(values[1]), floor = trimmed(values[2]);
    const auto place = place_in(call, file_, line) + ": ";
    if (group.empty() || !(is_amount(quota) || (quota.empty() && !floor.empty())) ||
        !(is_amount(floor) || floor.empty()))
      throw format_error(
          place + "\"" +
          printable(values[0] + "," + values[1] + (floor.empty() ? "" : "," + values[2]), shown) +
          "\" is not a group and its quota" + (floor.empty() ? "" : " and floor") +
          "; write a group and a number of picks such as 0,25, or a share of the batch such as 0,30%");
    const terms of{quota.empty() ? grouping::any_number : amount_in(quota, place, batch),
                   floor.empty() ? 0 : amount_in(floor, place, batch)};
    has_floors_ |= of.floor > 0;
    const auto [first, is_new] = line_of.emplace(group, line);
    if (!is_new)
      throw format_error(std::string(call) + ": " + file_ + ", lines " + std::to_string(first->second) +
                         " and " + std::to_string(line) + " both give a quota to group " +
                         printable(group, shown) + "; give it one");
    if (group == "*") {
      others_ = of;
    } else {
      groups_.push_back(group);
      terms_.push_back(of);
    }
  });
  if (terms_.empty() && !others_)
    throw format_error(std::string(call) + ": " + file_ + " gives no group a quota; write lines such as 0,25");
}

// Gives groups their numbers: those of the list, then the others in the order of their first rows.
class quota_list::numbering {
 public:
  numbering(const quota_list& list, std::string source) : list_(list), source_(std::move(source)) {
    for (std::size_t k = 0; k < list.groups_.size(); ++k) add(list.groups_[k], list.terms_[k]);
  }

  index_t number_of(const std::string& group, std::size_t row) {
    const auto found = number_of_.find(group);
    if (found != number_of_.end()) return found->second;
    if (!list_.others_)
      throw value_error(std::string(call) + ": row " + std::to_string(row) + " of " + source_ +
                        " is in group " + printable(group, shown) + ", to which " + list_.file_ +
                        " gives no quota; give every group a quota, or all others one by the group *");
    return add(group, *list_.others_);
  }

  grouping of(std::vector<index_t> rows) {
    made_.group = std::move(rows);
    if (!list_.has_floors_) made_.floor.clear();
    return std::move(made_);
  }

 private:
  index_t add(const std::string& group, const terms& of) {
    made_.quota.push_back(of.quota);
    made_.floor.push_back(of.floor);
    made_.names.push_back(group);
    return number_of_.emplace(group, index_t(made_.quota.size()) - 1).first->second;
  }

  const quota_list& list_;
  std::string source_;
  grouping made_;
  std::unordered_map<std::string, index_t> number_of_;
};

grouping quota_list::applied_to(const array& groups, cpu on) const {
  numbering numbers(*this, groups.name);
  std::vector<index_t> group = as_integers(groups, on);
  std::unordered_map<index_t, index_t> known;  // looked up without making text of the number
  for (std::size_t row = 0; row < group.size(); ++row) {
    const auto [place, is_new] = known.try_emplace(group[row], 0);
    if (is_new) place->second = numbers.number_of(std::to_string(group[row]), row);
    group[row] = place->second;
  }
  return numbers.of(std::move(group));
}

grouping quota_list::applied_to(const std::filesystem::path& groups, const copy_limit& most) const {
  const bool named = !ending_of(groups).empty();
  file_bytes content;
  if (!named) {
    content = load(call, groups, most);
    if (const auto numbers = array_in(content, groups, most)) return applied_to(*numbers);
  }
  numbering numbers(*this, printable(groups.string()));
  const wanted_columns wanted{
      .call = call, .what = "a group", .names = {"group"}, .remedy = "call the column of groups so"};
  std::vector<index_t> group;
  const auto add = [&](index_t, std::span<std::string> values) {
    group.push_back(numbers.number_of(group_name(values[0]), group.size()));
  };
  if (named)
    read_columns(groups, most, wanted, add);
  else
    read_columns(groups, content, wanted, add);
  return numbers.of(std::move(group));
}

}  // namespace poolwise
