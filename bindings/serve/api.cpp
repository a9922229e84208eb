#include "api.hpp"

#include <algorithm>

#include "assets.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "replies.hpp"

namespace poolwise::serve {
namespace {

constexpr const char* page_policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' "
    "blob:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
constexpr const char* data_policy = "default-src 'none'; frame-ancestors 'none'; sandbox";

std::optional<response> static_file(const std::string& path) {
  constexpr std::tuple<const char*, const char*, const char*> files[] = {
      {"/", "index.html", "text/html; charset=utf-8"},
      {"/page.css", "page.css", "text/css; charset=utf-8"},
      {"/page.js", "page.js", "text/javascript; charset=utf-8"},
      {"/api/openapi.json", "openapi.json", "application/json"}};
  for (const auto& [at, name, type] : files)
    if (path == at) return response{.type = type, .body = std::string(asset(name))};
  return std::nullopt;
}

/// The part of a Host header before the port.
bool is_this_machine(std::string host) {
  const std::size_t port = host.rfind(':');
  if (port != host.npos && host.find(']', port) == host.npos) host.resize(port);
  return host == "localhost" || host == "127.0.0.1" || host == "[::1]";
}

response refusal_of(std::exception_ptr problem) {
  try {
    std::rethrow_exception(std::move(problem));
  } catch (const refused& one) {
    return error_reply(one.status, one.what());
  } catch (const usage_error& one) {
    return error_reply(404, one.what());
  } catch (const conflict_error& one) {
    return error_reply(409, one.what());
  } catch (const value_error& one) {
    return error_reply(422, one.what());
  } catch (const io_error& one) {
    return error_reply(503, one.what());
  } catch (const std::exception& one) {
    return error_reply(500, one.what());
  }
}

}  // namespace

api::api(const serve_options& options, office& at, people& who)
    : options_(options),
      at_(at),
      people_(who),
      settings_(campaign::open(options.folder, access::read).settings()),
      contents_(options.folder, settings_) {}

/// Every route there is, and who may use it. What is not here is not there.
const std::vector<api::route>& api::routes() {
  constexpr unsigned work = annotator | reviewer | manager, look = reviewer | manager | auditor;
  static const std::vector<route> all = {{"GET", "/api/session", 0, &api::get_session},
                                         {"POST", "/api/login", 0, &api::post_login},
                                         {"POST", "/api/logout", everything, &api::post_logout},
                                         {"POST", "/api/password", everything, &api::post_password},
                                         {"GET", "/api/campaign", everything, &api::get_campaign},
                                         {"GET", "/api/guideline", everything, &api::get_guideline},
                                         {"POST", "/api/guideline", manager, &api::post_guideline},
                                         {"POST", "/api/work", work, &api::post_work},
                                         {"POST", "/api/return", work, &api::post_return},
                                         {"POST", "/api/labels", work, &api::post_labels},
                                         {"POST", "/api/flags", work, &api::post_flags},
                                         {"GET", "/api/mine", work, &api::get_mine},
                                         {"GET", "/api/guess", work, &api::get_guess},
                                         {"GET", "/api/item", everything, &api::get_item},
                                         {"GET", "/media", everything, &api::get_media},
                                         {"GET", "/api/proposals", look, &api::get_proposals},
                                         {"POST", "/api/proposals", work, &api::post_proposals},
                                         {"POST", "/api/rulings", reviewer | manager, &api::post_rulings},
                                         {"GET", "/api/conflicts", look, &api::get_conflicts},
                                         {"POST", "/api/conflicts", reviewer | manager, &api::post_conflicts},
                                         {"GET", "/api/dashboard", look, &api::get_dashboard},
                                         {"GET", "/api/report", look, &api::get_report},
                                         {"GET", "/api/people", manager | auditor, &api::get_people},
                                         {"POST", "/api/people", manager, &api::post_people},
                                         {"GET", "/api/audit", manager | auditor, &api::get_audit},
                                         {"GET", "/api/events", manager | auditor, &api::get_events}};
  return all;
}

std::string api::cookie_name() const {
  return options_.behind_proxy.empty() && options_.certificate.empty() ? "poolwise" : "__Host-poolwise";
}

std::string api::session_in(const request& asked) const {
  const std::string name = cookie_name() + "=";
  std::size_t at = 0;
  while (at < asked.cookie.size()) {
    const std::size_t end = std::min(asked.cookie.find(';', at), asked.cookie.size());
    while (at < end && asked.cookie[at] == ' ') ++at;
    if (asked.cookie.compare(at, name.size(), name) == 0 && at + name.size() <= end)
      return asked.cookie.substr(at + name.size(), end - at - name.size());
    at = end + 1;
  }
  return {};
}

response api::with_session(response made, const std::string& session, bool ends) const {
  const bool secure = cookie_name() != "poolwise";
  made.headers.emplace_back("Set-Cookie", cookie_name() + "=" + session +
                                              "; Path=/; HttpOnly; SameSite=Strict" +
                                              (secure ? "; Secure" : "") + (ends ? "; Max-Age=0" : ""));
  return made;
}

/// Another site's page cannot speak for a browser: names that lead here by a trick, and forms, are refused.
std::optional<response> api::refuse_stranger(const request& asked) const {
  const bool local = options_.behind_proxy.empty() && options_.certificate.empty();
  if (local && !is_this_machine(asked.host))
    return error_reply(403, "this server is for this machine alone; open it as http://127.0.0.1");
  if (asked.method == "GET" || asked.method == "HEAD") return std::nullopt;
  if (asked.content_type.rfind("application/json", 0) != 0) return error_reply(415, "send application/json");
  const std::string own = !options_.behind_proxy.empty() ? options_.behind_proxy
                          : local                        ? "http://" + asked.host
                                                         : "https://" + asked.host;
  if (!asked.origin.empty() && asked.origin != own)
    return error_reply(403, "another site's page may not do this");
  return std::nullopt;
}

response api::dispatch(const request& asked) {
  if (auto stranger = refuse_stranger(asked)) return *stranger;
  const std::string method = asked.method == "HEAD" ? "GET" : asked.method;
  if (method == "GET")
    if (auto file = static_file(asked.path)) return *file;
  const auto& all = routes();
  const auto same_path = [&](const route& one) { return asked.path == one.path; };
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const route& one) { return same_path(one) && method == one.method; });
  if (found == all.end()) {
    const auto other = std::find_if(all.begin(), all.end(), same_path);
    if (other == all.end()) return error_reply(404, "there is no such page; see /api/openapi.json");
    response no = error_reply(405, std::string("this takes ") + other->method);
    no.headers.emplace_back("Allow", other->method);
    return no;
  }
  const std::string session = session_in(asked);
  const std::optional<person> who = people_.whose(session, machine_now_ms());
  if (found->roles != 0) {
    if (!who) return error_reply(401, "log in first");
    if (!calls_.allows(who->name)) return error_reply(429, "too many calls; wait a second");
    if ((found->roles & who->is) == 0)
      return error_reply(403, "as " + role_text(who->is) + " you may not do this");
    if (method == "POST" && asked.token != people_.token_of(session))
      return error_reply(403, "the page is out of date; load it again");
  }
  json body = json::object();
  if (method == "POST") {
    body = json::parse(asked.body, nullptr, /*allow_exceptions=*/false);
    if (!body.is_object()) return error_reply(400, "the body is no JSON object");
  }
  const person nobody{};
  return (this->*found->does)({asked, who ? *who : nobody, session, body});
}

