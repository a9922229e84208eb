#include "poolwise/campaign/crowd.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/ids.hpp"

namespace poolwise {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 3> methods = {"dawid_skene", "one_coin", "majority"};

/// What campaign.toml expects of an annotator, as answers: [classes, labels].
std::vector<double> expected_of(const annotator& who, const std::vector<std::string>& labels) {
  const std::size_t classes = labels.size();
  std::vector<double> matrix(classes * classes);
  for (std::size_t is = 0; is < classes; ++is) {
    const double right = classes == 1 ? 1 : who.skill.of(labels[is], "");
    for (std::size_t said = 0; said < classes; ++said)
      matrix[is * classes + said] = who.skill.weight * (is == said ? right : (1 - right) / double(classes - 1));
  }
  return matrix;
}

bool is_listed(const campaign_settings& settings, const std::string& name) {
  return std::any_of(settings.annotators.begin(), settings.annotators.end(),
                     [&](const annotator& one) { return one.name == name; });
}

std::unordered_map<std::string, std::int32_t> places_of(const std::vector<std::string>& names) {
  std::unordered_map<std::string, std::int32_t> places;
  for (const std::string& one : names) places.emplace(one, std::int32_t(places.size()));
  return places;
}

/// The settings of an earlier time.
campaign_settings settings_before(const tables& seen, index_t before, const campaign_settings& now) {
  std::optional<event> last;
  for (const char* const kind : {"campaign", "settings"})
    seen.each_of(kind, [&](const event& one) {
      if (one.number < before && (!last || one.number > last->number)) last = one;
    });
  return last ? read_settings(json::parse(last->body).at("settings"), "campaign.toml of that time") : now;
}

/// A label of answers, on its way into the ledger.
struct made_label {
  std::string item, label;
  double posterior = 0;
  std::vector<index_t> answers;  // events
  std::int64_t cost = 0;
  double seconds = 0;
};

std::vector<made_label> labels_of(const crowd& all, double sure, index_t& unsure) {
  std::vector<made_label> made(all.columns.items.size());
  const auto items = places_of(all.columns.items);
  for (const answer& one : all.answers) {
    made_label& label = made[std::size_t(items.at(one.item))];
    label.answers.push_back(one.event);
    if (one.is_label) continue;
    label.cost += one.cost.value_or(0);
    label.seconds += one.seconds.value_or(0);
  }
  for (std::size_t i = 0; i < made.size(); ++i) {
    made[i].item = all.columns.items[i];
    made[i].posterior = all.found.sureness_of(index_t(i));
    made[i].label = all.columns.labels[std::size_t(all.found.label_of(index_t(i)))];
  }
  const auto before = made.size();
  std::erase_if(made, [&](const made_label& one) { return !(one.posterior >= sure); });
  unsure = index_t(before - made.size());
  return made;
}

/// What earlier aggregates said of an item, all versions together.
struct earlier_label {
  std::int64_t version = 0, cost = 0;
  double seconds = 0;
};

std::map<std::string, earlier_label> earlier_of(const tables& seen) {
  std::map<std::string, earlier_label> all;
  seen.each_label(versions::all, [&](const label& one) {
    if (one.source != by_aggregate) return;
    earlier_label& before = all[one.item];
    before.version = std::max(before.version, one.version);
    before.cost += one.cost.value_or(0);
    before.seconds += one.seconds.value_or(0);
  });
  return all;
}

json body_of(const made_label& one, const earlier_label& before, index_t number, aggregation how,
             index_t guideline) {
  json body{{"item", one.item},
            {"label", one.label},
            {"source", by_aggregate},
            {"external", one.item},
            {"version", before.version + 1},
            {"posterior", one.posterior},
            {"method", to_text(how)},
            {"aggregate", number},
            {"answers", one.answers}};
  if (one.cost > before.cost) body["cost"] = one.cost - before.cost;
  if (one.seconds > before.seconds) body["seconds"] = one.seconds - before.seconds;
  if (guideline > 0) body["guideline"] = guideline;
  return body;
}

}  // namespace

