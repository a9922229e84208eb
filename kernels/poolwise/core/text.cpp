#include "poolwise/core/text.hpp"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <numeric>

namespace poolwise {
namespace {

/// Levenshtein's distance: characters put in, taken out or replaced.
std::size_t edits(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

struct character {
  std::uint32_t point;
  std::size_t size;  // bytes
};

/// The character that UTF-8 begins with; a byte that begins none is a control character.
character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  constexpr character none{0, 1};
  if (byte(0) < 0x80) return {byte(0), 1};
  const std::size_t size = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < size) return none;
  std::uint32_t point = byte(0) & (0x7fu >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return none;
    point = point << 6 | (byte(i) & 0x3f);
  }
  constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = point >= 0xd800 && point < 0xe000;
  return point < least[size] || point > 0x10ffff || surrogate ? none : character{point, size};
}

/// Not what commands a terminal, or turns the direction of the text around it.
bool is_shown(std::uint32_t point) {
  const auto in = [&](std::uint32_t first, std::uint32_t last) { return first <= point && point <= last; };
  return !(in(0, 0x1f) || in(0x7f, 0x9f) || in(0x202a, 0x202e) || in(0x2066, 0x2069));
}

std::string escaped(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return {'\\', 'x', "0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
}

std::string scaled(double value, const char* const* units, std::size_t count, double step) {
  std::size_t unit = 0;
  while (value >= step && unit + 1 < count) {
    value /= step;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, value < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", value, units[unit]);
  return text;
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
  std::size_t end = std::min(text.size(), limit);
  // Not in the middle of a UTF-8 character.
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  std::string shown;
  for (std::string_view rest = text.substr(0, end); !rest.empty();) {
    const auto [point, size] = first_character(rest);
    for (const char c : rest.substr(0, size)) shown += is_shown(point) ? std::string(1, c) : escaped(c);
    rest.remove_prefix(size);
  }
  return end < text.size() ? shown + "..." : shown;
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x80) continue;
    const int more = (lead >= 0xc2) + (lead >= 0xe0) + (lead >= 0xf0);
    if (more == 0 || lead > 0xf4) return false;
    std::uint32_t code = lead & (0x3fu >> more);
    for (int k = 0; k < more; ++k, ++i) {
      if (i == text.size() || (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return false;
      code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3fu);
    }
    const bool overlong = (more == 2 && code < 0x800) || (more == 3 && code < 0x10000);
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    if (overlong || surrogate || code > 0x10ffff) return false;
  }
  return true;
}

std::string in_lower_case(std::string text) {
  for (char& c : text) c = char(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

cut_text cut_outside_parentheses(std::string_view text, char separator) {
  cut_text cut;
  std::vector<std::size_t> open;
  const auto add = [&](std::string_view part) {
    part.remove_prefix(std::min(part.find_first_not_of(' '), part.size()));
    cut.parts.push_back(part.substr(0, part.find_last_not_of(' ') + 1));
  };
  std::size_t first = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '(') open.push_back(i);
    cut.depth = std::max(cut.depth, int(open.size()));
    if (text[i] == ')' && open.empty()) {
      cut.unmatched = i;
      return cut;
    }
    if (text[i] == ')') open.pop_back();
    if (text[i] == separator && open.empty()) {
      add(text.substr(first, i - first));
      first = i + 1;
    }
  }
  add(text.substr(first));
  if (!open.empty()) cut.unmatched = open.back();
  return cut;
}

std::string shape_text(const std::vector<index_t>& shape) {
  std::string text = "[";
  for (const index_t extent : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(extent);
  }
  return text + "]";
}

std::string nearest_word(const std::string& text, std::span<const std::string> words) {
  const std::string* nearest = nullptr;
  std::size_t fewest = std::numeric_limits<std::size_t>::max();
  for (const auto& word : words)
    if (const std::size_t n = edits(text, word); n < fewest) {
      fewest = n;
      nearest = &word;
    }
  return nearest ? *nearest : std::string();
}

std::string human_bytes(double bytes) {
  static const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  return scaled(bytes, units, 6, 1024);
}

std::string human_seconds(double seconds) {
  static const char* const units[] = {"us", "ms", "s"};
  if (!(seconds >= 1)) return scaled(seconds * 1e6, units, 3, 1000);
  char text[32];
  if (seconds >= 7200)
    std::snprintf(text, sizeof text, "%.1f h", seconds / 3600);
  else if (seconds >= 120)
    std::snprintf(text, sizeof text, "%.0f min", seconds / 60);
  else
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  return text;
}

}  // namespace poolwise
