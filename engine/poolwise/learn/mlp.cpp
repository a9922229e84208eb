#include "poolwise/learn/mlp.hpp"

#include <dlib/dnn.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "poolwise/core/detail/parallel.hpp"
#include "poolwise/core/detail/philox.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/learn/detail/checks.hpp"
#include "poolwise/learn/detail/row_product.hpp"

namespace poolwise {
namespace {

constexpr stream weight_stream{7}, order_stream{8};

// Sizes are set when a network is made: these are placeholders.
using network = dlib::loss_multiclass_log<
    dlib::fc<1, dlib::relu<dlib::fc<1, dlib::relu<dlib::fc<1, dlib::input<dlib::matrix<float>>>>>>>>;
constexpr std::size_t layers_with_steps = network::num_computational_layers;

double standard_normal(std::uint64_t seed, std::uint64_t place) {
  const double u = 1 - random_unit(seed, weight_stream, 2 * place);  // not 0
  const double v = random_unit(seed, weight_stream, 2 * place + 1);
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);  // Box & Muller 1958
}

/// The rows of one step, and room for them.
class steps {
 public:
  steps(matrix_view<const float> x, vector_view<const std::int32_t> y) : x_(x), y_(y) {}

  void gather(std::span<const index_t> rows) {
    inputs_.set_size(long(rows.size()), 1, long(x_.cols), 1);
    float* to = inputs_.host_write_only();
    labels_.clear();
    for (const index_t row : rows) {
      to = std::copy_n(x_.row(row), x_.cols, to);
      labels_.push_back(static_cast<unsigned long>(y_[row]));
    }
  }

  const dlib::tensor& inputs() const { return inputs_; }
  auto labels() const { return labels_.begin(); }

 private:
  matrix_view<const float> x_;
  vector_view<const std::int32_t> y_;
  dlib::resizable_tensor inputs_;
  std::vector<unsigned long> labels_;
};

network make_network(index_t features, index_t classes, const mlp_options& options) {
  network net;
  dlib::layer<1>(net).layer_details().set_num_outputs(long(classes));
  dlib::layer<3>(net).layer_details().set_num_outputs(long(options.hidden[1]));
  dlib::layer<5>(net).layer_details().set_num_outputs(long(options.hidden[0]));
  // A first sample gives the layers their inputs.
  const dlib::matrix<float> sample = dlib::zeros_matrix<float>(long(features), 1);
  dlib::resizable_tensor tensor;
  net.to_tensor(&sample, &sample + 1, tensor);
  net.forward(tensor);
  return net;
}

/// [inputs + 1, outputs], the biases last, as dlib lays them out.
template <class Layer>
dlib::tensor& parameters_of(Layer& layer) {
  return layer.layer_details().get_layer_params();
}

void draw_weights(network& net, std::uint64_t seed) {
  std::uint64_t place = 0;
  for (dlib::tensor* layer : {&parameters_of(dlib::layer<5>(net)), &parameters_of(dlib::layer<3>(net)),
                              &parameters_of(dlib::layer<1>(net))}) {
    const std::size_t outputs = layer->size() / std::size_t(layer->num_samples());
    const double deviation = std::sqrt(2.0 / double(layer->num_samples() - 1));
    float* weights = layer->host();
    for (std::size_t k = 0; k + outputs < layer->size(); ++k)
      weights[k] = float(deviation * standard_normal(seed, place++));
    std::fill_n(weights + layer->size() - outputs, outputs, 0.0f);
  }
}

row_product product_of(const dlib::tensor& layer) {
  const index_t inputs = index_t(layer.num_samples()) - 1, outputs = index_t(layer.size()) / (inputs + 1);
  const float* from = layer.host();
  std::vector<float> weights(std::size_t(inputs * outputs));
  for (index_t i = 0; i < inputs; ++i)
    for (index_t o = 0; o < outputs; ++o) weights[std::size_t(o * inputs + i)] = from[i * outputs + o];
  return {{weights.data(), outputs, inputs}, {from + inputs * outputs, outputs}};
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
  network net = make_network(x.cols, classes_, options_);
  std::vector<dlib::adam> solvers(layers_with_steps, dlib::adam(float(options_.weight_decay), 0.9f, 0.999f));
  steps step(x, y);
  std::vector<index_t> order(std::size_t(x.rows));
  std::iota(order.begin(), order.end(), index_t(0));
  draw_weights(net, seed_);
  for (int epoch = 0; epoch < options_.epochs; ++epoch) {
    std::vector<std::uint64_t> key;
    for (index_t i = 0; i < x.rows; ++i)
      key.push_back(random_bits(seed_, order_stream, std::uint64_t(i), std::uint32_t(epoch)));
    std::sort(order.begin(), order.end(), [&](index_t a, index_t b) {
      return std::pair(key[std::size_t(a)], a) < std::pair(key[std::size_t(b)], b);
    });
    for (index_t begin = 0; begin < x.rows; begin += options_.batch) {
      step.gather(
          std::span(order).subspan(std::size_t(begin), std::size_t(std::min(options_.batch, x.rows - begin))));
      net.compute_parameter_gradients(step.inputs(), step.labels());
      net.update_parameters(solvers, options_.learning_rate);
    }
  }
  layers_.reset(new layers{product_of(parameters_of(dlib::layer<5>(net))),
                           product_of(parameters_of(dlib::layer<3>(net))),
                           product_of(parameters_of(dlib::layer<1>(net)))});
  features_ = x.cols;
}

void mlp::predict(matrix_view<const float> x, cube_view<float> logits) {
  require_query("mlp::predict", x, features_, logits, 1, classes_);
  const matrix_view<float> out = logits.member(0);
  constexpr index_t block = 256;
  parallel_blocks(cpu{}, x.rows, block, [&](index_t, index_t begin, index_t end) {
    std::vector<float> first(std::size_t(options_.hidden[0])), second(std::size_t(options_.hidden[1]));
    const auto rectify = [](std::vector<float>& units) {
      for (float& unit : units) unit = unit < 0 ? 0 : unit;  // a NaN stays one
    };
    for (index_t i = begin; i < end; ++i) {
      layers_->first(x.row(i), first.data());
      rectify(first);
      layers_->second(first.data(), second.data());
      rectify(second);
      layers_->last(second.data(), out.row(i));
    }
  });
}

}  // namespace poolwise
