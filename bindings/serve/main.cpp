// poolwise-serve '{"folder": ...}': what `poolwise serve` starts, with its options as one JSON object.
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "http.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/output.hpp"

namespace poolwise::serve {
namespace {

/// A line of standard input; what is typed is not shown.
std::string read_password() {
  termios before{};
  const bool terminal = ::tcgetattr(STDIN_FILENO, &before) == 0;
  if (terminal) {
    std::fputs("password: ", stderr);
    termios quiet = before;
    quiet.c_lflag &= ~tcflag_t(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  }
  std::string line;
  std::getline(std::cin, line);
  if (terminal) {
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    std::fputs("\n", stderr);
  }
  return line;
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

void require_safe(const serve_options& options, const people& who, bool regulated) {
  const bool tls = !options.certificate.empty(), proxy = !options.behind_proxy.empty();
  if (tls != !options.key.empty())
    throw usage_error("serve: a certificate goes with its key (--certificate, --key)");
  if (proxy && options.behind_proxy.rfind("https://", 0) != 0)
    throw usage_error(
        "serve: --behind-proxy takes the address that browsers see, such as https://label.example.org");
  if (!is_loopback(options.host) && !tls && !proxy)
    throw usage_error(
        "serve: " + printable(options.host) +
        " can be reached from elsewhere, and passwords would go in the clear; give --certificate and "
        "--key, or say which address a proxy with TLS has (--behind-proxy https://...)");
  if ((tls || proxy || !is_loopback(options.host) || regulated) && !who.has_manager())
    throw usage_error(std::string("serve: ") +
                      (regulated ? "a regulated campaign" : "a server that others can reach") +
                      " needs people with passwords; make the first one: poolwise serve " +
                      printable(options.folder) + " --person NAME --role manager");
}

void add_person(const serve_options& options, people& who, const json& asked) {
  const std::string name = asked.at("person"), role = asked.value("role", "");
  who.set(name, role.empty() ? std::nullopt : std::optional<unsigned>(role_in(role)),
          asked.value("off", false) ? std::optional(true) : std::optional(false), read_password());
  campaign of = campaign::open(options.folder);
  json event{{"name", name}, {"by", "the command"}, {"password", true}};
  if (!role.empty()) event["role"] = role;
  of.record(
      machine_now_ms(),
      [&](const tables&) {
        return std::vector<new_event>{{"person", event.dump()}};
      },
      backward_clock::keep_last);
}

int run(const json& asked) {
  ::umask(077);
  serve_options options;
  options.folder = asked.at("folder");
  options.host = asked.value("host", options.host);
  options.port = asked.value("port", options.port);
  options.behind_proxy = asked.value("behind_proxy", "");
  while (!options.behind_proxy.empty() && options.behind_proxy.back() == '/') options.behind_proxy.pop_back();
  options.certificate = asked.value("certificate", "");
  options.key = asked.value("key", "");
  campaign of = campaign::open(options.folder);
  people who(options.folder);
  if (asked.contains("person")) {
    add_person(options, who, asked);
    return 0;
  }
  require_safe(options, who, of.settings().labelling.regulated);
  office at(std::move(of));
  api answers(options, at, who);
  listen(options, answers, [&](int port) {
    const std::string scheme = options.certificate.empty() ? "http://" : "https://";
    const std::string host =
        options.host.find(':') == options.host.npos ? options.host : "[" + options.host + "]";
    std::printf("serving %s at %s\n", options.folder.c_str(),
                options.behind_proxy.empty()
                    ? (scheme + host + ":" + std::to_string(port) + "/").c_str()
                    : (options.behind_proxy + " (port " + std::to_string(port) + ")").c_str());
    if (who.open())
      std::puts("everybody on this machine may do everything; --person makes people with passwords");
    std::fflush(stdout);
  });
  return 0;
}

}  // namespace
}  // namespace poolwise::serve

int main(int argc, char** argv) {
  using namespace poolwise;
  try {
    if (argc != 2) throw usage_error("serve: this is started by `poolwise serve`");
    return serve::run(nlohmann::json::parse(argv[1]));
  } catch (const usage_error& problem) {
    std::fprintf(stderr, "poolwise: %s\n", problem.what());
    return 2;
  } catch (const conflict_error& problem) {
    std::fprintf(stderr, "poolwise: %s\n", problem.what());
    return 5;
  } catch (const io_error& problem) {
    std::fprintf(stderr, "poolwise: %s\n", problem.what());
    return 1;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "poolwise: %s\n", problem.what());
    return 6;
  }
}
