#include "poolwise/query/spec.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {

const char* name_of(metric by) { return by == metric::cosine ? "cosine" : "euclidean"; }

metric parse_metric(const std::string& text) {
  for (const metric by : {metric::euclidean, metric::cosine})
    if (text == name_of(by)) return by;
  throw usage_error("there is no metric \"" + printable(text) + "\"; choose euclidean or cosine");
}

query::query(const query_spec& spec, const pool_inputs& pool, const wording& words)
    : spec_(spec),
      what_(parse_strategy(spec.strategy).at(index_t(pool.labelled.size()))),
      pool_(pool),
      words_(words) {
  check_amounts();
  pool_.check(words_.call);
  check_needs();
  set_limit();
}

void query::set_limit() {
  limit_.picks = spec_.batch.value_or(pool_.rows);
  limit_.cost = pool_.cost;
  limit_.group = pool_.group;
  limit_.quota = {spec_.quota.data(), index_t(spec_.quota.size())};
  limit_.floor = {spec_.floor.data(), index_t(spec_.floor.size())};
  if (spec_.budget) limit_.budget = *spec_.budget;
  for (const named_budget& one : spec_.budgets)
    for (const cost_column& column : pool_.also_cost)
      if (column.name == one.name) limit_.also.push_back({column.cost, one.limit, one.name});
  allowance checked = limit_;
  if (spec_.apart) checked.apart = spacing{*pool_.embeddings, *spec_.apart};
  check_terms(words_.call, checked, pool_.rows);
  barred_.resize(std::size_t(pool_.rows));
  bar(pool_.labelled, 1, "labelled");
  bar(pool_.excluded, 2, "excluded");
  available_ = index_t(std::count(barred_.begin(), barred_.end(), 0));
  limit_.barred = {barred_.data(), pool_.rows};
  if (available_ == 0) return;  // prepare says so
  refuse_infeasible(words_.call, limit_, words_of_demands());
  limit_.picks = most_picks(limit_, pool_.rows);
  // Each budget by itself: one that cannot bind is none.
  const auto binds = [&](vector_view<const std::int64_t> cost, std::int64_t budget) {
    allowance alone = limit_;
    alone.cost = cost;
    alone.budget = budget;
    alone.also.clear();
    return !affords_all(alone, pool_.rows);
  };
  if (!binds(limit_.cost, limit_.budget)) limit_.budget = allowance::any_cost;
  std::erase_if(limit_.also, [&](const budget_line& one) { return !binds(one.cost, one.limit); });
}

void query::check_amounts() const {
  const auto refuse = [&](const std::string& what) { throw usage_error(opening() + what); };
  const std::string batch = words_.batch, budget = words_.budget, cost = words_.cost;
  if (spec_.budget && pool_.cost.empty())
    refuse(budget + " is in the unit of " + cost + "; give " + cost + ", or " + batch +
           " for a number of picks");
  for (auto one = spec_.budgets.begin(); one != spec_.budgets.end(); ++one) {
    const auto named = [&](const auto& other) { return other.name == one->name; };
    const std::string opened = words_.budgets + std::string(" has ");
    if (std::count_if(pool_.also_cost.begin(), pool_.also_cost.end(), named) != 1)
      refuse(opened + "one of \"" + printable(one->name) +
             "\", of which there is not one cost of rows; give one by that name");
    if (std::any_of(spec_.budgets.begin(), one, named))
      refuse(opened + "two of \"" + printable(one->name) + "\"; give one");
  }
  if (!spec_.batch && !spec_.budget && spec_.budgets.empty())
    refuse("neither " + batch + " nor " + budget + " is given; say how much to pick");
  if (pool_.group.empty() != (spec_.quota.empty() && spec_.floor.empty()))
    refuse(std::string(words_.group) + " and " + words_.quota + " go together; give both or neither");
}

demand_words query::words_of_demands() const {
  return {.floor = words_.floor,
          .quota = words_.quota,
          .picks = words_.batch,
          .budget = words_.budget,
          .group = [this](index_t g) { return pool_.group_name(g); }};
}

void query::check_needs() const {
  const auto refuse = [&](const std::string& which, const std::string& what, const std::string& name) {
    throw usage_error(opening() + which + " " + what + "; give them (" + name + ")");
  };
  const struct {
    part one;
    const char* text;
    const char* name;
  } all[] = {{part::outputs, "model outputs", words_.outputs},
             {part::committee, "committee outputs", words_.committee},
             {part::embeddings, "embeddings", words_.embeddings},
             {part::predictions, "predictions", words_.predictions},
             {part::queries, "embeddings to be like", words_.queries},
             {part::private_rows, "embeddings to be unlike", words_.private_rows},
             {part::labels, "the labels of the labelled rows", words_.labels},
             {part::targets, "the committee's outputs for the rows to be predicted", words_.targets},
             {part::cost_matrix, "the costs of mistakes", words_.cost_matrix},
             {part::label_outputs, "outputs of independent labels", words_.label_outputs},
             {part::label_sets, "the label sets of the labelled rows", words_.label_sets}};
  for (const auto& [one, text, name] : all)
    if (what_.needs(one) && !pool_.has(one)) refuse("strategy \"" + what_.name + "\" needs", text, name);
  const knn_method by = spec_.neighbours;
  if (!what_.does(trait::lists_neighbours) && (by == knn_method::ivf || by == knn_method::hnsw))
    throw usage_error(opening() + "strategy \"" + what_.name +
                      "\" makes no lists of neighbours, and was asked to make them by " + name_of(by) +
                      "; leave that out (" + words_.neighbours + ")");
  if (spec_.apart && !pool_.embeddings)
    refuse("picks that are to lie apart", "do so by their embeddings", words_.embeddings);
  check_scores(what_, pool_);
}

