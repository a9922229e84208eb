#include "poolwise/campaign/holdout.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <unordered_map>

#include "poolwise/campaign/detail/prediction.hpp"
#include "poolwise/core/error.hpp"
#include "poolwise/core/text.hpp"
#include "poolwise/files/detail/columns.hpp"
#include "poolwise/files/detail/csv.hpp"
#include "poolwise/metrics/calibration.hpp"

namespace poolwise {
namespace {

using json = nlohmann::json;

constexpr const char* call = "evaluate";

struct held_out {
  std::vector<std::int32_t> label, slice;  // a slice of -1 is none of the settings'
};

held_out read_held_out(const std::filesystem::path& file, const campaign_settings& settings, index_t classes) {
  std::unordered_map<std::string, std::int32_t> class_of, slice_of;
  for (const std::string& name : settings.labels) class_of.emplace(name, std::int32_t(class_of.size()));
  for (const slice_settings& one : settings.slices) slice_of.emplace(one.name, std::int32_t(slice_of.size()));
  if (!class_of.empty() && index_t(class_of.size()) != classes)
    throw shape_error("evaluate: campaign.toml lists " + std::to_string(class_of.size()) +
                      " labels and the model's outputs have " + std::to_string(classes) +
                      " columns; give a column for each label, in that order");
  wanted_columns wanted{.call = call, .what = "a held-out item", .names = {"label"}};
  if (!slice_of.empty()) wanted.names.push_back(settings.slice_column);
  held_out items;
  const std::string shown = printable(file.string());
  read_columns(file, copy_limit{}, wanted, [&](index_t line, std::span<std::string> values) {
    const auto named = class_of.find(values[0]);
    const auto number = class_of.empty() ? number_in<std::int32_t>(trimmed(values[0])) : std::nullopt;
    if (class_of.empty() ? !number || *number < 0 || *number >= classes : named == class_of.end())
      throw value_error(place_in(call, shown, line) + ": \"" + printable(values[0], 80) +
                        (class_of.empty()
                             ? "\" is no number of a class from 0 to " + std::to_string(classes - 1) +
                                   "; list the labels in campaign.toml"
                             : std::string("\" is no label in campaign.toml")));
    items.label.push_back(number ? *number : named->second);
    if (slice_of.empty()) return;
    const auto slice = slice_of.find(values[1]);
    items.slice.push_back(slice == slice_of.end() ? -1 : slice->second);
  });
  return items;
}

json as_json(const share_estimate& share) {
  return {{"accuracy", share.value.value_or(0)},
          {"right", share.right},
          {"rows", share.items},
          {"low", share.bounds.low},
          {"high", share.bounds.high}};
}

share_estimate share_in(const json& body) { return share_of(body.at("right"), body.at("rows")); }

/// Of a figure that need be no share.
json figure(const share_estimate& one) {
  return {{"value", one.value.value_or(0)},
          {"low", one.bounds.low},
          {"high", one.bounds.high},
          {"rows", one.items}};
}

share_estimate figure_in(const json& body) {
  share_estimate one;
  one.value = body.at("value").get<double>();
  one.bounds = {body.at("low"), body.at("high")};
  one.items = body.at("rows");
  return one;
}

/// What a cost cut is to a rule about shares.
share_estimate as_share(const mean_estimate& cut, index_t items) {
  share_estimate share;
  const double open = cut.value * (1 - cut.value), error = cut.standard_error;
  share.value = cut.value;
  share.bounds = {std::max(0.0, cut.bounds.low), std::min(1.0, cut.bounds.high)};
  share.items =
      error > 0 && open > 0 ? std::max<index_t>(1, index_t(std::min(1e15, open / (error * error)))) : items;
  return share;
}

/// By the classes' probabilities, row for row.
std::map<std::string, share_estimate> measures_of(const campaign_settings& settings, matrix_view<const float> p,
                                                  std::span<const std::int32_t> labels) {
  std::map<std::string, share_estimate> measures;
  for (const measure_target& target : settings.targets) {
    const auto named = std::find(settings.labels.begin(), settings.labels.end(), target.label);
    const auto number = settings.labels.empty() && !target.label.empty()
                            ? number_in<std::int32_t>(target.label)
                            : std::int32_t(named - settings.labels.begin());
    if (!number || (!target.label.empty() && (*number < 0 || *number >= p.cols)))
      throw value_error("evaluate: targets." + target.name + ".label \"" + printable(target.label) +
                        "\" is no number of a class from 0 to " + std::to_string(p.cols - 1) +
                        "; list the labels in campaign.toml");
    std::vector<double> scores;
    std::vector<std::uint8_t> hits;
    for (index_t i = 0; i < p.rows; ++i) {
      const auto* most = std::max_element(p.row(i), p.row(i) + p.cols);
      const std::int32_t label = labels[std::size_t(i)];
      scores.push_back(target.label.empty() ? *most : p(i, *number));
      hits.push_back(target.label.empty() ? most - p.row(i) == label : *number == label);
    }
    if (target.label.empty())
      measures[target.measure()] =
          as_share(best_review(scores, hits, target.review_cost, target.error_cost).cut, p.rows);
    else if (std::find(hits.begin(), hits.end(), 1) != hits.end())
      measures[target.measure()] = precision_at_recall(scores, hits, target.recall).precision;
  }
  return measures;
}

std::string body_of(const holdout_result& result) {
  json body = as_json(result.all);
  body["round"] = result.round;
  body["labels"] = result.labels;
  body["on"] = result.on;
  body["log_loss"] = result.log_loss;
  body["brier"] = result.brier;
  body["calibration_error"] = result.calibration_error;
  if (result.temperature) body["temperature"] = *result.temperature;
  body["slices"] = json::object();
  for (const auto& [name, share] : result.slices) body["slices"][name] = as_json(share);
  for (const auto& [name, share] : result.measures) body["measures"][name] = figure(share);
  if (!result.right.empty()) body["right_items"] = result.right;
  return body.dump();
}

holdout_result result_in(const event& recorded) {
  try {
    const json body = json::parse(recorded.body);
    holdout_result result;
    result.event = recorded.number;
    result.round = body.at("round");
    result.labels = body.value("labels", index_t(0));
    result.on = body.value("on", "");
    result.all = share_in(body);
    const json slices = body.value("slices", json::object());
    for (const auto& [name, share] : slices.items()) result.slices.emplace(name, share_in(share));
    const json measures = body.value("measures", json::object());
    for (const auto& [name, one] : measures.items()) result.measures.emplace(name, figure_in(one));
    result.log_loss = body.value("log_loss", 0.0);
    result.brier = body.value("brier", 0.0);
    result.calibration_error = body.value("calibration_error", 0.0);
    if (body.contains("temperature")) result.temperature = body.at("temperature").get<double>();
    result.right = body.value("right_items", "");
    return result;
  } catch (const json::exception& problem) {
    throw format_error("ledger: event " + std::to_string(recorded.number) +
                       " is no evaluation: " + printable(problem.what()));
  }
}

}  // namespace

holdout_result evaluate(campaign& of, const holdout_request& request, std::int64_t now_ms) {
  opened_parts opened;
  part_file outputs_file = request.outputs;
  outputs_file.file = absolute_spec(outputs_file.file);
  opened.open(std::span(&outputs_file, 1));
  const pool_inputs& inputs = opened.inputs();
  if (!inputs.model) throw usage_error("evaluate: give the model's outputs on the held-out items (--logits)");
  inputs.check(call);
  const campaign_settings& settings = of.settings();
  const index_t classes = cols_of(*inputs.model);
  const held_out items = read_held_out(request.items, settings, classes);
  if (index_t(items.label.size()) != inputs.rows)
    throw shape_error("evaluate: " + printable(request.items.string()) + " has " +
                      std::to_string(items.label.size()) + " items but the outputs have " +
                      std::to_string(inputs.rows) + " rows; give one for each");
  std::vector<float> probs;
  for (index_t row = 0; row < inputs.rows; ++row) {
    const std::vector<double> p = probabilities_of(*inputs.model, inputs.model_kind, row);
    if (p.empty())
      throw value_error("evaluate: row " + std::to_string(row) + " of " + printable(request.outputs.file) +
                        " has a value that is not finite; a model that is evaluated predicts every item");
    for (const double one : p) probs.push_back(float(one));
  }
  const matrix_view<const float> p{probs.data(), inputs.rows, classes};
  holdout_result result;
  std::vector<std::int32_t> predicted;
  index_t right = 0;
  for (index_t i = 0; i < p.rows; ++i) {
    predicted.push_back(std::int32_t(std::max_element(p.row(i), p.row(i) + classes) - p.row(i)));
    const bool is_right = predicted.back() == items.label[std::size_t(i)];
    right += is_right;
    if (p.rows <= 100'000) result.right += is_right ? '1' : '0';
  }
  result.all = share_of(right, p.rows);
  if (request.window > 0)
    result.windows =
        rolling_accuracy(predicted, items.label, request.window, std::max<index_t>(1, request.window / 2));
  if (!settings.slices.empty()) {
    const auto by_slice =
        accuracy_by_slice(predicted, items.label, items.slice, index_t(settings.slices.size()));
    for (std::size_t k = 0; k < by_slice.size(); ++k)
      if (by_slice[k].items > 0) result.slices.emplace(settings.slices[k].name, by_slice[k]);
  }
  result.measures = measures_of(settings, p, items.label);
  result.log_loss = log_loss(p, items.label);
  result.brier = brier_score(p, items.label);
  result.calibration_error = calibration_error(reliability(p, items.label));
  if (inputs.model_kind == outputs::logits) {
    // Logarithms of probabilities are logits, and fp32 at that.
    std::vector<float> logits;
    for (const float one : probs) logits.push_back(std::log(std::max(one, std::numeric_limits<float>::min())));
    result.temperature = fit_temperature({logits.data(), p.rows, p.cols}, items.label).temperature;
  }
  result.on = request.name.empty() ? request.items.filename().string() : request.name;
  result.event = of.record(now_ms, [&](const tables& seen) {
    const ledger_counts counts = seen.counts();
    result.round = counts.rounds;
    result.labels = counts.total.labelled;
    return std::vector<new_event>{{"evaluation", body_of(result)}};
  })[0];
  return result;
}

std::optional<holdout_result> latest_holdout(const tables& seen) {
  const auto latest = seen.latest("evaluation");
  return latest ? std::optional(result_in(*latest)) : std::nullopt;
}

std::vector<holdout_result> holdout_results(const tables& seen) {
  std::vector<holdout_result> all;
  seen.each_of("evaluation", [&](const event& one) { all.push_back(result_in(one)); });
  std::erase_if(all, [&, last = all.empty() ? std::string() : all.back().on](const holdout_result& one) {
    return one.on != last;
  });
  return all;
}

}  // namespace poolwise
