#include "poolwise/campaign/exchange.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <span>
#include <unordered_map>

#include "poolwise/campaign/detail/cvat_xml.hpp"
#include "poolwise/campaign/detail/label_studio_json.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/columns.hpp"
#include "poolwise/files/read_file.hpp"

namespace poolwise {
namespace {

using json = nlohmann::json;
using ordered = nlohmann::ordered_json;

constexpr const char* call = "exchange";
constexpr std::size_t shown = 80;  // bytes of foreign text in a message

/// What [labelling] shows of the items of a batch.
struct shown_item {
  std::string text, image, audio;
  ordered fields = ordered::object();
};

void require_shown(const labelling_settings& what) {
  if (what.text.empty() && what.image.empty() && what.audio.empty() && what.fields.empty())
    throw usage_error(
        "campaign.toml does not say what is shown of an item; name columns of the items' file: [labelling] "
        "text, "
        "image, audio or fields");
}

std::unordered_map<std::string, shown_item> shown_items(campaign& of, const handed_out& batch,
                                                        const std::string& media) {
  const labelling_settings& what = of.settings().labelling;
  require_shown(what);
  const pool_version pool = of.pool();
  if (pool.items.empty())
    throw usage_error("the pool has no file of items, so that nothing can be shown; add one with --items");
  std::unordered_map<std::string, shown_item> found;
  for (const picked_item& one : batch.items) found[one.item];
  std::vector<std::string> names{of.settings().id_column};
  const auto place = [&](const std::string& column) {
    if (column.empty()) return std::size_t(0);
    const auto known = std::find(names.begin() + 1, names.end(), column);
    if (known != names.end()) return std::size_t(known - names.begin());
    names.push_back(column);
    return names.size() - 1;
  };
  const std::size_t text = place(what.text), image = place(what.image), audio = place(what.audio);
  std::vector<std::size_t> fields;
  for (const std::string& one : what.fields) fields.push_back(place(one));
  const wanted_columns wanted{.call = call,
                              .what = "an item",
                              .names = names,
                              .remedy = "change [labelling] in campaign.toml, or the header line"};
  read_columns(pool.items, copy_limit{}, wanted, [&](index_t, std::span<std::string> values) {
    const auto one = found.find(values[0]);
    if (one == found.end()) return;
    if (text != 0) one->second.text = values[text];
    if (image != 0) one->second.image = media + values[image];
    if (audio != 0) one->second.audio = media + values[audio];
    for (std::size_t k = 0; k < fields.size(); ++k) one->second.fields[what.fields[k]] = values[fields[k]];
  });
  return found;
}

/// Foreign bytes are made UTF-8.
std::string dumped(const ordered& value) {
  return value.dump(-1, ' ', false, ordered::error_handler_t::replace);
}

ordered about(const campaign& of, const picked_item& one) {
  return {{"campaign", of.settings().name},
          {"item", one.item},
          {"round", one.round},
          {"rank", one.rank},
          {"reason", one.reason}};
}

void add_shown(const labelling_settings& what, const shown_item& one, ordered& to) {
  if (!what.text.empty()) to["text"] = one.text;
  if (!what.image.empty()) to["image"] = one.image;
  if (!what.audio.empty()) to["audio"] = one.audio;
  if (!what.fields.empty()) to["fields"] = one.fields;
}

ordered prodigy_task(const campaign& of, const picked_item& one, const shown_item& item) {
  ordered task = ordered::object();
  add_shown(of.settings().labelling, item, task);
  task["options"] = ordered::array();
  for (const std::string& label : of.settings().labels)
    task["options"].push_back({{"id", label}, {"text", label}});
  task["meta"] = about(of, one);
  return task;
}

ordered potato_task(const campaign& of, const picked_item& one, const shown_item& item) {
  ordered task{{"id", one.item}};
  add_shown(of.settings().labelling, item, task);
  task["round"] = one.round;
  task["rank"] = one.rank;
  task["reason"] = one.reason;
  return task;
}

ordered doccano_task(const campaign& of, const picked_item& one, const shown_item& item) {
  if (of.settings().labelling.text.empty())
    throw usage_error(
        "doccano imports texts by file, and campaign.toml names no column of texts; name one ([labelling] "
        "text), or "
        "upload the images: their answers come back by their names");
  return {{"text", item.text},  {"label", ordered::array()}, {"item", one.item},
          {"round", one.round}, {"rank", one.rank},          {"reason", one.reason}};
}

/// "<" and kin as XML has them in the value of an attribute.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text)
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  return out;
}

/// Reads the answers of one file.
class answers_reader {
 public:
  answers_reader(campaign& of, const std::filesystem::path& file, std::string by,
                 std::vector<refused_label>& refused)
      : of_(of),
        name_(printable(file.string())),
        content_(read_file(call, file)),
        by_(std::move(by)),
        refused_(refused) {}

