// What a page shows of an item: columns of the file of items, and files of the campaign's folder.
#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "poolwise/campaign/campaign.hpp"

namespace poolwise::serve {

struct media_file {
  std::filesystem::path path;
  std::string type;
};

/// A picture or a sound within `folder`: where links and `..` lead is looked at, and what lies outside, or has
/// another ending than those of pictures and sounds, is none.
std::optional<media_file> media_in(const std::filesystem::path& folder, const std::string& name);

/// The contents of items that were handed out, read once and again when an item comes that is not among them.
class item_contents {
 public:
  item_contents(std::filesystem::path folder, campaign_settings settings);

  /// {"text", "image", "audio", "fields"}: image and audio are addresses of this server. `handed_out` lists the
  /// items that are worth keeping.
  nlohmann::json of(const std::string& item, const std::function<std::vector<std::string>()>& handed_out);
  std::optional<media_file> media(const std::string& item, const std::string& kind,
                                  const std::function<std::vector<std::string>()>& handed_out);

 private:
  struct content {
    std::string text, image, audio;
    std::vector<std::string> fields;
  };
  content find(const std::string& item, const std::function<std::vector<std::string>()>& handed_out);
  void read(const std::vector<std::string>& wanted);

  std::filesystem::path folder_;
  campaign_settings settings_;
  std::mutex lock_;
  std::unordered_map<std::string, content> items_;
};

}  // namespace poolwise::serve
