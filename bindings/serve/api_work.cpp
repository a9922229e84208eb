// Who comes in, and what those who label ask for.
#include "poolwise/core/error.hpp"
#include "poolwise/files/read_file.hpp"
#include "replies.hpp"

namespace poolwise::serve {
namespace {

constexpr std::size_t id_bytes = 2'000, why_bytes = 2'000, label_bytes = 10'000, key_bytes = 100;

}  // namespace

response api::get_session(const call& of) {
  json said{{"open", people_.open()}, {"campaign", settings_.name}, {"name", nullptr}};
  if (of.who.name.empty()) return json_reply(said);
  said["name"] = of.who.name;
  said["role"] = role_text(of.who.is);
  said["token"] = people_.token_of(of.session);
  return json_reply(said);
}

response api::post_login(const call& of) {
  members body(of.body);
  const std::string name = body.text("name", 40), password = body.text("password", 1'000, true);
  body.finish();
  if (!people_.open()) {
    if (!logins_.allows("name " + name) || !logins_.allows("from " + of.asked.address))
      throw refused(429, "too many attempts; wait a minute");
    if (!people_.knows(name, password)) throw refused(401, "the name or the password is wrong");
  }
  const std::string session = people_.session_of(name, machine_now_ms());
  const auto who = people_.whose(session, machine_now_ms());
  if (!who) throw refused(401, "the name or the password is wrong");
  return with_session(
      json_reply({{"name", name}, {"role", role_text(who->is)}, {"token", people_.token_of(session)}}), session,
      false);
}

response api::post_logout(const call& of) {
  members(of.body).finish();
  people_.end_sessions(of.who.name);
  return with_session(json_reply({{"state", "out"}}), "", true);
}

response api::post_password(const call& of) {
  members body(of.body);
  const std::string before = body.text("before", 1'000), after = body.text("after", 1'000);
  body.finish();
  if (people_.open()) throw refused(409, "there are no passwords here; see `poolwise serve --help`");
  if (!logins_.allows("name " + of.who.name)) throw refused(429, "too many attempts; wait a minute");
  if (!people_.knows(of.who.name, before)) throw refused(403, "the password is wrong");
  people_.set(of.who.name, {}, {}, after);
  return with_session(json_reply({{"state", "changed"}}), "", true);
}

response api::get_campaign(const call&) {
  const labelling_settings& how = settings_.labelling;
  json said = ask([](const office_view& in) {
    return json{{"guideline", in.at.guideline()}, {"rounds", in.at.rounds()}};
  });
  said.update(
      {{"name", settings_.name},
       {"labels", settings_.labels},
       {"overlap", how.overlap},
       {"regulated", how.regulated},
       {"lease_minutes", how.lease_minutes},
       {"shows", {{"text", !how.text.empty()}, {"image", !how.image.empty()}, {"audio", !how.audio.empty()}}}});
  return json_reply(said);
}

std::vector<std::string> api::handed_out() {
  std::vector<std::string> ids;
  ask([&](const office_view& in) {
    for (const auto& [id, item] : in.at.items()) ids.push_back(id);
    return json();
  });
  return ids;
}

json api::shown(const std::string& item) {
  return contents_.of(item, [this] { return handed_out(); });
}

response api::post_work(const call& of) {
  members body(of.body);
  const index_t count = body.whole("count", 0, 100);
  body.finish();
  json said = ask([&](const office_view& in) {
    json out = in.keep(in.at.take(of.who.name, count, in.now_ms));
    out["items"] = json::array();
    for (const lease& one : in.at.leases().held_by(of.who.name)) {
      const desk_item& item = *in.at.item(one.item);
      json row{{"item", one.item},
               {"round", item.round},
               {"rank", item.rank},
               {"until_ms", one.until_ms},
               {"left_ms", one.until_ms - in.now_ms}};
      if (!item.slice.empty()) row["slice"] = item.slice;
      if (!item.type.empty()) row["type"] = item.type;
      out["items"].push_back(std::move(row));
    }
    out["waiting"] = in.at.leases().waiting();
    out["unfinished"] = in.at.leases().unfinished();
    return out;
  });
  for (json& one : said["items"]) one["content"] = shown(one["item"]);
  return json_reply(said);
}

response api::post_return(const call& of) {
  members body(of.body);
  const std::vector<std::string> items = body.texts("items", 100);
  const bool skipped = body.yes("skipped", true).value_or(false);
  const std::string why = body.text("why", why_bytes, true);
  body.finish();
  return json_reply(
      ask([&](const office_view& in) { return in.keep(in.at.give_back(of.who.name, items, skipped, why)); }));
}

response api::post_labels(const call& of) {
  members body(of.body);
  desk_answer given{.key = body.text("key", key_bytes),
                    .by = of.who.name,
                    .item = body.text("item", id_bytes),
                    .label = body.text("label", label_bytes),
                    .seconds = body.number("seconds", 0, 1e6, true).value_or(0),
                    .confidence = body.number("confidence", 0, 1, true),
                    .why = body.text("why", why_bytes, true)};
  body.finish();
  given.key = of.who.name + "/" + given.key;  // nobody's key is another's
  return json_reply(ask([&](const office_view& in) { return in.keep(in.at.answer(given)); }));
}

response api::post_flags(const call& of) {
  members body(of.body);
  const std::string key = body.text("key", key_bytes), item = body.text("item", id_bytes),
                    why = body.text("why", why_bytes);
  body.finish();
  return json_reply(ask([&](const office_view& in) {
    return in.keep(in.at.flag(of.who.name + "/" + key, of.who.name, item, why));
  }));
}

response api::get_mine(const call& of) {
  return json_reply(ask([&](const office_view& in) {
    json said{{"labels", 0}, {"recent", json::array()}, {"median_seconds", nullptr}, {"agreement", nullptr}};
    const auto found = in.at.people().find(of.who.name);
    if (found == in.at.people().end()) return said;
    const desk_person& me = found->second;
    said["labels"] = me.labels;
    if (const auto median = me.median_seconds()) said["median_seconds"] = *median;
    if (me.compared > 0) said["agreement"] = double(me.agreed) / double(me.compared);
    for (const std::string& id : me.items)
      for (const given_answer& one : in.at.item(id)->answers)
        if (one.by == of.who.name) said["recent"].push_back({{"item", id}, {"label", one.label}});
    return said;
  }));
}

/// An annotator sees the items that are before them, or were.
void api::require_sight(const call& of, const std::string& item) {
  const bool sees = ask([&](const office_view& in) {
    const desk_item* known = in.at.item(item);
    if (known == nullptr) return json(false);
    if (of.who.is != annotator || in.at.leases().holds(of.who.name, item)) return json(true);
    for (const given_answer& one : known->answers)
      if (one.by == of.who.name) return json(true);
    return json(false);
  });
  if (!sees) throw refused(404, "there is no such item before you");
}

response api::get_item(const call& of) {
  const auto id = of.asked.query.find("item");
  if (id == of.asked.query.end()) throw refused(400, "say which item (?item=ID)");
  require_sight(of, id->second);
  json said = ask([&](const office_view& in) {
    const desk_item& item = *in.at.item(id->second);
    json out{{"item", id->second}, {"round", item.round}, {"rank", item.rank}};
    if (of.who.is != annotator) {
      out["label"] = item.label;
      out["by"] = item.by;
    }
    return out;
  });
  said["content"] = shown(id->second);
  return json_reply(said);
}

response api::get_media(const call& of) {
  const auto id = of.asked.query.find("item"), kind = of.asked.query.find("kind");
  if (id == of.asked.query.end() || kind == of.asked.query.end() ||
      (kind->second != "image" && kind->second != "audio"))
    throw refused(400, "say which item, and image or audio (?kind=image&item=ID)");
  require_sight(of, id->second);
  const auto file = contents_.media(id->second, kind->second, [this] { return handed_out(); });
  if (!file) throw refused(404, "the item has no such file in the campaign's folder");
  response made{.type = file->type, .body = read_file("serve", file->path)};
  made.headers.emplace_back("Cache-Control", "private, max-age=3600");
  return made;
}

/// What the model thinks, for those who ask: the label then says that it was seen.
response api::get_guess(const call& of) {
  const auto id = of.asked.query.find("item");
  if (id == of.asked.query.end()) throw refused(400, "say which item (?item=ID)");
  require_sight(of, id->second);
  return json_reply(ask([&](const office_view& in) {
    const desk_item& item = *in.at.item(id->second);
    json said{{"label", nullptr}, {"confidence", nullptr}};
    if (item.predicted) said["label"] = class_name(settings_, *item.predicted);
    if (item.confidence) said["confidence"] = *item.confidence;
    if (item.predicted)
      in.events.push_back({"guess_seen", json{{"item", id->second}, {"by", of.who.name}}.dump()});
    return said;
  }));
}

}  // namespace poolwise::serve
