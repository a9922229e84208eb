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
    : spec_(spec), what_(parse_strategy(spec.strategy)), pool_(pool), words_(words) {
  check_amounts();
  pool_.check(words_.call);
  check_needs();
  limit_.picks = spec_.batch.value_or(pool_.rows);
  limit_.cost = pool_.cost;
  limit_.group = pool_.group;
  limit_.quota = {spec_.quota.data(), index_t(spec_.quota.size())};
  if (spec_.budget) limit_.budget = *spec_.budget;
  allowance checked = limit_;
  if (spec_.apart) checked.apart = spacing{*pool_.embeddings, *spec_.apart};
  check_allowance(words_.call, checked, pool_.rows);
  barred_.resize(std::size_t(pool_.rows));
  bar(pool_.labelled, 1, "labelled");
  bar(pool_.excluded, 2, "excluded");
  available_ = index_t(std::count(barred_.begin(), barred_.end(), 0));
  limit_.barred = {barred_.data(), pool_.rows};
  limit_.picks = most_picks(limit_, pool_.rows);
  if (affords_all(limit_, pool_.rows)) limit_.budget = allowance::any_cost;
}

void query::check_amounts() const {
  const auto refuse = [&](const std::string& what) { throw usage_error(opening() + what); };
  const std::string batch = words_.batch, budget = words_.budget, cost = words_.cost;
  if (spec_.budget && pool_.cost.empty())
    refuse(budget + " is in the unit of " + cost + "; give " + cost + ", or " + batch +
           " for a number of picks");
  if (!spec_.batch && !spec_.budget)
    refuse("neither " + batch + " nor " + budget + " is given; say how much to pick");
  if (pool_.group.empty() != spec_.quota.empty())
    refuse(std::string(words_.group) + " and " + words_.quota + " go together; give both or neither");
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
             {part::queries, "embeddings to be like", words_.queries}};
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
  if (!spec_.quota.empty()) names.push_back(words_.quota);
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
  if (!spec.quota.empty()) object["quota"] = spec.quota;
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
