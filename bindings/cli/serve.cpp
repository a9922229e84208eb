// poolwise serve: the page on which people label, by a program of its own, whose libraries would load with
// every other command.
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/files/shared_file.hpp"

namespace poolwise::cli {
namespace {

struct serve_options {
  std::string folder, listen = "127.0.0.1", behind_proxy, certificate, key, person, role;
  int port = 8080;
  bool off = false;
};

void run_serve(const serve_options& options) {
  nlohmann::json asked{{"folder", options.folder}, {"host", options.listen}, {"port", options.port}};
  for (const auto& [name, value] : {std::pair{"behind_proxy", &options.behind_proxy},
                                    {"certificate", &options.certificate},
                                    {"key", &options.key},
                                    {"person", &options.person},
                                    {"role", &options.role}})
    if (!value->empty()) asked[name] = *value;
  if (options.off) asked["off"] = true;
  if (options.person.empty() && (options.off || !options.role.empty()))
    throw usage_error("serve: --role and --off are of a --person; say of whom");
  const std::string program = (command_folder() / "poolwise-serve").string(), text = asked.dump();
  ::execl(program.c_str(), program.c_str(), text.c_str(), nullptr);
  throw usage_error("serve: " + printable(program) + " cannot be started (" + std::strerror(errno) +
                    "); it is built where libcpp-httplib-dev and libsodium-dev are");
}

}  // namespace

void add_serve(CLI::App& app) {
  auto options = std::make_shared<serve_options>();
  CLI::App* command =
      app.add_subcommand("serve", "Serve the page on which people label, review and look at a campaign");
  command->add_option("DIR", options->folder, "The campaign's folder")->required()->type_name("FOLDER");
  command
      ->add_option("--listen", options->listen, "Address to listen at; others than this machine's ask for TLS")
      ->type_name("HOST")
      ->capture_default_str();
  add_number(*command, "--port", options->port, 0, 65535, "Port to listen at; 0: any (default: 8080)");
  command->add_option("--certificate", options->certificate, "For TLS: the certificate chain")
      ->type_name("FILE.pem");
  command->add_option("--key", options->key, "and its key")->type_name("FILE.pem");
  command
      ->add_option("--behind-proxy", options->behind_proxy,
                   "A proxy with TLS stands before it: the address that browsers see")
      ->type_name("https://HOST");
  command
      ->add_option("--person", options->person,
                   "Make a person, or change one, and end: the password is read from standard input")
      ->type_name("NAME");
  command->add_option("--role", options->role, "What they may do")
      ->check(CLI::IsMember({"annotator", "reviewer", "manager", "auditor"}))
      ->type_name("annotator|reviewer|manager|auditor");
  command->add_flag("--off", options->off, "They may no longer come in");
  command->footer(
      "Without a person everybody on this machine may do everything, under any name.\n"
      "Example:\n"
      "  poolwise serve boots                                           # http://127.0.0.1:8080\n"
      "  poolwise serve boots --person rita --role manager\n"
      "  poolwise serve boots --behind-proxy https://label.example.org");
  command->callback([options] { run_serve(*options); });
}

}  // namespace poolwise::cli
