#include "poolwise/campaign/campaign.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "poolwise/campaign/desk.hpp"
#include "poolwise/campaign/detail/file_digests.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/output.hpp"
#include "poolwise/files/read_file.hpp"

namespace poolwise {
namespace {

using json = nlohmann::json;

/// Items that were picked, labelled or ruled out and have no row.
index_t items_gone(const tables& seen, const item_table& items) {
  index_t gone = 0;
  seen.each_unavailable([&](const unavailable_item& one) { gone += items.row_of(one.item) ? 0 : 1; });
  return gone;
}

}  // namespace

std::filesystem::path ledger_of(const std::filesystem::path& folder) { return folder / "campaign.db"; }
std::filesystem::path settings_of(const std::filesystem::path& folder) { return folder / "campaign.toml"; }

campaign::campaign(std::filesystem::path folder, ledger log, std::string settings_text)
    : folder_(std::move(folder)),
      ledger_(std::move(log)),
      settings_text_(std::move(settings_text)),
      settings_(read_settings(settings_text_, settings_of(folder_).string())) {}

campaign campaign::init(const std::filesystem::path& folder, const std::string& settings, std::int64_t now_ms) {
  const std::filesystem::path file = settings_of(folder);
  const bool there = std::filesystem::exists(file);
  if (there && !settings.empty())
    throw conflict_error("campaign: " + printable(file.string()) +
                         " is there already; change it, or begin in another folder");
  std::string text = there ? read_file("campaign", file) : settings;
  if (text.empty()) text = example_settings(std::filesystem::absolute(folder).filename().string());
  const campaign_settings read = read_settings(text, file.string());
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem) throw io_error("campaign: cannot make " + printable(folder.string()) + ": " + problem.message());
  campaign made(folder, ledger::create(ledger_of(folder)), text);
  if (!there) write_text(file, text);
  made.ledger_.change(now_ms, [&](const tables&) {
    return std::vector<new_event>{
        {"campaign", json{{"name", read.name}, {"settings", text}, {"version", POOLWISE_VERSION}}.dump()}};
  });
  return made;
}

campaign campaign::open(const std::filesystem::path& folder, access how) {
  if (!std::filesystem::exists(ledger_of(folder)))
    throw usage_error("campaign: " + printable(folder.string()) +
                      " holds no campaign.db; begin one with `poolwise campaign init " +
                      printable(folder.string()) + "`");
  return {folder, ledger::open(ledger_of(folder), how), read_file("campaign", settings_of(folder))};
}

std::vector<index_t> campaign::record(std::int64_t now_ms,
                                      const std::function<std::vector<new_event>(const tables&)>& decide,
                                      backward_clock backwards) {
  std::size_t before = 0;
  const auto all = [&](const tables& seen) {
    std::vector<new_event> events;
    const auto changed = seen.latest("settings");
    const json last = json::parse((changed ? *changed : *seen.latest("campaign")).body);
    if (last.at("settings") != settings_text_)
      events.push_back({"settings", json{{"settings", settings_text_}}.dump()});
    before = events.size();
    for (new_event& one : decide(seen)) events.push_back(std::move(one));
    if (settings_.labelling.regulated) require_reviewed(seen, events);
    return events;
  };
  std::vector<index_t> numbers = ledger_.change(now_ms, all, backwards);
  numbers.erase(numbers.begin(), numbers.begin() + std::ptrdiff_t(before));
  return numbers;
}

pool_version campaign::pool() const {
  const auto latest = ledger_.read([](const tables& seen) { return seen.latest("pool"); });
  if (!latest)
    throw usage_error("campaign: there is no pool yet; add one with `poolwise campaign pool add " +
                      printable(folder_.string()) + " --items FILE`");
  return pool_in(latest->body);
}

const item_table& campaign::items(const pool_version& pool) {
  if (!items_ || items_->first != pool.version) items_.emplace(pool.version, items_of(pool, settings_));
  return items_->second;
}

campaign::added_pool campaign::add_pool(const std::string& items, std::vector<part_file> arrays,
                                        std::int64_t now_ms) {
  for (part_file& one : arrays) one.file = absolute_spec(one.file);
  file_digests known(folder_);
  opened_parts opened(&known);
  opened.open(arrays);
  pool_version pool;
  pool.parts = opened.described();
  known.save();
  pool.rows = opened.inputs().rows;
  if (items.empty() && pool.rows == 0)
    throw usage_error("campaign: a pool is items, or arrays, or both; give --items or --embeddings");
  item_table table;
  if (!items.empty()) {
    pool.items = std::filesystem::absolute(items).string();
    pool.items_sha256 = sha256_of_file(pool.items);
    table = read_items(pool.items, settings_);
    if (pool.rows == 0) pool.rows = table.rows;
    if (table.rows != pool.rows)
      throw shape_error("campaign: " + printable(items) + " has " + std::to_string(table.rows) +
                        " items but the arrays have " + std::to_string(pool.rows) + " rows; give one for each");
  } else {
    table = numbered_items(pool.rows, settings_);
  }
  added_pool added;
  record(now_ms, [&](const tables& seen) {
    const auto before = seen.latest("pool");
    pool.version = before ? pool_in(before->body).version + 1 : 1;
    added.gone = items_gone(seen, table);
    return std::vector<new_event>{{"pool", body_of(pool)}};
  });
  items_.emplace(pool.version, std::move(table));
  added.pool = pool;
  return added;
}

void campaign::exclude(const std::vector<std::string>& items, const std::string& why, std::int64_t now_ms) {
  record(now_ms, [&](const tables&) {
    return std::vector<new_event>{{"excluded", json{{"items", items}, {"why", why}}.dump()}};
  });
}

void campaign::note(const std::string& text, const std::string& by, std::int64_t now_ms) {
  json body{{"text", text}};
  if (!by.empty()) body["by"] = by;
  record(now_ms, [&](const tables&) { return std::vector<new_event>{{"note", body.dump()}}; });
}

void campaign::set_guideline(const std::string& text, std::int64_t now_ms) {
  record(now_ms, [&](const tables& seen) {
    const index_t number = latest_guideline(seen) + 1;
    return std::vector<new_event>{{"guideline", json{{"guideline", number}, {"text", text}}.dump()}};
  });
}

spending campaign::spent() const {
  return ledger_.read([](const tables& seen) {
    spending all;
    for (const round_entry& one : seen.rounds()) {
      const batch_record round = round_in(one.body);
      all.money += round.cost;
      all.seconds += round.seconds;
      all.items += round.picks;
    }
    return all;
  });
}

index_t latest_guideline(const tables& seen) {
  const auto latest = seen.latest("guideline");
  return latest ? json::parse(latest->body).at("guideline").get<index_t>() : 0;
}

item_table items_of(const pool_version& pool, const campaign_settings& settings) {
  if (pool.items.empty()) return numbered_items(pool.rows, settings);
  if (sha256_of_file(pool.items) != pool.items_sha256)
    throw value_error("campaign: the items (" + printable(pool.items) + ") are not those of pool version " +
                      std::to_string(pool.version) +
                      "; bring back that file, or add the new one with `poolwise campaign pool add`");
  return read_items(pool.items, settings);
}

}  // namespace poolwise
