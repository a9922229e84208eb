#include "poolwise/learn/mlp.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "poolwise/core/detail/exp_log.hpp"
#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/detail/products.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/learn/detail/checks.hpp"
#include "poolwise/learn/detail/row_product.hpp"

namespace poolwise {
namespace {

constexpr stream weight_stream{7}, order_stream{8};

double standard_normal(std::uint64_t seed, std::uint64_t place) {
  const double u = 1 - random_unit(seed, weight_stream, 2 * place);  // not 0
  const double v = random_unit(seed, weight_stream, 2 * place + 1);
  // Box & Muller 1958. In long double the cosine has one variant for every CPU.
  return std::sqrt(-2 * fixed_log(u)) * double(std::cos(2 * std::numbers::pi_v<long double> * v));
}

/// A matrix of floats whose rows are whole lines of columns. What lies beyond `cols` is 0, and products keep it
/// so.
struct padded_matrix {
  index_t rows, cols, stride;
  std::vector<float> values;

  padded_matrix(index_t r, index_t c)
      : rows(r), cols(c), stride(whole_lines<float>(c)), values(std::size_t(r * stride)) {}
  float* row(index_t i) { return values.data() + i * stride; }
  const float* row(index_t i) const { return values.data() + i * stride; }
  /// The first `count` rows, with their padding.
  matrix_view<float> lines(index_t count) { return {values.data(), count, stride}; }
  matrix_view<const float> lines(index_t count) const { return {values.data(), count, stride}; }
};

/// One layer with what Adam keeps of its gradients, and room for the outputs of a step and their gradients.
struct dense_layer {
  padded_matrix weights, gradient, mean, square;  // [inputs + 1, outputs], the biases last
  padded_matrix out, slope;                       // [batch, outputs]

  dense_layer(index_t inputs, index_t outputs, index_t batch)
      : weights(inputs + 1, outputs),
        gradient(inputs + 1, outputs),
        mean(inputs + 1, outputs),
        square(inputs + 1, outputs),
        out(batch, outputs),
        slope(batch, outputs) {}

  index_t inputs() const { return weights.rows - 1; }

  void forward(const padded_matrix& in, index_t count) {
    for (index_t i = 0; i < count; ++i) std::copy_n(weights.row(inputs()), out.stride, out.row(i));
    add_products({in.row(0), in.stride, 1}, weights.lines(inputs()), out.lines(count));
  }

  /// The gradient of the parameters from `slope`, that of the outputs.
  void backward(const padded_matrix& in, index_t count) {
    std::fill(gradient.values.begin(), gradient.values.end(), 0.0f);
    add_products({in.row(0), 1, in.stride}, slope.lines(count), gradient.lines(inputs()));
    float* bias = gradient.row(inputs());
    for (index_t i = 0; i < count; ++i)
      for (index_t o = 0; o < slope.cols; ++o) bias[o] += slope.row(i)[o];
  }

  /// [outputs, inputs]: the weights transposed, without the biases.
  padded_matrix weights_by_output() const {
    padded_matrix by_output(weights.cols, inputs());
    for (index_t o = 0; o < weights.cols; ++o)
      for (index_t i = 0; i < inputs(); ++i) by_output.row(o)[i] = weights.row(i)[o];
    return by_output;
  }

  /// The gradient of a rectified input, into its own layer's `slope`.
  void pass_back(dense_layer& before, index_t count) const {
    std::fill(before.slope.values.begin(), before.slope.values.end(), 0.0f);
    const padded_matrix by_output = weights_by_output();
    add_products({slope.row(0), slope.stride, 1}, by_output.lines(by_output.rows), before.slope.lines(count));
    for (std::size_t k = 0; k < before.slope.values.size(); ++k)
      if (!(before.out.values[k] > 0)) before.slope.values[k] = 0;
  }
};

void rectify(float* units, index_t count) {
  for (index_t i = 0; i < count; ++i) units[i] = units[i] < 0 ? 0 : units[i];  // a NaN stays one
}

/// Kingma & Ba 2015, algorithm 1; biases do not decay.
class adam {
 public:
  explicit adam(const mlp_options& options)
      : rate_(options.learning_rate), decay_(float(options.weight_decay)) {}

  void begin_step() {
    first_power_ *= 0.9;
    second_power_ *= 0.999;
    step_ = float(rate_ * std::sqrt(1 - second_power_) / (1 - first_power_));
  }

  void update(dense_layer& layer) const {
    const std::size_t biases = std::size_t(layer.inputs() * layer.weights.stride);
    for (std::size_t k = 0; k < layer.weights.values.size(); ++k) {
      float &weight = layer.weights.values[k], &mean = layer.mean.values[k], &square = layer.square.values[k];
      const float slope = layer.gradient.values[k] + (k < biases ? decay_ * weight : 0.0f);
      mean = 0.9f * mean + (1 - 0.9f) * slope;
      square = 0.999f * square + (1 - 0.999f) * (slope * slope);
      weight -= step_ * mean / (std::sqrt(square) + 1e-8f);
    }
  }

 private:
  double rate_;
  float decay_, step_ = 0;
  double first_power_ = 1, second_power_ = 1;
};

/// Three layers, and the steps by which they are fitted.
class network {
 public:
  network(index_t features, index_t classes, index_t batch, const mlp_options& options)
      : in_(batch, features),
        layers_{dense_layer(features, options.hidden[0], batch),
                dense_layer(options.hidden[0], options.hidden[1], batch),
                dense_layer(options.hidden[1], classes, batch)},
        adam_(options) {}

