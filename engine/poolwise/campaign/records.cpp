#include "poolwise/campaign/records.hpp"

#include <nlohmann/json.hpp>

#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"

namespace poolwise {
namespace {

using json = nlohmann::json;  // whose keys are sorted

/// Reads one body, whatever of it there is.
class body_reader {
 public:
  body_reader(const char* kind, const std::string& text) try : kind_(kind), body_(json::parse(text)) {
  } catch (const json::exception& problem) {
    throw format_error(std::string("ledger: the body of a ") + kind + " is no JSON: " + problem.what());
  }

  template <class T>
  void read(const char* key, T& value) const {
    const auto found = body_.find(key);
    if (found == body_.end() || found->is_null()) return;
    take(key, [&] { found->get_to(value); });
  }
  template <class T>
  void read(const char* key, std::optional<T>& value) const {
    const auto found = body_.find(key);
    if (found == body_.end() || found->is_null()) return;
    take(key, [&] { value = found->get<T>(); });
  }
  void read(const char* key, std::vector<part_file>& arrays) const {
    const auto found = body_.find(key);
    if (found == body_.end()) return;
    take(key, [&] {
      for (const json& one : *found)
        arrays.push_back({one.at("part"), one.at("file"), one.at("sha256"), one.at("shape"), one.at("format"),
                          one.at("bytes")});
    });
  }
  void read(const char* key, std::vector<fitted_cost>& types) const {
    const auto found = body_.find(key);
    if (found == body_.end()) return;
    take(key, [&] {
      for (const json& one : *found)
        types.push_back(
            {one.at("type"), one.at("labels"), one.at("base"), one.at("per_length"), one.at("spread")});
    });
  }
  /// The text of an object within.
  std::string object(const char* key) const {
    const auto found = body_.find(key);
    return found == body_.end() ? "{}" : found->dump();
  }

 private:
  template <class Take>
  void take(const char* key, Take what) const {
    try {
      what();
    } catch (const json::exception& problem) {
      throw format_error(std::string("ledger: the key \"") + key + "\" of a " + kind_ + ": " +
                         printable(problem.what()));
    }
  }

  const char* kind_;
  json body_;
};

json as_json(const std::vector<part_file>& arrays) {
  json all = json::array();
  for (const part_file& one : arrays)
    all.push_back({{"part", one.part},
                   {"file", one.file},
                   {"sha256", one.sha256},
                   {"shape", one.shape},
                   {"format", one.format},
                   {"bytes", one.bytes}});
  return all;
}

}  // namespace

std::string body_of(const pool_version& pool) {
  json body{{"version", pool.version}, {"rows", pool.rows}, {"parts", as_json(pool.parts)}};
  if (!pool.items.empty()) body["items"] = {{"file", pool.items}, {"sha256", pool.items_sha256}};
  return body.dump();
}

pool_version pool_in(const std::string& text) {
  const body_reader body("pool", text);
  pool_version pool;
  body.read("version", pool.version);
  body.read("rows", pool.rows);
  body.read("parts", pool.parts);
  const body_reader items("pool", body.object("items"));
  items.read("file", pool.items);
  items.read("sha256", pool.items_sha256);
  return pool;
}

std::string body_of(const model_version& model) {
  json body{{"model", model.model}, {"pool", model.pool}, {"parts", as_json(model.parts)}};
  if (!model.reference.empty()) body["reference"] = model.reference;
  if (!model.predicted.empty()) {
    body["predicted"] = model.predicted;
    body["mean_entropy"] = model.mean_entropy;
    body["mean_confidence"] = model.mean_confidence;
  }
  return body.dump();
}

model_version model_in(const std::string& text) {
  const body_reader body("model", text);
  model_version model;
  body.read("model", model.model);
  body.read("pool", model.pool);
  body.read("parts", model.parts);
  body.read("reference", model.reference);
  body.read("predicted", model.predicted);
  body.read("mean_entropy", model.mean_entropy);
  body.read("mean_confidence", model.mean_confidence);
  return model;
}

std::string body_of(const batch_record& round) {
  json body{{"round", round.round},
            {"pool", round.pool},
            {"spec", json::parse(to_json(round.spec))},
            {"audit", {{"draws", round.audit}, {"of", round.available}}},
            {"picks", round.picks},
            {"cost", round.cost},
            {"seconds", round.seconds},
            {"remarks", round.remarks},
            {"library", round.library}};
  if (round.model != 0) body["model"] = round.model;
  if (round.of_optimum) body["of_optimum"] = *round.of_optimum;
  if (round.selected_entropy) body["selected_entropy"] = *round.selected_entropy;
  if (round.mean_confidence) body["mean_confidence"] = *round.mean_confidence;
  if (round.guideline != 0) body["guideline"] = round.guideline;
  for (const auto& [key, types] : {std::pair{"price", &round.price}, {"took", &round.took}})
    for (const fitted_cost& one : *types)
      body[key].push_back({{"type", one.type},
                           {"labels", one.labels},
                           {"base", one.base},
                           {"per_length", one.per_length},
                           {"spread", one.spread}});
  if (!round.hypothesis.empty()) body["hypothesis"] = round.hypothesis;
  return body.dump();
}

batch_record round_in(const std::string& text) {
  const body_reader body("round", text);
  batch_record round;
  body.read("round", round.round);
  body.read("pool", round.pool);
  body.read("model", round.model);
  round.spec = spec_from_json(body.object("spec"));
  const body_reader audit("round", body.object("audit"));
  audit.read("draws", round.audit);
  audit.read("of", round.available);
  body.read("picks", round.picks);
  body.read("cost", round.cost);
  body.read("seconds", round.seconds);
  body.read("of_optimum", round.of_optimum);
  body.read("selected_entropy", round.selected_entropy);
  body.read("mean_confidence", round.mean_confidence);
  body.read("guideline", round.guideline);
  body.read("price", round.price);
  body.read("took", round.took);
  body.read("remarks", round.remarks);
  body.read("hypothesis", round.hypothesis);
  body.read("library", round.library);
  return round;
}

std::string body_of(const picked_item& pick) {
  json body{{"round", pick.round}, {"rank", pick.rank}, {"row", pick.row},      {"item", pick.item},
            {"cost", pick.cost},   {"arm", pick.arm},   {"reason", pick.reason}};
  body["score"] = pick.score ? json(*pick.score) : json();
  if (pick.seconds != 0) body["seconds"] = pick.seconds;
  if (!pick.slice.empty()) body["group"] = pick.slice;
  if (!pick.type.empty()) body["type"] = pick.type;
  if (!pick.kept_by.empty()) body["kept_by"] = pick.kept_by;
  if (pick.predicted) body["predicted"] = *pick.predicted;
  if (pick.confidence) body["confidence"] = *pick.confidence;
  if (pick.probability) body["probability"] = *pick.probability;
  if (pick.length > 0) body["length"] = pick.length;
  return body.dump();
}

picked_item picked_item_in(const std::string& text) {
  const body_reader body("decision", text);
  picked_item pick;
  body.read("round", pick.round);
  body.read("rank", pick.rank);
  body.read("row", pick.row);
  body.read("item", pick.item);
  body.read("score", pick.score);
  body.read("cost", pick.cost);
  body.read("seconds", pick.seconds);
  body.read("group", pick.slice);
  body.read("type", pick.type);
  body.read("arm", pick.arm);
  body.read("reason", pick.reason);
  body.read("kept_by", pick.kept_by);
  body.read("predicted", pick.predicted);
  body.read("confidence", pick.confidence);
  body.read("probability", pick.probability);
  body.read("length", pick.length);
  return pick;
}

}  // namespace poolwise
