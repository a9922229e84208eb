// Text for people.
#pragma once

#include <charconv>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Foreign text for a one-line message: escaped are control characters, those that change the direction of
/// text, and bytes that are no UTF-8; cut after `limit` bytes.
std::string printable(std::string_view text, std::size_t limit = std::string_view::npos);

/// The number that is the whole of `text`, in decimal; nothing where it is none, or does not fit.
template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, number);
  return problem == std::errc{} && rest == end ? std::optional(number) : std::nullopt;
}

/// Whether `text` is UTF-8 in the shortest form and without surrogates, as JSON output needs it.
bool is_utf8(std::string_view text);

/// Of the letters of ASCII.
std::string in_lower_case(std::string text);

/// Text cut at the separators that no parenthesis encloses, as far as its parentheses match.
struct cut_text {
  std::vector<std::string_view> parts;             ///< views of the text, without the spaces around them
  int depth = 0;                                   ///< how deep parentheses nest
  std::size_t unmatched = std::string_view::npos;  ///< where one without its other stands
};
cut_text cut_outside_parentheses(std::string_view text, char separator);

/// "[3, 4]"
std::string shape_text(const std::vector<index_t>& shape);

/// The word of `words` with the fewest edits to `text`; the first of several, and "" of none.
std::string nearest_word(const std::string& text, std::span<const std::string> words);

/// "1.2 GiB", "512 B".
std::string human_bytes(double bytes);

/// "340 ms", "1.5 s", "12 min".
std::string human_seconds(double seconds);

}  // namespace poolwise
