// poolwise campaign: labelling as it goes on for weeks, with a budget and a ledger.
#include "campaign.hpp"

#include <chrono>
#include <cstdio>
#include <ctime>

#include "poolwise/core/error.hpp"
#include "poolwise/files/array.hpp"

namespace poolwise::cli {
namespace {

/// "2026-11-30T19:13:20Z", or without the time of day.
std::int64_t read_time(const std::string& text) {
  for (const char* form : {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"}) {
    std::tm fields{};
    const char* end = ::strptime(text.c_str(), form, &fields);
    if (end != nullptr && *end == '\0') return std::int64_t(::timegm(&fields)) * 1000;
  }
  throw usage_error("\"" + text + "\" is no time; write it as 2026-11-30T19:13:20Z");
}

}  // namespace

std::int64_t campaign_options::now_ms() const {
  if (!at.empty()) return read_time(at);
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

campaign campaign_options::open(access how) const {
  return as_input([&] { return campaign::open(folder, how); });
}

void add_time(CLI::App& verb, campaign_options& options) {
  verb.add_option("--at", options.at, "The time that is recorded, UTC (default: now)")
      ->check(read_by(read_time))
      ->type_name("2026-11-30T19:13:20Z");
}

std::vector<std::string> listed(const std::string& files) {
  std::error_code none;
  if (files.empty()) return {};
  if (std::filesystem::exists(file_of_array(files), none)) return {files};
  return CLI::detail::split(files, ',');
}

std::string percent(double share) {
  char text[24];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

void add_campaign(CLI::App& app) {
  CLI::App* campaign = app.add_subcommand(
      "campaign", "Label round after round within a budget, with a ledger of all that was done");
  campaign->require_subcommand(1);
  add_campaign_records(*campaign);
  add_campaign_rounds(*campaign);
  add_campaign_studio(*campaign);
  add_campaign_people(*campaign);
  add_campaign_state(*campaign);
  campaign->get_formatter()->column_width(34);
  campaign->footer(
      "Example:\n"
      "  poolwise campaign init boots                                  # writes boots/campaign.toml: change "
      "it\n"
      "  poolwise campaign pool add boots --items items.csv --embeddings embeddings.npy\n"
      "  poolwise campaign query boots --logits logits.npy             # writes boots/rounds/0001/batch.csv\n"
      "  poolwise campaign ingest boots --labels answers.csv --source acme\n"
      "  poolwise campaign evaluate boots --logits holdout.npy --holdout holdout.csv\n"
      "  poolwise campaign status boots");
}

}  // namespace poolwise::cli
