// poolwise campaign push, pull: a round into Label Studio, and what people said there back.
#include <chrono>
#include <cstdlib>
#include <thread>

#include "campaign.hpp"
#include "http.hpp"
#include "poolwise/campaign/label_studio.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/files/read_file.hpp"

namespace poolwise::cli {
namespace {

struct studio_options : campaign_options {
  std::string url, key_file;
  index_t project = 0;
  int timeout = 120, tries = 30;
};

struct push_options : studio_options {
  index_t round = 0;
  push_request request;
};

struct pull_options : studio_options {
  pull_request request;
  int every = 0;
};

std::string key_of(const studio_options& options) {
  constexpr const char* variable = "LABEL_STUDIO_API_KEY";
  std::string key;
  if (!options.key_file.empty())
    key = as_input([&] { return read_file("campaign", options.key_file); });
  else if (const char* given = std::getenv(variable))
    key = given;
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!key.empty() && is_space(key.back())) key.pop_back();
  for (const char c : key)
    if (c <= ' ' || c > '~') throw usage_error("the key is more than one word; the file must hold it alone");
  if (key.empty())
    throw usage_error(std::string("Label Studio asks for a key: put it into a file (--key-file), or into ") +
                      variable);
  return key;
}

label_studio_server server_of(const studio_options& options, http_host& host) {
  const auto pause = [](int tries) {
    constexpr int first_ms = 50, most_ms = 5000;
    std::this_thread::sleep_for(
        std::chrono::milliseconds(std::min(most_ms, first_ms << std::min(tries - 1, 10))));
  };
  return {.call = [&host](const http_request& request) { return host.call(request); },
          .pause = pause,
          .key = key_of(options),
          .name = options.url,
          .tries = options.tries};
}

void add_studio(CLI::App& verb, studio_options& options) {
  verb.add_option("--label-studio", options.url, "Its address")
      ->required()
      ->check(read_by(check_http_url))
      ->type_name("URL");
  verb.add_option("--key-file", options.key_file,
                  "A file with an access token of Label Studio (default: LABEL_STUDIO_API_KEY)")
      ->type_name("FILE");
  add_number(verb, "--project", options.project, index_t{1}, std::numeric_limits<index_t>::max(),
             "Its number (default: the campaign's own)");
  add_number(verb, "--timeout", options.timeout, 1, 3600, "Seconds to wait for an answer (default: 120)");
  add_number(verb, "--tries", options.tries, 1, 1000,
             "How often to ask a server that does not answer, with pauses of up to 5 s (default: 30)");
  add_time(verb, options);
}

void run_push(const push_options& options) {
  campaign of = options.open();
  const index_t latest = of.log().read([](const tables& seen) {
    const auto rounds = seen.rounds();
    return rounds.empty() ? index_t(0) : rounds.back().round;
  });
  if (latest == 0)
    throw usage_error("campaign: there is no round yet; hand one out with `poolwise campaign query`");
  const handed_out batch = recorded_round(of, options.round > 0 ? options.round : latest);
  http_host host(options.url, options.timeout);
  const label_studio_server server = server_of(options, host);
  push_request request = options.request;
  request.project = options.project;
  const pushed result = push_round(of, batch, server, request, options.now_ms());
  for (const std::string& remark : result.remarks) say("warning: " + remark);
  if (options.common.json)
    return print_json("campaign.push", {{"round", batch.round.round},
                                        {"project", result.project},
                                        {"made", result.made},
                                        {"tasks", result.tasks},
                                        {"sent", result.sent},
                                        {"remarks", result.remarks}});
  write_text("-", "round " + std::to_string(batch.round.round) + " is in project " +
                      std::to_string(result.project) + ": " + std::to_string(result.tasks) + " tasks, " +
                      std::to_string(result.sent) + " of them sent now\n");
}

void print_pulled(const pull_options& options, const pulled& result) {
  const recorded_annotations& recorded = result.recorded;
  if (!recorded.refused.empty())
    say("warning: " + std::to_string(recorded.refused.size()) + " answers are refused; task " +
        std::to_string(recorded.refused[0].line) + ": " + recorded.refused[0].why);
  if (!recorded.disputed.empty())
    say("warning: the answers to " + std::to_string(recorded.disputed.size()) +
        " items differ, none of them ahead, such as " + printable(recorded.disputed[0], 80));
  if (options.common.json)
    return print_json("campaign.pull", {{"project", result.project},
                                        {"tasks", result.tasks},
                                        {"foreign", result.foreign},
                                        {"answers", recorded.read},
                                        {"added", recorded.added},
                                        {"changed", recorded.changed},
                                        {"withdrawn", recorded.withdrawn},
                                        {"known", recorded.known},
                                        {"labels", recorded.labels},
                                        {"waiting", recorded.waiting},
                                        {"proposed", recorded.proposed},
                                        {"disputed", recorded.disputed},
                                        {"refused", recorded.refused.size()}});
  write_text("-", in_words(recorded));
}

void run_pull(const pull_options& options) {
  campaign of = options.open();
  http_host host(options.url, options.timeout);
  const label_studio_server server = server_of(options, host);
  pull_request request = options.request;
  request.project = options.project;
  constexpr int export_each = 20;
  for (int round = 0;; ++round) {
    if (round > 0) request.changes_only = options.request.changes_only || round % export_each != 0;
    print_pulled(options, pull_annotations(of, server, request, options.now_ms()));
    if (options.every == 0) return;
    flush_standard_output();
    std::this_thread::sleep_for(std::chrono::seconds(options.every));
  }
}

}  // namespace

