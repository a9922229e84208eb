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
  double minus_baseline = 0, p = 1;        ///< paired difference of AUBC to the baseline
  std::optional<double> labels_to_target;  ///< median over seeds; none: not within the budget
  double score_seconds = 0, select_seconds = 0, train_seconds = 0;  ///< of a round, mean
  std::vector<learning_curve> curves;                               ///< one a seed, all at the same labels
  std::vector<index_t> class_counts;  ///< picks by class, all seeds together; may be empty
};

/// Grey images shown as picked, one gallery a strategy.
struct gallery {
  std::string strategy, caption;
  struct image {
    std::vector<std::uint8_t> pixels;  ///< height * width
    std::string caption;               ///< a line break in it is kept
  };
  index_t height = 0, width = 0;
  std::vector<image> images;
};

/// A table of texts, the first column naming its rows.
struct report_table {
  std::string heading, caption;
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;  ///< each as wide as the header
};

struct experiment_report {
  std::string title, protocol;
  double target = 0.8;  ///< accuracy of `labels_to_target`
  std::vector<std::string> class_names;
  std::vector<strategy_summary> strategies;
  std::string baseline = "random";  ///< the strategy that the others are compared with; it may be missing
  std::vector<report_table> tables;
  std::vector<gallery> galleries;
  std::vector<std::pair<std::string, std::string>> environment;  ///< name, value
};

/// The minified Plotly script: $POOLWISE_PLOTLY, else share/poolwise/plotly.min.js beside `folder` or in it.
/// throws io_error that says how to get it.
std::filesystem::path find_plotly(const std::filesystem::path& folder);

/// The same for the folder of the running command.
std::filesystem::path find_plotly();

/// The page as one HTML text: the table, learning curves with 95 % bands over seeds, labels saved against
/// the baseline, class distribution of the picks, other tables, the picked images, the environment. A part
/// without data is left out. Refers to nothing outside itself; with #figure after its address it shows the
/// learning curves alone, 900 x 520. throws shape_error (sizes that do not fit each other, seeds at different
/// labels), io_error and format_error (the script cannot be read, or cannot stand inside a page).
std::string render_html(const experiment_report& report, const std::filesystem::path& plotly_script);

}  // namespace poolwise
