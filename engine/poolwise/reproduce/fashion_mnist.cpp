#include "poolwise/reproduce/fashion_mnist.hpp"

#include "poolwise/learn/pca.hpp"

namespace poolwise {
namespace {

std::vector<float> as_float(const idx_array& images) { return {images.values.begin(), images.values.end()}; }

matrix_view<const float> rows_of_pixels(const std::vector<float>& pixels, const idx_array& images) {
  return {pixels.data(), images.shape[0], images.shape[1] * images.shape[2]};
}

std::vector<float> projected(const pca& components, matrix_view<const float> pixels) {
  std::vector<float> out(std::size_t(pixels.rows * components.kept));
  components.transform(pixels, {out.data(), pixels.rows, components.kept});
  // One scale for all features keeps their relative variances, which carry the classes.
  for (float& v : out) v /= components.deviation.front();
  return out;
}

}  // namespace

fashion_mnist::fashion_mnist(const std::filesystem::path& folder, index_t features)
    : images_(read_fashion_mnist(folder)),
      features_(features),
      pool_labels_(images_.train_labels.values.begin(), images_.train_labels.values.end()),
      test_labels_(images_.test_labels.values.begin(), images_.test_labels.values.end()) {
  const auto train = as_float(images_.train_images);
  const auto test = as_float(images_.test_images);
  const auto train_pixels = rows_of_pixels(train, images_.train_images);
  const pca components = fit_pca(train_pixels, features);
  pool_ = projected(components, train_pixels);
  test_ = projected(components, rows_of_pixels(test, images_.test_images));
}

std::string fashion_mnist::features_text() const {
  return std::to_string(features_) +
         " principal components fitted on the pool, divided by the standard deviation of the first";
}

labelled_pool fashion_mnist::pool() const {
  const index_t rows = index_t(pool_labels_.size()), tests = index_t(test_labels_.size());
  return {{pool_.data(), rows, features_},
          {test_.data(), tests, features_},
          {pool_labels_.data(), rows},
          {test_labels_.data(), tests}};
}

}  // namespace poolwise