std::string in_words(const recorded_annotations& recorded) {
  return std::to_string(recorded.added) + " answers recorded (" + std::to_string(recorded.changed) +
         " of them changes), " + std::to_string(recorded.withdrawn) + " withdrawn or skipped, " +
         std::to_string(recorded.known) + " known before; " + std::to_string(recorded.labels) +
         " items got a label" +
         (recorded.waiting > 0 ? ", " + std::to_string(recorded.waiting) + " wait for more answers" : "") +
         (recorded.proposed > 0 ? ", " + std::to_string(recorded.proposed) + " changes wait for a review"
                                : "") +
         "\n";
}

void add_campaign_studio(CLI::App& campaign) {
  add_verb<push_options>(
      campaign, "push", "Bring a round into Label Studio; what is there is not sent again",
      [](CLI::App& verb, push_options& options) {
        add_studio(verb, options);
        add_number(verb, "--round", options.round, index_t{1}, std::numeric_limits<index_t>::max(),
                   "Which one (default: the newest)");
        verb.add_option("--media", options.request.media,
                        "What stands before the names of images and sounds: an address")
            ->type_name("URL");
        verb.add_option("--source", options.request.source, "What the ledger calls it")
            ->type_name("NAME")
            ->capture_default_str();
      },
      run_push, "poolwise campaign push boots --label-studio http://localhost:8080 --key-file key");
  add_verb<pull_options>(
      campaign, "pull", "Record what people said in Label Studio: every version, deletions too",
      [](CLI::App& verb, pull_options& options) {
        add_studio(verb, options);
        verb.add_option("--source", options.request.source, "What the ledger calls it")
            ->type_name("NAME")
            ->capture_default_str();
        verb.add_flag("--changes", options.request.changes_only,
                      "Look only at what changed since; deletions are not seen");
        add_number(verb, "--every", options.every, 1, 86400,
                   "Go on, each so many seconds: changes, and each twentieth time all");
        verb.add_flag("--strict", options.request.strict, "All answers or none");
        verb.add_flag("--overrule", options.request.overrule, "Take the place of labels from other sources");
      },
      run_pull, "poolwise campaign pull boots --label-studio http://localhost:8080 --key-file key");
}

}  // namespace poolwise::cli
