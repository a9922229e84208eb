// Small pictures inside a page: PNG, and the base64 that a data: address needs.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// The bytes of an 8-bit greyscale PNG (ISO/IEC 15948), not interlaced.
///
/// pixels  [height, width]  row-major, 0 is black.
/// throws  shape_error unless there is one byte a pixel, at least one pixel, and both sides are below 2^31.
std::string grey_png(index_t height, index_t width, std::span<const std::uint8_t> pixels);

/// RFC 4648, section 4: the standard alphabet, padded, no line breaks.
std::string base64(std::string_view bytes);

}  // namespace poolwise