  std::vector<annotation> read(labelling_tool from) {
    const std::size_t before = refused_.size();
    if (from == labelling_tool::label_studio) {
      read_label_studio();
    } else if (from == labelling_tool::cvat) {
      read_cvat();
    } else if (from == labelling_tool::potato && read_potato_state()) {
    } else {
      each_line([&](index_t line, const json& record) {
        if (from == labelling_tool::prodigy) add_prodigy(line, record);
        if (from == labelling_tool::potato) add_potato(line, record);
        if (from == labelling_tool::doccano) add_doccano(line, record);
      });
    }
    if (answers_.empty() && refused_.size() > before)
      throw format_error(std::string(call) + ": " + name_ + " line " + std::to_string(refused_[before].line) +
                         ": " + refused_[before].why +
                         "; no line of the file can be read: is it of that tool?");
    return std::move(answers_);
  }

 private:
  void refuse(index_t line, const std::string& why) { refused_.push_back({line, why}); }

  void each_line(const std::function<void(index_t, const json&)>& visit) {
    index_t number = 0;
    for (std::size_t begin = 0; begin < content_.size();) {
      const std::size_t end = std::min(content_.find('\n', begin), content_.size());
      const std::string_view line(content_.data() + begin, end - begin);
      begin = end + 1;
      ++number;
      if (line.find_first_not_of(" \t\r") == line.npos) continue;
      const json record = json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (record.is_object())
        visit(number, record);
      else
        refuse(number, std::string("\"") + printable(line, shown) + "\" is no JSON object; give JSON by lines");
    }
  }

  void read_label_studio() {
    const json all = json::parse(content_, nullptr, /*allow_exceptions=*/false);
    if (!all.is_array())
      throw format_error(std::string(call) + ": " + name_ +
                         " is no JSON array of tasks; export the project in the format JSON");
    index_t number = 0;
    for (const json& task : all) {
      ++number;
      if (!member(task, "data").is_object())
        refuse(number, std::string("task ") + std::to_string(number) +
                           " has no data; export the project in the format JSON");
      else if (item_of_task(task).empty())
        refuse(number, std::string("task ") + std::to_string(number) +
                           " has no `item` in its data; it was not made by " +
                           "`campaign push` or `campaign export`");
      else
        add_annotations(task, {}, number, answers_,
                        [&](index_t place, const std::string& why) { refuse(place, why); });
    }
  }

  /// Of the words of a choice the only one. Nothing, and a refusal, of several.
  std::optional<std::string> only(index_t line, const json& words) {
    if (!words.is_array() || words.empty()) return std::string();
    if (words.size() > 1 || !words[0].is_string()) {
      refuse(line,
             std::string("it has ") + std::to_string(words.size()) + " labels; an item has one, as a text");
      return std::nullopt;
    }
    return words[0].get<std::string>();
  }

  void add_prodigy(index_t line, const json& record) {
    const std::string item = member_text(member(record, "meta"), "item");
    if (item.empty()) return refuse(line, "it has no meta.item; it was not made by `campaign export`");
    const std::string verdict = member_text(record, "answer");
    if (verdict != "accept" && verdict != "reject" && verdict != "ignore")
      return refuse(line, std::string("its answer is \"") + printable(verdict, shown) +
                              "\", not accept, reject or ignore");
    annotation one{.line = line,
                   .external = {},
                   .item = item,
                   .label = {},
                   .version = {},
                   .by = {},
                   .why = {},
                   .seconds = {}};
    one.by = member_text(record, "_annotator_id");
    if (one.by.empty()) one.by = member_text(record, "_session_id");
    if (one.by.empty()) one.by = by_;
    one.external = item + " by " + one.by;
    if (const json& time = member(record, "_timestamp"); time.is_number())
      one.version = time.get<std::int64_t>();
    if (verdict == "accept") {
      const auto label =
          record.contains("accept") ? only(line, record["accept"]) : member_text(record, "label");
      if (!label) return;
      one.label = *label;
    } else {
      one.why = verdict == "ignore" ? "skipped" : "rejected";
    }
    answers_.push_back(std::move(one));
  }

