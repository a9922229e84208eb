// What a wrong use is answered with.
#pragma once

#include <string>

namespace reference {

/// The message of the Error that `call` throws; empty if it throws none.
template <class Error, class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

}  // namespace reference