void query::bar(std::span<const index_t> rows, std::uint8_t mark, const char* as) {
  for (const index_t row : rows) {
    if (row < 0 || row >= pool_.rows)
      throw value_error(opening() + as + " row " + std::to_string(row) +
                        " is not in the pool, which has rows 0 to " + std::to_string(pool_.rows - 1));
    std::uint8_t& marks = barred_[std::size_t(row)];
    if ((marks & mark) != 0)
      throw value_error(opening() + "row " + std::to_string(row) + " is given twice among the " + as +
                        " rows; give each row once");
    marks |= mark;
  }
}

std::string query::limits() const {
  std::vector<const char*> names;
  if (spec_.budget) names.push_back(words_.budget);
  if (!spec_.budgets.empty()) names.push_back(words_.budgets);
  if (!spec_.quota.empty()) names.push_back(words_.quota);
  if (!spec_.floor.empty()) names.push_back(words_.floor);
  if (spec_.apart) names.push_back(words_.apart);
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i)
    text += std::string(i == 0 ? "" : i + 1 < names.size() ? ", " : " and ") + names[i];
  return text;
}

query prepare(const query_spec& spec, const pool_inputs& pool, const wording& words) {
  query prepared(spec, pool, words);
  if (spec.batch == 0) return prepared;
  if (prepared.available() == 0)
    throw budget_error(prepared.opening() + "all " + std::to_string(pool.rows) +
                       " rows are labelled or excluded; nothing is left to pick");
  if (prepared.limit().picks == 0) prepared.refuse_empty();
  return prepared;
}

void query::refuse_empty() const {
  throw budget_error(opening() + "none of the " + std::to_string(available_) + " available rows is within " +
                     limits() + "; allow more, or stop here");
}

// ---- JSON

namespace {

using json = nlohmann::ordered_json;

/// A whole number that fits; nothing for other JSON.
template <class Number>
std::optional<Number> whole(const json& value) {
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() <= std::uint64_t(std::numeric_limits<Number>::max()))
    return Number(value.get<std::uint64_t>());
  if (std::is_signed_v<Number> && value.is_number_integer() && !value.is_number_unsigned())
    return Number(value.get<std::int64_t>());
  return std::nullopt;
}

void read_member(const std::string& key, const json& value, query_spec& into) {
  const auto take = [&](auto& member, const auto& read) {
    if (!read)
      throw format_error("query spec: \"" + key + "\" is " + value.dump() + ", which is no such value");
    member = *read;
  };
  const std::optional<std::string> word =
      value.is_string() ? std::optional(value.get<std::string>()) : std::nullopt;
  if (key == "strategy") return take(into.strategy, word);
  if (key == "batch") return take(into.batch, whole<index_t>(value));
  if (key == "budget") return take(into.budget, whole<std::int64_t>(value));
  if (key == "seed") return take(into.seed, whole<std::uint64_t>(value));
  if (key == "round") return take(into.round, whole<std::uint32_t>(value));
  if (key == "apart")
    return take(into.apart, value.is_number() ? std::optional(value.get<float>()) : std::nullopt);
  if (key == "metric") {
    take(into.distance, word ? std::optional(metric::euclidean) : std::nullopt);
    into.distance = parse_metric(*word);
  } else if (key == "neighbours") {
    take(into.neighbours, word ? std::optional(knn_method::exact) : std::nullopt);
    into.neighbours = parse_knn_method(*word);
  } else if (key == "on_nan") {
    const bool known = word == "skip" || word == "refuse";
    const auto given = word == "skip" ? on_invalid::skip : on_invalid::refuse;
    take(into.invalid, known ? std::optional(given) : std::nullopt);
  } else if (key == "quota" && value.is_array()) {
    for (const json& one : value) take(into.quota.emplace_back(), whole<index_t>(one));
  } else if (key == "floor" && value.is_array()) {
    for (const json& one : value) take(into.floor.emplace_back(), whole<index_t>(one));
  } else if (key == "budgets" && value.is_object()) {
    for (const auto& [name, one] : value.items())
      take(into.budgets.emplace_back(named_budget{name, 0}).limit, whole<std::int64_t>(one));
  } else {
    throw format_error("query spec: has no member \"" + key + "\" with such a value");
  }
}

}  // namespace

std::string to_json(const query_spec& spec) {
  const query_spec fresh;
  json object = {{"strategy", spec.strategy}};
  if (spec.batch) object["batch"] = *spec.batch;
  if (spec.budget) object["budget"] = *spec.budget;
  for (const named_budget& one : spec.budgets) object["budgets"][one.name] = one.limit;
  if (!spec.quota.empty()) object["quota"] = spec.quota;
  if (!spec.floor.empty()) object["floor"] = spec.floor;
  if (spec.apart) object["apart"] = *spec.apart;
  if (spec.distance != fresh.distance) object["metric"] = name_of(spec.distance);
  if (spec.neighbours != fresh.neighbours) object["neighbours"] = name_of(spec.neighbours);
  if (spec.seed != fresh.seed) object["seed"] = spec.seed;
  if (spec.round != fresh.round) object["round"] = spec.round;
  if (spec.invalid != fresh.invalid) object["on_nan"] = "skip";
  return object.dump();
}

query_spec spec_from_json(const std::string& text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object() || !object.contains("strategy"))
    throw format_error("query spec: is no JSON object with a \"strategy\"");
  query_spec spec;
  for (const auto& [key, value] : object.items()) read_member(key, value, spec);
  return spec;
}

}  // namespace poolwise
