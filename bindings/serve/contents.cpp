#include "contents.hpp"

#include <algorithm>
#include <array>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/columns.hpp"
#include "poolwise/files/detail/percent_encoded.hpp"

namespace poolwise::serve {
namespace {

constexpr std::array<std::pair<const char*, const char*>, 12> types = {{{".png", "image/png"},
                                                                        {".jpg", "image/jpeg"},
                                                                        {".jpeg", "image/jpeg"},
                                                                        {".gif", "image/gif"},
                                                                        {".webp", "image/webp"},
                                                                        {".avif", "image/avif"},
                                                                        {".bmp", "image/bmp"},
                                                                        {".wav", "audio/wav"},
                                                                        {".mp3", "audio/mpeg"},
                                                                        {".ogg", "audio/ogg"},
                                                                        {".flac", "audio/flac"},
                                                                        {".m4a", "audio/mp4"}}};

}  // namespace

std::optional<media_file> media_in(const std::filesystem::path& folder, const std::string& name) {
  if (name.empty() || name.find('\0') != name.npos) return std::nullopt;
  std::error_code problem;
  const auto root = std::filesystem::canonical(folder, problem);
  if (problem) return std::nullopt;
  const auto file = std::filesystem::canonical(root / name, problem);
  if (problem || !std::filesystem::is_regular_file(file, problem)) return std::nullopt;
  const auto [at_root, at_file] = std::mismatch(root.begin(), root.end(), file.begin(), file.end());
  if (at_root != root.end() || at_file == file.end()) return std::nullopt;
  const std::string ending = in_lower_case(file.extension().string());
  for (const auto& [end, type] : types)
    if (ending == end) return media_file{file, type};
  return std::nullopt;
}

item_contents::item_contents(std::filesystem::path folder, campaign_settings settings)
    : folder_(std::move(folder)), settings_(std::move(settings)) {}

void item_contents::read(const std::vector<std::string>& wanted) {
  const campaign of = campaign::open(folder_, access::read);
  const pool_version pool = of.pool();
  std::unordered_map<std::string, content> kept;
  for (const std::string& one : wanted) kept.try_emplace(one);
  if (!pool.items.empty()) {
    if (sha256_of_file(pool.items) != pool.items_sha256)
      throw value_error("serve: the items (" + printable(pool.items) + ") are not those of pool version " +
                        std::to_string(pool.version) + "; bring back that file, or add the new one");
    const labelling_settings& shown = settings_.labelling;
    wanted_columns columns{.call = "serve", .what = "an item", .names = {settings_.id_column}};
    std::vector<std::string> names;
    for (const std::string* one : {&shown.text, &shown.image, &shown.audio}) names.push_back(*one);
    names.insert(names.end(), shown.fields.begin(), shown.fields.end());
    std::vector<std::size_t> place(names.size(), 0);  // among the values; 0: there is no such column
    for (std::size_t k = 0; k < names.size(); ++k) {
      if (names[k].empty()) continue;
      const auto known = std::find(columns.optional.begin(), columns.optional.end(), names[k]);
      place[k] = 1 + std::size_t(known - columns.optional.begin());
      if (known == columns.optional.end()) columns.optional.push_back(names[k]);
    }
    read_columns(pool.items, copy_limit{}, columns, [&](index_t, std::span<std::string> values) {
      const auto item = kept.find(values[0]);
      if (item == kept.end()) return;
      const auto value = [&](std::size_t k) { return place[k] == 0 ? std::string() : values[place[k]]; };
      item->second = {value(0), value(1), value(2), {}};
      for (std::size_t k = 3; k < names.size(); ++k) item->second.fields.push_back(value(k));
    });
  }
  items_ = std::move(kept);
}

item_contents::content item_contents::find(const std::string& item,
                                           const std::function<std::vector<std::string>()>& handed_out) {
  const std::lock_guard hold(lock_);  // those who come meanwhile wait for one reading
  if (const auto known = items_.find(item); known != items_.end()) return known->second;
  const std::vector<std::string> wanted = handed_out();
  if (std::find(wanted.begin(), wanted.end(), item) == wanted.end()) return {};
  read(wanted);
  return items_.at(item);
}

nlohmann::json item_contents::of(const std::string& item,
                                 const std::function<std::vector<std::string>()>& handed_out) {
  const content found = find(item, handed_out);
  nlohmann::json body = nlohmann::json::object();
  if (!found.text.empty()) body["text"] = found.text;
  if (!found.image.empty()) body["image"] = "/media?kind=image&item=" + percent_encoded(item);
  if (!found.audio.empty()) body["audio"] = "/media?kind=audio&item=" + percent_encoded(item);
  for (std::size_t k = 0; k < found.fields.size(); ++k)
    body["fields"].push_back({settings_.labelling.fields[k], found.fields[k]});
  return body;
}

std::optional<media_file> item_contents::media(const std::string& item, const std::string& kind,
                                               const std::function<std::vector<std::string>()>& handed_out) {
  const content found = find(item, handed_out);
  return media_in(folder_, kind == "audio" ? found.audio : found.image);
}

}  // namespace poolwise::serve
