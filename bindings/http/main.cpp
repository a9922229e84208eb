// poolwise-http URL SECONDS: speaks HTTP to one host for the command that started it. Requests come in as lines
// of JSON, {"method", "path", "authorization", "body"}, and replies go out so, {"status", "body"}; status 0 is
// none. The key comes by a line, because others may read the arguments of a program.
#include <httplib.h>

#include <charconv>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

namespace {

using json = nlohmann::json;

std::string why(httplib::Error problem) {
  switch (problem) {
    case httplib::Error::Connection:
      return "nobody listens there";
    case httplib::Error::ConnectionTimeout:
      return "it cannot be reached in time";
    case httplib::Error::Read:
      return "its answer broke off, or took too long";
    case httplib::Error::Write:
      return "it broke off while it was asked";
    case httplib::Error::SSLServerVerification:
    case httplib::Error::SSLConnection:
    case httplib::Error::SSLLoadingCerts:
      return "its certificate is not trusted, or it speaks no TLS";
    default:
      return "the connection failed: " + httplib::to_string(problem);
  }
}

json reply_to(httplib::Client& host, const json& asked) {
  httplib::Headers headers{{"Accept", "application/json"}};
  if (const std::string key = asked.at("authorization"); !key.empty()) headers.emplace("Authorization", key);
  const std::string path = asked.at("path"), body = asked.at("body");
  const httplib::Result result = asked.at("method") == "GET"
                                     ? host.Get(path, headers)
                                     : host.Post(path, headers, body, "application/json");
  if (!result) return {{"status", 0}, {"body", why(result.error())}};
  return {{"status", result->status}, {"body", result->body}};
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int usage = 2, connect_seconds = 10;
  if (argc != 3) return usage;
  const std::string seconds = argv[2];
  int wait = 0;
  std::from_chars(seconds.data(), seconds.data() + seconds.size(), wait);
  httplib::Client host(argv[1]);
  if (!host.is_valid() || wait < 1) return usage;
  host.set_connection_timeout(std::min(wait, connect_seconds), 0);
  host.set_read_timeout(wait, 0);
  host.set_write_timeout(wait, 0);
  host.set_keep_alive(true);
  host.set_follow_location(false);
  host.set_tcp_nodelay(true);
  for (std::string line; std::getline(std::cin, line);) {
    const json asked = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!asked.is_object()) return usage;
    std::cout << reply_to(host, asked).dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
  }
}
