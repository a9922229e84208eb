// What the verbs of `poolwise campaign` share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli.hpp"
#include "poolwise/campaign/annotations.hpp"
#include "poolwise/campaign/campaign.hpp"

namespace poolwise::cli {

struct campaign_options {
  common_options common;
  std::string folder, at;

  /// What time it is: now, or as --at says.
  std::int64_t now_ms() const;
  campaign open(access how = access::read_write) const;
};

/// A verb with DIR, --json and --config. `run` is called when it was asked for. `Options` derives from
/// campaign_options; `add` adds the others.
template <class Options>
CLI::App* add_verb(CLI::App& campaign, const std::string& name, const std::string& description,
                   const std::function<void(CLI::App&, Options&)>& add, void (*run)(const Options&),
                   const std::string& example) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = campaign.add_subcommand(name, description);
  verb->add_option("DIR", options->folder, "The campaign's folder")->required()->type_name("FOLDER");
  add(*verb, *options);
  add_output(*verb, options->common);
  verb->footer("Example:\n  " + example);
  verb->callback([options, run] { run(*options); });
  return verb;
}

/// --at, for verbs that record something.
void add_time(CLI::App& verb, campaign_options& options);

/// "a.npy,b.npy": names apart; one name for a file whose name has a comma.
std::vector<std::string> listed(const std::string& files);

/// "85.3 %"
std::string percent(double share);

/// What a verb says that recorded annotations.
std::string in_words(const recorded_annotations& recorded);

void add_campaign_records(CLI::App& campaign);  ///< init, pool add, exclude, ingest, note, guideline, export
void add_campaign_rounds(CLI::App& campaign);   ///< plan, query, replay
void add_campaign_studio(CLI::App& campaign);   ///< push, pull
void add_campaign_people(CLI::App& campaign);   ///< annotators, aggregate, route
void add_campaign_drift(CLI::App& campaign);
void add_campaign_state(CLI::App& campaign);  ///< status, evaluate, forecast, drift, stop, verify, proof

}  // namespace poolwise::cli
