#include "poolwise/report/detail/text.hpp"

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>

namespace poolwise::html {
namespace {

std::string two_digits(long value) { return {char('0' + value / 10 % 10), char('0' + value % 10)}; }

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

template <class... Format>
std::string number(double value, Format... format) {
  if (!std::isfinite(value)) return dash;
  std::array<char, 400> text;  // the widest double has 309 digits before the point
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value, format...);
  return {text.data(), end.ptr};
}

/// The years that a calendar of four digits holds.
bool is_in_calendar(double ms) { return ms >= 0 && ms < 253402300800000; }

}  // namespace

std::string with_entities(std::string_view text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (special.find(c) == std::string_view::npos)
      out += c;
    else
      out += "&#" + std::to_string(int(c)) + ";";
  }
  return out;
}

std::string escape(std::string_view text) { return with_entities(text, "&<>\"'"); }

std::string shortened(const std::string& text, std::size_t limit) {
  std::size_t characters = 0, last = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (continues_character(text[i])) continue;
    if (++characters == limit) last = i;
    if (characters > limit) return text.substr(0, last) + "\u2026";
  }
  return text;
}

std::string short_name(const std::string& name) { return escape(shortened(name, 80)); }

std::string unbroken(std::string_view content) {
  std::string out;
  for (std::size_t i = 0; i < content.size(); ++i) {
    if (content.substr(i, 2) == " %")
      out += "\u00a0";
    else
      out += content[i];
  }
  return out;
}

std::string fixed(double value, int digits) { return number(value, std::chars_format::fixed, digits); }

std::string grouped(double value, int digits) {
  if (!std::isfinite(value)) return dash;
  const auto plain = fixed(std::abs(value), digits);
  const bool is_zero = plain.find_first_not_of("0.") == std::string::npos;
  const auto point = std::min(plain.find('.'), plain.size());
  std::string out = value < 0 && !is_zero ? "\u2212" : "";
  for (std::size_t i = 0; i < plain.size(); ++i) {
    if (i > 0 && i < point && (point - i) % 3 == 0) out += ',';
    out += plain[i];
  }
  return out;
}

std::string percent(double share) {
  auto text = grouped(share * 100, 1);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text == dash ? text : text + " %";
}

std::string p_value(double p) { return p < 0.001 ? "< 0.001" : fixed(p, p < 0.1 ? 3 : 2); }

std::string three_digits(double value) {
  if (value < 0) return "\u2212" + three_digits(-value);
  return value >= 1000 ? grouped(value) : number(value, std::chars_format::general, 3);
}

std::string date(double ms) {
  if (!is_in_calendar(ms)) return dash;
  constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  using namespace std::chrono;
  const year_month_day day{floor<days>(sys_time<milliseconds>{milliseconds{std::int64_t(ms)}})};
  return std::to_string(unsigned(day.day())) + " " + months[unsigned(day.month()) - 1] + " " +
         std::to_string(int(day.year()));
}

std::string date_and_time(double ms) {
  if (!is_in_calendar(ms)) return dash;
  const long minutes = long(std::int64_t(ms) / 60000 % (24 * 60));
  return date(ms) + ", " + two_digits(minutes / 60) + ":" + two_digits(minutes % 60) + " UTC";
}

std::string joined(const std::string& first, const std::string& by, const std::string& second) {
  std::string_view rest = first, other = second;
  while (true) {
    const auto space = rest.rfind(' '), there = other.rfind(' ');
    if (space == std::string::npos || there == std::string::npos || rest.substr(space) != other.substr(there))
      return std::string(rest) + by + second;
    rest = rest.substr(0, space);
    other = other.substr(0, there);
  }
}

std::string counted(double n, const std::string& one, const std::string& many) {
  return grouped(n) + " " + (std::abs(n) == 1 ? one : many);
}

std::string counted(double n, const std::string& one) { return counted(n, one, one + "s"); }

}  // namespace poolwise::html
