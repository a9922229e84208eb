// Numbers, dates and foreign texts as people read them in a page.
#pragma once

#include <string>
#include <string_view>

namespace poolwise::html {

inline constexpr const char* dash = "\u2013";

/// `text` with each of the characters `special` as a numbered entity.
std::string with_entities(std::string_view text, std::string_view special);

/// `text` as HTML shows it, in an element or in a quoted attribute.
std::string escape(std::string_view text);

/// The first `limit` characters of UTF-8, the last of them an ellipsis if there are more.
std::string shortened(const std::string& text, std::size_t limit);

/// A name for a heading: escaped, and short.
std::string short_name(const std::string& name);

/// `content` with no line broken before a per cent sign.
std::string unbroken(std::string_view content);

/// A number that is not finite is a dash in all of these.
std::string fixed(double value, int digits);
std::string grouped(double value, int digits = 0);  ///< "12,345.60"
std::string percent(double share);                  ///< "80 %", or "82.5 %" where a tenth is needed
std::string p_value(double p);                      ///< "0.042", "< 0.001"
std::string three_digits(double value);             ///< "0.0123", "12.3", "12,345"
std::string date(double ms);                        ///< "9 May 2026", UTC, of milliseconds since 1970
std::string date_and_time(double ms);               ///< "9 May 2026, 14:03 UTC"

/// Two texts in one without their common last words twice: "8 to 20 May 2026", "1.50 of 20.00 EUR".
std::string joined(const std::string& first, const std::string& by, const std::string& second);

/// "1 label", "12,345 labels".
std::string counted(double n, const std::string& one, const std::string& many);
std::string counted(double n, const std::string& one);  ///< many of them have an s more

}  // namespace poolwise::html
