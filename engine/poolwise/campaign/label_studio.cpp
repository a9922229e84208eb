#include "poolwise/campaign/label_studio.hpp"

#include <algorithm>
#include <ctime>
#include <iomanip>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "poolwise/campaign/detail/label_studio_json.hpp"
#include "poolwise/campaign/exchange.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/percent_encoded.hpp"

namespace poolwise {
namespace {

using json = nlohmann::json;

constexpr std::size_t shown = 200;  // bytes of foreign text in a message
constexpr index_t page_size = 100;

/// The calls, with patience.
class api {
 public:
  explicit api(const label_studio_server& server) : server_(server) {}

  /// What may be asked again until there is an answer.
  json get(const std::string& path) {
    for (int tries = 1;; ++tries) {
      if (auto found = try_once("GET", path, "")) return std::move(*found);
      rest(tries);
    }
  }

  /// Nothing where no answer came: then it may have been done or not.
  std::optional<json> post_once(const std::string& path, const json& body) {
    return try_once("POST", path, body.dump(-1, ' ', false, json::error_handler_t::replace));
  }

  void rest(int tries) const {
    if (tries >= server_.tries)
      throw io_error("Label Studio at " + server_.name + " gives no answer: " + printable(problem_, shown) +
                     " (" + std::to_string(tries) +
                     " tries); see that it runs and can be reached, and call again: nothing is done twice");
    server_.pause(tries);
  }

  const std::string& name() const { return server_.name; }

 private:
  std::optional<json> try_once(const char* method, const std::string& path, const std::string& body) {
    http_reply reply = send(method, path, body);
    if (reply.status == 401 && is_personal()) {  // what stands for the key lasts for minutes
      access_.clear();
      reply = send(method, path, body);
    }
    if (reply.status == 0) {
      problem_ = reply.body;
      return std::nullopt;
    }
    if (reply.status >= 500 || reply.status == 429 || reply.status == 408) {
      problem_ = "it answers " + std::to_string(reply.status) + " " +
                 member_text(json::parse(reply.body, nullptr, /*allow_exceptions=*/false), "detail");
      return std::nullopt;
    }
    if (reply.status >= 200 && reply.status < 300) {
      json found = json::parse(reply.body, nullptr, /*allow_exceptions=*/false);
      if (!found.is_discarded()) return found;
      problem_ = "half an answer came, or none of Label Studio's";
      return std::nullopt;
    }
    refuse(reply, path);
  }

  [[noreturn]] void refuse(const http_reply& reply, const std::string& path) const {
    const std::string at = "Label Studio at " + server_.name;
    if (reply.status == 401 || reply.status == 403)
      throw value_error(at + " refuses the key (" + std::to_string(reply.status) +
                        "); make one there under Account & Settings, and give it by --key-file");
    if (reply.status >= 300 && reply.status < 400)
      throw value_error(at + " sends to another address; give that one as --label-studio");
    if (reply.status == 404)
      throw value_error(at + " has no " + printable(path.substr(0, path.find('?')), shown) +
                        "; look at the address and at --project, or push again");
    throw value_error(at + " refuses " + printable(path.substr(0, path.find('?')), shown) + " (" +
                      std::to_string(reply.status) + "): " + printable(reply.body, shown));
  }

  /// A personal access token is a JSON web token, and buys one that opens.
  bool is_personal() const { return std::count(server_.key.begin(), server_.key.end(), '.') == 2; }

  http_reply send(const char* method, const std::string& path, const std::string& body) {
    if (!is_personal()) return server_.call({method, path, "Token " + server_.key, body});
    if (access_.empty()) {
      http_reply bought =
          server_.call({"POST", "/api/token/refresh", "", json{{"refresh", server_.key}}.dump()});
      if (bought.status != 200) return bought;
      access_ = member_text(json::parse(bought.body, nullptr, false), "access");
    }
    return server_.call({method, path, "Bearer " + access_, body});
  }