  void draw_weights(std::uint64_t seed) {
    std::uint64_t place = 0;
    for (dense_layer& layer : layers_) {
      const double deviation = std::sqrt(2.0 / double(layer.inputs()));
      for (index_t i = 0; i < layer.inputs(); ++i)
        for (index_t o = 0; o < layer.weights.cols; ++o)
          layer.weights.row(i)[o] = float(deviation * standard_normal(seed, place++));
    }
  }

  /// One step on these rows.
  void step(matrix_view<const float> x, vector_view<const std::int32_t> y, std::span<const index_t> rows) {
    const index_t count = index_t(rows.size());
    for (index_t i = 0; i < count; ++i) std::copy_n(x.row(rows[std::size_t(i)]), x.cols, in_.row(i));
    auto& [first, second, last] = layers_;
    first.forward(in_, count);
    rectify(first.out.row(0), count * first.out.stride);
    second.forward(first.out, count);
    rectify(second.out.row(0), count * second.out.stride);
    last.forward(second.out, count);
    for (index_t i = 0; i < count; ++i)
      loss_slope(last.out.row(i), last.out.cols, y[rows[std::size_t(i)]], count, last.slope.row(i));
    last.backward(second.out, count);
    last.pass_back(second, count);
    second.backward(first.out, count);
    second.pass_back(first, count);
    first.backward(in_, count);
    adam_.begin_step();
    for (dense_layer& layer : layers_) adam_.update(layer);
  }

  const std::array<dense_layer, 3>& layers() const { return layers_; }

 private:
  /// (p - onehot(label)) / count of a row of logits.
  static void loss_slope(const float* z, index_t classes, std::int32_t label, index_t count, float* slope) {
    const float largest = *std::max_element(z, z + classes);
    double sum = 0;
    for (index_t c = 0; c < classes; ++c) sum += fixed_exp(double(z[c]) - double(largest));
    for (index_t c = 0; c < classes; ++c) {
      const double p = fixed_exp(double(z[c]) - double(largest)) / sum;
      slope[c] = float((p - (c == label ? 1.0 : 0.0)) / double(count));
    }
  }

  padded_matrix in_;
  std::array<dense_layer, 3> layers_;
  adam adam_;
};

row_product product_of(const dense_layer& layer) {
  const padded_matrix weights = layer.weights_by_output();
  return {{weights.row(0), weights.rows, weights.cols, weights.stride},
          {layer.weights.row(layer.inputs()), layer.weights.cols}};
}

void require_options(index_t classes, const mlp_options& options) {
  const auto refuse = [](const std::string& what, const char* needs) {
    throw value_error("mlp: " + what + "; pass " + needs);
  };
  for (const auto& [what, value] :
       {std::pair{"classes", classes},
        std::pair{"a hidden layer's units", std::min(options.hidden[0], options.hidden[1])},
        std::pair{"epochs", index_t(options.epochs)}, std::pair{"batch", options.batch}})
    if (value < 1) refuse(std::string(what) + " are " + std::to_string(value), "at least 1");
  if (!(options.learning_rate > 0) || !std::isfinite(options.learning_rate))
    refuse("learning_rate is " + std::to_string(options.learning_rate), "a finite number above 0");
  if (!(options.weight_decay >= 0) || !std::isfinite(options.weight_decay))
    refuse("weight_decay is " + std::to_string(options.weight_decay), "a finite number that is not negative");
}

}  // namespace

struct mlp::layers {
  row_product first, second, last;
};

mlp::mlp(index_t classes, std::uint64_t seed, mlp_options options)
    : classes_(classes), seed_(seed), options_(options) {
  require_options(classes, options);
}

mlp::~mlp() = default;

void mlp::fit(matrix_view<const float> x, vector_view<const std::int32_t> y) {
  require_training_set("mlp::fit", x, y, classes_);
  require_finite("mlp::fit", x);
  const index_t batch = std::min(options_.batch, x.rows);
  network net(x.cols, classes_, batch, options_);
  net.draw_weights(seed_);
  std::vector<index_t> order(std::size_t(x.rows));
  std::iota(order.begin(), order.end(), index_t(0));
  for (int epoch = 0; epoch < options_.epochs; ++epoch) {
    std::vector<std::uint64_t> key;
    for (index_t i = 0; i < x.rows; ++i)
      key.push_back(random_bits(seed_, order_stream, std::uint64_t(i), std::uint32_t(epoch)));
    std::sort(order.begin(), order.end(), [&](index_t a, index_t b) {
      return std::pair(key[std::size_t(a)], a) < std::pair(key[std::size_t(b)], b);
    });
    for (index_t begin = 0; begin < x.rows; begin += batch)
      net.step(x, y,
               std::span(order).subspan(std::size_t(begin), std::size_t(std::min(batch, x.rows - begin))));
  }
  const auto& [first, second, last] = net.layers();
  layers_.reset(new layers{product_of(first), product_of(second), product_of(last)});
  features_ = x.cols;
}

void mlp::predict(matrix_view<const float> x, cube_view<float> logits) {
  require_query("mlp::predict", x, features_, logits, 1, classes_);
  const matrix_view<float> out = logits.member(0);
  constexpr index_t block = 256;
  parallel_blocks(cpu{}, x.rows, block, [&](index_t, index_t begin, index_t end) {
    const index_t count = end - begin;
    const auto rectified = [count](const row_product& layer, matrix_view<const float> in) {
      std::vector<float> units(std::size_t(count * layer.outputs()));
      layer(in, {units.data(), count, layer.outputs()});
      rectify(units.data(), index_t(units.size()));
      return units;
    };
    const auto first = rectified(layers_->first, {x.row(begin), count, x.cols, x.stride});
    const auto second = rectified(layers_->second, {first.data(), count, layers_->first.outputs()});
    layers_->last({second.data(), count, layers_->second.outputs()},
                  {out.row(begin), count, out.cols, out.stride});
  });
}

}  // namespace poolwise
