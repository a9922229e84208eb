// Bodies of events as JSON values. Not part of the public interface.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "poolwise/ledger/event.hpp"

namespace poolwise {

/// As `canonical_body`, whose result is the value's dump().
nlohmann::json parsed_body(const new_event& given);

/// The body of a recorded event. throws format_error where it is not what was recorded.
nlohmann::json body_of(const event& recorded);

}  // namespace poolwise
