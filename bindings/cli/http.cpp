#include "http.hpp"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli.hpp"
#include "poolwise/files/shared_file.hpp"

namespace poolwise::cli {
namespace {

/// "http://host:8080" and "/studio".
std::pair<std::string, std::string> parts_of(const std::string& url) {
  const std::size_t scheme = url.starts_with("http://") ? 7 : url.starts_with("https://") ? 8 : 0;
  const std::size_t path = std::min(url.find('/', scheme), url.size());
  if (scheme == 0 || path == scheme || url.find_first_of("@?#\\ \t\r\n") != url.npos)
    throw usage_error("\"" + printable(url) + "\" is no address; write http://HOST:PORT or https://HOST");
  std::string prefix = url.substr(path);
  while (!prefix.empty() && prefix.back() == '/') prefix.pop_back();
  return {url.substr(0, path), prefix};
}

}  // namespace

void check_http_url(const std::string& url) { parts_of(url); }

/// The program at the other end of a pair of sockets.
struct http_host::helper {
  helper(const std::string& host, int seconds) {
    const std::string program = (command_folder() / "poolwise-http").string(), wait = std::to_string(seconds);
    if (::access(program.c_str(), X_OK) != 0)
      throw io_error("campaign: " + printable(program) + " is not there (" + std::strerror(errno) +
                     "); it is built where libcpp-httplib-dev is");
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      throw io_error(std::string("campaign: no pair of sockets: ") + std::strerror(errno));
    process = ::fork();
    if (process == 0) {
      ::dup2(ends[1], STDIN_FILENO);
      ::dup2(ends[1], STDOUT_FILENO);
      ::execl(program.c_str(), program.c_str(), host.c_str(), wait.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    socket = ends[0];
    if (process < 0) {
      ::close(socket);
      throw io_error(std::string("campaign: no process for HTTP: ") + std::strerror(errno));
    }
  }
  ~helper() {
    ::close(socket);
    ::waitpid(process, nullptr, 0);
  }
  helper(const helper&) = delete;
  helper& operator=(const helper&) = delete;

  bool send(const std::string& line) const {
    for (std::size_t sent = 0; sent < line.size();) {
      const ssize_t count = ::send(socket, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
      if (count < 0 && errno != EINTR) return false;
      if (count > 0) sent += std::size_t(count);
    }
    return true;
  }

  bool receive(std::string& line) {
    constexpr std::size_t most = std::size_t(1) << 16;
    line.clear();
    std::string some(most, '\0');
    while (line.empty() || line.back() != '\n') {
      const ssize_t count = ::recv(socket, some.data(), some.size(), 0);
      if (count == 0 || (count < 0 && errno != EINTR)) return false;
      if (count > 0) line.append(some, 0, std::size_t(count));
    }
    return true;
  }

  int socket = -1;
  pid_t process = -1;
};

http_host::http_host(const std::string& url, int seconds) {
  const auto [host, prefix] = parts_of(url);
  prefix_ = prefix;
  helper_ = std::make_unique<helper>(host, seconds);
}

http_host::~http_host() = default;

http_reply http_host::call(const http_request& request) {
  const nlohmann::json asked{{"method", request.method},
                             {"path", prefix_ + request.path},
                             {"authorization", request.authorization},
                             {"body", request.body}};
  std::string line = asked.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (!helper_->send(line) || !helper_->receive(line))
    throw io_error("campaign: poolwise-http ended; look at the address, and call again: nothing is done twice");
  const nlohmann::json reply = nlohmann::json::parse(line);
  return {reply.at("status"), reply.at("body")};
}

}  // namespace poolwise::cli
