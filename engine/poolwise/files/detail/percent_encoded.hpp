// Text as a part of an address. Not part of the public interface.
#pragma once

#include <cctype>
#include <string>

namespace poolwise {

/// Bytes but letters, digits, "-", "_" and "." are written as %XX.
inline std::string percent_encoded(const std::string& text) {
  constexpr const char* digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '.') {
      out += c;
      continue;
    }
    out += '%';
    out += digits[byte / 16];
    out += digits[byte % 16];
  }
  return out;
}

}  // namespace poolwise
