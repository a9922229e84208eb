// Bytes on their way between browsers and the api.
#pragma once

#include "api.hpp"

namespace poolwise::serve {

/// Listens until a signal ends the process. `ready` hears the port. throws io_error where it cannot listen;
/// usage_error for a certificate or a key that cannot be read.
void listen(const serve_options& options, api& answers, const std::function<void(int port)>& ready);

}  // namespace poolwise::serve
