// The learning curve of one run as a CSV file.
#pragma once

#include <filesystem>
#include <optional>

#include "poolwise/metrics/metrics.hpp"

namespace poolwise {

/// Two columns, labels and accuracy; each number in the fewest digits that give it back to the bit.
void write_curve(const std::filesystem::path& file, const learning_curve& curve);

/// None where there is no file. throws io_error; format_error naming the line that write_curve did not write.
std::optional<learning_curve> read_curve(const std::filesystem::path& file);

}  // namespace poolwise
