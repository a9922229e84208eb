#include "poolwise/annotate/people.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

constexpr std::array<const char*, 3> kinds = {"person", "model", "classifier"};
constexpr std::array<const char*, 7> days = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
constexpr int day_minutes = 24 * 60;

std::optional<int> day_in(std::string_view text) {
  const auto found = std::find(days.begin(), days.end(), text);
  return found == days.end() ? std::nullopt : std::optional(int(found - days.begin()));
}

/// "sat" or "mon-fri"; a range may pass the week's end.
std::optional<unsigned> days_in(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = day_in(text.substr(0, dash));
  const auto last = dash == text.npos ? first : day_in(text.substr(dash + 1));
  if (!first || !last) return std::nullopt;
  unsigned found = 0;
  for (int day = *first;; day = (day + 1) % 7) {
    found |= 1u << day;
    if (day == *last) return found;
  }
}

std::optional<int> minutes_in(std::string_view text, int most_hours) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const auto hours = number_in<int>(text.substr(0, 2)), minutes = number_in<int>(text.substr(3));
  if (!hours || !minutes || *hours < 0 || *minutes < 0 || *minutes > 59) return std::nullopt;
  const int all = *hours * 60 + *minutes;
  return all <= most_hours * 60 ? std::optional(all) : std::nullopt;
}

std::vector<std::string_view> words_in(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t space = std::min(text.find(' '), text.size());
    if (space > 0) words.push_back(text.substr(0, space));
    text.remove_prefix(std::min(space + 1, text.size()));
  }
  return words;
}

/// Days are those of UTC on which the hours begin, so an earlier or later day where the zone pushes them there.
working_hours shifted(working_hours hours, int ahead) {
  if (hours.from == 0 && hours.until == day_minutes && hours.days == 0x7f) return hours;
  const int length = (hours.until - hours.from + day_minutes - 1) % day_minutes + 1;
  int from = hours.from - ahead;
  if (from < 0) {
    from += day_minutes;
    hours.days = (hours.days >> 1 | hours.days << 6) & 0x7f;
  } else if (from >= day_minutes) {
    from -= day_minutes;
    hours.days = (hours.days << 1 | hours.days >> 6) & 0x7f;
  }
  hours.from = from;
  hours.until = from + length > day_minutes ? from + length - day_minutes : from + length;
  return hours;
}

}  // namespace

std::string_view to_text(annotator_kind kind) { return kinds[std::size_t(kind)]; }

annotator_kind parse_annotator_kind(const std::string& text) {
  const auto found = std::find(kinds.begin(), kinds.end(), text);
  if (found == kinds.end())
    throw usage_error("\"" + printable(text) + "\" is no kind of annotator; the nearest is \"" +
                      nearest_word(text, std::vector<std::string>(kinds.begin(), kinds.end())) + "\"");
  return annotator_kind(found - kinds.begin());
}

double skill_prior::of(const std::string& label, const std::string& slice) const {
  if (const auto found = by_class.find(label); found != by_class.end()) return found->second;
  if (const auto found = by_slice.find(slice); found != by_slice.end()) return found->second;
  return accuracy;
}

bool working_hours::hold(std::int64_t at_ms) const {
  constexpr std::int64_t minute_ms = 60'000;
  const std::int64_t minutes = at_ms / minute_ms - (at_ms % minute_ms < 0 ? 1 : 0);
  const auto minute = int((minutes % day_minutes + day_minutes) % day_minutes);
  const std::int64_t day = (minutes - minute) / day_minutes;
  const auto weekday = unsigned((day % 7 + 10) % 7);  // 1970 began on a Thursday
  const auto begins_on = [&](unsigned which) { return (days >> which & 1u) != 0; };
  if (from < until) return begins_on(weekday) && from <= minute && minute < until;
  return (minute >= from && begins_on(weekday)) || (minute < until && begins_on((weekday + 6) % 7));
}

working_hours parse_working_hours(const std::string& text) {
  working_hours found;
  int ahead = 0;
  bool has_days = false, has_hours = false, has_zone = false;
  const auto refuse = [&]() -> usage_error {
    return usage_error("\"" + printable(text) +
                       "\" are no working hours; write them as mon-fri 09:00-17:00 +02:00");
  };
  for (const std::string_view word : words_in(text)) {
    if (const auto some = days_in(word); some && !has_days && !has_hours && !has_zone) {
      found.days = *some;
      has_days = true;
    } else if (word.size() == 11 && word[5] == '-' && !has_hours && !has_zone) {
      const auto from = minutes_in(word.substr(0, 5), 24), until = minutes_in(word.substr(6), 24);
      if (!from || !until || *from == day_minutes || *from == *until) throw refuse();
      found.from = *from;
      found.until = *until;
      has_hours = true;
    } else if (word.size() == 6 && (word[0] == '+' || word[0] == '-') && !has_zone) {
      const auto zone = minutes_in(word.substr(1), 14);
      if (!zone) throw refuse();
      ahead = word[0] == '+' ? *zone : -*zone;
      has_zone = true;
    } else {
      throw refuse();
    }
  }
  return shifted(found, ahead);
}

bool annotator::has_role(std::string_view role) const {
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

bool annotator::speaks(const std::string& language) const {
  return language.empty() || languages.empty() ||
         std::find(languages.begin(), languages.end(), language) != languages.end();
}

const std::vector<std::string>& annotator_roles() {
  static const std::vector<std::string> all = {"annotator", "senior", "reviewer", "manager", "auditor"};
  return all;
}

}  // namespace poolwise
