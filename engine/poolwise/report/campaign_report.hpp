// The page of a campaign: where it is, the cost so far, when it stops, and the evidence for each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/report/report.hpp"

namespace poolwise {

// Amounts of money are in the smallest unit of `report_money`, times in milliseconds since 1970 UTC, accuracies
// and other shares from 0 to 1. A number that is not finite is shown as unknown. A part without data is left
// out.

/// How an amount is written: {"EUR", 2} shows 123456 as "1,234.56 EUR", {"cents", 0} as "123,456 cents".
struct report_money {
  std::string unit = "cents";
  int decimals = 0;  ///< 0 to 6
};

/// A figure and its interval. They are equal where nothing is known of the spread.
struct report_estimate {
  double value = 0, low = value, high = value;
};

/// How far a campaign was, is or will be.
struct report_progress {
  index_t round = 0;
  double labels = 0, money = 0, hours = 0;  ///< in total; the hours are those of people
};

/// Money, hours, labels or calendar days that may be spent.
struct report_budget {
  enum class kind { money, hours, labels, days };
  kind of = kind::money;
  double spent = 0, committed = 0;  ///< committed: handed out and not yet labelled
  std::optional<double> limit;      ///< none: counted, but not limited
};

/// Where something is expected to happen.
struct report_arrival {
  std::optional<report_estimate> labels, money, at_ms;  ///< in total, not from now on; high may be infinite
};

struct report_target {
  enum class state { unknown, met, on_course, out_of_reach };
  std::string name;  ///< "accuracy of night"
  double at_least = 0;
  std::optional<report_estimate> now;
  state is = state::unknown;
  report_arrival expected;  ///< of a target on course
  std::string why;          ///< a sentence, such as why it is out of reach; may be empty
};

struct report_verdict {
  bool stop = false;
  std::string sentence;
};

/// The expected end of the campaign and its reason: "accuracy of night reaches 90 %", "the money is spent".
struct report_end {
  report_arrival expected;
  std::string reason;
};

/// Accuracies over the course of a campaign; in order.
struct report_curve {
  enum class kind { measured, forecast };
  struct point {
    report_progress at;
    report_estimate accuracy;
  };
  std::string slice;  ///< empty: of all items
  kind of = kind::measured;
  std::vector<point> points;
  std::optional<double> target;  ///< of this slice
};

/// The part of the labels that was chosen actively, against the part drawn at random.
struct report_arms {
  std::vector<report_curve::point> active, random;
  std::optional<report_estimate> saved_labels;  ///< claimed where the interval leaves out 0
  std::string sentence;                         ///< the claim or why there is none
};

struct report_slice {
  std::string name;
  index_t labelled = 0;
  std::optional<report_estimate> accuracy;  ///< Wilson's interval
  std::optional<double> target;
  std::optional<index_t> floor, quota;  ///< of labels
};

/// How pool, picks and labels divide into groups or classes.
struct report_distribution {
  struct group {
    std::string name;
    std::optional<index_t> pool;  ///< none: unknown, as classes of unlabelled items are
    index_t picked = 0, labelled = 0;
  };
  std::string name;  ///< "data type"
  std::vector<group> groups;
  std::string test;                            ///< its name, "chi-squared"
  std::optional<double> picked_p, labelled_p;  ///< of the test against the pool
};

/// The picks in the plane of the first two principal components.
struct report_map {
  struct pick {
    double x = 0, y = 0;
    index_t round = 0;
    std::string id, label;  ///< the label is empty while there is none
  };
  struct unlabelled {
    double x = 0, y = 0;
    std::string nearest;  ///< id of the nearest labelled item in the whole space
    double distance = 0;  ///< to it
  };
  std::vector<pick> picks;
  std::vector<unlabelled> background;        ///< a sample of the pool
  index_t pool_rows = 0;                     ///< of which it is a sample
  std::optional<double> explained_variance;  ///< share of the two components
};

/// From handing out to labelling, of one round.
struct report_lead_time {
  index_t round = 0;
  index_t labelled = 0, outstanding = 0;
  double median_hours = 0, p10_hours = 0, p90_hours = 0;
};

/// A figure that is watched round by round: evidence of drift or of a rule that stops.
struct report_watch {
  struct point {
    index_t round = 0;
    double value = 0;
    std::optional<double> p;
  };
  std::string name;  ///< "PSI of the scores"
  std::vector<point> points;
  std::optional<double> threshold;
  bool holds = false;    ///< now: the alarm, or the rule's consent
  std::string sentence;  ///< explains itself with its figures
};

/// A forecast that time has judged.
struct report_past_forecast {
  std::string of;                  ///< "accuracy of night"
  index_t made_in = 0, about = 0;  ///< rounds; made in 0: unknown
  report_estimate expected;
  double came = 0;
  bool is_share = true;  ///< else plain numbers, such as labels
};

/// A round as an experiment.
struct report_round {
  index_t round = 0;
  std::int64_t at_ms = 0;
  std::string strategy;
  index_t picks = 0, audit_picks = 0, labelled = 0;  ///< the audit's picks are some of the picks
  double money = 0;
  std::string hypothesis, outcome;
  std::vector<std::string> remarks;
};

struct campaign_report {
  std::string name, hypothesis;
  std::int64_t at_ms = 0;  ///< of the last event
  report_money money;
  double interval_level = 0.95;  ///< of measurements
  double forecast_level = 0.9;   ///< of forecasts

  report_progress now;
  std::vector<report_target> targets;
  std::vector<report_budget> budgets;
  std::optional<report_verdict> verdict;
  std::optional<report_end> end;
  std::vector<std::string> next;  ///< steps to take, each a sentence

  std::vector<report_curve> curves;  ///< at most one of a slice and a kind
  report_arms arms;
  std::vector<report_slice> slices;
  std::vector<report_distribution> distributions;
  report_map map;
  std::vector<report_lead_time> lead_times;
  std::vector<report_watch> drift, stopping;
  std::vector<report_past_forecast> past_forecasts;
  std::vector<report_table> tables;  ///< whatever else is to be shown, such as costs by type
  std::vector<report_round> rounds;
  std::vector<std::pair<std::string, std::string>> versions;  ///< name, version and hash
};

/// The state of a campaign in one plain sentence: where it is, the cost, when it stops. The page begins with
/// it.
std::string status_sentence(const campaign_report& report);

/// The page as one HTML text that refers to nothing outside itself. Long lists are thinned in charts, and the
/// page says so; tables hold all of them. throws shape_error (a table's row that is not as wide as its header),
/// value_error (decimals outside 0 to 6, a negative count or amount), io_error and format_error as render_html
/// of an experiment.
std::string render_html(const campaign_report& report, const std::filesystem::path& plotly_script);

}  // namespace poolwise
