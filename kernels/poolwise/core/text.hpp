// Text for people.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// Foreign text for a one-line message: escaped are control characters, those that change the direction of
/// text, and bytes that are no UTF-8; cut after `limit` bytes.
std::string printable(std::string_view text, std::size_t limit = std::string_view::npos);

/// "[3, 4]"
std::string shape_text(const std::vector<index_t>& shape);

/// The word of `words` with the fewest edits to `text`; the first of several, and "" of none.
std::string nearest_word(const std::string& text, std::span<const std::string> words);

/// "1.2 GiB", "512 B".
std::string human_bytes(double bytes);

/// "340 ms", "1.5 s", "12 min".
std::string human_seconds(double seconds);

}  // namespace poolwise
