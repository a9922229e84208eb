// Where a campaign is going: when it is to stop, and what its targets will still take.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/campaign/campaign.hpp"
#include "poolwise/campaign/effort.hpp"
#include "poolwise/campaign/holdout.hpp"
#include "poolwise/metrics/forecast.hpp"
#include "poolwise/metrics/saving.hpp"
#include "poolwise/metrics/stopping.hpp"

namespace poolwise {

/// What the stopping rules look at: a round for each of these results.
std::vector<stop_round> stopping_history(const tables& seen, const campaign_settings& settings);
stop_settings stopping_settings(const campaign_settings& settings, const ledger_counts& counts);

/// A verdict as one JSON object: rule, holds, known, sentence, figures by name, and its parts alike.
std::string to_json(const stop_verdict& verdict);

/// What the settings' rule says now.
stop_verdict judge(const tables& seen, const campaign_settings& settings);
/// The same of a campaign; recorded where `record` is set.
stop_verdict judge(campaign& of, bool record, std::int64_t now_ms);

/// A target, and what it will take.
struct target_outlook {
  std::string name;  ///< "accuracy", "accuracy of night", or measure_target::measure()
  double at_least = 0;
  std::optional<share_estimate> now = {};
  std::optional<labels_forecast> labels = {};  ///< none: too few results to fit a curve to
  effort_forecast effort = {};                 ///< from now on
  bool met() const { return now && now->value && *now->value >= at_least; }
};

/// What the audit arm shows of the strategy: how many labels random picks need for one error of the model that
/// the strategy finds. Of rounds whose picks are all labelled, by the classes that the model held most likely
/// then.
saving saving_so_far(const tables& seen, const campaign_settings& settings);

/// "Random picks need 1.8 times as many labels for as many errors (1.2 to 2.9)", or why nothing can be said.
std::string saving_text(const saving& found);

struct outlook {
  index_t labels = 0;  ///< items labelled so far
  std::vector<target_outlook> targets;
  std::optional<curve_fit> curve;  ///< of the accuracy on all held-out items
  std::string missing;             ///< why there is no curve, as a sentence
  std::string falls;  ///< that the curve falls beyond noise, as a sentence; forecasts are then unsafe
  /// What each result would have been forecast to be by the results before it.
  struct past_forecast {
    index_t round = 0, labels = 0;
    forecast_value said;
    double came = 0;
  };
  std::vector<past_forecast> past;
  std::optional<forecast_error> error;  ///< of those
};

/// Fits learning curves to the results, and says what is still needed. O(results) fits of some 20 ms, of the
/// last 20 results at most.
outlook look_ahead(const tables& seen, const campaign_settings& settings);

}  // namespace poolwise
