// Fashion-MNIST as a labelled pool: the demo's data.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "poolwise/files/idx.hpp"
#include "poolwise/loop/loop.hpp"

namespace poolwise {

/// Names of the ten classes, by label.
inline constexpr std::array<const char*, 10> fashion_mnist_classes = {
    "T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"};

/// The 60,000 training images as pool and the 10,000 test images, as `features` principal components fitted on
/// the pool, all divided by the standard deviation of the first.
class fashion_mnist {
 public:
  /// throws what read_fashion_mnist and fit_pca throw.
  explicit fashion_mnist(const std::filesystem::path& folder, index_t features = 64);

  labelled_pool pool() const;

  /// The features in a protocol's words: "64 principal components fitted on the pool, ...".
  std::string features_text() const;

  const image_set& images() const { return images_; }

 private:
  image_set images_;
  index_t features_;
  std::vector<float> pool_, test_;
  std::vector<std::int32_t> pool_labels_, test_labels_;
};

}  // namespace poolwise