  const label_studio_server& server_;
  std::string access_, problem_ = "tasks that it took are not there";
};

/// What tells the projects of this campaign from others: its first event.
std::string mark_of(const campaign& of) {
  constexpr std::size_t digits = 16;
  const event first = of.log().read([](const tables& seen) { return seen.at(0); });
  return "poolwise campaign " + to_text(leaf_digest(line_of(first))).substr(0, digits);
}

std::string project_path(index_t project) { return "/api/projects/" + std::to_string(project); }

/// The first project of the campaign; none: nothing.
json find_project(api& server, const std::string& mark) {
  for (index_t page = 1;; ++page) {
    const json found = server.get("/api/projects?page_size=" + std::to_string(page_size) +
                                  "&page=" + std::to_string(page) + "&ordering=id");
    for (const json& one : member(found, "results"))
      if (member_text(one, "description").find(mark) != std::string::npos) return one;
    if (member(found, "next").is_null()) return {};
  }
}

json project_of(api& server, index_t number, const std::string& mark) {
  json project = number > 0 ? server.get(project_path(number)) : find_project(server, mark);
  if (!project.is_null() && !member(project, "id").is_number_integer())
    throw value_error(server.name() + " does not answer as Label Studio does; look at the address");
  return project;
}

/// Every task of a project, by pages. Tasks that are deleted meanwhile move the others from page to page: it
/// is read again until the pages make a whole.
std::vector<json> tasks_of(api& server, index_t project, const std::string& query = "") {
  constexpr int most_rounds = 20;
  for (int round = 0; round < most_rounds; ++round) {
    std::vector<json> tasks;
    std::set<std::int64_t> numbers;
    std::optional<index_t> total;
    bool is_whole = true;
    for (index_t page = 1; is_whole && (!total || index_t(tasks.size()) < *total); ++page) {
      const json found =
          server.get("/api/tasks?project=" + std::to_string(project) +
                     "&fields=all&page_size=" + std::to_string(page_size) + "&page=" + std::to_string(page) +
                     "&query=" + percent_encoded(query.empty() ? R"({"ordering":["tasks:id"]})" : query));
      const auto now = member(found, "total").is_number_integer() ? member(found, "total").get<index_t>() : 0;
      is_whole = !total || *total == now;
      total = now;
      const json& some = member(found, "tasks");
      for (const json& one : some) {
        is_whole = is_whole && member(one, "id").is_number_integer() &&
                   numbers.insert(one["id"].get<std::int64_t>()).second;
        tasks.push_back(one);
      }
      is_whole = is_whole && (!some.empty() || now == index_t(tasks.size()));
    }
    if (is_whole) return tasks;
  }
  throw conflict_error("the tasks of project " + std::to_string(project) +
                       " change faster than they can be read; " +
                       "call again when nobody imports or deletes tasks");
}

/// The items that have a task, with how many.
std::map<std::string, index_t> items_there(api& server, index_t project) {
  std::map<std::string, index_t> there;
  for (const json& task : tasks_of(server, project)) ++there[item_of_task(task)];
  return there;
}

json make_project(api& server, const campaign& of, const std::string& mark) {
  std::string title = of.settings().name;
  constexpr std::size_t longest = 50, shortest = 3;
  while (title.size() < shortest) title += '_';
  if (title.size() > longest) title = printable(title.substr(0, longest - 4), longest - 4);
  const auto guideline = of.log().read([](const tables& seen) { return seen.latest("guideline"); });
  json body{{"title", title},
            {"description", mark + "\nIts tasks are made by `poolwise campaign push`."},
            {"label_config", label_studio_config(of.settings())},
            {"maximum_annotations", of.settings().labelling.overlap}};
  if (guideline) {
    body["expert_instruction"] = member_text(json::parse(guideline->body), "text");
    body["show_instruction"] = true;
  }
  for (int tries = 1;; ++tries) {
    if (auto made = server.post_once("/api/projects", body)) return std::move(*made);
    server.rest(tries);
    if (json found = find_project(server, mark); !found.is_null()) return found;
  }
}

/// Sends the tasks that are not there, some at a time. What became of a call without an answer is looked up.
index_t send_missing(api& server, index_t project, const handed_out& batch,
                     const std::vector<std::string>& tasks) {
  constexpr std::size_t at_a_time = 100;
  std::optional<std::size_t> first, last;
  int stalled = 0;
  for (;;) {
    const auto there = items_there(server, project);
    std::vector<const std::string*> missing;
    for (std::size_t k = 0; k < tasks.size(); ++k)
      if (there.count(batch.items[k].item) == 0) missing.push_back(&tasks[k]);
    if (!first) first = missing.size();
    if (missing.empty()) return index_t(*first);
    if (last && missing.size() >= *last) server.rest(++stalled);
    last = missing.size();
    for (std::size_t begin = 0; begin < missing.size(); begin += at_a_time) {
      json some = json::array();
      for (std::size_t k = begin; k < std::min(missing.size(), begin + at_a_time); ++k)
        some.push_back(json::parse(*missing[k]));
      if (!server.post_once(project_path(project) + "/import", some)) break;
    }
  }
}

/// Labels that the project does not offer.
std::vector<std::string> labels_missing(const json& project, const campaign_settings& settings) {
  std::set<std::string> offered;
  for (const json& control : member(project, "parsed_label_config"))
    for (const json& one : member(control, "labels"))
      if (one.is_string()) offered.insert(one.get<std::string>());
  std::vector<std::string> missing;
  for (const std::string& one : settings.labels)
    if (offered.count(one) == 0) missing.push_back(one);
  return missing;
}

void record_push(campaign& of, const handed_out& batch, const push_request& request, index_t project,
                 std::int64_t now_ms) {
  const json body{{"round", batch.round.round},
                  {"source", request.source},
                  {"project", project},
                  {"tasks", batch.items.size()}};
  of.record(now_ms, [&](const tables& seen) {
    bool known = false;
    seen.each_of("pushed", [&](const event& one) { known = known || json::parse(one.body) == body; });
    return known ? std::vector<new_event>{} : std::vector<new_event>{{"pushed", body.dump()}};
  });
}

/// By their numbers; of a server that does not tell, none.
std::map<std::int64_t, std::string> people_of(api& server) {
  std::map<std::int64_t, std::string> people;
  json users;
  try {
    users = server.get("/api/users");
  } catch (const value_error&) {
    return people;
  }
  for (const json& one : users) {
    const std::string email = member_text(one, "email"), name = member_text(one, "username");
    if (member(one, "id").is_number_integer()) people[one["id"]] = email.empty() ? name : email;
  }
  return people;
}

/// Tasks in which anything changed since the newest version that the ledger has of this project.
std::string changed_since(const campaign& of, const std::string& source, const std::string& within) {
  std::int64_t newest = 0;
  of.log().read([&](const tables& seen) {
    for (const char* const kind : {"answer", "withdrawn"})
      seen.each_of(kind, [&](const event& one) {
        const json body = json::parse(one.body);
        if (member_text(body, "source") == source && member_text(body, "external").starts_with(within))
          newest = std::max(newest, body.value("version", std::int64_t(0)));
      });
    return 0;
  });
  constexpr std::int64_t million = 1'000'000;
  const std::time_t seconds = newest / million;
  std::tm fields{};
  ::gmtime_r(&seconds, &fields);
  std::ostringstream text;  // Label Studio reads no time without its fraction
  text << std::put_time(&fields, "%Y-%m-%dT%H:%M:%S.") << std::setw(6) << std::setfill('0') << newest % million
       << 'Z';
  const json filter{{"filter", "filter:tasks:updated_at"},
                    {"operator", "greater_or_equal"},
                    {"type", "Datetime"},
                    {"value", text.str()}};
  return json{{"filters", {{"conjunction", "and"}, {"items", json::array({filter})}}},
              {"ordering", {"tasks:id"}}}
      .dump();
}

/// The export, which must hold as many tasks as the project says it has.
std::vector<json> exported_tasks(api& server, index_t project) {
  constexpr int most_rounds = 20;
  for (int round = 0; round < most_rounds; ++round) {
    const json before = member(server.get(project_path(project)), "task_number");
    const json all = server.get(project_path(project) + "/export?exportType=JSON&download_all_tasks=true");
    if (all.is_array() && before.is_number_integer() && before.get<std::size_t>() == all.size())
      return {all.begin(), all.end()};
  }
  throw conflict_error("project " + std::to_string(project) + " changes faster than it can be exported; " +
                       "call again when nobody imports or deletes tasks");
}

}  // namespace

pushed push_round(campaign& of, const handed_out& batch, const label_studio_server& server,
                  const push_request& request, std::int64_t now_ms) {
  api studio(server);
  const std::vector<std::string> tasks = label_studio_tasks(of, batch, request.media);
  const std::string mark = mark_of(of);
  pushed result;
  label_studio_config(of.settings());  // what it refuses is said before anything is made
  json project = project_of(studio, request.project, mark);
  if (project.is_null()) {
    project = make_project(studio, of, mark);
    result.made = true;
  }
  result.project = project.at("id");
  project = studio.get(project_path(result.project));
  for (const std::string& one : labels_missing(project, of.settings()))
    result.remarks.push_back("project " + std::to_string(result.project) + " does not offer the label " +
                             printable(one, shown) + "; add it there under Settings, Labeling Interface");
  result.sent = tasks.empty() ? 0 : send_missing(studio, result.project, batch, tasks);
  const auto there = items_there(studio, result.project);
  for (const picked_item& one : batch.items)
    if (const auto count = there.find(one.item); count != there.end() && count->second > 1)
      result.remarks.push_back("item " + printable(one.item, shown) + " has " + std::to_string(count->second) +
                               " tasks: two pushes at a time, or copies made there; delete one");
  result.tasks = index_t(batch.items.size());
  record_push(of, batch, request, result.project, now_ms);
  return result;
}

pulled pull_annotations(campaign& of, const label_studio_server& server, const pull_request& request,
                        std::int64_t now_ms) {
  api studio(server);
  const json project = project_of(studio, request.project, mark_of(of));
  if (project.is_null())
    throw value_error("Label Studio at " + server.name +
                      " has no project of this campaign; push a round, or name one by --project");
  pulled result;
  result.project = project.at("id");
  annotation_batch batch{.source = request.source,
                         .all = {},
                         .whole = !request.changes_only,
                         .within = std::to_string(result.project) + "/",
                         .strict = request.strict,
                         .overrule = request.overrule};
  const auto people = people_of(studio);
  const std::vector<json> tasks =
      request.changes_only ? tasks_of(studio, result.project, changed_since(of, request.source, batch.within))
                           : exported_tasks(studio, result.project);
  std::vector<refused_label> refused;
  for (const json& task : tasks) {
    ++result.tasks;
    if (item_of_task(task).empty())
      ++result.foreign;
    else
      add_annotations(task, people, result.tasks, batch.all, [&](index_t number, const std::string& why) {
        refused.push_back({number, why});
      });
  }
  if (!refused.empty() && request.strict)
    throw value_error("Label Studio: task " + std::to_string(refused[0].line) + ": " + refused[0].why);
  // An answer that cannot be read was not deleted.
  batch.whole = batch.whole && refused.empty();
  result.recorded = record_annotations(of, batch, now_ms);
  result.recorded.refused.insert(result.recorded.refused.end(), refused.begin(), refused.end());
  return result;
}

}  // namespace poolwise
