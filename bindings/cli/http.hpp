// HTTP by the program beside this one.
#pragma once

#include <memory>
#include <string>

#include "poolwise/campaign/label_studio.hpp"

namespace poolwise::cli {

/// Whether "http://host:8080/studio" or its like; without a user or a query. throws usage_error.
void check_http_url(const std::string& url);

/// Asks one host, over a connection that is kept. Replies that do not come within `seconds` are none.
class http_host {
 public:
  /// throws as check_http_url; io_error where the program that asks is not there.
  http_host(const std::string& url, int seconds);
  ~http_host();
  http_host(const http_host&) = delete;
  http_host& operator=(const http_host&) = delete;

  http_reply call(const http_request& request);

 private:
  struct helper;
  std::unique_ptr<helper> helper_;
  std::string prefix_;
};

}  // namespace poolwise::cli
