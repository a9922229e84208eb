// CVAT's "CVAT for images 1.1". Not part of the public interface.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

struct cvat_image {
  index_t line = 0;
  std::string name;
  nlohmann::json tags = nlohmann::json::array();  ///< the labels of the whole image
};

/// throws format_error in the name of `call`, naming `file` and the line.
std::vector<cvat_image> cvat_images(const char* call, const std::string& file, const std::string& xml);

}  // namespace poolwise
