// A page that opens offline: charts by Plotly, whose script is embedded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/metrics/metrics.hpp"

namespace poolwise {

struct strategy_summary {
  std::string name;
  double aubc_mean = 0, aubc_sd = 0;
  double minus_random = 0, p = 1;           ///< paired difference of AUBC to random
  std::optional<double> labels_to_target;   ///< median over seeds
  double score_seconds = 0, select_seconds = 0, train_seconds = 0;  ///< of a round, mean
  std::vector<learning_curve> curves;       ///< one a seed
  std::vector<index_t> class_counts;        ///< picks by class, all seeds together
};

/// Grey images shown as picked, one gallery a strategy.
struct gallery {
  std::string strategy, caption;
  struct image {
    std::vector<std::uint8_t> pixels;  ///< height * width
    std::string caption;
  };
  index_t height = 0, width = 0;
  std::vector<image> images;
};

struct experiment_report {
  std::string title, protocol;
  double target = 0.8;                      ///< accuracy of `labels_to_target`
  std::vector<std::string> class_names;
  std::vector<strategy_summary> strategies;
  std::vector<gallery> galleries;
  std::vector<std::pair<std::string, std::string>> environment;  ///< name, value
};

/// The minified Plotly script: $POOLWISE_PLOTLY, else plotly.min.js in the share/poolwise folder beside the
/// running command or in its build folder. throws io_error that says how to get it.
std::filesystem::path find_plotly();

/// The page as one HTML text: learning curves with 95 % bands over seeds, labels saved against random, class
/// distribution of the picks, the picked images, the table, the environment. Refers to nothing outside itself.
std::string render_html(const experiment_report& report, const std::filesystem::path& plotly_script);

}  // namespace poolwise
