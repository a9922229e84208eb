// What a wrong use is answered with.
#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <string>

namespace reference {

/// What `call` throws, which must be an Error and say it on one line.
template <class Error, class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const Error& thrown) {
    const std::string message = thrown.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  } catch (const std::exception& thrown) {
    ADD_FAILURE() << "another error: " << thrown.what();
    return {};
  }
  ADD_FAILURE() << "no error";
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
