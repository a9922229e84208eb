// All that can be wrong with a ledger. Not part of the public interface.
#pragma once

#include <optional>

#include "poolwise/ledger/detail/ledger_file.hpp"
#include "poolwise/ledger/ledger.hpp"

namespace poolwise {

/// As ledger::verify, within a read.
verification verify_file(ledger_file& file, const std::optional<tree_head>& known);

}  // namespace poolwise
