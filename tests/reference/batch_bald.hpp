// BatchBALD by its definition: every joint label written out, in long double.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace reference {

/// p[member][row][class]
using committee_table = std::vector<std::vector<std::vector<long double>>>;

/// H(y_1, ..., y_n), where the label of each of `rows` is drawn given one member, the same for all.
inline long double joint_entropy(const committee_table& p, const std::vector<std::int64_t>& rows) {
  const std::size_t classes = p[0].empty() ? 0 : p[0][0].size();
  std::vector<std::size_t> label(rows.size(), 0);
  long double entropy = 0;
  while (true) {
    long double likely = 0;
    for (const auto& member : p) {
      long double product = 1 / static_cast<long double>(p.size());
      for (std::size_t j = 0; j < rows.size(); ++j) product *= member[std::size_t(rows[j])][label[j]];
      likely += product;
    }
    if (likely > 0) entropy -= likely * std::log(likely);
    std::size_t j = 0;
    while (j < rows.size() && ++label[j] == classes) label[j++] = 0;
    if (j == rows.size()) return entropy;
  }
}

/// I(y_1, ..., y_n; member)
inline long double joint_information(const committee_table& p, const std::vector<std::int64_t>& rows) {
  long double information = joint_entropy(p, rows);
  for (const auto& member : p)
    for (const auto row : rows)
      information -= joint_entropy({member}, {row}) / static_cast<long double>(p.size());
  return information;
}

}  // namespace reference
