#include "poolwise/core/human.hpp"

#include <cstdio>

namespace poolwise {
namespace {

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

std::string human_bytes(double bytes) {
  static const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  return scaled(bytes, units, 6, 1024);
}

std::string human_seconds(double seconds) {
  if (seconds >= 120) {
    char text[32];
    std::snprintf(text, sizeof text, seconds < 7200 ? "%.0f min" : "%.1f h",
                  seconds < 7200 ? seconds / 60 : seconds / 3600);
    return text;
  }
  if (seconds >= 1) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f s", seconds);
    return text;
  }
  static const char* const units[] = {"us", "ms", "s"};
  return scaled(seconds * 1e6, units, 3, 1000);
}

}  // namespace poolwise