std::string_view to_text(aggregation how) { return methods[std::size_t(how)]; }

aggregation parse_aggregation(const std::string& text) {
  const auto found = std::find(methods.begin(), methods.end(), text);
  if (found == methods.end())
    throw usage_error("there is no way \"" + printable(text) + "\" to make labels of answers; the nearest is " +
                      nearest_word(text, std::vector<std::string>(methods.begin(), methods.end())));
  return aggregation(found - methods.begin());
}

crowd crowd_of(const tables& seen, const campaign_settings& settings, aggregation how, index_t before) {
  crowd all;
  all.answers = answers_in(seen, before);
  if (all.answers.empty())
    throw usage_error("campaign: there are no answers; record some (`poolwise campaign ingest --as answers`)");
  all.columns = columns_of(all.answers, settings.labels);
  const auto classes = places_of(all.columns.labels);
  all.known.assign(all.columns.items.size(), -1);
  const auto gold = gold_in(seen, before);
  for (std::size_t i = 0; i < all.known.size(); ++i)
    if (const auto one = gold.find(all.columns.items[i]); one != gold.end())
      if (const auto place = classes.find(one->second); place != classes.end()) all.known[i] = place->second;
  inference_options options{.known = all.known};
  if (how == aggregation::one_coin) options.skills = skill_model::one_coin;
  const std::size_t entries = classes.size() * classes.size();
  for (std::size_t k = 0; k < all.columns.annotators.size(); ++k) {
    if (!is_listed(settings, all.columns.annotators[k])) continue;
    options.expected.resize(all.columns.annotators.size() * entries, 0);
    const auto own = expected_of(annotator_named(settings, all.columns.annotators[k]), all.columns.labels);
    std::copy(own.begin(), own.end(), options.expected.begin() + std::ptrdiff_t(k * entries));
  }
  all.found = how == aggregation::majority ? majority_vote(all.columns, options)
                                           : dawid_skene(cpu{}, all.columns, options);
  return all;
}

people_record people_of(const tables& seen, const campaign_settings& settings) {
  people_record people{.of = crowd_of(seen, settings, aggregation::dawid_skene),
                       .annotators = {},
                       .percent = {},
                       .fleiss = {},
                       .alpha = {},
                       .ac1 = {}};
  const crowd& all = people.of;
  const auto items = places_of(all.columns.items), by = places_of(all.columns.annotators),
             classes = places_of(all.columns.labels);
  std::vector<std::vector<double>> seconds(by.size()), right(by.size());
  for (std::size_t k = 0; k < by.size(); ++k) {
    annotator_record& one = people.annotators.emplace_back();
    one.who = annotator_named(settings, all.columns.annotators[k]);
    one.accuracy = all.found.accuracy(index_t(k));
  }
  for (const answer& one : all.answers) {
    const auto k = std::size_t(by.at(one.annotator));
    const auto item = items.at(one.item), label = classes.at(one.label);
    annotator_record& record = people.annotators[k];
    ++record.answers;
    record.cost += one.cost.value_or(0);
    if (one.seconds) seconds[k].push_back(*one.seconds);
    right[k].push_back(all.found.posterior[std::size_t(item) * classes.size() + std::size_t(label)]);
    if (const std::int32_t known = all.known[std::size_t(item)]; known >= 0) {
      ++record.gold;
      record.gold_right += known == label ? 1 : 0;
    }
  }
  for (const doubtful_answer& one : impossible_answers(all.answers, settings.labels))
    ++people.annotators[std::size_t(by.at(all.answers[std::size_t(one.answer)].annotator))].doubtful;
  for (std::size_t k = 0; k < by.size(); ++k) {
    people.annotators[k].took = speed_of(seconds[k]);
    people.annotators[k].drift = drift_of(right[k]);
  }
  // Who answered does not matter here: an item's labels stand side by side.
  std::vector<index_t> answers(items.size(), 0);
  for (const std::int32_t item : all.columns.item) ++answers[std::size_t(item)];
  const index_t most = *std::max_element(answers.begin(), answers.end());
  if (most < 2) return people;
  std::vector<std::int32_t> labels(items.size() * std::size_t(most), -1);
  for (std::size_t a = 0; a < all.columns.item.size(); ++a) {
    const auto item = std::size_t(all.columns.item[a]);
    labels[item * std::size_t(most) + std::size_t(--answers[item])] = all.columns.label[a];
  }
  const ratings said{{labels.data(), index_t(items.size()), most}};
  people.percent = percent_agreement(said);
  people.fleiss = fleiss_kappa(said);
  people.alpha = krippendorff_alpha(said);
  people.ac1 = gwet_ac(said);
  return people;
}

