// What a campaign makes of its annotators' answers: who is right how often, labels, and whom to ask next.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/annotate/inference.hpp"
#include "poolwise/annotate/quality.hpp"
#include "poolwise/annotate/routing.hpp"
#include "poolwise/campaign/campaign.hpp"
#include "poolwise/campaign/people.hpp"
#include "poolwise/metrics/agreement.hpp"

namespace poolwise {

enum class aggregation { dawid_skene, one_coin, majority };

std::string_view to_text(aggregation how);
/// throws usage_error naming the nearest.
aggregation parse_aggregation(const std::string& text);

/// The answers in a ledger's first events, and what they say together. Gold items count as known; of annotators
/// that campaign.toml names, what it expects of them counts beside their answers.
struct crowd {
  std::vector<answer> answers;
  answer_columns columns;
  std::vector<std::int32_t> known;  ///< [items] the gold's class, or -1
  inference found;
};
/// throws usage_error where there is no answer.
crowd crowd_of(const tables& seen, const campaign_settings& settings, aggregation how,
               index_t before = std::numeric_limits<index_t>::max());

struct annotator_record {
  annotator who;
  index_t answers = 0, doubtful = 0;  ///< doubtful: too fast to have looked, or no label of the campaign
  inference::rate accuracy;
  index_t gold = 0, gold_right = 0;
  std::optional<speed> took;
  std::int64_t cost = 0;
  std::optional<skill_drift> drift;
};
struct people_record {
  crowd of;
  std::vector<annotator_record> annotators;                       ///< in the order in which they first answered
  std::optional<agreement_estimate> percent, fleiss, alpha, ac1;  ///< none: no item has two answers
};
people_record people_of(const tables& seen, const campaign_settings& settings);

struct aggregate_request {
  aggregation how = aggregation::dawid_skene;
  double sure = 0.8;      ///< a class less probable makes no label
  bool overrule = false;  ///< it takes the place of another source's label
};
struct aggregated {
  index_t number = 0;                        ///< of the `aggregate` event
  index_t added = 0, changed = 0, same = 0;  ///< labels
  index_t unsure = 0;                        ///< items that need more answers
  index_t kept = 0;                          ///< items that have another label from elsewhere
};
/// Records a label of each item whose class is sure, with its probability, the method and the events of the
/// answers behind it. Its cost and time are those of these answers, less what earlier versions counted. What is
/// recorded of an item and still holds is not recorded again.
aggregated aggregate(campaign& of, const aggregate_request& request, std::int64_t now_ms);

/// Makes aggregate `number` again out of the events before it. Returns the items whose label or probability is
/// another; none: it is the same. throws usage_error where there is no such aggregate.
std::vector<std::string> replay_aggregate(const campaign& of, index_t number);

/// An answer to ask for.
struct routed {
  std::string item, annotator, reason;
  std::int64_t price = 0;
  double information = 0;
};
/// For the items that were handed out and are neither gold nor ruled out, as `route`. throws usage_error where
/// campaign.toml names no annotators.
std::vector<routed> route_items(const tables& seen, const campaign_settings& settings,
                                const routing_options& options);
/// item,annotator,price,information,reason
std::string routed_csv(const std::vector<routed>& all);

}  // namespace poolwise
