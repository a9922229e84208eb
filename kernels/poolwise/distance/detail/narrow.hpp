// Rows as small integers: dot products at several times the rate of fp32, with a bound of what they miss.
//
// A row y = x - origin becomes scale * q. What is left, r = y - scale * q, is measured, so that for two rows
//
//     y1.y2 = scale1 scale2 (q1.q2) + r1.(scale2 q2) + y1.r2,
//
// and the first term, whose sum of integers is exact, misses the product by at most |r1||y2^| + |y1||r2| with
// y2^ = scale2 q2 (Cauchy and Schwarz). It holds for any scale and any q, well chosen or not.
#pragma once

#include <cstdint>
#include <vector>

#include "poolwise/core/types.hpp"
#include "poolwise/distance/detail/dot_table.hpp"

namespace poolwise {

/// How fine the integers are. Bytes take half the time of words, where the CPU multiplies them.
enum class grain { bytes, words };

/// Whether this CPU multiplies bytes (AVX-512 VNNI).
bool has_byte_products();

/// What is known of rows y, apart from their integers; place by place.
///
/// |scale1 scale2 (q1.q2) - y1.y2| <= loss1 reach2 + reach1 loss2, the left product rounded in fp32 from either
/// side, the bound in fp32 too, and y1.y2 exact or a canonical dot product of y1 and y2. A row with numbers so
/// large that this could leave the range of fp32 has an infinite norm2, and 0 for the others.
struct narrow_facts {
  std::vector<float> scale;
  std::vector<float> reach;  ///< >= |y| and |scale q|
  std::vector<float> loss;   ///< >= |y - scale q|, and the roundings
  std::vector<float> norm2;  ///< |y|^2, relatively within gamma_of(cols + 8), but for an underflow
};

/// Rows that have been narrowed, one after the other.
class narrow_rows {
 public:
  /// Room for `most` rows of `cols` columns.
  narrow_rows(grain fine, index_t cols, index_t most);

  void clear() { rows_ = 0; }

  /// `origin` has `cols` values, or is null for zeros.
  void add(const float* row, const float* origin);

  grain fine() const { return fine_; }
  index_t rows() const { return rows_; }
  /// Integers lie in units of four bytes; the last of a row is filled with zeros.
  index_t units() const { return units_; }
  const std::int32_t* row(index_t i) const { return values_.data() + i * units_; }
  /// Bytes meet the other side's integers + 128: here is -128 times the sum of a row, else 0.
  const std::int32_t* start() const { return start_.data(); }
  const narrow_facts& facts() const { return facts_; }

 private:
  grain fine_;
  index_t cols_, units_, rows_ = 0;
  std::vector<std::int32_t, line_allocator<std::int32_t>> values_;
  std::vector<std::int32_t> start_;
  std::vector<float, line_allocator<float>> shifted_;  // the row that is being narrowed
  narrow_facts facts_;
};

/// Up to `width` narrowed rows side by side: the other factor of a product.
class narrow_panel {
 public:
  static constexpr index_t group = 16, width = 48;

  explicit narrow_panel(const narrow_rows& rows);

  index_t rows() const { return rows_; }
  /// Places, a multiple of `group`; those beyond the rows have integers and facts of 0.
  index_t places() const { return (rows_ + group - 1) / group * group; }
  const std::int32_t* values() const { return values_.data(); }  ///< [units][places]
  const narrow_facts& facts() const { return facts_; }

 private:
  index_t rows_;
  std::vector<std::int32_t, line_allocator<std::int32_t>> values_;
  narrow_facts facts_;
};

/// Room for that many rows is what narrow_products may read and write.
inline constexpr index_t narrow_step = 8;
inline index_t narrow_height(index_t rows) { return (rows + narrow_step - 1) / narrow_step * narrow_step; }

/// table[i * panel.places() + j] = q_i.q_j, rounded to fp32. The table is [narrow_height(rows), places].
void narrow_products(const narrow_rows& rows, const narrow_panel& panel, float* table);

/// One factor of the pairs that find_open_pairs looks at.
struct narrow_factor {
  const narrow_rows* rows;
  const narrow_panel* panel;
  const float* table;  ///< their products
};

/// A pair of a row and a place of the panel.
struct narrow_pair {
  std::uint16_t row, place;
};

/// Finds the pairs (i, j) that may have base[j] - 2 p < limit[i], where p = y_i.y_j, exact or canonical; or,
/// for two factors, (a_i.a_j)(h_i.h_j + bias) of such products. The subtraction rounds by up to 2^-24
/// |base[j]|; all else is accounted for. base [places], limit [rows]; pairs [rows * places] are written, rows
/// ascending. Returns their number.
index_t find_open_pairs(const narrow_factor& h, const float* base, const float* limit, narrow_pair* pairs);
index_t find_open_pairs(const narrow_factor& a, const narrow_factor& h, float bias, const float* base,
                        const float* limit, narrow_pair* pairs);

}  // namespace poolwise
