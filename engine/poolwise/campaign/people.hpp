// What the ledger knows of annotators: their answers, and the items whose label is known.
#pragma once

#include <limits>
#include <map>
#include <string>
#include <vector>

#include "poolwise/annotate/answers.hpp"
#include "poolwise/campaign/settings.hpp"
#include "poolwise/ledger/tables.hpp"

namespace poolwise {

/// Those in the ledger's first `before` events: each `answer`, and each `label` that says who gave it, but for
/// those that were made of answers or by review, and without answers that were withdrawn. In the order of their
/// events.
std::vector<answer> answers_in(const tables& seen, index_t before = std::numeric_limits<index_t>::max());

/// The label of each gold item, the last that was recorded.
std::map<std::string, std::string> gold_in(const tables& seen,
                                           index_t before = std::numeric_limits<index_t>::max());

std::string body_of(const answer& given, const std::string& key);

/// The source of labels that are made of answers.
inline constexpr const char* by_aggregate = "aggregate";

}  // namespace poolwise
