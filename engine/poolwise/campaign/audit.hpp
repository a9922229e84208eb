// What the items that were drawn at random say: of the model, of drift, and of what the strategy picks.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "poolwise/campaign/campaign.hpp"
#include "poolwise/metrics/drift.hpp"
#include "poolwise/metrics/unbiased.hpp"
#include "poolwise/report/campaign_report.hpp"

namespace poolwise {

/// The random picks of a round, and the accuracy of the model that was asked then on all that was left of the
/// pool. Their labels came after that model, so that it was not fitted to them.
struct model_audit {
  index_t round = 0, model = 0;
  index_t available = 0, draws = 0, labelled = 0;
  std::optional<pool_estimate> accuracy;  ///< LURE, from the probabilities that were recorded
  std::optional<pool_estimate> assisted;  ///< AIPW: the model's mean confidence, corrected by the picks
  std::string missing;                    ///< why there is no estimate, as a sentence
};

/// Of the round, by the classes that were recorded for its picks. Nothing is claimed before all its random
/// picks are labelled.
model_audit audit_model(const tables& seen, const campaign_settings& settings, const round_entry& round);
/// Of all rounds.
std::vector<model_audit> audit_models(const tables& seen, const campaign_settings& settings);
/// The newest round with an estimate: of the last 3, and of no more than 10,000 picks, so that it is quick.
std::optional<model_audit> latest_model_audit(const tables& seen, const campaign_settings& settings);

/// The random picks of a round against those of the rounds before: both are uniform draws of what was left.
struct round_drift {
  index_t round = 0, draws = 0, before = 0;
  drift_report report;               ///< slices, types, labels, and features where the pool has embeddings
  std::optional<drift_line> scores;  ///< the model's confidence; it moves with the model, and raises no alarm
  std::string missing;               ///< why nothing was tested
  std::string remark;                ///< why the features were left out
};

/// For each round but the first. The chance of an alarm in any of them is at most `alpha` where nothing drifts:
/// by Holm within a round, and by the number of rounds that were tested. A strategy that takes a large share of
/// a group changes what is left for later draws; that is found, too. Rows of features are those of the newest
/// pool, and of the rounds before the newest 1,000 picks are looked at. throws as campaign::items.
std::vector<round_drift> drift_by_round(campaign& of, const tables& seen, double alpha = 0.05);

/// How pool, picks and labels divide: by slice and by type against the pool (audit_composition), and by label,
/// where `labelled_p` is of the labels of the strategy's picks against those drawn at random.
std::vector<report_distribution> distributions_of(campaign& of, const tables& seen);

}  // namespace poolwise
