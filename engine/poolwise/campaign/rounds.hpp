// The rounds of a campaign: which items are handed out next, and the same again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/campaign/campaign.hpp"
#include "poolwise/query/select.hpp"

namespace poolwise {

struct round_request {
  std::vector<part_file> model = {};  ///< what the model says of the newest pool; parts as of opened_parts
  std::string reference = {};         ///< of the model, as text
  std::string hypothesis = {};        ///< empty: that of campaign.toml
  std::string strategy = {};          ///< instead of that of campaign.toml: the first round has no model yet
  std::optional<index_t> batch = {};  ///< instead of that of campaign.toml
  query_run how = {};                 ///< ceiling, checkpoint, progress
};

/// A batch: the picks of the strategy, best first, and then those that were drawn at random.
struct handed_out {
  batch_record round;
  std::vector<picked_item> items;
};

/// What the next round would be. Nothing is recorded.
///
/// Of the batch a share `audit` is drawn first, uniformly from all rows that are left and without a look at the
/// model: each has the probability audit picks / rows left, which is recorded. The strategy picks the rest from
/// what then is left, with all that was ever picked as labelled rows. Floors and quotas of slices are the
/// strategy's, less what was drawn; a share `priority` of the batch is a floor for the slices that missed their
/// targets when last evaluated, by their gaps times their priorities.
///
/// throws budget_error   nothing is left of the budget, of the time or of the pool
///        usage_error    no pool; a strategy that needs what is not given
///        as opened_parts, prepare and run do.
handed_out next_round(campaign& of, const where& on, const round_request& request, std::int64_t now_ms);

/// The same, recorded, and written to FOLDER/rounds/NNNN/batch.csv. Where another process has handed out items
/// meanwhile, the batch is made again. throws conflict_error where that has happened five times.
handed_out hand_out(campaign& of, const where& on, const round_request& request, std::int64_t now_ms);

/// The batch of round `number` as the ledger has it. throws usage_error where there is no such round.
handed_out recorded_round(const campaign& of, index_t number);

/// What a batch says of each item: item,round,rank,row,arm,slice,cost,seconds,score,reason. With columns of the
/// pool's file of items one would join by `item`.
std::string batch_csv(const handed_out& batch);
std::filesystem::path batch_file(const std::filesystem::path& folder, index_t round);

/// Makes round `number` again from the files and the ledger as it was then. Picks, scores and costs must be
/// those recorded; `difference` says the first that is not, and is empty where all are. throws value_error
/// where a file is not what it was, naming it.
struct replayed {
  handed_out recorded, again;
  std::string difference;
};
replayed replay(campaign& of, const where& on, index_t number);

}  // namespace poolwise