aggregated aggregate(campaign& of, const aggregate_request& request, std::int64_t now_ms) {
  aggregated result;
  index_t events = 0, unsure = 0;
  const crowd all = of.log().read([&](const tables& seen) {
    events = seen.size();
    return crowd_of(seen, of.settings(), request.how);
  });
  const std::vector<made_label> made = labels_of(all, request.sure, unsure);
  of.record(now_ms, [&](const tables& seen) {
    result = {};
    result.unsure = unsure;
    const auto earlier = earlier_of(seen);
    const auto last = seen.latest("aggregate");
    result.number = last ? json::parse(last->body).at("aggregate").get<index_t>() + 1 : 1;
    const index_t guideline = latest_guideline(seen);
    std::vector<new_event> labels;
    for (const made_label& one : made) {
      const auto before = earlier.find(one.item);
      const item_record standing = seen.item_now(one.item);
      if (standing.label) {
        const json current = json::parse(seen.at(*standing.label).body);
        const bool is_same = current.at("label") == one.label;
        const bool is_ours = current.at("source") == by_aggregate;
        if (is_same && is_ours) {
          ++result.same;
          continue;
        }
        // The label that a single answer made is one of those that this one is made of.
        const bool is_answer =
            std::find(one.answers.begin(), one.answers.end(), *standing.label) != one.answers.end();
        if (!is_same && !is_ours && !is_answer && !request.overrule) {
          ++result.kept;
          continue;
        }
        ++result.changed;
      } else {
        ++result.added;
      }
      labels.push_back({"label", body_of(one, before == earlier.end() ? earlier_label{} : before->second,
                                         result.number, request.how, guideline)
                                     .dump()});
    }
    if (labels.empty()) return labels;
    const json head{{"aggregate", result.number}, {"method", to_text(request.how)}, {"events", events},
                    {"sure", request.sure},       {"answers", all.answers.size()},  {"labels", labels.size()}};
    labels.insert(labels.begin(), {"aggregate", head.dump()});
    return labels;
  });
  return result;
}

std::vector<std::string> replay_aggregate(const campaign& of, index_t number) {
  return of.log().read([&](const tables& seen) {
    std::optional<event> made;
    seen.each_of("aggregate", [&](const event& one) {
      if (json::parse(one.body).at("aggregate") == number) made = one;
    });
    if (!made)
      throw usage_error("campaign: there is no aggregate " + std::to_string(number) +
                        "; `poolwise campaign aggregate` makes one");
    const json head = json::parse(made->body);
    // The change that recorded it may have recorded settings first, by which it was made.
    const crowd all = crowd_of(seen, settings_before(seen, made->number, of.settings()),
                               parse_aggregation(head.at("method")), head.at("events"));
    index_t unsure = 0;
    std::map<std::string, made_label> again;
    for (made_label& one : labels_of(all, head.at("sure"), unsure)) {
      const std::string item = one.item;
      again[item] = std::move(one);
    }
    std::vector<std::string> differ;
    seen.each_event(made->number + 1, made->number + 1 + head.at("labels").get<index_t>(),
                    [&](const event& one) {
                      const json body = json::parse(one.body);
                      const auto found = again.find(body.at("item"));
                      if (found == again.end() || found->second.label != body.at("label") ||
                          found->second.posterior != body.at("posterior").get<double>())
                        differ.push_back(body.at("item"));
                    });
    return differ;
  });
}

