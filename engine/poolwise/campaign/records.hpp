// What a campaign writes into its ledger: the bodies of its events, there and back.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "poolwise/campaign/parts.hpp"
#include "poolwise/metrics/forecast.hpp"
#include "poolwise/query/spec.hpp"

namespace poolwise {

/// A pool as it was at one time. Ids are stable from version to version, rows are not.
struct pool_version {
  index_t version = 1, rows = 0;
  std::string items, items_sha256;  ///< the file of items; empty: they are called by their numbers
  std::vector<part_file> parts;
};

/// What a model says of one version of the pool.
struct model_version {
  index_t model = 1, pool = 1;
  std::vector<part_file> parts;
  std::string reference;  ///< a commit, a DVC or MLflow version, as text
  /// Of a sample of the pool's rows, the same for every model of one pool: the classes predicted, and how sure.
  std::vector<std::int32_t> predicted;
  double mean_entropy = 0, mean_confidence = 0;
};

/// A pick and why.
struct picked_item {
  index_t round = 0, rank = 0, row = 0;
  std::string item;
  std::optional<double> score;
  std::int64_t cost = 0, seconds = 0;
  std::string slice, type, arm, reason;   ///< arm: "strategy" or "audit"
  std::map<std::string, double> kept_by;  ///< the scores of earlier stages
  std::optional<std::int32_t> predicted;  ///< the class that the model held most likely, by its number
  std::optional<double> confidence;       ///< the probability that the model gave that class
  std::optional<double> probability;      ///< of being drawn, where the pick was drawn
  double length = 0;                      ///< as the items' file says
};

/// A batch that was handed out.
struct batch_record {
  index_t round = 0, pool = 0, model = 0;  ///< model 0: none was needed
  index_t guideline = 0;                   ///< the version by which it is to be labelled; 0: there was none
  query_spec spec;                   ///< what was asked of the strategy: what is left after the audit's draws
  index_t audit = 0, available = 0;  ///< how many were drawn at random, of how many rows
  index_t picks = 0;
  std::int64_t cost = 0, seconds = 0;
  std::optional<double> of_optimum;
  std::optional<double> selected_entropy;  ///< the largest of the strategy's picks, in nats
  /// The mean probability that the model gives its class, over the rows available; of more than 20,000 over
  /// so many of them.
  std::optional<double> mean_confidence;
  std::vector<fitted_cost> price, took;  ///< cost(type, length) of money and of seconds, where the log said it
  std::vector<std::string> remarks;
  std::string hypothesis, library;
};

std::string body_of(const pool_version& pool);
std::string body_of(const model_version& model);
std::string body_of(const batch_record& round);
std::string body_of(const picked_item& pick);

/// Of a body that body_of made, or that another version of this library did: a key that is not there leaves its
/// field as it is. throws format_error for what is no such body.
pool_version pool_in(const std::string& body);
model_version model_in(const std::string& body);
batch_record round_in(const std::string& body);
picked_item picked_item_in(const std::string& body);

}  // namespace poolwise