  void add_doccano(index_t line, const json& record) {
    std::string item = member_text(record, "item");
    if (item.empty() && record.contains("filename")) item = item_of_file(member_text(record, "filename"));
    if (item.empty())
      return refuse(line,
                    "it has neither an `item` nor the `filename` of one; was it made by `campaign export`?");
    const json& labels = record.contains("label") ? record["label"] : member(record, "labels");
    if (!labels.is_array()) return refuse(line, "it has no list of labels (`label`); export as JSONL");
    const auto label = only(line, labels);
    if (!label || label->empty()) return;
    add_by_person(line, item, *label);
  }

  /// {"sentiment": {"positive": "1"}}: what is chosen has a value.
  void add_potato(index_t line, const json& record) {
    const std::string item = member_text(record, "id");
    const json& schemes = member(record, "label_annotations");
    if (item.empty() || !schemes.is_object())
      return refuse(line,
                    "it has no `id`, or no `label_annotations`; give annotated_instances.jsonl or "
                    "user_state.json");
    json words = json::array();
    for (const json& scheme : schemes)
      if (scheme.is_object())
        for (const auto& [word, value] : scheme.items())
          if (is_chosen(value)) words.push_back(word);
    if (const auto label = only(line, words); label && !label->empty()) add_by_person(line, item, *label);
  }

  static bool is_chosen(const json& value) {
    return !(value.is_null() || value == false || value == "" || value == "false");
  }

  /// The state of one person: {"user_id": ..., "instance_id_to_label_to_value": {item: [[{"schema", "name"},
  /// value], ...]}}.
  bool read_potato_state() {
    const json state = json::parse(content_, nullptr, /*allow_exceptions=*/false);
    const json& items = member(state, "instance_id_to_label_to_value");
    if (!items.is_object()) return false;
    if (by_.empty()) by_ = member_text(state, "user_id");
    index_t number = 0;
    for (const auto& [item, pairs] : items.items()) {
      ++number;
      json words = json::array();
      for (const json& pair : pairs)
        if (pair.is_array() && pair.size() == 2 && is_chosen(pair[1])) words.push_back(member(pair[0], "name"));
      if (const auto label = only(number, words); label && !label->empty()) add_by_person(number, item, *label);
    }
    return true;
  }

  void read_cvat() {
    for (const cvat_image& one : cvat_images(call, name_, content_)) {
      const std::string item = item_of_file(one.name);
      if (item.empty()) {
        refuse(one.line, "image \"" + printable(one.name, shown) +
                             "\" is no item's; call images as the items are, or as [labelling] image says");
        continue;
      }
      if (const auto label = only(one.line, one.tags); label && !label->empty())
        add_by_person(one.line, item, *label);
    }
  }

  /// Of tools that keep one answer a person and item, and no times.
  void add_by_person(index_t line, const std::string& item, const std::string& label) {
    answers_.push_back({.line = line,
                        .external = by_.empty() ? item : item + " by " + by_,
                        .item = item,
                        .label = label,
                        .version = {},
                        .by = by_,
                        .why = {},
                        .seconds = {}});
  }

  std::string item_of_file(const std::string& name) {
    if (files_.empty()) learn_files();
    const std::filesystem::path path(name);
    for (const std::string& word : {name, path.filename().string(), path.stem().string()})
      if (const auto found = files_.find(word); found != files_.end()) return found->second;
    return {};
  }

  void learn_files() {
    const pool_version pool = of_.pool();
    const item_table& items = of_.items(pool);
    if (const std::string& column = of_.settings().labelling.image; !column.empty() && !pool.items.empty()) {
      const wanted_columns wanted{.call = call,
                                  .what = "an item",
                                  .names = {of_.settings().id_column, column},
                                  .remedy = "change [labelling] in campaign.toml"};
      read_columns(pool.items, copy_limit{}, wanted, [&](index_t, std::span<std::string> values) {
        files_.emplace(values[1], values[0]);
        files_.emplace(std::filesystem::path(values[1]).filename().string(), values[0]);
      });
    }
    for (index_t row = 0; row < pool.rows; ++row) files_[items.ids[row]] = items.ids[row];
  }

