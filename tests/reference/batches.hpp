// Rows for tests of batches, and what every batch is: each row once.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include "poolwise/core/order.hpp"
#include "poolwise/core/types.hpp"

namespace reference {

using picks = std::vector<poolwise::candidate>;

template <class T>
poolwise::vector_view<const T> view(const std::vector<T>& values) {
  return {values.data(), poolwise::index_t(values.size())};
}

/// A dense matrix that owns its values.
struct owned_rows {
  poolwise::index_t rows, cols;
  std::vector<float> values;
  operator poolwise::matrix_view<const float>() const { return {values.data(), rows, cols}; }
  const float* row(poolwise::index_t i) const { return values.data() + i * cols; }
};

inline std::vector<float> normals(poolwise::index_t count, std::uint32_t seed) {
  std::mt19937 next(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& v : values) v = normal(next);
  return values;
}

inline owned_rows normal_matrix(poolwise::index_t rows, poolwise::index_t cols, std::uint32_t seed) {
  return {rows, cols, normals(rows * cols, seed)};
}

/// Small integers: distances are exact in fp32 and in double; ties, equal rows and equal norms abound.
inline owned_rows integer_matrix(poolwise::index_t rows, poolwise::index_t cols, int values,
                                 std::mt19937& next) {
  owned_rows m{rows, cols, std::vector<float>(std::size_t(rows * cols))};
  for (float& v : m.values) v = float(next() % unsigned(values));
  return m;
}

inline std::vector<poolwise::index_t> rows_of(const picks& picked) {
  std::vector<poolwise::index_t> rows;
  for (const poolwise::candidate& c : picked) rows.push_back(c.row);
  return rows;
}

inline void expect_distinct(const picks& picked) {
  const auto rows = rows_of(picked);
  EXPECT_EQ(std::set<poolwise::index_t>(rows.begin(), rows.end()).size(), rows.size());
}

}  // namespace reference
