// What a wrong use is answered with.
#pragma once

#include <gtest/gtest.h>

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

/// Expects that `call` throws Error with `words` in its message.
template <class Error, class Call>
void expect_refused(Call call, const std::string& words) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown; expected: " << words;
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(words), std::string::npos) << e.what();
  }
}

}  // namespace reference
