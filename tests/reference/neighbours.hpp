// Neighbour lists by sorting all distances.
#pragma once

#include <algorithm>
#include <cstddef>
#include <ostream>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "poolwise/core/types.hpp"
#include "reference/distance.hpp"

namespace reference {

/// The neighbours of every row and their distances.
struct lists {
  lists(poolwise::index_t queries, poolwise::index_t each)
      : rows(queries),
        neighbours(each),
        which(static_cast<std::size_t>(queries * each), -2),
        d2(which.size(), -2) {}

  poolwise::matrix_view<poolwise::index_t> which_view() { return {which.data(), rows, neighbours}; }
  poolwise::matrix_view<float> d2_view() { return {d2.data(), rows, neighbours}; }

  friend bool operator==(const lists& a, const lists& b) { return a.which == b.which && a.d2 == b.d2; }
  friend std::ostream& operator<<(std::ostream& out, const lists& x) {
    return out << x.rows << " lists that begin with row " << (x.which.empty() ? -1 : x.which[0]);
  }

  poolwise::index_t rows, neighbours;
  std::vector<poolwise::index_t> which;
  std::vector<float> d2;
};

inline std::vector<float> normal_rows(poolwise::index_t rows, poolwise::index_t cols, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(rows * cols));
  for (float& v : values) v = normal(random);
  return values;
}

/// Row i of queries is reference self + i, which is left out, unless `self` is negative.
inline lists neighbours_of(const std::vector<float>& queries, const std::vector<float>& references,
                           poolwise::index_t cols, poolwise::index_t neighbours, poolwise::index_t self = -1) {
  const auto width = std::size_t(cols), each = std::size_t(neighbours);
  const std::size_t rows = queries.size() / width, others = references.size() / width;
  lists found(poolwise::index_t(rows), neighbours);
  for (std::size_t i = 0; i < rows; ++i) {
    std::vector<std::pair<float, std::size_t>> all;
    for (std::size_t j = 0; j < others; ++j)
      if (self < 0 || j != std::size_t(self) + i)
        all.emplace_back(
            canonical_squared_distance(queries.data() + i * width, references.data() + j * width, width), j);
    std::partial_sort(all.begin(), all.begin() + neighbours, all.end());
    for (std::size_t n = 0; n < each; ++n) {
      found.which[i * each + n] = poolwise::index_t(all.at(n).second);
      found.d2[i * each + n] = all.at(n).first;
    }
  }
  return found;
}

/// The share of the expected neighbours that were found.
inline double recall(const lists& found, const lists& expected) {
  std::size_t hits = 0;
  for (poolwise::index_t i = 0; i < found.rows; ++i) {
    const auto row = [&](const lists& x) { return x.which.begin() + i * x.neighbours; };
    const std::set<poolwise::index_t> wanted(row(expected), row(expected) + expected.neighbours);
    for (auto one = row(found); one != row(found) + found.neighbours; ++one) hits += wanted.count(*one);
  }
  return double(hits) / double(expected.which.size());
}

}  // namespace reference
