// Rows that come one after the other, and are asked about at once or never.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// By what a row of a stream is asked about. Scores are least confidences, from 0 (sure) to 1, or other numbers
/// on that scale; B is the budget, a share of the rows.
enum class stream_rule {
  random,      ///< with probability B
  fixed,       ///< score >= 1 - theta, theta = 1/C + B (1 - 1/C) or given       Zliobaite et al. 2014
  variable,    ///< score > 1 - theta, which shrinks by a step when asked and grows by it when not
  randomised,  ///< the same with theta times a normal number about 1
  split,       ///< a share of the rows at random, the others by `variable`
  biqf,        ///< among the largest B of a window, balanced so that B is met      Kottke et al. 2015
  iwal,        ///< with probability least + (1 - least) score                      Beygelzimer et al. 2009
};

/// A rule as lists, help and tests show it.
struct stream_rule_entry {
  stream_rule id;
  const char* name;
  const char* formula;
  const char* source;
};
std::span<const stream_rule_entry> stream_rules();
/// throws usage_error for a word that is none.
stream_rule parse_stream_rule(const std::string& name);

/// How the budget holds.
enum class stream_budget {
  prefix,    ///< of the first n rows never more than ceil(B n) are asked about
  estimate,  ///< u / window < B, where u fades by 1 / window a row and grows by 1 when asked: Zliobaite et al.
             ///< 2014
  none,      ///< the rule alone
};

struct stream_spec {
  stream_rule rule = stream_rule::variable;
  double budget = 0.1;
  stream_budget kept_by = stream_budget::prefix;
  index_t classes = 2;                   ///< of `fixed`
  std::optional<double> threshold = {};  ///< theta of `fixed`; where the others begin, else at 1
  double step = 0.01;                    ///< of `variable`, `randomised` and `split`
  double deviation = 1;                  ///< of the normal number of `randomised`
  double random_share = 0.1;             ///< of `split`
  index_t window = 100;                  ///< of `biqf`, and of the estimated budget
  double tolerance = 50;                 ///< of `biqf`: rows in which what is left of the budget is spent
  double least = 0.1;                    ///< probability of `iwal`
  std::uint64_t seed = 0;

  friend bool operator==(const stream_spec&, const stream_spec&) = default;
};

struct stream_decision {
  index_t row = 0;
  double score = 0;
  bool ask = false;
  /// That it was to be asked about, given the rows before it: 0 where the budget is used up, 1 or 0 where
  /// nothing is drawn. An asked row weighs 1 over it.
  double probability = 0;

  friend bool operator==(const stream_decision&, const stream_decision&) = default;
};

/// Decides row by row. Equal specs and scores give equal decisions, and each row draws by its number: a sampler
/// that is shown the scores of before is the sampler of then.
class stream_sampler {
 public:
  /// throws usage_error for a spec that makes no sense, naming what and why.
  explicit stream_sampler(const stream_spec& spec);

  /// Of the next row. throws value_error for a score that is not finite; then the row was not seen.
  stream_decision decide(double score);

  index_t rows() const { return rows_; }
  index_t asked() const { return asked_; }
  const stream_spec& spec() const { return spec_; }

 private:
  /// Of the row at hand, the budget aside.
  struct chances {
    double drawn;          ///< with which it is asked about
    double of_rule;        ///< the same before `split` draws whether the row is of its random share
    bool moves_threshold;  ///< whether the threshold follows the answer
  };

  chances of_rule(double score);
  double filtered(double score);
  bool may_ask() const;

  stream_spec spec_;
  index_t rows_ = 0, asked_ = 0;
  double theta_ = 1, spent_ = 0;
  std::deque<double> window_;  // of scores
};

}  // namespace poolwise