  campaign& of_;
  std::string name_, content_, by_;
  std::vector<refused_label>& refused_;
  std::vector<annotation> answers_;
  std::unordered_map<std::string, std::string> files_;  // items by names of files
};

}  // namespace

const std::vector<std::string>& labelling_tools() {
  static const std::vector<std::string> names{"label-studio", "prodigy", "potato", "doccano", "cvat"};
  return names;
}

labelling_tool labelling_tool_in(const std::string& name) {
  const auto& names = labelling_tools();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    throw usage_error("there is no format " + printable(name, shown) + "; the nearest is " +
                      nearest_word(name, names));
  return labelling_tool(found - names.begin());
}

std::vector<std::string> label_studio_tasks(campaign& of, const handed_out& batch, const std::string& media) {
  const auto items = shown_items(of, batch, media);
  std::vector<std::string> tasks;
  for (const picked_item& one : batch.items) {
    ordered data{{"item", one.item}};
    add_shown(of.settings().labelling, items.at(one.item), data);
    tasks.push_back(dumped({{"data", data}, {"meta", about(of, one)}}));
  }
  return tasks;
}

std::string label_studio_config(const campaign_settings& settings) {
  require_shown(settings.labelling);
  if (settings.labels.empty())
    throw usage_error("Label Studio needs the labels there are; list them in campaign.toml (labels)");
  std::string view = "<View>", to;
  const auto add = [&](const char* tag, const char* data) {
    if (to.empty()) to = data;
    ((((view += "<") += tag) += " name=\"") += data) += "\" value=\"$";
    (view += data) += "\"/>";
  };
  if (!settings.labelling.text.empty()) add("Text", "text");
  if (!settings.labelling.image.empty()) add("Image", "image");
  if (!settings.labelling.audio.empty()) add("Audio", "audio");
  if (!settings.labelling.fields.empty()) add("Table", "fields");
  view += "<Choices name=\"label\" toName=\"" + to + "\" choice=\"single\" required=\"true\">";
  constexpr std::size_t keys = 9;
  for (std::size_t k = 0; k < settings.labels.size(); ++k) {
    ((view += "<Choice value=\"") += escaped(settings.labels[k])) += '"';
    if (k < keys) ((view += " hotkey=\"") += std::to_string(k + 1)) += '"';
    view += "/>";
  }
  return view + "</Choices></View>";
}

std::string tasks_file(campaign& of, const handed_out& batch, labelling_tool as, const std::string& media) {
  if (as == labelling_tool::cvat)
    throw usage_error(
        "CVAT imports the images themselves; make a task of them, and ingest its answers by their names");
  std::string file;
  if (as == labelling_tool::label_studio) {
    for (const std::string& task : label_studio_tasks(of, batch, media))
      (file += file.empty() ? "[" : ",\n") += task;
    return file.empty() ? "[]\n" : file + "]\n";
  }
  const auto items = shown_items(of, batch, media);
  for (const picked_item& one : batch.items) {
    const shown_item& item = items.at(one.item);
    file += dumped(as == labelling_tool::prodigy  ? prodigy_task(of, one, item)
                   : as == labelling_tool::potato ? potato_task(of, one, item)
                                                  : doccano_task(of, one, item)) +
            "\n";
  }
  return file;
}

std::vector<annotation> read_annotations(campaign& of, const std::filesystem::path& file, labelling_tool from,
                                         const std::string& by, std::vector<refused_label>& refused) {
  return answers_reader(of, file, by, refused).read(from);
}

std::optional<std::int64_t> microseconds_in(const std::string& time) {
  std::tm fields{};
  const char* rest = ::strptime(time.c_str(), "%Y-%m-%dT%H:%M:%S", &fields);
  if (rest == nullptr) return std::nullopt;
  constexpr std::int64_t million = 1'000'000;
  std::int64_t fraction = 0;
  if (*rest == '.') {
    ++rest;
    for (std::int64_t unit = million / 10; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10)
      fraction += unit * (*rest - '0');
  }
  const std::string zone = rest;
  if (zone != "Z" && zone != "+00:00") return std::nullopt;
  return std::int64_t(::timegm(&fields)) * million + fraction;
}

}  // namespace poolwise
