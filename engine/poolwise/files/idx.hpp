// IDX files (the MNIST family), plain or gzip.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

struct idx_array {
  std::vector<index_t> shape;
  std::vector<std::uint8_t> values;
};

/// Reads an IDX file of unsigned bytes through zlib.
/// throws io_error, format_error (magic number, element type, truncated, longer than its shape, corrupt gzip).
idx_array read_idx(const std::filesystem::path& file);

struct image_set {
  idx_array train_images, test_images;  ///< [items, height, width]
  idx_array train_labels, test_labels;  ///< [items]
};

/// Fashion-MNIST from the four files of Debian's dataset-fashion-mnist in `folder`.
/// throws as read_idx; io_error that says how to get them (the package, and the files' names for other
/// systems); shape_error unless images and labels agree in number; value_error for a label beyond 9.
image_set read_fashion_mnist(const std::filesystem::path& folder);

/// Where Debian puts them.
inline constexpr const char* fashion_mnist_folder = "/usr/share/datasets/fashion-mnist";

}  // namespace poolwise
