// Who labels: people, language models and classifiers, and what is known of each before the first answer.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "poolwise/core/types.hpp"

namespace poolwise {

/// A classifier's answers are the classes that it holds most likely; its probabilities are given beside them.
enum class annotator_kind { person, model, classifier };

std::string_view to_text(annotator_kind kind);
/// throws usage_error naming the nearest kind.
annotator_kind parse_annotator_kind(const std::string& text);

/// How often someone is expected to be right: a Beta or Dirichlet prior that is worth `weight` known answers.
struct skill_prior {
  double accuracy = 0.7, weight = 4;
  std::map<std::string, double> by_class, by_slice;  ///< accuracies, where they are known apart

  double of(const std::string& label, const std::string& slice) const;
};

/// Times of a week, in UTC.
struct working_hours {
  unsigned days = 0x7f;           ///< bit 0: Monday
  int from = 0, until = 24 * 60;  ///< minutes since midnight; `until` is at most `from`: past midnight

  bool hold(std::int64_t at_ms) const;

  friend bool operator==(const working_hours&, const working_hours&) = default;
};

/// "mon-fri 09:00-17:00", "sat", "22:00-06:00", or "" for always; with a zone, "mon 08:00-12:00 +02:00", a
/// whole number of minutes ahead of UTC. Days are those on which the hours begin, by the zone's clock where it
/// keeps them on one day of UTC. throws usage_error for other text.
working_hours parse_working_hours(const std::string& text);

struct annotator {
  std::string name;
  annotator_kind kind = annotator_kind::person;
  std::int64_t price = 0;  ///< of one answer, in the campaign's smallest unit
  double seconds = 0;      ///< one answer takes them, before the log says more; 0: unknown
  skill_prior skill;
  std::vector<std::string> languages;  ///< none: any
  working_hours hours;
  std::vector<std::string> roles = {"annotator"};  ///< of annotator_roles()
  index_t most_open = 0;                           ///< items at a time; 0: any number

  bool has_role(std::string_view role) const;
  bool speaks(const std::string& language) const;  ///< any language is "" and spoken
};

/// annotator, senior (uncertain and costly items go there first), reviewer, manager, auditor.
const std::vector<std::string>& annotator_roles();

}  // namespace poolwise
