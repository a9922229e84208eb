// What the server answers, apart from how bytes come and go.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "contents.hpp"
#include "office.hpp"
#include "people.hpp"

namespace poolwise::serve {

struct serve_options {
  std::string folder;
  std::string host = "127.0.0.1";
  int port = 8080;
  std::string behind_proxy;      ///< the origin that browsers see, https://...; empty: there is no proxy
  std::string certificate, key;  ///< PEM files; empty: no TLS
};

struct request {
  std::string method, path, body, host, origin, content_type, cookie, token, address;
  std::map<std::string, std::string> query;
};

struct response {
  int status = 200;
  std::string type = "application/json", body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
};

class api {
 public:
  api(const serve_options& options, office& at, people& who);

  /// Never throws.
  response answer(const request& asked) noexcept;

 private:
  struct caller {
    person who;
    std::string session;
  };
  struct call {
    const request& asked;
    const person& who;
    const std::string& session;
    const nlohmann::json& body;
  };
  using handler = response (api::*)(const call&);
  struct route {
    const char *method, *path;
    unsigned roles;  ///< 0: anybody, without a session
    handler does;
  };
  static const std::vector<route>& routes();

  response dispatch(const request& asked);
  std::optional<response> refuse_stranger(const request& asked) const;
  std::string cookie_name() const;
  std::string session_in(const request& asked) const;
  response with_session(response made, const std::string& session, bool ends) const;

  response get_session(const call& of);
  response post_login(const call& of);
  response post_logout(const call& of);
  response post_password(const call& of);
  response get_campaign(const call& of);
  response post_work(const call& of);
  response post_return(const call& of);
  response post_labels(const call& of);
  response post_flags(const call& of);
  response get_mine(const call& of);
  response get_item(const call& of);
  response get_media(const call& of);
  response get_guess(const call& of);
  response get_proposals(const call& of);
  response post_proposals(const call& of);
  response post_rulings(const call& of);
  response get_conflicts(const call& of);
  response post_conflicts(const call& of);
  response get_guideline(const call& of);
  response post_guideline(const call& of);
  response get_people(const call& of);
  response post_people(const call& of);
  response get_dashboard(const call& of);
  response get_report(const call& of);
  response get_audit(const call& of);
  response get_events(const call& of);

  json ask(office::work what) { return at_.ask(std::move(what)); }
  std::vector<std::string> handed_out();
  json shown(const std::string& item);
  void require_sight(const call& of, const std::string& item);

  serve_options options_;
  office& at_;
  people& people_;
  campaign_settings settings_;
  item_contents contents_;
  rate_limit calls_{200, 60}, logins_{6, 0.1};
  std::mutex report_lock_;
  std::string report_;
  index_t report_of_ = -1;
};

}  // namespace poolwise::serve