std::vector<routed> route_items(const tables& seen, const campaign_settings& settings,
                                const routing_options& options) {
  if (settings.annotators.empty())
    throw usage_error("campaign: nobody can be asked: campaign.toml names no [annotators.NAME]");
  std::optional<crowd> all;
  if (!answers_in(seen).empty()) all = crowd_of(seen, settings, aggregation::dawid_skene);
  const std::vector<std::string>& labels = all ? all->columns.labels : settings.labels;
  if (labels.size() < 2)
    throw usage_error("campaign: what an answer tells needs two labels or more; list them (campaign.labels)");
  const auto classes = labels.size();
  const auto known_items = places_of(all ? all->columns.items : std::vector<std::string>());
  const auto known_by = places_of(all ? all->columns.annotators : std::vector<std::string>());
  std::vector<routed_annotator> people;
  std::vector<std::int32_t> place_of(known_by.size(), -1);
  for (const annotator& one : settings.annotators) {
    routed_annotator& who = people.emplace_back(routed_annotator{.who = one, .confusion = {}});
    const auto known = known_by.find(one.name);
    if (known != known_by.end()) {
      place_of[std::size_t(known->second)] = std::int32_t(people.size() - 1);
      const auto begin =
          all->found.confusion.begin() + std::ptrdiff_t(std::size_t(known->second) * classes * classes);
      who.confusion.assign(begin, begin + std::ptrdiff_t(classes * classes));
    } else {
      who.confusion = expected_of(one, labels);
      for (double& entry : who.confusion) entry /= one.skill.weight;
    }
  }
  const auto gold = gold_in(seen);
  std::vector<routed_item> items;
  std::vector<std::string> names;
  std::unordered_map<std::string, std::size_t> row_of;
  seen.each_of("decision", [&](const event& one) {
    const std::string item = json::parse(one.body).at("item");
    if (gold.count(item) != 0 || seen.item_now(item).excluded) return;
    routed_item& asked = items.emplace_back();
    const auto known = known_items.find(item);
    if (known != known_items.end()) {
      const auto begin = all->found.posterior.begin() + std::ptrdiff_t(std::size_t(known->second) * classes);
      asked.posterior.assign(begin, begin + std::ptrdiff_t(classes));
      row_of[item] = items.size() - 1;
    } else {
      asked.posterior = all ? all->found.shares : std::vector<double>(classes, 1 / double(classes));
    }
    names.push_back(item);
  });
  if (all)
    for (std::size_t a = 0; a < all->columns.item.size(); ++a) {
      const auto row = row_of.find(all->columns.items[std::size_t(all->columns.item[a])]);
      // Answers of people whom campaign.toml no longer names count, too.
      if (row != row_of.end())
        items[row->second].asked.push_back(place_of[std::size_t(all->columns.annotator[a])]);
    }
  std::vector<routed> found;
  for (assignment& one : route(items, people, options)) {
    const annotator& who = people[std::size_t(one.annotator)].who;
    found.push_back(
        {names[std::size_t(one.item)], who.name, std::move(one.reason), who.price, one.information});
  }
  return found;
}

std::string routed_csv(const std::vector<routed>& all) {
  std::string csv = "item,annotator,price,information,reason\n";
  for (const routed& one : all)
    csv += csv_field(one.item) + "," + csv_field(one.annotator) + "," + std::to_string(one.price) + "," +
           json(one.information).dump() + "," + csv_field(one.reason) + "\n";
  return csv;
}

}  // namespace poolwise
