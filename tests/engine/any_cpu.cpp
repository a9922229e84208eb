// Every learner has the same bits on every CPU target and number of threads: those written here, so that two
// machines that both pass agree, whatever their libm and BLAS.
#include <gtest/gtest.h>
#include <omp.h>

#include <array>
#include <bit>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "poolwise/learn/binary_classifier.hpp"
#include "poolwise/learn/mlp.hpp"
#include "poolwise/learn/pca.hpp"
#include "poolwise/learn/softmax_regression.hpp"
#include "reference/cpu_targets.hpp"

namespace poolwise {
namespace {

constexpr index_t rows = 150, cols = 19;  // neither fills a vector

std::vector<float> features() {
  std::mt19937 engine(1);  // its bits are the standard's; those of distributions are not
  std::vector<float> x;
  for (index_t i = 0; i < rows * cols; ++i) x.push_back(float(engine() >> 8) * 0x1p-24f - 0.5f);
  return x;
}

/// By thirds of the first feature's range.
std::vector<std::int32_t> labels(const std::vector<float>& x, std::int32_t classes) {
  std::vector<std::int32_t> y;
  for (index_t i = 0; i < rows; ++i)
    y.push_back(std::int32_t((x[std::size_t(i * cols)] + 0.5f) * float(classes)));
  return y;
}

/// FNV-1a of the bits.
template <class T>
std::uint64_t digest(const std::vector<T>& values) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const T value : values)
    for (const std::uint8_t byte : std::bit_cast<std::array<std::uint8_t, sizeof(T)> >(value))
      hash = (hash ^ byte) * 0x100000001b3;
  return hash;
}

/// Calls `make`, which returns a digest, under every target and several numbers of threads.
template <class Make>
void expect_everywhere(std::uint64_t want, Make&& make) {
  const int before = omp_get_max_threads();
  reference::for_each_cpu_target([&] {
    for (const int threads : {1, 3}) {
      omp_set_num_threads(threads);
      EXPECT_EQ(make(), want) << std::hex << make() << " with " << threads << " threads";
    }
  });
  omp_set_num_threads(before);
}

std::uint64_t digest_of_logits(learner& model, std::int32_t classes) {
  const auto x = features();
  const auto y = labels(x, classes);
  model.fit({x.data(), rows, cols}, {y.data(), rows});
  std::vector<float> logits(std::size_t(model.members() * rows * classes));
  model.predict({x.data(), rows, cols}, {logits.data(), model.members(), rows, classes});
  return digest(logits);
}

TEST(AnyCpu, SoftmaxRegression) {
  for (const auto& [classes, want] :
       {std::pair{2, std::uint64_t{0x891bc97f1dcb0722}}, std::pair{3, std::uint64_t{0x4f04fac1f6e2d89c}},
        std::pair{11, std::uint64_t{0xe3e8fafc4dff3278}}})
    expect_everywhere(want, [classes = classes] {
      softmax_regression model(classes);
      digest_of_logits(model, classes);
      return digest(model.parameters());
    });
}

TEST(AnyCpu, Committee) {
  expect_everywhere(0x9d3e050c7e4a0b60, [] {
    bootstrap_committee model(3, 4, 5);
    return digest_of_logits(model, 4);
  });
}

TEST(AnyCpu, Perceptron) {
  expect_everywhere(0x8c4caeb20fa7e531, [] {
    mlp model(3, 5, {.epochs = 10});
    return digest_of_logits(model, 3);
  });
}

TEST(AnyCpu, PrincipalComponents) {
  expect_everywhere(0xff5b61429b1b738f, [] {
    const auto x = features();
    const pca fitted = fit_pca({x.data(), rows, cols}, 5);
    std::vector<float> out(std::size_t(rows * 5));
    fitted.transform({x.data(), rows, cols}, {out.data(), rows, 5});
    return digest(fitted.components) ^ digest(out);
  });
}

TEST(AnyCpu, BinaryClassifiers) {
  const auto x = features();
  const std::vector<double> wide(x.begin(), x.end());
  for (const auto& [name, want] : {std::pair{"svm", std::uint64_t{0x70f70ee48bb58c6c}},
                                   std::pair{"lr", std::uint64_t{0x491a004c268ac24a}}})
    expect_everywhere(want, [&, name = name] {
      const auto model = make_binary_classifier(name, {wide.data(), rows, cols});
      std::vector<index_t> some(100);
      std::iota(some.begin(), some.end(), index_t(20));
      const auto y = labels(x, 2);
      model->fit(some, std::span(y).subspan(20, 100));
      std::vector<double> values(rows);
      model->decide(0, {values.data(), rows});
      return digest(values);
    });
}

}  // namespace
}  // namespace poolwise
