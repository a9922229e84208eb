#include <cmath>

#include "poolwise/report/detail/campaign_parts.hpp"

namespace poolwise {
namespace campaign_page {
namespace {

using html::caption, html::counted, html::date, html::element, html::escape, html::grouped, html::percent;
using state = report_target::state;
using kind = report_budget::kind;

// ---- The sentence

std::string headline_of_targets(const campaign_report& report) {
  const auto met = count_where(report.targets, [](const auto& t) { return t.is == state::met; });
  if (report.targets.size() == 1) return met == 1 ? "The target is met" : "The target is not met yet";
  if (met == report.targets.size()) return "All " + std::to_string(met) + " targets are met";
  if (met == 0) return "None of the " + std::to_string(report.targets.size()) + " targets is met yet";
  return share_of(met, report.targets.size(), "target") + " met";
}

std::string where_it_is(const campaign_report& report) {
  const auto& now = report.now;
  if (now.labels == 0)
    return now.round == 0 ? "Nothing is labelled yet"
                          : "Nothing is labelled after " + counted(double(now.round), "round");
  const auto so_far =
      counted(now.labels, "label") + (now.round > 0 ? " in " + counted(double(now.round), "round") : "");
  if (report.targets.empty()) return so_far;
  return headline_of_targets(report) + " after " + so_far;
}

std::string amount(double value, kind of, const report_money& money) {
  switch (of) {
    case kind::money:
      return money_text(value, money);
    case kind::hours:
      return grouped(value, value == std::floor(value) ? 0 : 1) + (value == 1 ? " hour" : " hours");
    case kind::labels:
      return counted(value, "label");
    case kind::days:
      return counted(std::round(value), "day");
  }
  return {};
}

std::string cost_so_far(const campaign_report& report) {
  if (report.budgets.empty())
    return report.now.money > 0 ? "the cost is " + money_text(report.now.money, report.money) : "";
  const auto found = std::find_if(report.budgets.begin(), report.budgets.end(),
                                  [](const auto& b) { return b.of == kind::money; });
  const auto& first = found == report.budgets.end() ? report.budgets.front() : *found;
  const auto spent = amount(first.spent, first.of, report.money);
  const auto of_limit =
      first.limit ? html::joined(spent, " of ", amount(*first.limit, first.of, report.money)) : spent;
  return of_limit + " are spent";
}

/// " about 12 May 2027, when the money is spent", or as much of it as is known.
std::string of_the_end(const std::string& when, const std::string& reason) {
  return (when.empty() ? "" : " " + when) +
         (reason.empty() ? "" : (when.empty() ? " when " : ", when ") + reason);
}

std::string when_it_stops(const campaign_report& report) {
  if (report.verdict && report.verdict->stop) return "the rules say: stop now";
  const std::string unknown = "the end cannot be forecast yet";
  if (!report.end) return unknown;
  const auto& expected = report.end->expected;
  const auto known = [](const auto& e) { return e && std::isfinite(e->value); };
  const auto when = known(expected.at_ms) ? "about " + date(expected.at_ms->value)
                    : known(expected.labels)
                        ? "at about " + counted(std::round(expected.labels->value), "label")
                    : known(expected.money) ? "at about " + money_text(expected.money->value, report.money)
                                            : "";
  const auto end = of_the_end(when, report.end->reason);
  return end.empty() ? unknown : "the end is expected" + end;
}

// ---- Targets

/// How a state looks: never by its colour alone.
struct look {
  const char *style, *sign, *name;
};
look look_of(state s) {
  switch (s) {
    case state::met:
      return {"good", "\u2713", "met"};
    case state::on_course:
      return {"open", "\u2192", "on course"};
    case state::out_of_reach:
      return {"bad", "\u2715", "out of reach"};
    case state::unknown:
      break;
  }
  return {"unknown", "?", "unknown"};
}

std::string chip(const look& l) {
  return element("span", std::string("class=\"chip ") + l.style + "\"",
                 std::string("<span aria-hidden=\"true\">") + l.sign + "</span> " + l.name);
}

/// "on 12 May 2027 (8 to 20 May 2027), at 1,800 labels (1,650 to 2,100), for 900.00 EUR"
std::string arrival(const report_arrival& a, const report_money& money) {
  std::string out;
  const auto add = [&](const char* before, const std::optional<report_estimate>& e, auto text,
                       const char* after) {
    if (!e || (!std::isfinite(e->value) && !std::isfinite(e->low))) return;
    out.append(out.empty() ? "" : ", ").append(std::isfinite(e->value) ? before : "");
    out.append(with_interval(*e, text)).append(after);
  };
  add("on ", a.at_ms, date, "");
  add(
      "at ", a.labels, [](double n) { return grouped(std::round(n)); }, " labels");
  add(
      "for ", a.money, [&](double m) { return money_text(m, money); }, "");
  return out;
}

std::string target_item(const report_target& target, const campaign_report& report) {
  const auto figures =
      (target.now && std::isfinite(target.now->value) ? element("b", "", with_interval(*target.now, percent))
                                                      : "not measured") +
      ", target " + percent(target.at_least);
  const auto expected = arrival(target.expected, report.money);
  return element("li", "",
                 chip(look_of(target.is)) + " " + html::short_name(target.name) + element("p", "", figures) +
                     (expected.empty() ? "" : caption("Expected " + escape(expected))) +
                     (target.why.empty() ? "" : caption(escape(target.why)))) +
         "\n";
}

int urgency(state s) {
  switch (s) {
    case state::out_of_reach:
      return 0;
    case state::on_course:
      return 1;
    case state::unknown:
      return 2;
    case state::met:
      break;
  }
  return 3;
}

std::string targets_card(const campaign_report& report) {
  if (report.targets.empty()) return {};
  auto targets = report.targets;
  std::stable_sort(targets.begin(), targets.end(),
                   [](const auto& a, const auto& b) { return urgency(a.is) < urgency(b.is); });
  constexpr std::size_t shown = 5;
  std::string first, others;
  for (std::size_t i = 0; i < targets.size(); ++i)
    (i < shown ? first : others) += target_item(targets[i], report);
  auto list = element("ul", "class=\"targets\"", "\n" + first);
  if (!others.empty())
    list += element("details", "",
                    element("summary", "", counted(double(targets.size() - shown), "more target")) +
                        element("ul", "class=\"targets\"", "\n" + others));
  return element("section", "class=\"card\" id=\"targets\"",
                 element("h2", "", headline_of_targets(report)) + list) +
         "\n";
}

// ---- Budgets

std::string name_of(kind k) {
  switch (k) {
    case kind::money:
      return "Money";
    case kind::hours:
      return "Hours of people";
    case kind::labels:
      return "Labels";
    case kind::days:
      return "Calendar days";
  }
  return {};
}

std::string bar(double spent, double committed) {
  const auto width = [](double share) { return " style=\"width:" + html::fixed(share * 100, 2) + "%\""; };
  const auto used = std::clamp(spent, 0.0, 1.0), reserved = std::clamp(committed, 0.0, 1.0 - used);
  return element("div",
                 "class=\"bar\" role=\"img\" aria-label=\"" + percent(spent) + " spent, " + percent(committed) +
                     " committed\"",
                 element("span", "class=\"spent\"" + width(used), "") +
                     element("span", "class=\"committed\"" + width(reserved), ""));
}

std::string budget_item(const report_budget& b, const report_money& money) {
  const auto text = [&](double value) { return escape(amount(value, b.of, money)); };
  std::string out = element("h3", "", name_of(b.of)), line = element("b", "", text(b.spent)) + " spent";
  if (b.committed > 0) line += ", " + text(b.committed) + " committed";
  if (b.limit) {
    const auto left = *b.limit - b.spent - b.committed;
    const auto share = [&](double part) { return *b.limit > 0 ? part / *b.limit : part > 0 ? 1.0 : 0.0; };
    out += bar(share(b.spent), share(b.committed));
    line += ", " + (left < 0 ? element("b", "", text(-left) + " too much") : text(left) + " left") + " of " +
            text(*b.limit);
  } else {
    line += ", without a limit";
  }
  return out + element("p", "", line) + "\n";
}

std::string budgets_card(const campaign_report& report) {
  if (report.budgets.empty()) return {};
  std::string items;
  for (const auto& budget : report.budgets) items += budget_item(budget, report.money);
  return element("section", "class=\"card\" id=\"spent\"",
                 element("h2", "", "Spent, committed and left") + items) +
         "\n";
}

// ---- The end

std::string end_card(const campaign_report& report) {
  const auto& verdict = report.verdict;
  if (!verdict && !report.end && report.next.empty()) return {};
  std::string out = element("h2", "",
                            verdict && verdict->stop ? "Stop now"
                            : verdict                ? "Go on"
                                                     : "When it stops");
  if (verdict && !verdict->sentence.empty()) out += element("p", "", escape(verdict->sentence));
  if (report.end && !(verdict && verdict->stop)) {
    const auto expected = of_the_end(arrival(report.end->expected, report.money), report.end->reason);
    if (!expected.empty()) out += element("p", "", "The end is expected" + escape(expected) + ".");
  }
  if (!report.next.empty()) {
    std::string steps;
    for (const auto& step : report.next) steps += element("li", "", escape(step)) + "\n";
    out += element("h3", "", "Next") + element("ol", "", "\n" + steps);
  }
  return element("section", "class=\"card\" id=\"end\"", out) + "\n";
}

}  // namespace

std::string first_screen(const campaign_report& report) {
  auto about = report.at_ms > 0 ? "As of " + html::date_and_time(double(report.at_ms)) + ". " : std::string();
  about += "Intervals are of " + percent(report.interval_level) + " for measurements and of " +
           percent(report.forecast_level) + " for forecasts.";
  const auto cards = targets_card(report) + budgets_card(report) + end_card(report);
  return element("h1", "class=\"name\"", report.name.empty() ? "Campaign" : escape(report.name)) + "\n" +
         element("p", "class=\"status\"", escape(status_sentence(report))) + "\n" +
         (report.hypothesis.empty() ? ""
                                    : element("p", "", "Hypothesis: " + escape(report.hypothesis)) + "\n") +
         caption(about) + "\n" +
         "<noscript><p>The charts need JavaScript; the tables do not.</p></noscript>\n" +
         (cards.empty() ? "" : element("div", "class=\"cards\"", "\n" + cards) + "\n");
}

}  // namespace campaign_page

std::string status_sentence(const campaign_report& report) {
  using namespace campaign_page;
  std::string out = where_it_is(report);
  for (const auto& part : {cost_so_far(report), when_it_stops(report)})
    if (!part.empty()) out += "; " + part;
  return out + ".";
}

}  // namespace poolwise
