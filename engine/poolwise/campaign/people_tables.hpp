// What the log says of annotators, as tables to read.
#pragma once

#include <vector>

#include "poolwise/campaign/crowd.hpp"
#include "poolwise/report/report.hpp"

namespace poolwise {

/// Annotators: answers, accuracy, gold, speed, cost, drift. Confusions: how often each calls each class each
/// label, those that happen in a hundredth of cases. Agreement, where items have several answers.
std::vector<report_table> tables_of(const people_record& people, const campaign_settings& settings);

}  // namespace poolwise
