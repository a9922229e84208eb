// The values that a campaign's page shows, gathered from its ledger.
#pragma once

#include "poolwise/campaign/campaign.hpp"
#include "poolwise/report/campaign_report.hpp"

namespace poolwise {

/// All that the ledger and the pool's files say. Parts whose files are gone or changed are left out. The map is
/// of at most 2,000 rows of the pool and as many picks: it reads their embeddings, and fits two principal
/// components to them.
campaign_report report_of(campaign& of);

}  // namespace poolwise