response api::answer(const request& asked) noexcept {
  response made;
  try {
    made = dispatch(asked);
  } catch (...) {
    made = refusal_of(std::current_exception());
  }
  const auto has = [&](const char* name) {
    return std::any_of(made.headers.begin(), made.headers.end(),
                       [&](const auto& one) { return one.first == name; });
  };
  const bool is_page = made.type.rfind("text/html", 0) == 0 || made.type.rfind("text/css", 0) == 0 ||
                       made.type.rfind("text/javascript", 0) == 0;
  if (!has("Content-Security-Policy"))
    made.headers.emplace_back("Content-Security-Policy", is_page ? page_policy : data_policy);
  if (!has("Cache-Control")) made.headers.emplace_back("Cache-Control", is_page ? "no-cache" : "no-store");
  for (const auto& [name, value] : {std::pair{"X-Content-Type-Options", "nosniff"},
                                    {"Referrer-Policy", "no-referrer"},
                                    {"Cross-Origin-Opener-Policy", "same-origin"},
                                    {"Cross-Origin-Resource-Policy", "same-origin"},
                                    {"Permissions-Policy", "camera=(), microphone=(), geolocation=()"}})
    made.headers.emplace_back(name, value);
  if (cookie_name() != "poolwise") made.headers.emplace_back("Strict-Transport-Security", "max-age=31536000");
  return made;
}

}  // namespace poolwise::serve
