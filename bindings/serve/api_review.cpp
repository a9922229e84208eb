// What those who review, manage and audit ask for.
#include <algorithm>

#include "poolwise/campaign/page.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/ledger/export.hpp"
#include "poolwise/report/report.hpp"
#include "replies.hpp"

namespace poolwise::serve {
namespace {

constexpr std::size_t id_bytes = 2'000, why_bytes = 2'000, label_bytes = 10'000, key_bytes = 100;

desk_answer decision_in(const json& of, const std::string& by) {
  members body(of);
  desk_answer wanted{.key = by + "/" + body.text("key", key_bytes),
                     .by = by,
                     .item = body.text("item", id_bytes),
                     .label = body.text("label", label_bytes),
                     .why = body.text("why", why_bytes)};
  body.finish();
  return wanted;
}

/// A field that a table program takes for text, and for nothing to be computed.
std::string safe_field(std::string text) {
  if (!text.empty() && std::string("=+-@\t\r").find(text[0]) != std::string::npos) text.insert(0, "'");
  const bool quoted = text.find_first_of(",\"\n\r") != text.npos;
  if (!quoted) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

}  // namespace

response api::get_proposals(const call&) {
  json said = ask([](const office_view& in) {
    json list = json::array();
    for (const auto& [event, one] : in.at.proposals())
      list.push_back({{"proposal", event},
                      {"at_ms", one.at_ms},
                      {"item", one.item},
                      {"before", one.before},
                      {"label", one.label},
                      {"by", one.by},
                      {"why", one.why}});
    return json{{"proposals", list}};
  });
  for (json& one : said["proposals"]) one["content"] = shown(one["item"]);
  return json_reply(said);
}

response api::post_proposals(const call& of) {
  const desk_answer wanted = decision_in(of.body, of.who.name);
  if (of.who.is == annotator) require_sight(of, wanted.item);
  return json_reply(ask([&](const office_view& in) { return in.keep(in.at.propose(wanted)); }));
}

response api::post_rulings(const call& of) {
  members body(of.body);
  const std::string key = body.text("key", key_bytes), why = body.text("why", why_bytes);
  const index_t proposal = body.whole("proposal", 0, index_t(1) << 53);
  const bool approve = *body.yes("approve");
  body.finish();
  return json_reply(ask([&](const office_view& in) {
    return in.keep(in.at.rule(of.who.name + "/" + key, of.who.name, proposal, approve, why));
  }));
}

response api::get_conflicts(const call&) {
  json said = ask([](const office_view& in) {
    json list = json::array(), flagged = json::array();
    for (const std::string& id : in.at.conflicts()) {
      const desk_item& item = *in.at.item(id);
      json answers = json::array();
      for (const given_answer& one : item.answers) answers.push_back({{"by", one.by}, {"label", one.label}});
      list.push_back({{"item", id}, {"label", item.label}, {"answers", answers}});
    }
    for (const std::string& id : in.at.flagged()) {
      json flags = json::array();
      for (const auto& [by, why] : in.at.item(id)->flags) flags.push_back({{"by", by}, {"why", why}});
      flagged.push_back({{"item", id}, {"label", in.at.item(id)->label}, {"flags", flags}});
    }
    return json{{"conflicts", list}, {"flagged", flagged}};
  });
  for (const char* kind : {"conflicts", "flagged"})
    for (json& one : said[kind]) one["content"] = shown(one["item"]);
  return json_reply(said);
}

response api::post_conflicts(const call& of) {
  const desk_answer decided = decision_in(of.body, of.who.name);
  return json_reply(ask([&](const office_view& in) { return in.keep(in.at.adjudicate(decided)); }));
}

response api::get_guideline(const call&) {
  return json_reply(ask([](const office_view& in) {
    const auto latest = in.seen.latest("guideline");
    json said{{"guideline", 0}, {"text", ""}};
    if (latest) said = json::parse(latest->body);
    return said;
  }));
}

response api::post_guideline(const call& of) {
  members body(of.body);
  const std::string text = body.text("text", 500'000);
  const index_t after = body.whole("after", 0, 1'000'000);
  body.finish();
  return json_reply(ask([&](const office_view& in) {
    if (in.at.guideline() != after)
      throw conflict_error("the guideline is version " + std::to_string(in.at.guideline()) +
                           " by now; load it again");
    in.events.push_back(
        {"guideline", json{{"guideline", after + 1}, {"text", text}, {"by", of.who.name}}.dump()});
    return json{{"guideline", after + 1}};
  }));
}

response api::get_people(const call&) {
  json list = json::array();
  for (const person& one : people_.all())
    list.push_back({{"name", one.name}, {"role", role_text(one.is)}, {"off", one.off}});
  return json_reply({{"people", list}, {"open", people_.open()}});
}

response api::post_people(const call& of) {
  members body(of.body);
  const std::string name = body.text("name", 40), role = body.text("role", 20, true),
                    password = body.text("password", 1'000, true);
  const std::optional<bool> off = body.yes("off", true);
  body.finish();
  if (people_.open())
    throw refused(409, "the first person is made on the server: poolwise serve " + options_.folder +
                           " --person NAME --role manager");
  people_.set(name, role.empty() ? std::nullopt : std::optional<unsigned>(role_in(role)), off,
              password.empty() ? std::nullopt : std::optional(password));
  return json_reply(ask([&](const office_view& in) {
    json event{{"name", name}, {"by", of.who.name}, {"password", !password.empty()}};
    if (!role.empty()) event["role"] = role;
    if (off) event["off"] = *off;
    in.events.push_back({"person", event.dump()});
    return json{{"state", "recorded"}};
  }));
}

response api::get_dashboard(const call& of) {
  const bool sees_names = of.who.is != reviewer;
  return json_reply(ask([&](const office_view& in) {
    const ledger_counts counts = in.seen.counts();
    const tally& all = counts.total;
    json said{{"at_ms", in.now_ms},
              {"head", to_text(in.seen.head())},
              {"unit", settings_.unit},
              {"labelled", all.labelled},
              {"picked", all.picked},
              {"outstanding", all.outstanding},
              {"cost", all.cost},
              {"label_hours", double(all.label_ms) / 3.6e6},
              {"rounds", counts.rounds},
              {"waiting", in.at.leases().waiting()},
              {"leases", in.at.leases().leases()},
              {"conflicts", in.at.conflicts().size()},
              {"proposals", in.at.proposals().size()},
              {"flagged", in.at.flagged().size()}};
    std::map<std::string, std::pair<index_t, index_t>> slices, by_round, classes;
    for (const auto& [id, item] : in.at.items()) {
      if (item.round == 0) continue;
      for (auto* row : {&by_round[std::to_string(item.round)], &slices[item.slice]}) {
        ++row->first;
        row->second += item.label_event ? 1 : 0;
      }
      if (item.label_event) ++classes[item.label].first;
    }
    for (const auto& [name, groups] : {std::pair{"slices", &slices}, {"by_round", &by_round}}) {
      said[name] = json::array();
      for (const auto& [group, row] : *groups)
        said[name].push_back({{"name", group}, {"picked", row.first}, {"labelled", row.second}});
    }
    said["classes"] = json::array();
    for (const auto& [label, row] : classes)
      said["classes"].push_back({{"name", label}, {"labelled", row.first}});
    said["people"] = json::array();
    index_t number = 0;
    for (const auto& [name, one] : in.at.people()) {
      ++number;
      const auto median = one.median_seconds();
      said["people"].push_back(
          {{"name", sees_names ? name : "person " + std::to_string(number)},
           {"labels", one.labels},
           {"skipped", one.skipped},
           {"flagged", one.flagged},
           {"changed", one.changed},
           {"median_seconds", median ? json(*median) : json()},
           {"agreement", one.compared > 0 ? json(double(one.agreed) / double(one.compared)) : json()},
           {"last_ms", one.last_ms}});
    }
    return said;
  }));
}

/// The campaign's report, made again when the ledger has grown, at most one at a time.
response api::get_report(const call&) {
  const std::lock_guard hold(report_lock_);
  campaign of = campaign::open(options_.folder, access::read);
  const index_t now = of.log().head().size;
  if (report_of_ != now) {
    report_ = render_html(report_of(of), find_plotly());
    report_of_ = now;
  }
  response made{.type = "text/html; charset=utf-8", .body = report_};
  made.headers.emplace_back(
      "Content-Security-Policy",
      "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
      "style-src 'unsafe-inline'; img-src data: blob:; frame-ancestors 'self'");
  return made;
}

/// Each version of each label: who, what, when, why, before, after, and the hash of its event in the ledger's
/// tree.
response api::get_audit(const call&) {
  const campaign of = campaign::open(options_.folder, access::read);
  response made{.type = "text/csv; charset=utf-8"};
  std::string& csv = made.body;
  csv = "event,at_ms,item,before,after,by,why,approved_by,approval,guideline,source,external,leaf\n";
  of.log().read([&](const tables& seen) {
    made.headers.emplace_back("X-Ledger-Head", to_text(seen.head()));
    seen.each_label(versions::all, [&](const label& one) {
      const json body = json::parse(one.body);
      const auto text = [&](const json& from, const char* key) {
        const auto found = from.find(key);
        return found == from.end() || found->is_null() ? std::string()
               : found->is_string()                    ? found->get<std::string>()
                                                       : found->dump();
      };
      const std::string before = one.replaces ? text(json::parse(seen.at(*one.replaces).body), "label") : "";
      for (const std::string& field :
           {std::to_string(one.event), std::to_string(one.at_ms), one.item, before, one.text, text(body, "by"),
            text(body, "why"), text(body, "approved_by"), text(body, "approval"), text(body, "guideline"),
            one.source, one.external})
        csv += safe_field(field) + ",";
      csv += to_text(leaf_digest(line_of(seen.at(one.event)))) + "\n";
    });
  });
  made.headers.emplace_back("Content-Disposition", "attachment; filename=\"audit.csv\"");
  return made;
}

response api::get_events(const call&) {
  const campaign of = campaign::open(options_.folder, access::read);
  response made{.type = "application/x-ndjson"};
  of.log().read([&](const tables& seen) {
    made.headers.emplace_back("X-Ledger-Head", to_text(seen.head()));
    export_events(seen, [&](std::string_view lines) { made.body += lines; });
  });
  made.headers.emplace_back("Content-Disposition", "attachment; filename=\"events.jsonl\"");
  return made;
}

}  // namespace poolwise::serve
