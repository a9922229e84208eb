// How good a campaign's models are, by items that are held out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/campaign/campaign.hpp"
#include "poolwise/metrics/evaluation.hpp"

namespace poolwise {

/// A model on held-out items, after so many labels.
struct holdout_result {
  index_t event = 0;   ///< in the ledger
  index_t round = 0;   ///< handed out so far
  index_t labels = 0;  ///< items that have one
  std::string on;      ///< the held-out set
  share_estimate all;  ///< with Wilson's 95 % interval
  std::map<std::string, share_estimate> slices;
  /// Of the settings' other targets, by measure_target::measure(). Of a cost cut `items` are those that would
  /// leave a share as open, value (1 - value) / standard error^2, and none is `right`.
  std::map<std::string, share_estimate> measures;
  double log_loss = 0, brier = 0, calibration_error = 0;  ///< the last of 15 bins
  std::optional<double>
      temperature;  ///< by which logits are to be divided (fit_temperature), where they were given
  std::vector<window_estimate> windows;  ///< of the items in their order, half a window apart; not recorded
  std::string right;  ///< "1" or "0" for each item, in order, where they are no more than 100,000
};

struct holdout_request {
  part_file outputs;            ///< "logits" or "probs", [held-out items, classes]
  std::filesystem::path items;  ///< CSV or JSONL: a column `label`, and the slices' column if there are slices
  std::string name = {};        ///< of the held-out set; empty: the file's
  index_t window = 0;           ///< items of a rolling window; 0: none
};

/// Measures, and records. Classes are numbered in the order of campaign.toml's labels; where it lists none,
/// labels are the classes' numbers. A target whose label no held-out item has is left out. throws shape_error
/// unless there are as many items as rows, and as many classes as labels; value_error for a label there is not,
/// naming the line.
holdout_result evaluate(campaign& of, const holdout_request& request, std::int64_t now_ms);

/// The last result, of any held-out set.
std::optional<holdout_result> latest_holdout(const tables& seen);

/// All results on the held-out set that was used last, in order: those whose figures can be compared.
std::vector<holdout_result> holdout_results(const tables& seen);

}  // namespace poolwise
